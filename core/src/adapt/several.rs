//! [`Several`]: a sink that hands every chunk to several others.
//!
//! Invariant: all have one dtype and one grid. Called by the planner where a result goes to more than one place.

use crate::chunk::Chunk;
use crate::context::TaskContext;
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::sink::Sink;
use blockwise_kernels::DType;
use std::sync::Arc;

/// A sink that hands every chunk to several others.
pub(crate) struct Several {
    first: Arc<dyn Sink>,
    others: Vec<Arc<dyn Sink>>,
}

impl Several {
    pub(crate) fn new(first: Arc<dyn Sink>, others: Vec<Arc<dyn Sink>>) -> Self {
        Self { first, others }
    }
}

impl Sink for Several {
    fn label(&self) -> &str {
        self.first.label()
    }

    fn dtype(&self) -> DType {
        self.first.dtype()
    }

    fn grid(&self) -> &ChunkGrid {
        self.first.grid()
    }

    fn write_scratch_bytes(&self) -> u64 {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.map(|sink| sink.write_scratch_bytes()).max().unwrap_or(0)
    }

    fn waits(&self) -> bool {
        self.first.waits() || self.others.iter().any(|sink| sink.waits())
    }

    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        let mut stored_bytes = self.first.write(index, chunk, cx)?;
        for sink in &self.others {
            stored_bytes += sink.write(index, chunk, cx)?;
        }
        Ok(stored_bytes)
    }

    fn sync(&self) -> Result<()> {
        std::iter::once(&self.first).chain(&self.others).try_for_each(|sink| sink.sync())
    }

    fn finish(&self) -> Result<()> {
        Ok(()) // each is finished by the plan, under its own name
    }
}
