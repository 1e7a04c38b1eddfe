//! NumPy's `.npy`: a header that says dtype, order and shape, and the elements.
//!
//! Invariants: headers are read by a parser of exactly what NumPy writes, never evaluated; pickled objects and
//! structured types are refused by name. Files are written in C order, machine byte order, as version 1.0 (2.0 where
//! the header is too long). The format is NumPy's NEP 1. Called by [`crate::open`].

mod header;
mod writer;

pub use writer::NpyWriter;

use crate::container::{Container, ElementType, Format};
use crate::contiguous::{Backing, StridedArray, c_strides};
use crate::error::{Error, Result};
use crate::raw::plain_info;
use crate::single::SingleFile;
use crate::store::RegularFile;
use blockwise_core::region::byte_count;
use header::Header;
use std::path::Path;
use std::sync::Arc;

/// How an npy file begins.
pub const SIGNATURE: [u8; 6] = *b"\x93NUMPY";

/// Opens an npy file.
///
/// # Errors
/// [`Error::Corrupt`] if the header is none of NumPy's or the file is shorter than it says;
/// [`Error::Unsupported`] for pickled objects and structured types; else if it cannot be opened.
pub fn open(path: &Path) -> Result<Arc<dyn Container>> {
    let file = Arc::new(RegularFile::open(path)?);
    let label = file.label().to_owned();
    let header = Header::read(&file)?;
    let stored_bytes = byte_count(&header.shape, header.item_bytes);
    let end = stored_bytes.and_then(|bytes| bytes.checked_add(header.data_offset));
    if end.is_none_or(|end| end > file.len_bytes()) {
        let needed = end.map_or_else(|| "more than 2^64".to_owned(), |end| end.to_string());
        let what = format!("header and elements need {needed} bytes, the file has {}", file.len_bytes());
        let remedy = "; the file was cut short: copy or download it again";
        return Err(Error::Corrupt { path: label, what, remedy });
    }
    let order = match (header.is_fortran, header.is_swapped) {
        (false, false) => "none",
        (true, false) => "none (Fortran order)",
        (false, true) => "none (foreign byte order)",
        (true, true) => "none (Fortran order, foreign byte order)",
    };
    let info = plain_info(Format::Npy, header.element_type.clone(), header.shape.clone(), order.to_owned());
    let strided = strided(&header, &label, file);
    Ok(Arc::new(SingleFile::new(label, info, strided, stored_bytes.unwrap_or(0))?))
}

/// Where the elements are, if they stream.
fn strided(header: &Header, label: &str, file: Arc<RegularFile>) -> Option<StridedArray> {
    let dtype = header.element_type.stream_dtype()?;
    let mut shape = header.shape.clone();
    let mut strides = if header.is_fortran {
        let reversed: Vec<u64> = shape.iter().rev().copied().collect();
        let mut strides = c_strides(&reversed, header.item_bytes)?;
        strides.reverse();
        strides
    } else {
        c_strides(&shape, header.item_bytes)?
    };
    if let ElementType::FixedBytes { len_bytes } = header.element_type {
        shape.push(len_bytes);
        strides.push(1);
    }
    Some(StridedArray {
        label: label.to_owned(),
        backing: Backing::File(file),
        offset: header.data_offset,
        dtype,
        shape,
        strides,
        is_swapped: header.is_swapped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::Attributes;
    use crate::container::{ArraySpec, CodecSpec, Compressor, ContainerWriter, NodePath};
    use blockwise_core::{Cancellation, Chunk, ChunkGrid, Source, TaskContext};
    use blockwise_kernels::{BufferPool, DType};

    fn spec(element_type: ElementType, shape: &[u64]) -> ArraySpec {
        ArraySpec {
            path: NodePath::root(),
            element_type,
            shape: shape.to_vec(),
            dimension_names: vec![None; shape.len()],
            unlimited: vec![false; shape.len()],
            chunk_shape: None,
            shard_shape: None,
            codec: CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false },
            fill_value: None,
            attributes: Attributes::new(),
            is_coordinate: false,
        }
    }

    /// All elements through `source`, cut into one chunk.
    fn read_whole(source: &dyn Source) -> Vec<u8> {
        let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
        let whole = source.recut(&ChunkGrid::single(&source.grid().shape()).unwrap()).unwrap();
        let index = vec![0; whole.grid().rank()];
        if whole.grid().chunk_count() == 0 {
            return Vec::new();
        }
        whole.read(&index, &TaskContext::new(&pool, &cancellation)).unwrap().bytes().to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let numbers =
            DType::ALL.iter().filter(|dtype| **dtype != DType::BF16).map(|d| ElementType::Number(*d));
        let times = ElementType::DateTime { unit: "ns".to_owned(), difference: false };
        let types: Vec<_> = numbers.chain([times, ElementType::FixedBytes { len_bytes: 3 }]).collect();
        let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
        let cx = TaskContext::new(&pool, &cancellation);
        for shape in [&[][..], &[0, 4], &[5], &[3, 700, 500]] {
            for element_type in &types {
                let mut writer = NpyWriter::new(&path, "x.npy");
                let sink = writer.create_array(&spec(element_type.clone(), shape)).unwrap();
                let mut written: Vec<u8> = Vec::new();
                for index in sink.grid().indices() {
                    let region = sink.grid().region(&index).unwrap();
                    let mut chunk = Chunk::uninit(sink.dtype(), region.shape(), &pool).unwrap();
                    let seed = written.len();
                    for (i, byte) in chunk.bytes_mut().iter_mut().enumerate() {
                        *byte = u8::from((i ^ seed).is_multiple_of(3)); // fine for bool too
                    }
                    sink.write(&index, &chunk, &cx).unwrap();
                    written.extend(chunk.bytes());
                }
                sink.finish().unwrap();
                writer.finish().unwrap();
                let container = open(&path).unwrap();
                let array = container.array(&NodePath::root()).unwrap();
                assert_eq!((&array.info().element_type, &array.info().shape[..]), (element_type, shape));
                assert_eq!(read_whole(&*array.source().unwrap()), written);
            }
        }
    }

    #[test]
    fn foreign_order_and_fortran_order_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let foreign = if cfg!(target_endian = "little") { '>' } else { '<' };
        let text = format!("{{'descr': '{foreign}i2', 'fortran_order': True, 'shape': (2, 3), }}");
        let mut bytes = [&SIGNATURE[..], &[1, 0], &u16::try_from(text.len()).unwrap().to_le_bytes()].concat();
        bytes.extend(text.as_bytes());
        for value in [1_i16, 4, 2, 5, 3, 6] {
            bytes.extend(value.swap_bytes().to_ne_bytes());
        }
        std::fs::write(&path, &bytes).unwrap();
        let source = open(&path).unwrap().array(&NodePath::root()).unwrap().source().unwrap();
        let expected: Vec<u8> = (1_i16..=6).flat_map(i16::to_ne_bytes).collect();
        assert_eq!(read_whole(&*source), expected);
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(matches!(open(&path), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn what_npy_cannot_say_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NpyWriter::new(&folder.path().join("x.npy"), "x.npy");
        let number = |dtype| spec(ElementType::Number(dtype), &[2]);
        assert!(writer.create_array(&number(DType::BF16)).is_err());
        let zstd = CodecSpec { compressor: Compressor::Zstd { level: 1 }, shuffle: false, checksum: false };
        assert!(writer.create_array(&ArraySpec { codec: zstd, ..number(DType::F32) }).is_err());
        assert!(writer.create_array(&spec(ElementType::Text, &[2])).is_err());
        assert!(writer.create_array(&spec(ElementType::Number(DType::F64), &[1 << 60, 16])).is_err());
        assert!(writer.finish().is_err());
        writer.create_array(&number(DType::F32)).unwrap();
        assert!(writer.create_array(&number(DType::F32)).is_err());
    }
}
