//! Arrays that misbehave or are slow on purpose, and small helpers.

use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{CopyOptions, Plan, Resources, plan_copy};
use blockwise_core::{Chunk, ChunkGrid, Error, Result, Sink, Source, TaskContext};
use blockwise_kernels::DType;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a misbehaving read does, by chunk index.
pub(crate) type ReadFault = fn(&[u64]) -> Result<()>;

/// A source without a cheap `recut` that counts its reads, charges scratch and can fail.
pub(crate) struct Stubborn {
    pub(crate) inner: MemoryArray,
    pub(crate) reads: AtomicU64,
    pub(crate) scratch_bytes: u64,
    pub(crate) fault: Option<ReadFault>,
    pub(crate) is_plain: bool,
}

impl Stubborn {
    pub(crate) fn new(grid: ChunkGrid, elements: &[u32]) -> Self {
        let inner = MemoryArray::from_elements("stubborn", grid, elements).unwrap();
        Self { inner, reads: AtomicU64::new(0), scratch_bytes: 0, fault: None, is_plain: false }
    }
}

impl Source for Stubborn {
    fn label(&self) -> &str {
        Source::label(&self.inner)
    }
    fn dtype(&self) -> DType {
        Source::dtype(&self.inner)
    }
    fn grid(&self) -> &ChunkGrid {
        Source::grid(&self.inner)
    }
    fn read_scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }
    fn is_plain(&self) -> bool {
        self.is_plain
    }
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = self.fault {
            fault(index)?;
        }
        self.inner.read(index, cx)
    }
}

/// A sink over memory that says some commit boxes are stored already.
pub(crate) struct Resumed {
    pub(crate) inner: MemoryArray,
    pub(crate) committed: fn(&[u64]) -> bool,
    pub(crate) writes: AtomicU64,
}

impl Sink for Resumed {
    fn label(&self) -> &str {
        "resumed"
    }
    fn dtype(&self) -> DType {
        Sink::dtype(&self.inner)
    }
    fn grid(&self) -> &ChunkGrid {
        Sink::grid(&self.inner)
    }
    fn commit_grid(&self) -> &ChunkGrid {
        self.inner.commit_grid()
    }
    fn write_scratch_bytes(&self) -> u64 {
        0
    }
    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.write(index, chunk, cx)
    }
    fn is_committed(&self, index: &[u64]) -> bool {
        (self.committed)(index)
    }
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn resources(budget_bytes: u64, threads: usize) -> Resources {
    Resources {
        budget_bytes,
        threads,
        spill_folder: std::env::temp_dir(),
        spill_limit_bytes: None,
        engine: None,
        device: None,
    }
}

/// A plan with the given budget, or with the smallest that works if that one is refused.
pub(crate) fn plan_within(
    source: &Arc<dyn Source>,
    sink: &Arc<dyn Sink>,
    budget_bytes: u64,
    threads: usize,
) -> (Plan, Resources) {
    let options = CopyOptions::default();
    let asked = resources(budget_bytes, threads);
    match plan_copy(Arc::clone(source), Arc::clone(sink), &asked, &options) {
        Ok(plan) => (plan, asked),
        Err(Error::OverBudget { needed_bytes, .. }) => {
            assert!(needed_bytes > budget_bytes);
            let enough = resources(needed_bytes, threads);
            let plan = plan_copy(Arc::clone(source), Arc::clone(sink), &enough, &options)
                .expect("the budget that the refusal named must work");
            (plan, enough)
        }
        Err(error) => panic!("{error}"),
    }
}
