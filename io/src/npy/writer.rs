//! Writing an npy file: the header, and slabs of elements at their places.
//!
//! Invariants: the file takes its whole length before anything is written, so a disk that is too small is told at
//! once; every chunk of the sink's grid is one run of bytes in the file. Called by [`crate::open`].

use super::header::Header;
use crate::container::{ArraySpec, Compressor, ContainerWriter, ElementType, Format, GroupInfo, TextArray};
use crate::error::{Error, Result};
use crate::publish::disk::io_error;
use blockwise_core::region::byte_count;
use blockwise_core::{Chunk, ChunkGrid, Sink, TaskContext};
use blockwise_kernels::DType;
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one write at most, but for arrays whose single elements are longer.
const SLAB_BYTES: u64 = 8 << 20;

/// Writes one npy file.
///
/// npy holds values alone: names, attributes, chunks and the fill value of an [`ArraySpec`] have no place in it.
#[derive(Debug)]
pub struct NpyWriter {
    path: PathBuf,
    label: String,
    sink: Option<Arc<NpySink>>,
}

impl NpyWriter {
    /// Will write `path`, replacing what is there; refusals call it `label`.
    #[must_use]
    pub fn new(path: &Path, label: &str) -> Self {
        Self { path: path.to_owned(), label: label.to_owned(), sink: None }
    }

    fn refused(&self, what: impl Into<String>) -> Error {
        Error::Refused { path: self.label.clone(), what: what.into() }
    }

    /// dtype code and streamed shape of the elements.
    fn descr(&self, spec: &ArraySpec) -> Result<(String, Vec<u64>)> {
        let order = if cfg!(target_endian = "little") { '<' } else { '>' };
        let mut shape = spec.shape.clone();
        let descr = match &spec.element_type {
            ElementType::Number(DType::BF16) => {
                return Err(self.refused("npy has no bfloat16; give --dtype float32"));
            }
            ElementType::Number(dtype) => {
                let order = if dtype.size() == 1 { '|' } else { order };
                format!("{order}{}{}", dtype.kind(), dtype.size())
            }
            ElementType::DateTime { unit, difference } => {
                format!("{order}{}8[{unit}]", if *difference { 'm' } else { 'M' })
            }
            ElementType::FixedBytes { len_bytes } => {
                shape.push(*len_bytes);
                format!("|S{len_bytes}")
            }
            other => {
                return Err(self.refused(format!(
                    "npy cannot hold elements of type {other}; leave it out with --exclude"
                )));
            }
        };
        Ok((descr, shape))
    }
}

impl ContainerWriter for NpyWriter {
    fn format(&self) -> Format {
        Format::Npy
    }

    fn create_group(&mut self, group: &GroupInfo) -> Result<()> {
        if group.path.is_root() {
            return Ok(());
        }
        Err(self.refused(format!(
            "npy has no groups, so no place for {}; name one array as PATH::NODE",
            group.path
        )))
    }

    fn create_array(&mut self, spec: &ArraySpec) -> Result<Arc<dyn Sink>> {
        if self.sink.is_some() {
            return Err(self.refused("npy holds one array; name it as PATH::NODE"));
        }
        if spec.codec.compressor != Compressor::None || spec.codec.shuffle || spec.codec.checksum {
            return Err(self.refused("npy is not compressed; give --codec none"));
        }
        if spec.shard_shape.is_some() {
            return Err(self.refused("npy has no shards; leave out --shards"));
        }
        let (descr, shape) = self.descr(spec)?;
        let header = Header::bytes(&descr, &spec.shape);
        let sink = Arc::new(NpySink::create(&self.path, spec, &shape, &header)?);
        self.sink = Some(Arc::clone(&sink));
        Ok(sink)
    }

    fn create_texts(&mut self, spec: &ArraySpec, _texts: &TextArray) -> Result<()> {
        Err(self
            .refused(format!("npy cannot hold the texts of {}; leave them out with --exclude", spec.path)))
    }

    fn finish(&mut self) -> Result<()> {
        let Some(sink) = &self.sink else {
            return Err(self.refused("there is no array to write"));
        };
        sink.file.sync_all().map_err(|error| io_error(&self.path, "sync", error, 0))
    }
}

/// The elements of the file.
#[derive(Debug)]
struct NpySink {
    path: PathBuf,
    label: String,
    file: File,
    grid: ChunkGrid,
    dtype: DType,
    data_offset: u64,
}

impl NpySink {
    /// Creates the file in its full length. `shape` is the streamed one.
    fn create(path: &Path, spec: &ArraySpec, shape: &[u64], header: &[u8]) -> Result<Self> {
        let dtype = spec.element_type.stream_dtype().unwrap_or(DType::U8); // the caller has checked that they stream
        let too_large = || Error::Limit {
            path: path.display().to_string(),
            what: "array",
            size: format!("shape {shape:?}"),
            limit: i64::MAX.cast_unsigned(),
        };
        let data_offset = header.len() as u64;
        let bytes = byte_count(shape, dtype.size()).ok_or_else(too_large)?;
        let len_bytes = bytes
            .checked_add(data_offset)
            .filter(|len| *len <= i64::MAX.cast_unsigned())
            .ok_or_else(too_large)?;
        let failed = |action, error| io_error(path, action, error, len_bytes);
        let file = File::create(path).map_err(|error| failed("create", error))?;
        reserve(&file, len_bytes).map_err(|error| failed("reserve", error))?;
        file.write_all_at(header, 0).map_err(|error| failed("write", error))?;
        let grid = ChunkGrid::regular(shape, &slab(shape, dtype.size() as u64))?;
        Ok(Self { path: path.to_owned(), label: path.display().to_string(), file, grid, dtype, data_offset })
    }

    /// Where chunk `index`, one run of elements, starts in the file.
    fn offset(&self, origin: &[u64]) -> u64 {
        // Below the file's length, which fits.
        let linear = origin.iter().zip(self.grid.shape()).fold(0, |linear, (at, len)| linear * len + at);
        self.data_offset + linear * self.dtype.size() as u64
    }
}

impl Sink for NpySink {
    fn label(&self) -> &str {
        &self.label
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }

    fn write_scratch_bytes(&self) -> u64 {
        0
    }

    fn write(&self, index: &[u64], chunk: &Chunk, _cx: &TaskContext<'_>) -> blockwise_core::Result<u64> {
        let region = self.grid.region(index)?;
        if chunk.dtype() != self.dtype || chunk.shape() != region.shape() {
            let message =
                format!("{} of {:?} for chunk {index:?} of {}", chunk.dtype(), chunk.shape(), self.label);
            return Err(blockwise_core::Error::Internal { message });
        }
        let bytes = chunk.bytes();
        let written = self.file.write_all_at(bytes, self.offset(region.origin()));
        written.map_err(|error| io_error(&self.path, "write", error, bytes.len() as u64))?;
        Ok(bytes.len() as u64)
    }

    fn finish(&self) -> blockwise_core::Result<()> {
        Ok(())
    }
}

/// Gives the file its length, with space for it where the file system can.
fn reserve(file: &File, len_bytes: u64) -> std::io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len_bytes) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
            file.set_len(len_bytes)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Whole last axes as far as they fit [`SLAB_BYTES`], then a part of one, then single steps.
fn slab(shape: &[u64], item_bytes: u64) -> Vec<u64> {
    let mut left = (SLAB_BYTES / item_bytes).max(1);
    let mut slab = vec![1; shape.len()];
    for (length, extent) in slab.iter_mut().zip(shape).rev() {
        *length = (*extent).clamp(1, left);
        left = if *length == (*extent).max(1) { left / *length } else { 1 };
        left = left.max(1);
    }
    slab
}
