//! What a task is given while it runs: the buffer pool, the cancellation flag, and an observer of what happens.
//!
//! Invariant: a context lives for one run and is shared by all its tasks. Called by the executor (who makes it),
//! sources and sinks (who use it), and programs (who cancel and observe).

use crate::error::{Error, Result};
use crate::slots::Slots;
use blockwise_kernels::BufferPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that asks a run to stop. Cloning shares it.
///
/// ```
/// use blockwise_core::{Array, Cancellation, Error, Session};
/// let (cancellation, x) = (Cancellation::new(), Array::from_fn(&[1000], |at| at[0] as f32)?);
/// let session = Session::with_budget(64 << 20).with_cancellation(cancellation.clone());
/// cancellation.cancel(); // from a handler of signals, or another thread
/// assert!(matches!(session.compute::<f32>(&x), Err(Error::Cancelled)));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    flag: Arc<AtomicBool>,
}

impl Cancellation {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the run to stop as soon as its running tasks can.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// What happens in a run, as it happens. Times are the observer's to take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage begins.
    StageStarted {
        /// Its position in the plan, from 0.
        stage: usize,
        /// What it does, for people.
        name: &'a str,
        /// Chunks that it will write.
        chunks: u64,
        /// Decoded bytes that it will write.
        bytes: u64,
    },
    /// A chunk was read and decoded.
    ChunkRead {
        /// The stage.
        stage: usize,
        /// Decoded bytes.
        bytes: u64,
        /// Seconds it took.
        secs: f64,
    },
    /// A chunk was encoded and stored.
    ChunkWritten {
        /// The stage.
        stage: usize,
        /// Decoded bytes.
        bytes: u64,
        /// Stored bytes.
        stored_bytes: u64,
        /// Seconds it took.
        secs: f64,
    },
    /// What one thread spent in codecs, in all of a stage: part of the seconds of its steps. Temporary files do not count.
    CodecTime {
        /// The stage.
        stage: usize,
        /// Seconds of decoding.
        decoding_secs: f64,
        /// Seconds of encoding.
        encoding_secs: f64,
    },
    /// A commit box was found done by an earlier run.
    ChunksSkipped {
        /// The stage.
        stage: usize,
        /// Chunks in it.
        chunks: u64,
        /// Decoded bytes in them.
        bytes: u64,
    },
    /// A stage is complete.
    StageFinished {
        /// Its position in the plan, from 0.
        stage: usize,
    },
    /// The run ends, or starts over, because a stage failed.
    StageFailed {
        /// Its position in the plan, from 0.
        stage: usize,
        /// What went wrong.
        error: &'a Error,
    },
    /// Temporary files were made or let go.
    TemporaryDisk {
        /// Bytes of disk that those which are open now take at most.
        bytes: u64,
    },
    /// The bytes reserved of the budget changed.
    Memory {
        /// Bytes reserved now.
        reserved_bytes: u64,
    },
    /// Another process of the run has carried out some tasks.
    BatchDone {
        /// The stage.
        stage: usize,
        /// Decoded bytes that its tasks were about, as [`Event::ChunkWritten`] counts them.
        bytes: u64,
        /// Stored bytes.
        stored_bytes: u64,
        /// The most bytes of its budget that it had reserved at once.
        peak_reserved_bytes: u64,
    },
    /// A thread of another process took a step, some time ago. Only for those who [follow steps](Observer::follows_steps).
    StepElsewhere {
        /// The stage.
        stage: usize,
        /// The process and its thread, for people.
        thread: &'a str,
        /// Whether it read a chunk; otherwise it computed, encoded and wrote.
        is_read: bool,
        /// Decoded bytes that it was about.
        bytes: u64,
        /// Seconds it took.
        secs: f64,
        /// Seconds since its end.
        ended_secs_ago: f64,
    },
}

/// Who wants to know what happens in a run: progress bars, reports, traces.
///
/// Called from the run's threads, so it must be quick.
///
/// ```
/// use blockwise_core::{Array, Event, Observer, Session};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// #[derive(Default)]
/// struct Stages(AtomicU64);
/// impl Observer for Stages {
///     fn observe(&self, event: &Event<'_>) {
///         if matches!(event, Event::StageFinished { .. }) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// let stages = Arc::new(Stages::default());
/// let x = Array::from_fn(&[400, 100], |at| at[0] as f32)?;
/// let session = Session::with_budget(64 << 20).with_observer(stages.clone());
/// session.compute::<f32>(&(&x - x.mean(0)?))?;
/// assert_eq!(stages.0.load(Ordering::Relaxed), 2);
/// # Ok::<(), blockwise_core::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// Takes note of `event`.
    fn observe(&self, event: &Event<'_>);

    /// Whether it wants to know the single steps of other processes of the run, which costs them a file a batch.
    fn follows_steps(&self) -> bool {
        false
    }
}

/// An observer that takes no note.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _event: &Event<'_>) {}
}

/// What a task is given while it runs.
#[derive(Clone, Copy)]
pub struct TaskContext<'a> {
    pool: &'a BufferPool,
    cancellation: &'a Cancellation,
    slots: Option<&'a Slots>,
}

impl<'a> TaskContext<'a> {
    /// The context of a run.
    #[must_use]
    pub const fn new(pool: &'a BufferPool, cancellation: &'a Cancellation) -> Self {
        Self { pool, cancellation, slots: None }
    }

    /// The context of threads that share `slots`; the one that uses it holds one.
    pub(crate) const fn sharing(self, slots: &'a Slots) -> Self {
        Self { slots: Some(slots), ..self }
    }

    /// Where chunk memory comes from.
    #[must_use]
    pub const fn pool(&self) -> &'a BufferPool {
        self.pool
    }

    /// The flag that asks the run to stop.
    #[must_use]
    pub const fn cancellation(&self) -> &'a Cancellation {
        self.cancellation
    }

    /// Calls `wait`, which waits for a device and hardly computes: another thread of the run may compute meanwhile. When it is over, this
    /// waits until the thread may compute again; so what `wait` returns must hold no lock that computing threads want.
    ///
    /// ```
    /// use blockwise_core::{Cancellation, TaskContext, kernels::BufferPool};
    /// let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    /// let cx = TaskContext::new(&pool, &cancellation);
    /// let folder = std::env::temp_dir();
    /// assert!(cx.waiting(|| std::fs::metadata(folder)).is_ok());
    /// ```
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        match self.slots {
            Some(slots) => slots.waiting(wait),
            None => wait(),
        }
    }

    /// An error if the run was asked to stop.
    ///
    /// # Errors
    /// [`Error::Cancelled`], then.
    pub fn check_cancelled(&self) -> Result<()> {
        if self.cancellation.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
