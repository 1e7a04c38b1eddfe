//! Sinks that wait for a device: others compute meanwhile, no more at a time than were asked for.

use crate::support::resources;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, Chunk, ChunkGrid, Result, Session, Sink, Source, TaskContext};
use blockwise_kernels::DType;
use ndarray::ArrayViewD;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What a sink does before it stores a chunk.
type Before = dyn Fn(&[u64], &TaskContext<'_>) + Send + Sync;

/// A sink that waits in its own way.
struct Waiting {
    inner: MemoryArray,
    before: Box<Before>,
}

impl Sink for Waiting {
    fn label(&self) -> &str {
        Sink::label(&self.inner)
    }
    fn dtype(&self) -> DType {
        Sink::dtype(&self.inner)
    }
    fn grid(&self) -> &ChunkGrid {
        Sink::grid(&self.inner)
    }
    fn write_scratch_bytes(&self) -> u64 {
        0
    }
    fn waits(&self) -> bool {
        true
    }
    fn write(&self, index: &[u64], chunk: &Chunk, cx: &TaskContext<'_>) -> Result<u64> {
        (self.before)(index, cx);
        self.inner.write(index, chunk, cx)
    }
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn one_computes_while_others_wait() {
    let grid = ChunkGrid::regular(&[64], &[4]).unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counter, peak) = (Arc::clone(&now), Arc::clone(&most));
    let squares = Array::from_fn(&[64], |at| at[0] as f64)
        .unwrap()
        .rechunk([4])
        .unwrap()
        .map_blocks(move |block: ArrayViewD<'_, f64>| {
            peak.fetch_max(counter.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let squares = block.mapv(|x| x * x);
            counter.fetch_sub(1, Ordering::SeqCst);
            squares
        })
        .unwrap();
    // The first writes wait until two do.
    let (waiting, changed, met) = (Mutex::new(0_usize), Condvar::new(), AtomicUsize::new(0));
    let before = move |_: &[u64], cx: &TaskContext<'_>| {
        cx.waiting(|| {
            let mut waiting = waiting.lock().unwrap();
            *waiting += 1;
            changed.notify_all();
            let is_alone = |waiting: &mut usize| *waiting < 2 && met.load(Ordering::SeqCst) == 0;
            let (mut waiting, timeout) =
                changed.wait_timeout_while(waiting, Duration::from_secs(20), is_alone).unwrap();
            assert!(!timeout.timed_out(), "nobody computed while a write waited");
            met.store(1, Ordering::SeqCst);
            *waiting -= 1;
        });
    };
    let inner = MemoryArray::zeros("slow", DType::F64, grid).unwrap();
    let slow = Arc::new(Waiting { inner, before: Box::new(before) });
    let session = Session::new(resources(1 << 20, 1));
    session.store(&[(squares, Arc::clone(&slow) as Arc<dyn Sink>)]).unwrap();
    assert_eq!((most.load(Ordering::SeqCst), now.load(Ordering::SeqCst)), (1, 0));
    let found = slow.inner.to_elements::<f64>().unwrap();
    assert!(found.iter().enumerate().all(|(n, x)| *x == (n * n) as f64));
}

/// Ones in rows of many chunks, each read in a millisecond.
struct Rows {
    grid: ChunkGrid,
    /// Chunks of the second row that have been read.
    second: Arc<AtomicUsize>,
}

impl Source for Rows {
    fn label(&self) -> &str {
        "rows"
    }
    fn dtype(&self) -> DType {
        DType::F64
    }
    fn grid(&self) -> &ChunkGrid {
        &self.grid
    }
    fn read_scratch_bytes(&self) -> u64 {
        0
    }
    fn read(&self, index: &[u64], cx: &TaskContext<'_>) -> Result<Chunk> {
        std::thread::sleep(Duration::from_millis(1));
        let shape = self.grid.region(index)?.shape().to_vec();
        let mut chunk = Chunk::uninit(DType::F64, &shape, cx.pool())?;
        chunk
            .bytes_mut()
            .copy_from_slice(&1.0_f64.to_ne_bytes().repeat(shape.iter().product::<u64>() as usize));
        self.second.fetch_add(usize::from(index[0] == 1), Ordering::SeqCst);
        Ok(chunk)
    }
}

#[test]
fn what_waited_ends_before_more_is_read() {
    let second = Arc::new(AtomicUsize::new(0));
    let rows = Rows { grid: ChunkGrid::regular(&[2, 400], &[1, 1]).unwrap(), second: Arc::clone(&second) };
    let grid = ChunkGrid::regular(&[2, 400], &[1, 400]).unwrap();
    let inner = MemoryArray::zeros("patient", DType::F64, grid).unwrap();
    // The first row waits until reading of the second has begun; how much of that was read when it could go on.
    let met = Arc::new(AtomicUsize::new(0));
    let found = Arc::clone(&met);
    let before = move |index: &[u64], cx: &TaskContext<'_>| {
        if index == [0, 0] {
            let limit = Instant::now() + Duration::from_secs(20);
            cx.waiting(|| {
                while second.load(Ordering::SeqCst) == 0 && Instant::now() < limit {
                    std::thread::yield_now();
                }
            });
            found.store(second.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    };
    let patient = Arc::new(Waiting { inner, before: Box::new(before) });
    let ones = Array::from_source(Arc::new(rows));
    let session = Session::new(resources(1 << 20, 1));
    session.store(&[(ones, Arc::clone(&patient) as Arc<dyn Sink>)]).unwrap();
    let met = met.load(Ordering::SeqCst);
    assert!((1..200).contains(&met), "{met} of 400 chunks were read before a task could end");
    assert!(patient.inner.to_elements::<f64>().unwrap().iter().all(|x| *x == 1.0));
}
