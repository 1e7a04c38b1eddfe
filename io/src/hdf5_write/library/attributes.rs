//! Attributes of files, groups and datasets.
//!
//! Invariant: what is handed to the library has exactly the elements that the attribute's extent says. Called by the
//! HDF5 writer.

use super::{
    DEFAULT, Failure, Handle, Library, Native, PlainType, Reference, c_string, handle, status, wrong_size,
};
use hdf5_metno_sys as sys;
use std::ffi::CString;

/// The extent of an attribute.
#[derive(Clone, Copy, Debug)]
pub(in crate::hdf5_write) enum Extent {
    /// No elements, not even a shape.
    Null,
    /// One element.
    Scalar,
    /// A list of elements.
    List(usize),
}

impl Extent {
    const fn elements(self) -> usize {
        match self {
            Self::Null => 0,
            Self::Scalar => 1,
            Self::List(len) => len,
        }
    }
}

impl Library {
    /// Gives `object` an attribute whose elements are `bytes`.
    pub(in crate::hdf5_write) fn write_attribute(
        &self,
        object: &Handle,
        name: &str,
        element: &PlainType,
        extent: Extent,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        if element.size_bytes.checked_mul(extent.elements()) != Some(bytes.len()) {
            return Err(wrong_size("H5Awrite"));
        }
        let attribute = self.create_attribute(object, name, &element.handle, extent)?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: `bytes` holds exactly the attribute's elements of this type.
        let written = unsafe { sys::h5a::H5Awrite(attribute.0, element.handle.0, bytes.as_ptr().cast()) };
        status("H5Awrite", written)
    }

    /// Gives `object` an attribute of UTF-8 texts of any length; one if the extent is a scalar.
    pub(in crate::hdf5_write) fn write_text_attribute(
        &self,
        object: &Handle,
        name: &str,
        extent: Extent,
        texts: &[CString],
    ) -> Result<(), Failure> {
        if extent.elements() != texts.len() {
            return Err(wrong_size("H5Awrite"));
        }
        let element = self.variable_text()?;
        let attribute = self.create_attribute(object, name, &element, extent)?;
        if texts.is_empty() {
            return Ok(());
        }
        let pointers: Vec<*const std::ffi::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: one pointer to a live C string for each element, as this type wants them.
        status("H5Awrite", unsafe { sys::h5a::H5Awrite(attribute.0, element.0, pointers.as_ptr().cast()) })
    }

    /// Gives `object` an attribute that lists, for each axis, the references in `lists`.
    pub(in crate::hdf5_write) fn write_reference_lists(
        &self,
        object: &Handle,
        name: &str,
        lists: &[Vec<Reference>],
    ) -> Result<(), Failure> {
        let reference = self.native(Native::ObjectReference)?;
        let stored: Vec<Vec<u64>> = lists.iter().map(|list| list.iter().map(|r| r.0).collect()).collect();
        let headers: Vec<sys::h5t::hvl_t> = stored
            .iter()
            .map(|list| sys::h5t::hvl_t { len: list.len(), p: list.as_ptr().cast_mut().cast() })
            .collect();
        // SAFETY: a live base type; each header points to `len` live references, which the library only reads.
        unsafe {
            let element = handle("H5Tvlen_create", sys::h5t::H5Tvlen_create(reference.handle.0))?;
            let attribute = self.create_attribute(object, name, &element, Extent::List(lists.len()))?;
            status("H5Awrite", sys::h5a::H5Awrite(attribute.0, element.0, headers.as_ptr().cast()))
        }
    }

    fn create_attribute(
        &self,
        object: &Handle,
        name: &str,
        element: &Handle,
        extent: Extent,
    ) -> Result<Handle, Failure> {
        use sys::h5s::{H5S_class_t, H5Screate, H5Screate_simple};
        let name = c_string(name)?;
        let len = extent.elements() as u64;
        // SAFETY: live handles, a C string, and one length where the rank is 1.
        unsafe {
            let space = match extent {
                Extent::Null => H5Screate(H5S_class_t::H5S_NULL),
                Extent::Scalar => H5Screate(H5S_class_t::H5S_SCALAR),
                Extent::List(_) => H5Screate_simple(1, &raw const len, std::ptr::null()),
            };
            let space = handle("H5Screate", space)?;
            let creation = handle("H5Pcreate", sys::h5p::H5Pcreate(*sys::h5p::H5P_CLS_ATTRIBUTE_CREATE))?;
            let utf8 = sys::h5t::H5T_cset_t::H5T_CSET_UTF8;
            status("H5Pset_char_encoding", sys::h5p::H5Pset_char_encoding(creation.0, utf8))?;
            let id = sys::h5a::H5Acreate2(object.0, name.as_ptr(), element.0, space.0, creation.0, DEFAULT);
            handle("H5Acreate", id)
        }
    }
}
