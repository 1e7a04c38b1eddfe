//! What a thread does for one step: read a chunk, or assemble and write one. Errors get their task here, once.
//!
//! Invariants: a panic becomes an error with the chunk's index; an output that is one whole input is handed on
//! without a copy. Called by the worker loop of [`crate::exec`].

use super::queue::Write;
use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::{Error, Result};
use crate::grid::ChunkGrid;
use crate::plan::PassThrough;
use crate::region::Region;
use crate::sink::Sink;
use crate::source::Source;
use blockwise_kernels::strided::copy_region;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) struct StageTask<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) sink: &'a dyn Sink,
    pub(super) pass_through: Option<PassThrough>,
    pub(super) cx: &'a TaskContext<'a>,
}

impl StageTask<'_> {
    /// Reads input chunk `index` and checks that it is what its region needs.
    pub(super) fn read(&self, index: &[u64]) -> Result<Chunk> {
        let grid = self.source.grid();
        self.guarded("read of", self.source.label(), grid, index, || {
            let chunk = self.source.read(index, self.cx)?;
            let region = grid.region(index)?;
            if chunk.shape() != region.shape() || chunk.dtype() != self.source.dtype() {
                let found = chunk.shape().to_vec();
                return Err(Error::Shape { expected: region.shape().to_vec(), found });
            }
            Ok(chunk)
        })
    }

    /// Assembles and writes an output chunk; the bytes it took in storage.
    pub(super) fn write(&self, write: &Write) -> Result<u64> {
        let grid = self.sink.grid();
        self.guarded("write of", self.sink.label(), grid, &write.index, || {
            self.cx.check_cancelled()?;
            if let Some(mode) = self.pass_through {
                return self.pass(&write.index, mode);
            }
            let region = grid.region(&write.index)?;
            if let [(index, chunk)] = write.inputs()
                && self.source.grid().region(index)? == region
            {
                return self.sink.write(&write.index, chunk, self.cx);
            }
            let gathered = self.gather(&region, write)?;
            self.sink.write(&write.index, &gathered, self.cx)
        })
    }

    fn pass(&self, index: &[u64], mode: PassThrough) -> Result<u64> {
        if mode == PassThrough::Checked {
            drop(self.read(index)?);
        }
        let encoded = self.source.read_encoded(index, self.cx)?;
        self.sink.write_encoded(index, encoded.as_deref(), self.cx)
    }

    fn gather(&self, region: &Region, write: &Write) -> Result<Chunk> {
        let mut output = Chunk::uninit(self.sink.dtype(), region.shape(), self.cx.pool())?;
        let shape = small(region.shape())?;
        for (index, chunk) in write.inputs() {
            let from = self.source.grid().region(index)?;
            let Some(both) = from.intersection(region) else { continue };
            let within = |outer: &Region| {
                small(&both.origin().iter().zip(outer.origin()).map(|(b, o)| b - o).collect::<Vec<_>>())
            };
            copy_region(
                output.bytes_mut(),
                &shape,
                &within(region)?,
                chunk.bytes(),
                &small(from.shape())?,
                &within(&from)?,
                &small(both.shape())?,
                chunk.dtype().size(),
            )
            .map_err(|fault| Error::Internal { message: format!("assembling {region}: {fault}") })?;
        }
        Ok(output)
    }

    fn guarded<T>(
        &self,
        verb: &str,
        label: &str,
        grid: &ChunkGrid,
        index: &[u64],
        task: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let outcome = catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(Error::Panic { message })
        });
        outcome.map_err(|error| match grid.region(index) {
            Ok(region) => error.in_task(format!("{verb} {label}"), index, &region),
            Err(_) => error,
        })
    }
}

/// Extents of something that is in memory, and so fits `usize`.
fn small(extents: &[u64]) -> Result<Vec<usize>> {
    let too_large = |_| Error::TooLarge { what: "chunk", shape: extents.to_vec() };
    extents.iter().map(|&n| usize::try_from(n).map_err(too_large)).collect()
}
