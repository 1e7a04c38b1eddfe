//! [`Cuda`]: a CUDA device that computes the tasks of runs.
//!
//! A thread that has a task brings its operands to the device, has the kernels run and takes the results back, on a stream of its own; while it
//! waits, other threads read, decode and write. So copies in, kernels and copies out of several tasks overlap by themselves, and there is
//! one place where a task's memory ends. Chunks lie in memory that the device reads and writes directly ([`Device::pages`]): decoders
//! write there, encoders read there. Kernels are compiled once, by background threads while the first chunks are read, and kept on disk.
//!
//! Invariants: device memory stays within its own budget; a task takes all that it needs of it at once, so tasks wait for each other and
//! never stand still; a task that does not fit alone is cut, or left to the processors; the bits of a result do not depend on any of
//! that but for the last. Called by the executor of core, as its [`Device`].

mod driver;
mod filtered;
mod kernels;
mod memory;
mod several;
mod staging;
mod task;
mod user;

use crate::compile::Compiler;
use crate::device::{Device as Found, Unavailable, detect};
use crate::jit::reduction::Cells;
use crate::jit::{Form, Operand, elementwise, reduction};
use crate::{Error, Result};
use blockwise_core::TaskContext;
use blockwise_core::device::{Demand, Device, FilterDemand, Outcome};
use blockwise_kernels::Pages;
use blockwise_kernels::program::Input;
use driver::Context;
use kernels::Kernels;
use memory::Memory;
pub use several::Several;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
pub use user::{Parameter, UserKernel};

/// Of what is free on a device when it is opened, this part is left to others and to the driver's own tables.
const SPARE_PART: u64 = 8;

/// What is asked of a device beyond its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Bytes of its memory that may be used; `None`: seven eighths of what is free.
    pub memory_bytes: Option<u64>,
    /// Whether it computes all that it can, however little is gained.
    pub insists: bool,
}

/// A CUDA device, open.
///
/// ```no_run
/// use blockwise_core::{Array, Session, machine};
/// use blockwise_gpu::cuda::{Cuda, Options};
/// use std::sync::Arc;
/// let resources = machine::resources(1 << 30);
/// let device = Cuda::open(0, Options::default())?;
/// let session = Session::new(blockwise_core::plan::Resources { device: Some(Arc::new(device)), ..resources });
/// let x = Array::from_fn(&[4000, 4000], |at| at[0] as f32)?;
/// let mean = session.compute::<f32>(&(&x * &x).mean(..)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cuda {
    label: String,
    options: Options,
    /// Streams that no task uses now.
    streams: Mutex<Vec<driver::Stream>>,
    memory: Memory,
    kernels: Arc<Kernels>,
    context: Arc<Context>,
    /// Whether it was said that tasks are left to the processors, and that kernels are.
    has_warned: AtomicBool,
    has_warned_of_kernels: AtomicBool,
}

impl Cuda {
    /// Opens the device of a number, counted as [`detect`] counts.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is none; [`Error::NoCompiler`] without NVRTC; [`Error::OldArchitecture`] if that compiles nothing for it;
    /// [`Error::Driver`] if the driver fails.
    pub fn open(ordinal: u32, options: Options) -> Result<Self> {
        let found = detect()?;
        let missing = || Unavailable::NoSuchDevice { ordinal, count: found.len() };
        let device: &Found = found.iter().find(|device| device.ordinal == ordinal).ok_or_else(missing)?;
        let compiler = Compiler::load()?;
        let target = compiler.target(device.architecture)?;
        let context = Arc::new(Context::open(ordinal)?);
        let free_bytes = context.free_bytes()?;
        let memory_bytes = options.memory_bytes.unwrap_or(free_bytes / SPARE_PART * (SPARE_PART - 1));
        Ok(Self {
            label: format!("cuda:{ordinal}"),
            options,
            streams: Mutex::default(),
            memory: Memory::new(Arc::clone(&context), memory_bytes),
            kernels: Arc::new(Kernels::new(Arc::clone(&context), compiler, target)),
            context,
            has_warned: AtomicBool::new(false),
            has_warned_of_kernels: AtomicBool::new(false),
        })
    }

    /// Kernels of a demand whose operands lie as said, with what to launch them with.
    fn generate(demand: &Demand<'_>, operands: &[Operand], is_aligned: bool) -> Result<task::Launches> {
        let form = Form::new(demand.shape, operands, is_aligned)?;
        let Some((axes, reductions)) = demand.reduced else {
            let first = elementwise::generate(demand.program, &form)?;
            return Ok(task::Launches { first, merge: None, parts: 1 });
        };
        let cells = Cells::new(demand.shape, axes)?;
        let made = reduction::generate(demand.program, &form, &cells, reductions)?;
        Ok(task::Launches { first: made.reduce, merge: made.merge, parts: made.parts })
    }

    /// Says once that tasks are left to the processors, and why.
    fn warn(&self, why: &str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}: {why}; the processors compute such tasks", self.label);
        }
    }

    /// Says once that a kernel of this crate could not be had.
    fn warn_of_kernel(&self, error: &Error) {
        if !self.has_warned_of_kernels.swap(true, Ordering::Relaxed) {
            tracing::warn!("{}: {error}; the processors compute what it was for", self.label);
        }
    }

    /// A stream that no other task uses, until it is handed back.
    fn stream(&self) -> Result<driver::Stream> {
        let idle = self.streams.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| driver::Stream::new(&self.context), Ok)
    }

    fn hand_back(&self, stream: driver::Stream) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }
}

/// Why a device leaves something to the processors, as the end of a sentence.
fn reason(error: Error) -> String {
    match error {
        Error::Type { dtype } => format!("it does not compute with {dtype}"),
        Error::Function { function, dtypes } => format!("it has no {function} of ({dtypes})"),
        Error::Reducer { reducer } => format!("it has no {reducer}"),
        Error::Window { why } => format!("it has no {why}"),
        other => other.to_string(),
    }
}

impl Device for Cuda {
    fn label(&self) -> &str {
        &self.label
    }

    fn check(&self, demand: &Demand<'_>) -> std::result::Result<(), String> {
        let operands = task::operands(demand.program, demand.shape.len(), |_| None);
        Self::generate(demand, &operands, true).map(|_| ()).map_err(reason)
    }

    fn is_insisted_on(&self) -> bool {
        self.options.insists
    }

    fn check_filter(&self, demand: &FilterDemand<'_>) -> std::result::Result<(), String> {
        filtered::kernels(demand).map(|_| ()).map_err(reason)
    }

    fn prepare_filter(&self, demand: &FilterDemand<'_>) {
        if let Ok(kernels) = filtered::kernels(demand) {
            kernels.iter().for_each(|kernel| self.kernels.compile_meanwhile(kernel));
        }
    }

    fn compute_filter(
        &self,
        demand: &FilterDemand<'_>,
        held: &[u8],
        result: &mut [u8],
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<Outcome> {
        Ok(task::Task { device: self, cx }.filter(demand, held, result)?)
    }

    fn prepare(&self, demand: &Demand<'_>) {
        let operands = task::operands(demand.program, demand.shape.len(), |_| None);
        if let Ok(launches) = Self::generate(demand, &operands, true) {
            launches.kernels().for_each(|kernel| self.kernels.compile_meanwhile(kernel));
        }
    }

    fn compute(
        &self,
        demand: &Demand<'_>,
        inputs: &[Input<'_>],
        results: &mut [&mut [u8]],
        cx: &TaskContext<'_>,
    ) -> blockwise_core::Result<Outcome> {
        Ok(task::Task { device: self, cx }.run(demand, inputs, results)?)
    }

    fn pages(&self) -> Option<Arc<dyn Pages>> {
        Some(Arc::new(staging::Pinned::new(&self.context)))
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        self.kernels.end();
        self.streams.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
