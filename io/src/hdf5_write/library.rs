//! The one place that calls libhdf5: checked, safe wrappers of the few calls that writing needs.
//!
//! libhdf5 is not thread-safe and its handles are plain integers, so every wrapper is a method of [`Library`], which
//! exists only while the library's lock is held; handles close themselves. Buffers are checked against the size that
//! the library will read. Plugins and the handler that writes at exit are off: the library touches no file but those
//! that it is told to create. Called by the other modules of the HDF5 writer only.
#![expect(unsafe_code, reason = "calls into the C library; each checked against its documentation")]

mod attributes;
mod datasets;
mod types;

pub(super) use attributes::Extent;
pub(super) use datasets::{ElementKind, Filter, NewDataset, StorageLayout};
pub(super) use types::{Native, PlainType};

use hdf5_metno_sys as sys;
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::sync::Once;
use sys::h5i::hid_t;

/// What a failed call said.
#[derive(Debug)]
pub(super) struct Failure {
    /// The C function.
    pub(super) call: &'static str,
    /// The library's words, outermost and innermost.
    pub(super) message: String,
}

/// Proof that the library's lock is held and the library is set up.
pub(super) struct Library(());

/// Runs `work` under the library's lock.
pub(super) fn with_library<T>(work: impl FnOnce(&Library) -> T) -> T {
    static SET_UP: Once = Once::new();
    let _guard = sys::LOCK.lock();
    SET_UP.call_once(|| {
        // SAFETY: documented as callable before anything else; the lock is held. A failure of any of these leaves
        // the library usable, so their status is not needed.
        unsafe {
            sys::h5::H5dont_atexit();
            sys::h5::H5open();
            // The binding has the mask of allowed plugins as a pointer; null is the mask that allows none.
            sys::h5pl::H5PLset_loading_state(std::ptr::null_mut());
            sys::h5e::H5Eset_auto2(sys::h5e::H5E_DEFAULT, None, std::ptr::null_mut());
        }
    });
    work(&Library(()))
}

/// An open object of the library; closed when dropped.
#[derive(Debug)]
pub(super) struct Handle(hid_t);

impl Handle {
    /// Lets go without closing: what is open after a failure must not be flushed.
    pub(super) fn abandon(self) {
        std::mem::forget(self);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _guard = sys::LOCK.lock();
        // SAFETY: the lock is held and the handle was given by the library and is given back once.
        unsafe { sys::h5i::H5Idec_ref(self.0) };
    }
}

/// A reference to an object of the same file, as stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference(pub(super) u64);

const CREATION_ORDER: c_uint = sys::h5p::H5P_CRT_ORDER_TRACKED | sys::h5p::H5P_CRT_ORDER_INDEXED;
const DEFAULT: hid_t = sys::h5p::H5P_DEFAULT;

impl Library {
    /// The library's version.
    pub(super) fn version(&self) -> (u32, u32, u32) {
        let (mut major, mut minor, mut release) = (0, 0, 0);
        // SAFETY: three valid places for unsigned ints.
        unsafe { sys::h5::H5get_libversion(&raw mut major, &raw mut minor, &raw mut release) };
        (major, minor, release)
    }

    /// Creates the file, which must not exist. Groups and attributes keep the order of their creation.
    pub(super) fn create_file(&self, path: &CStr) -> Result<Handle, Failure> {
        use sys::h5f::{H5F_ACC_EXCL, H5F_close_degree_t, H5F_libver_t, H5Fcreate};
        use sys::h5p;
        // SAFETY: property lists are live handles of the right class; `path` is a C string.
        unsafe {
            let creation = handle("H5Pcreate", h5p::H5Pcreate(*h5p::H5P_CLS_FILE_CREATE))?;
            status(
                "H5Pset_link_creation_order",
                h5p::H5Pset_link_creation_order(creation.0, CREATION_ORDER),
            )?;
            status(
                "H5Pset_attr_creation_order",
                h5p::H5Pset_attr_creation_order(creation.0, CREATION_ORDER),
            )?;
            status("H5Pset_obj_track_times", h5p::H5Pset_obj_track_times(creation.0, 0 as _))?;
            let access = handle("H5Pcreate", h5p::H5Pcreate(*h5p::H5P_CLS_FILE_ACCESS))?;
            let v18 = H5F_libver_t::H5F_LIBVER_V18;
            status("H5Pset_libver_bounds", h5p::H5Pset_libver_bounds(access.0, v18, v18))?;
            let strict = H5F_close_degree_t::H5F_CLOSE_SEMI;
            status("H5Pset_fclose_degree", h5p::H5Pset_fclose_degree(access.0, strict))?;
            // No lock: nobody else knows the file yet, network file systems may have none, and a process that is
            // started meanwhile would inherit the lock with the descriptor and hold it after the file is closed.
            status("H5Pset_file_locking", h5p::H5Pset_file_locking(access.0, 0 as _, 1 as _))?;
            handle("H5Fcreate", H5Fcreate(path.as_ptr(), H5F_ACC_EXCL, creation.0, access.0))
        }
    }

    /// The end of the file's allocated space, in bytes.
    pub(super) fn file_end(&self, file: &Handle) -> Result<u64, Failure> {
        let mut end = 0;
        // SAFETY: a live file and a valid place for the answer.
        status("H5Fget_filesize", unsafe { sys::h5f::H5Fget_filesize(file.0, &raw mut end) })?;
        Ok(end)
    }

    /// Writes everything that is cached.
    pub(super) fn flush(&self, file: &Handle) -> Result<(), Failure> {
        // SAFETY: a live file.
        status("H5Fflush", unsafe { sys::h5f::H5Fflush(file.0, sys::h5f::H5F_scope_t::H5F_SCOPE_GLOBAL) })
    }

    /// Closes the file; everything in it must be closed.
    pub(super) fn close_file(&self, file: Handle) -> Result<(), Failure> {
        let id = file.0;
        file.abandon();
        // SAFETY: a live file, given up by the line above.
        status("H5Fclose", unsafe { sys::h5f::H5Fclose(id) })
    }

    /// Creates a group whose parent is there.
    pub(super) fn create_group(&self, file: &Handle, path: &str) -> Result<Handle, Failure> {
        use sys::h5p;
        let path = c_string(path)?;
        let links = self.link_creation()?;
        // SAFETY: live handles of the right class and a C string.
        unsafe {
            let creation = handle("H5Pcreate", h5p::H5Pcreate(*h5p::H5P_CLS_GROUP_CREATE))?;
            status(
                "H5Pset_link_creation_order",
                h5p::H5Pset_link_creation_order(creation.0, CREATION_ORDER),
            )?;
            status(
                "H5Pset_attr_creation_order",
                h5p::H5Pset_attr_creation_order(creation.0, CREATION_ORDER),
            )?;
            status("H5Pset_obj_track_times", h5p::H5Pset_obj_track_times(creation.0, 0 as _))?;
            handle("H5Gcreate", sys::h5g::H5Gcreate2(file.0, path.as_ptr(), links.0, creation.0, DEFAULT))
        }
    }

    /// Links whose names are UTF-8.
    fn link_creation(&self) -> Result<Handle, Failure> {
        use sys::h5p;
        // SAFETY: a live property list of the right class.
        unsafe {
            let links = handle("H5Pcreate", h5p::H5Pcreate(*h5p::H5P_CLS_LINK_CREATE))?;
            let utf8 = sys::h5t::H5T_cset_t::H5T_CSET_UTF8;
            status("H5Pset_char_encoding", h5p::H5Pset_char_encoding(links.0, utf8))?;
            Ok(links)
        }
    }

    /// Gives an object another name.
    pub(super) fn rename(&self, file: &Handle, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (c_string(from)?, c_string(to)?);
        let links = self.link_creation()?;
        // SAFETY: live handles and C strings.
        let moved =
            unsafe { sys::h5l::H5Lmove(file.0, from.as_ptr(), file.0, to.as_ptr(), links.0, DEFAULT) };
        status("H5Lmove", moved)
    }

    /// A reference to the object at `path`.
    pub(super) fn reference(&self, file: &Handle, path: &str) -> Result<Reference, Failure> {
        let path = c_string(path)?;
        let mut reference: sys::h5r::hobj_ref_t = 0;
        let place = (&raw mut reference).cast::<c_void>();
        let kind = sys::h5r::H5R_type_t::H5R_OBJECT1;
        // SAFETY: `place` has the size of an object reference; the file is live.
        status("H5Rcreate", unsafe { sys::h5r::H5Rcreate(place, file.0, path.as_ptr(), kind, -1) })?;
        Ok(Reference(reference))
    }
}

fn handle(call: &'static str, id: hid_t) -> Result<Handle, Failure> {
    if id < 0 { Err(failure(call)) } else { Ok(Handle(id)) }
}

fn status(call: &'static str, status: c_int) -> Result<(), Failure> {
    if status < 0 { Err(failure(call)) } else { Ok(()) }
}

fn c_rank(rank: usize) -> Result<c_int, Failure> {
    c_int::try_from(rank).map_err(|_| wrong_size("H5Screate_simple"))
}

fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text)
        .map_err(|_| Failure { call: "CString", message: format!("the name {text:?} holds a NUL byte") })
}

fn wrong_size(call: &'static str) -> Failure {
    Failure {
        call,
        message: "the buffer does not have the size of the elements (a bug, please report it)".to_owned(),
    }
}

/// What the library's error stack says: its outermost and innermost records. The lock must be held.
fn failure(call: &'static str) -> Failure {
    unsafe extern "C" fn collect(
        _: c_uint,
        record: *const sys::h5e::H5E_error2_t,
        list: *mut c_void,
    ) -> c_int {
        // SAFETY: the library hands out a valid record, and `list` is the Vec given to H5Ewalk2 below.
        unsafe {
            let list = &mut *list.cast::<Vec<String>>();
            let description = (*record).desc;
            if !description.is_null() {
                list.push(CStr::from_ptr(description).to_string_lossy().into_owned());
            }
        }
        0
    }
    let mut records: Vec<String> = Vec::new();
    // SAFETY: the callback takes the pointer as the Vec that it is, during this call only.
    unsafe {
        sys::h5e::H5Ewalk2(
            sys::h5e::H5E_DEFAULT,
            sys::h5e::H5E_direction_t::H5E_WALK_DOWNWARD,
            Some(collect),
            (&raw mut records).cast(),
        );
        sys::h5e::H5Eclear2(sys::h5e::H5E_DEFAULT);
    }
    let message = match (records.first(), records.last()) {
        (Some(first), Some(last)) if records.len() > 1 => format!("{first}: {last}"),
        (Some(only), _) => only.clone(),
        _ => "the library gave no reason".to_owned(),
    };
    Failure { call, message }
}
