//! Sinks that wait for a device: others compute meanwhile, no more at a time than were asked for.

use crate::support::resources;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Array, Chunk, ChunkGrid, Result, Session, Sink, Source, TaskContext};
use blockwise_kernels::DType;
use ndarray::ArrayViewD;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A sink whose writes wait until two of them do.
struct Slow {
    inner: MemoryArray,
    waiting: Mutex<usize>,
    changed: Condvar,
    met: AtomicUsize,
}

impl Sink for Slow {
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
        cx.waiting(|| {
            let mut waiting = self.waiting.lock().unwrap();
            *waiting += 1;
            self.changed.notify_all();
            let is_alone = |waiting: &mut usize| *waiting < 2 && self.met.load(Ordering::SeqCst) == 0;
            let (mut waiting, timeout) =
                self.changed.wait_timeout_while(waiting, Duration::from_secs(20), is_alone).unwrap();
            assert!(!timeout.timed_out(), "nobody computed while a write waited");
            self.met.store(1, Ordering::SeqCst);
            *waiting -= 1;
        });
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
    let slow = Arc::new(Slow {
        inner: MemoryArray::zeros("slow", DType::F64, grid).unwrap(),
        waiting: Mutex::default(),
        changed: Condvar::new(),
        met: AtomicUsize::new(0),
    });
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

/// A sink whose first row waits until reading of the second has begun.
struct Patient {
    inner: MemoryArray,
    second: Arc<AtomicUsize>,
    /// Chunks of the second row that were read when the first was written.
    met: AtomicUsize,
}

impl Sink for Patient {
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
        let limit = Instant::now() + Duration::from_secs(20);
        cx.waiting(|| {
            while index == [0, 0] && self.second.load(Ordering::SeqCst) == 0 && Instant::now() < limit {
                std::thread::yield_now();
            }
        });
        if index == [0, 0] {
            self.met.store(self.second.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        self.inner.write(index, chunk, cx)
    }
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn what_waited_ends_before_more_is_read() {
    let second = Arc::new(AtomicUsize::new(0));
    let rows = Rows { grid: ChunkGrid::regular(&[2, 400], &[1, 1]).unwrap(), second: Arc::clone(&second) };
    let grid = ChunkGrid::regular(&[2, 400], &[1, 400]).unwrap();
    let inner = MemoryArray::zeros("patient", DType::F64, grid).unwrap();
    let patient = Arc::new(Patient { inner, second, met: AtomicUsize::new(0) });
    let ones = Array::from_source(Arc::new(rows));
    let session = Session::new(resources(1 << 20, 1));
    session.store(&[(ones, Arc::clone(&patient) as Arc<dyn Sink>)]).unwrap();
    let met = patient.met.load(Ordering::SeqCst);
    assert!((1..200).contains(&met), "{met} of 400 chunks were read before a task could end");
    assert!(patient.inner.to_elements::<f64>().unwrap().iter().all(|x| *x == 1.0));
}
