//! Files of bytes without a header: a C-order array whose dtype and shape the user gives.
//!
//! Invariant: the file is exactly as long as they say. Elements are in the machine's byte order. Called by
//! [`crate::open`].

use crate::attribute::Attributes;
use crate::container::{ArrayInfo, CodecSpec, Compressor, Container, ElementType, Format, NodePath};
use crate::contiguous::{Backing, StridedArray, c_strides};
use crate::error::{Error, Result};
use crate::single::SingleFile;
use crate::store::RegularFile;
use blockwise_core::region::{MAX_RANK, byte_count};
use blockwise_kernels::DType;
use std::path::Path;
use std::sync::Arc;

/// Opens `path` as a C-order array of `dtype` and `shape`.
///
/// ```
/// use blockwise_io::{Container, NodePath, raw};
/// use blockwise_kernels::DType;
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("two_rows.bin");
/// std::fs::write(&path, [1, 2, 3, 4, 5, 6]).unwrap();
/// let file = raw::open(&path, DType::U8, &[2, 3])?;
/// assert_eq!(file.array(&NodePath::root())?.info().shape, [2, 3]);
/// assert!(raw::open(&path, DType::U8, &[2, 4]).is_err());
/// # Ok::<(), blockwise_io::Error>(())
/// ```
///
/// # Errors
/// [`Error::Usage`] if the file has another length; else if it cannot be opened.
pub fn open(path: &Path, dtype: DType, shape: &[u64]) -> Result<Arc<dyn Container>> {
    let file = Arc::new(RegularFile::open(path)?);
    let label = file.label().to_owned();
    let needed_bytes = byte_count(shape, dtype.size()).filter(|_| shape.len() <= MAX_RANK);
    let found_bytes = file.len_bytes();
    if needed_bytes != Some(found_bytes) {
        let needed = needed_bytes.map_or_else(|| "more than 2^64".to_owned(), |bytes| bytes.to_string());
        let message = format!(
            "{label}: {dtype} of shape {shape:?} needs {needed} bytes, the file has {found_bytes}; check --dtype and --shape"
        );
        return Err(Error::Usage { message });
    }
    let strides = c_strides(shape, dtype.size()).unwrap_or_default(); // the byte count fits, so they do
    let array = StridedArray {
        label: label.clone(),
        backing: Backing::File(file),
        offset: 0,
        dtype,
        shape: shape.to_vec(),
        strides,
        is_swapped: false,
    };
    let info = plain_info(Format::Raw, ElementType::Number(dtype), shape.to_vec(), "none".to_owned());
    Ok(Arc::new(SingleFile::new(label, info, Some(array), found_bytes)?))
}

/// The description of an array that is nothing but its elements.
pub(crate) fn plain_info(
    format: Format,
    element_type: ElementType,
    shape: Vec<u64>,
    codec_text: String,
) -> ArrayInfo {
    let rank = shape.len();
    ArrayInfo {
        path: NodePath::root(),
        format,
        element_type,
        shape,
        dimension_names: vec![None; rank],
        unlimited: vec![false; rank],
        chunk_shape: None,
        shard_shape: None,
        codec: Some(CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false }),
        codec_text,
        fill_value: None,
        attributes: Attributes::new(),
        is_coordinate: false,
    }
}
