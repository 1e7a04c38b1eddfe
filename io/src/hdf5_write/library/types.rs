//! Element types in libhdf5's words.
//!
//! Invariant: a [`PlainType`] holds no pointers, so any bytes of its size are an element. Called by the HDF5 writer.

use super::{Failure, Handle, Library, failure, handle, status};
use hdf5_metno_sys as sys;
use std::ffi::{CStr, c_void};

/// A fixed-size element type.
#[derive(Debug)]
pub(in crate::hdf5_write) struct PlainType {
    pub(super) handle: Handle,
    pub(super) size_bytes: usize,
}

impl PlainType {
    /// Bytes of one element.
    pub(in crate::hdf5_write) const fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

/// The types that the library has ready-made.
#[derive(Clone, Copy, Debug)]
pub(in crate::hdf5_write) enum Native {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    /// The type netCDF gives to dimensions without a variable.
    BigEndianF32,
    ObjectReference,
}

impl Library {
    /// A ready-made type, in the machine's byte order unless its name says otherwise.
    pub(in crate::hdf5_write) fn native(&self, native: Native) -> Result<PlainType, Failure> {
        use sys::h5t;
        let id = match native {
            Native::I8 => *h5t::H5T_NATIVE_INT8,
            Native::I16 => *h5t::H5T_NATIVE_INT16,
            Native::I32 => *h5t::H5T_NATIVE_INT32,
            Native::I64 => *h5t::H5T_NATIVE_INT64,
            Native::U8 => *h5t::H5T_NATIVE_UINT8,
            Native::U16 => *h5t::H5T_NATIVE_UINT16,
            Native::U32 => *h5t::H5T_NATIVE_UINT32,
            Native::U64 => *h5t::H5T_NATIVE_UINT64,
            Native::F32 => *h5t::H5T_NATIVE_FLOAT,
            Native::F64 => *h5t::H5T_NATIVE_DOUBLE,
            Native::BigEndianF32 => *h5t::H5T_IEEE_F32BE,
            Native::ObjectReference => *h5t::H5T_STD_REF_OBJ,
        };
        // SAFETY: a predefined type, copied.
        self.plain(handle("H5Tcopy", unsafe { h5t::H5Tcopy(id) })?)
    }

    /// IEEE half precision, described bit by bit because not every build of the library has it ready-made.
    pub(in crate::hdf5_write) fn half(&self) -> Result<PlainType, Failure> {
        use sys::h5t;
        let single = self.native(Native::F32)?;
        let id = single.handle.0;
        // SAFETY: a live floating-point type that is ours to change; fields lie within its 16 bits.
        unsafe {
            status("H5Tset_fields", h5t::H5Tset_fields(id, 15, 10, 5, 0, 10))?;
            status("H5Tset_size", h5t::H5Tset_size(id, 2))?;
            status("H5Tset_ebias", h5t::H5Tset_ebias(id, 15))?;
        }
        self.plain(single.handle)
    }

    /// An enumeration FALSE, TRUE over bytes: bool as h5py stores it.
    pub(in crate::hdf5_write) fn boolean(&self) -> Result<PlainType, Failure> {
        use sys::h5t;
        let base = self.native(Native::I8)?;
        // SAFETY: a live base type; each value points to one byte, the size of the base.
        unsafe {
            let boolean = handle("H5Tenum_create", h5t::H5Tenum_create(base.handle.0))?;
            for (name, value) in [(c"FALSE", 0_i8), (c"TRUE", 1_i8)] {
                let place = (&raw const value).cast::<c_void>();
                status("H5Tenum_insert", h5t::H5Tenum_insert(boolean.0, name.as_ptr(), place))?;
            }
            self.plain(boolean)
        }
    }

    /// A record of `size_bytes` with fields of the given names, offsets and types.
    pub(in crate::hdf5_write) fn record(
        &self,
        size_bytes: usize,
        fields: &[(&CStr, usize, &PlainType)],
    ) -> Result<PlainType, Failure> {
        use sys::h5t;
        // SAFETY: live types and C strings; the library refuses fields that overlap or leave the record.
        unsafe {
            let record = handle("H5Tcreate", h5t::H5Tcreate(h5t::H5T_class_t::H5T_COMPOUND, size_bytes))?;
            for (name, offset, field) in fields {
                status("H5Tinsert", h5t::H5Tinsert(record.0, name.as_ptr(), *offset, field.handle.0))?;
            }
            self.plain(record)
        }
    }

    /// Strings of exactly `len_bytes` bytes (at least 1); `padded` with NUL to that length, else NUL-terminated where
    /// shorter.
    pub(in crate::hdf5_write) fn fixed_text(
        &self,
        len_bytes: usize,
        padded: bool,
        utf8: bool,
    ) -> Result<PlainType, Failure> {
        use sys::h5t::{self, H5T_cset_t, H5T_str_t};
        let pad = if padded { H5T_str_t::H5T_STR_NULLPAD } else { H5T_str_t::H5T_STR_NULLTERM };
        let set = if utf8 { H5T_cset_t::H5T_CSET_UTF8 } else { H5T_cset_t::H5T_CSET_ASCII };
        // SAFETY: a copy of the predefined string type, ours to change.
        unsafe {
            let text = handle("H5Tcopy", h5t::H5Tcopy(*h5t::H5T_C_S1))?;
            status("H5Tset_size", h5t::H5Tset_size(text.0, len_bytes))?;
            status("H5Tset_strpad", h5t::H5Tset_strpad(text.0, pad))?;
            status("H5Tset_cset", h5t::H5Tset_cset(text.0, set))?;
            self.plain(text)
        }
    }

    /// UTF-8 texts of any length: pointers to C strings in memory.
    pub(super) fn variable_text(&self) -> Result<Handle, Failure> {
        use sys::h5t;
        // SAFETY: a copy of the predefined string type, ours to change.
        unsafe {
            let text = handle("H5Tcopy", h5t::H5Tcopy(*h5t::H5T_C_S1))?;
            status("H5Tset_size", h5t::H5Tset_size(text.0, h5t::H5T_VARIABLE))?;
            status("H5Tset_cset", h5t::H5Tset_cset(text.0, h5t::H5T_cset_t::H5T_CSET_UTF8))?;
            Ok(text)
        }
    }

    fn plain(&self, handle: Handle) -> Result<PlainType, Failure> {
        // SAFETY: a live type.
        let size_bytes = unsafe { sys::h5t::H5Tget_size(handle.0) };
        if size_bytes == 0 { Err(failure("H5Tget_size")) } else { Ok(PlainType { handle, size_bytes }) }
    }
}
