//! [`UserKernel`]: a kernel that a user wrote, run on whole blocks.
//!
//! Invariant: it is compiled before anything runs, and what it is given is checked against what it takes; what it does with its addresses is
//! its author's affair, which is why making one is unsafe. Called by closures of [`MapBlocks`](blockwise_core::array::MapBlocks).

#![expect(unsafe_code, reason = "a kernel is given addresses and trusted with them")]

use super::Cuda;
use super::driver::Module;
use super::task::{Places, words};
use crate::jit::BLOCK_THREADS;
use crate::{Error, Result};
use blockwise_core::block::{Block, BlockInfo};
use blockwise_core::{Chunk, Scalar, TaskContext};
use std::sync::Arc;

/// At most so many blocks, of which each may go on with more elements.
const MOST_BLOCKS: u64 = 1 << 16;

/// What a kernel is given for a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Parameter {
    /// The address of the first element of an input, which lie in C order.
    Input(usize),
    /// The address of the first element of an output.
    Output(usize),
    /// Elements of the first output, as `unsigned long long`.
    Count,
    /// Elements of the first input along an axis, as `unsigned long long`; its halo counts.
    Extent(usize),
    /// Where the task begins in the array along an axis, as `unsigned long long`; its halo does not count.
    Origin(usize),
    /// A number of its type.
    Value(Scalar),
}

/// A kernel that a user wrote.
#[derive(Clone)]
pub struct UserKernel {
    device: Arc<Cuda>,
    module: Arc<Module>,
    name: String,
    parameters: Vec<Parameter>,
    block_threads: u32,
    /// What its registers allow.
    most_threads: u32,
}

impl std::fmt::Debug for UserKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kernel {} on {:?}", self.name, self.device.label)
    }
}

impl UserKernel {
    /// Compiles CUDA C for a device: `name` is a kernel with C linkage in `source`, that takes `parameters` in this order. It is run with as
    /// many threads as the first output has elements, or fewer, each of which then goes on with more.
    ///
    /// ```no_run
    /// use blockwise_core::array::MapBlocks;
    /// use blockwise_core::{Array, DType};
    /// use blockwise_gpu::cuda::{Cuda, Options, Parameter, UserKernel};
    /// use std::sync::Arc;
    /// let source = r#"extern "C" __global__ void shift(const float *x, float *y, unsigned long long n, float by) {
    ///     for (unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x; i < n; i += (unsigned long long)gridDim.x * blockDim.x)
    ///         y[i] = x[i] + by;
    /// }"#;
    /// let parameters = [Parameter::Input(0), Parameter::Output(0), Parameter::Count, Parameter::Value(0.5_f32.into())];
    /// let device = Arc::new(Cuda::open(0, Options::default())?);
    /// // SAFETY: it reads and writes its block alone.
    /// let shift = unsafe { UserKernel::new(&device, source, "shift", &parameters) }?;
    /// let x = Array::from_fn(&[1000], |at| at[0] as f32)?;
    /// let y = MapBlocks::new([&x])?.apply_waiting(&[DType::F32], shift.function())?.remove(0);
    /// assert_eq!(y.compute::<f32>()?[[7]], 7.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Compile`] with the compiler's log; [`Error::Driver`] if there is no such kernel.
    ///
    /// # Safety
    /// The kernel must have these parameters, and keep to the elements of its inputs and outputs.
    pub unsafe fn new(
        device: &Arc<Cuda>,
        source: &str,
        name: &str,
        parameters: &[Parameter],
    ) -> Result<Self> {
        let module = device.kernels.load_named(source, name)?;
        let most_threads = module.most_threads()?;
        Ok(Self {
            device: Arc::clone(device),
            module: Arc::new(module),
            name: name.to_owned(),
            parameters: parameters.to_vec(),
            block_threads: BLOCK_THREADS.min(most_threads.max(1)),
            most_threads,
        })
    }

    /// With so many threads a block: 1 to 1024. Without this there are 256, or as many as the kernel's registers allow. Of a kernel that takes so
    /// many registers that it cannot have as many threads, each task fails with [`Error::Threads`].
    #[must_use]
    pub fn with_block_threads(self, threads: u32) -> Self {
        Self { block_threads: threads.clamp(1, 1024), ..self }
    }

    /// What [`MapBlocks::apply_waiting`](blockwise_core::array::MapBlocks::apply_waiting) takes: each block is brought to the device, the kernel
    /// is run, and what it made comes back, while other threads of the run compute.
    pub fn function(
        self,
    ) -> impl Fn(&BlockInfo<'_>, &[Block<'_>], &mut [Chunk], &TaskContext<'_>) -> blockwise_core::Result<()>
    + Send
    + Sync
    + 'static {
        move |info, blocks, outputs, cx| Ok(self.run(info, blocks, outputs, cx)?)
    }

    fn run(
        &self,
        info: &BlockInfo<'_>,
        blocks: &[Block<'_>],
        outputs: &mut [Chunk],
        cx: &TaskContext<'_>,
    ) -> Result<()> {
        if self.block_threads > self.most_threads {
            let (kernel, most) = (self.name.clone(), self.most_threads);
            return Err(Error::Threads { kernel, most, given: self.block_threads });
        }
        let mut places = Places::default();
        let inputs = blocks.iter().map(|block| places.add(block.bytes.len())).collect::<Result<Vec<_>>>()?;
        let results =
            outputs.iter().map(|chunk| places.add(chunk.bytes().len())).collect::<Result<Vec<_>>>()?;
        let count = outputs.first().map_or(0, |chunk| chunk.shape().iter().product::<u64>());
        if count == 0 {
            return Ok(());
        }
        let len_bytes = places.len_bytes;
        let lent = self.device.memory.take(len_bytes, Some(cx))?;
        let full = || Error::DeviceFull { what: self.name.clone(), needed_bytes: len_bytes };
        let lent = lent.ok_or_else(full)?;
        let slab = lent.slab().ok_or_else(full)?;
        let first = blocks.first().map_or(info.region, |block| block.region);
        let unknown =
            |parameter: &Parameter| Error::Parameter { kernel: self.name.clone(), parameter: *parameter };
        let word = |found: Option<u64>, parameter: &Parameter| {
            found.map(|word| vec![word]).ok_or_else(|| unknown(parameter))
        };
        let arguments = self.parameters.iter().map(|parameter| match parameter {
            Parameter::Input(n) => word(inputs.get(*n).map(|offset| slab.at(*offset)), parameter),
            Parameter::Output(n) => word(results.get(*n).map(|offset| slab.at(*offset)), parameter),
            Parameter::Count => word(Some(count), parameter),
            Parameter::Extent(axis) => word(first.shape().get(*axis).copied(), parameter),
            Parameter::Origin(axis) => word(info.region.origin().get(*axis).copied(), parameter),
            Parameter::Value(scalar) => Ok(words(scalar.bytes())),
        });
        let mut arguments = arguments.collect::<Result<Vec<_>>>()?;
        let turns = count.div_ceil(u64::from(self.block_threads)).min(MOST_BLOCKS);
        let launched = (u32::try_from(turns).unwrap_or(u32::MAX), 1);
        let mut stream = self.device.stream()?;
        let outcome = stream.carry_out(Some(cx), |work| {
            for (block, offset) in blocks.iter().zip(&inputs) {
                work.copy_in(slab, *offset, block.bytes)?;
            }
            // SAFETY: who made this vouches for the kernel and its parameters; all addresses lie on the slab.
            unsafe { work.launch(&self.module, launched, self.block_threads, &mut arguments) }?;
            for (chunk, offset) in outputs.iter_mut().zip(&results) {
                work.copy_out(chunk.bytes_mut(), slab, *offset)?;
            }
            Ok(())
        });
        outcome.map(|()| self.device.hand_back(stream))
    }
}
