//! Models of runs: the executor's own loop, queue, budget, slots, turns, trees of reductions and temporary arrays, on threads that
//! `shuttle` lets run in every order that it comes to, thousands of them.
//!
//! A thread that nobody wakes is a deadlock, which `shuttle` reports with the order that led there; `shuttle::replay` repeats it. Run
//! with the feature `shuttle`, by `make test` shortly and by `make faults` longer: `BLOCKWISE_SCHEDULES` says how many orders each model
//! is tried in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{CopyOptions, Plan, Resources, plan_copy};
use blockwise_core::{Array, Cancellation, Chunk, ChunkGrid, DType, Error, Result, Session, Sink, Source};
use blockwise_core::{TaskContext, Unobserved, exec};
use shuttle::{check_pct, check_random, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tries `model` in random orders of its threads, and in orders with few changes of thread, which find what random ones seldom do.
fn try_orders(model: impl Fn() + Send + Sync + Copy + 'static) {
    let orders = std::env::var("BLOCKWISE_SCHEDULES").map_or(500, |text| text.parse().unwrap());
    check_random(model, orders / 2);
    check_pct(model, orders / 2, 3);
}

fn resources(budget_bytes: u64, threads: usize) -> Resources {
    let spill_folder = std::env::temp_dir();
    Resources { budget_bytes, threads, spill_folder, spill_limit_bytes: None, engine: None, device: None }
}

/// How many threads compute, now and at most.
#[derive(Default)]
struct AtWork {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl AtWork {
    /// Is at work while others get their turns.
    fn work(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What goes wrong at a chunk.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    Nothing,
    Refused,
    Panics,
    Cancels,
}

/// An array that is read and written a chunk at a time, as those on disk are.
struct Stored {
    inner: MemoryArray,
    at_work: Arc<AtWork>,
    /// What goes wrong at which chunk.
    trouble: (Trouble, Vec<u64>),
    cancellation: Cancellation,
    /// Whether writes wait for a device.
    waits: bool,
}

impl Stored {
    fn new(inner: MemoryArray, at_work: &Arc<AtWork>) -> Self {
        let (at_work, cancellation) = (Arc::clone(at_work), Cancellation::new());
        Self { inner, at_work, trouble: (Trouble::Nothing, Vec::new()), cancellation, waits: false }
    }

    fn meet(&self, index: &[u64]) -> Result<()> {
        self.at_work.work();
        match self.trouble.0 {
            _ if self.trouble.1 != index => Ok(()),
            Trouble::Nothing => Ok(()),
            Trouble::Refused => Err(Error::Usage { message: "refused".into() }),
            Trouble::Panics => panic!("broken"),
            Trouble::Cancels => {
                self.cancellation.cancel();
                Ok(())
            }
        }
    }
}

impl Source for Stored {
    fn label(&self) -> &str {
        "stored"
    }
    fn dtype(&self) -> DType {
        Source::dtype(&self.inner)
    }
    fn grid(&self) -> &ChunkGrid {
        Source::grid(&self.inner)
    }
    fn read_scratch_bytes(&self) -> u64 {
        16
    }
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        self.meet(index)?;
        self.inner.read(index, cx)
    }
}

impl Sink for Stored {
    fn label(&self) -> &str {
        "stored"
    }
    fn dtype(&self) -> DType {
        Sink::dtype(&self.inner)
    }
    fn grid(&self) -> &ChunkGrid {
        Sink::grid(&self.inner)
    }
    fn write_scratch_bytes(&self) -> u64 {
        16
    }
    fn waits(&self) -> bool {
        self.waits
    }
    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        if self.waits {
            cx.waiting(thread::yield_now);
        }
        self.meet(index)?;
        self.inner.write(index, chunk, cx)
    }
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

const SIDE: u64 = 6;

/// Rows to columns: each output chunk needs every input chunk.
struct Transposal {
    source: Arc<dyn Source>,
    sink: Arc<Stored>,
    at_work: Arc<AtWork>,
    elements: Vec<u32>,
}

impl Transposal {
    fn new(trouble: Trouble, waits: bool, cancellation: &Cancellation) -> Self {
        let at_work = Arc::new(AtWork::default());
        let elements: Vec<u32> = (0..(SIDE * SIDE) as u32).collect();
        let grid = |chunk: [u64; 2]| ChunkGrid::regular(&[SIDE, SIDE], &chunk).unwrap();
        let rows = MemoryArray::from_elements("rows", grid([2, SIDE]), &elements).unwrap();
        let columns = MemoryArray::zeros("columns", DType::U32, grid([SIDE, 2])).unwrap();
        let cancellation = cancellation.clone();
        let source = Stored { trouble: (trouble, vec![1, 0]), cancellation, ..Stored::new(rows, &at_work) };
        let sink = Stored { waits, ..Stored::new(columns, &at_work) };
        Self { source: Arc::new(source), sink: Arc::new(sink), at_work, elements }
    }

    fn plan(&self, resources: &Resources) -> Result<Plan> {
        let sink = Arc::clone(&self.sink) as Arc<dyn Sink>;
        plan_copy(Arc::clone(&self.source), sink, resources, &CopyOptions::default())
    }

    /// The smallest budget that works.
    fn smallest(&self) -> u64 {
        match self.plan(&resources(1, 1)) {
            Err(Error::OverBudget { needed_bytes, .. }) => needed_bytes,
            _ => panic!("a byte is enough"),
        }
    }

    fn is_done(&self) -> bool {
        self.sink.inner.to_elements::<u32>().unwrap() == self.elements
    }
}

/// Tasks wait for the budget: they get it, it is never passed, and no more threads compute than were asked for.
fn copied(budget_bytes: fn(&Transposal) -> u64, waits: bool, has_spill: bool) {
    let transposal = Transposal::new(Trouble::Nothing, waits, &Cancellation::new());
    let resources = resources(budget_bytes(&transposal), 2);
    let plan = transposal.plan(&resources).unwrap();
    assert_eq!(plan.summary().temporary_bytes > 0, has_spill);
    let report = exec::run(&plan, &resources, &Unobserved, &Cancellation::new()).unwrap();
    assert!(transposal.is_done());
    assert!(report.peak_reserved_bytes <= resources.budget_bytes);
    assert!(transposal.at_work.most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn copies_within_a_wide_budget() {
    try_orders(|| copied(|_| 1 << 20, false, false));
}

#[test]
fn copies_by_way_of_disk_within_the_smallest_budget() {
    try_orders(|| copied(Transposal::smallest, false, true));
}

#[test]
fn threads_that_wait_for_writes_lend_their_slots() {
    try_orders(|| copied(|_| 1 << 20, true, false));
}

/// Whatever goes wrong ends the run, on all threads.
fn ended(trouble: Trouble, budget_bytes: fn(&Transposal) -> u64) {
    let cancellation = Cancellation::new();
    let transposal = Transposal::new(trouble, true, &cancellation);
    let resources = resources(budget_bytes(&transposal), 2);
    let plan = transposal.plan(&resources).unwrap();
    let error = exec::run(&plan, &resources, &Unobserved, &cancellation).unwrap_err();
    match trouble {
        Trouble::Refused => assert!(error.to_string().contains("refused"), "{error}"),
        Trouble::Panics => assert!(error.to_string().contains("broken"), "{error}"),
        _ => assert!(cancellation.is_cancelled(), "{error}"),
    }
}

#[test]
fn a_refused_chunk_ends_the_run() {
    try_orders(|| ended(Trouble::Refused, |_| 1 << 20));
    try_orders(|| ended(Trouble::Refused, Transposal::smallest));
}

#[test]
fn a_panic_ends_the_run() {
    std::panic::set_hook(Box::new(|panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"broken") {
            eprintln!("{panic}");
        }
    }));
    try_orders(|| ended(Trouble::Panics, |_| 1 << 20));
}

#[test]
fn a_cancelled_run_ends() {
    try_orders(|| ended(Trouble::Cancels, Transposal::smallest));
}

/// Numbers whose sum depends on the order of additions.
fn numbers() -> Array {
    let elements: Vec<f64> = (0..12).map(|n| 1.0 / (3.0 + f64::from(n))).collect();
    let grid = ChunkGrid::regular(&[12], &[2]).unwrap();
    let inner = MemoryArray::from_elements("numbers", grid, &elements).unwrap();
    Array::from_source(Arc::new(Stored::new(inner, &Arc::default())))
}

/// The bits of a result are those of one thread, in whatever order the tasks end.
fn same_bits(result: impl Fn(&Array) -> Array, budget_bytes: u64) {
    let on = |threads| {
        let session = Session::new(resources(budget_bytes, threads));
        let found = session.compute::<f64>(&result(&numbers())).unwrap();
        found.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(on(3), on(1));
}

#[test]
fn sums_have_the_same_bits_in_any_order() {
    try_orders(|| same_bits(|x| x.sum(..).unwrap(), 1 << 20));
}

#[test]
fn groups_have_the_same_bits_in_any_order() {
    let groups = |x: &Array| x.group_by(&[0, 1, 0, 1, 1, 1, 0, 1, 2, 0, 0, 1], 0).unwrap();
    try_orders(move || same_bits(move |x| groups(x).mean().unwrap(), 1 << 20));
}

#[test]
fn what_one_stage_keeps_in_memory_another_reads() {
    try_orders(|| same_bits(|x| x - x.mean(0).unwrap(), 1 << 20));
}
