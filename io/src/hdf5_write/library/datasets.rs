//! Datasets: created, and written by chunk, by box, or whole.
//!
//! Invariant: origins, shapes and buffers are held against the dataset before the library sees them. Called by the HDF5
//! writer.

use super::{
    CREATION_ORDER, DEFAULT, Failure, Handle, Library, PlainType, c_rank, c_string, handle, status,
    wrong_size,
};
use hdf5_metno_sys as sys;
use std::ffi::CString;
use sys::h5d::{H5D_alloc_time_t, H5D_fill_time_t};

/// One stage of a filter pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hdf5_write) struct Filter {
    /// The number that it is registered by.
    pub(in crate::hdf5_write) id: i32,
    /// Whether chunks may leave it out, and readers without it still open the file.
    pub(in crate::hdf5_write) optional: bool,
    /// Its parameters.
    pub(in crate::hdf5_write) parameters: Vec<u32>,
}

/// The elements of a dataset.
#[derive(Debug)]
pub(in crate::hdf5_write) enum ElementKind<'a> {
    /// Of a fixed size, with the value of those never written.
    Plain(&'a PlainType, Option<&'a [u8]>),
    /// Texts of any length.
    Text,
}

/// Where the elements of a dataset lie.
#[derive(Clone, Copy, Debug)]
pub(in crate::hdf5_write) enum StorageLayout<'a> {
    /// In chunks of this shape, each allocated when it is written.
    Chunked(&'a [u64]),
    /// In one piece, allocated now; every element is going to be written.
    Contiguous,
    /// In one piece, allocated when it is written, if ever.
    Late,
}

/// What a dataset is to be.
#[derive(Debug)]
pub(in crate::hdf5_write) struct NewDataset<'a> {
    /// Its path from the root.
    pub(in crate::hdf5_write) path: &'a str,
    /// Its elements.
    pub(in crate::hdf5_write) elements: ElementKind<'a>,
    /// Elements per axis; none for a scalar.
    pub(in crate::hdf5_write) shape: &'a [u64],
    /// Which axes may grow.
    pub(in crate::hdf5_write) unlimited: &'a [bool],
    /// How the elements are laid out.
    pub(in crate::hdf5_write) layout: StorageLayout<'a>,
    /// The filters of chunks.
    pub(in crate::hdf5_write) filters: &'a [Filter],
}

impl Library {
    /// Creates a dataset; the group that holds it must be there.
    pub(in crate::hdf5_write) fn create_dataset(
        &self,
        file: &Handle,
        new: &NewDataset<'_>,
    ) -> Result<Handle, Failure> {
        use sys::h5p;
        let rank = new.shape.len();
        let chunk_rank = if let StorageLayout::Chunked(chunk) = new.layout { chunk.len() } else { rank };
        if new.unlimited.len() != rank || chunk_rank != rank {
            return Err(wrong_size("H5Dcreate"));
        }
        let path = c_string(new.path)?;
        let links = self.link_creation()?;
        let space = self.space(new.shape, new.unlimited)?;
        let text;
        let (element, fill) = match new.elements {
            ElementKind::Plain(plain, fill) => {
                if fill.is_some_and(|fill| fill.len() != plain.size_bytes) {
                    return Err(wrong_size("H5Pset_fill_value"));
                }
                (&plain.handle, fill)
            }
            ElementKind::Text => {
                text = self.variable_text()?;
                (&text, None)
            }
        };
        // SAFETY: live handles of the right class; the chunk has one length an axis, the fill value the element's
        // size, parameters their own length (all checked above).
        unsafe {
            let creation = handle("H5Pcreate", h5p::H5Pcreate(*h5p::H5P_CLS_DATASET_CREATE))?;
            status(
                "H5Pset_attr_creation_order",
                h5p::H5Pset_attr_creation_order(creation.0, CREATION_ORDER),
            )?;
            status("H5Pset_obj_track_times", h5p::H5Pset_obj_track_times(creation.0, 0 as _))?;
            if let Some(fill) = fill {
                status(
                    "H5Pset_fill_value",
                    h5p::H5Pset_fill_value(creation.0, element.0, fill.as_ptr().cast()),
                )?;
            }
            match new.layout {
                StorageLayout::Chunked(chunk) => {
                    status("H5Pset_chunk", h5p::H5Pset_chunk(creation.0, c_rank(rank)?, chunk.as_ptr()))?;
                    let incremental = H5D_alloc_time_t::H5D_ALLOC_TIME_INCR;
                    status("H5Pset_alloc_time", h5p::H5Pset_alloc_time(creation.0, incremental))?;
                }
                StorageLayout::Contiguous => {
                    let early = H5D_alloc_time_t::H5D_ALLOC_TIME_EARLY;
                    status("H5Pset_alloc_time", h5p::H5Pset_alloc_time(creation.0, early))?;
                    // Filling what is going to be written would write it twice.
                    let never = H5D_fill_time_t::H5D_FILL_TIME_NEVER;
                    status("H5Pset_fill_time", h5p::H5Pset_fill_time(creation.0, never))?;
                }
                StorageLayout::Late => {}
            }
            for filter in new.filters {
                let flags = if filter.optional { sys::h5z::H5Z_FLAG_OPTIONAL } else { 0 };
                let (count, values) = (filter.parameters.len(), filter.parameters.as_ptr());
                status("H5Pset_filter", h5p::H5Pset_filter(creation.0, filter.id, flags, count, values))?;
            }
            let id =
                sys::h5d::H5Dcreate2(file.0, path.as_ptr(), element.0, space.0, links.0, creation.0, DEFAULT);
            handle("H5Dcreate", id)
        }
    }

    fn space(&self, shape: &[u64], unlimited: &[bool]) -> Result<Handle, Failure> {
        use sys::h5s::{H5S_UNLIMITED, H5S_class_t, H5Screate, H5Screate_simple};
        let most: Vec<u64> = shape
            .iter()
            .zip(unlimited)
            .map(|(&len, &grows)| if grows { H5S_UNLIMITED } else { len })
            .collect();
        // SAFETY: both lists have one length an axis.
        let id = unsafe {
            if shape.is_empty() {
                H5Screate(H5S_class_t::H5S_SCALAR)
            } else {
                H5Screate_simple(c_rank(shape.len())?, shape.as_ptr(), most.as_ptr())
            }
        };
        handle("H5Screate", id)
    }

    /// Stores `encoded` as the chunk that starts at `origin`.
    pub(in crate::hdf5_write) fn write_chunk(
        &self,
        dataset: &Handle,
        origin: &[u64],
        encoded: &[u8],
    ) -> Result<(), Failure> {
        self.check_rank("H5Dwrite_chunk", dataset, origin.len())?;
        // SAFETY: `origin` has the dataset's rank (just checked) and `encoded` its own length.
        let written = unsafe {
            sys::h5d::H5Dwrite_chunk(
                dataset.0,
                DEFAULT,
                0,
                origin.as_ptr(),
                encoded.len(),
                encoded.as_ptr().cast(),
            )
        };
        status("H5Dwrite_chunk", written)
    }

    /// Writes the elements `bytes` of the box at `origin` with `shape`.
    pub(in crate::hdf5_write) fn write_box(
        &self,
        dataset: &Handle,
        element: &PlainType,
        origin: &[u64],
        shape: &[u64],
        bytes: &[u8],
    ) -> Result<(), Failure> {
        use sys::h5s::{H5S_ALL, H5S_seloper_t, H5Sselect_hyperslab};
        let needed = blockwise_core::region::byte_count(shape, element.size_bytes);
        if needed != Some(bytes.len() as u64) || origin.len() != shape.len() {
            return Err(wrong_size("H5Dwrite"));
        }
        self.check_rank("H5Dwrite", dataset, shape.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        // SAFETY: live handles; origin and shape have the dataset's rank; `bytes` holds the box's elements. A box that
        // leaves the dataset is refused by the library.
        unsafe {
            if shape.is_empty() {
                let written = sys::h5d::H5Dwrite(
                    dataset.0,
                    element.handle.0,
                    H5S_ALL,
                    H5S_ALL,
                    DEFAULT,
                    bytes.as_ptr().cast(),
                );
                return status("H5Dwrite", written);
            }
            let in_file = handle("H5Dget_space", sys::h5d::H5Dget_space(dataset.0))?;
            let in_memory = self.space(shape, &vec![false; shape.len()])?;
            let set = H5S_seloper_t::H5S_SELECT_SET;
            let none = std::ptr::null();
            let selected = H5Sselect_hyperslab(in_file.0, set, origin.as_ptr(), none, shape.as_ptr(), none);
            status("H5Sselect_hyperslab", selected)?;
            let (element, bytes) = (element.handle.0, bytes.as_ptr().cast());
            status("H5Dwrite", sys::h5d::H5Dwrite(dataset.0, element, in_memory.0, in_file.0, DEFAULT, bytes))
        }
    }

    /// Writes all texts of a dataset of texts.
    pub(in crate::hdf5_write) fn write_texts(
        &self,
        dataset: &Handle,
        texts: &[CString],
    ) -> Result<(), Failure> {
        use sys::h5s::{H5S_ALL, H5Sget_simple_extent_npoints};
        let element = self.variable_text()?;
        let pointers: Vec<*const std::ffi::c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        // SAFETY: the dataset has exactly as many elements as there are pointers to live C strings.
        unsafe {
            let space = handle("H5Dget_space", sys::h5d::H5Dget_space(dataset.0))?;
            if usize::try_from(H5Sget_simple_extent_npoints(space.0)).ok() != Some(texts.len()) {
                return Err(wrong_size("H5Dwrite"));
            }
            if texts.is_empty() {
                return Ok(());
            }
            let pointers = pointers.as_ptr().cast();
            status("H5Dwrite", sys::h5d::H5Dwrite(dataset.0, element.0, H5S_ALL, H5S_ALL, DEFAULT, pointers))
        }
    }

    fn check_rank(&self, call: &'static str, dataset: &Handle, rank: usize) -> Result<(), Failure> {
        // SAFETY: a live dataset and its dataspace.
        let found = unsafe {
            let space = handle("H5Dget_space", sys::h5d::H5Dget_space(dataset.0))?;
            sys::h5s::H5Sget_simple_extent_ndims(space.0)
        };
        if usize::try_from(found).ok() == Some(rank) { Ok(()) } else { Err(wrong_size(call)) }
    }
}
