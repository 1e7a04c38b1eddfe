//! [`Stream`]: a queue of copies and kernels that are carried out one after another.
//!
//! A copy to or from ordinary memory of the host, which a reduction's states and small chunks lie in, is none that is queued: the driver
//! waits for all that is on the stream first. So what is small goes through page-locked memory of the stream's own. Invariants: whatever was
//! queued has ended when [`Stream::carry_out`] returns, so nothing that it borrows is freed under a copy; nobody holds a slot among threads
//! while the driver may wait. Called by the tasks of a device.

use super::{Context, Functions, HostMemory, Module, NON_BLOCKING, Slab, waiting};
use super::{Handle, c_uint, c_void};
use crate::Result;
use blockwise_core::TaskContext;
use std::ptr::null_mut;
use std::sync::Arc;

/// Bytes of a stream's own page-locked memory.
const STAGED_BYTES: usize = 1 << 20;
/// What is smaller lies in ordinary memory, as pools of buffers see to it; larger chunks lie in page-locked memory themselves.
const STAGED_BELOW_BYTES: usize = 256 << 10;
/// Everything staged begins at a multiple of this.
const STAGED_ALIGNMENT_BYTES: usize = 64;

/// A queue of copies and kernels that are carried out one after another.
pub(in crate::cuda) struct Stream {
    context: Arc<Context>,
    handle: Handle,
    /// None where the system has no more memory to pin: then copies wait.
    staging: Option<HostMemory>,
}

// SAFETY: a handle of the driver, which may be used by any thread.
unsafe impl Send for Stream {}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream of {:?}", self.context)
    }
}

impl Stream {
    pub(in crate::cuda) fn new(context: &Arc<Context>) -> Result<Self> {
        let functions = context.enter()?;
        let mut handle = null_mut();
        // SAFETY: writes one handle.
        let code = unsafe { (functions.stream_create)(&raw mut handle, NON_BLOCKING) };
        context.answer("cuStreamCreate", code)?;
        let staging = HostMemory::new(context, STAGED_BYTES);
        Ok(Self { context: Arc::clone(context), handle, staging })
    }

    /// Has `queue` put copies and kernels on the stream, then waits until all of them have ended, whatever becomes of it. Another thread of
    /// the run computes meanwhile, from the first copy on: any may wait for what is before it.
    pub(in crate::cuda) fn carry_out<'a>(
        &mut self,
        cx: Option<&TaskContext<'_>>,
        queue: impl FnOnce(&mut Work<'a, '_>) -> Result<()>,
    ) -> Result<()> {
        let functions = self.context.enter()?;
        waiting(cx, || {
            let mut work =
                Work { stream: self, functions, is_ended: false, staged_bytes: 0, returned: Vec::new() };
            queue(&mut work)?;
            work.end()
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(functions) = self.context.enter_to_free() {
            // SAFETY: created once, destroyed once; nothing is under way.
            let _ = unsafe { (functions.stream_destroy)(self.handle) };
        }
    }
}

/// Copies and kernels on their way. What they read and write is borrowed for `'a`, and they have ended before that is over: nobody but
/// [`Stream::carry_out`] owns one.
pub(in crate::cuda) struct Work<'a, 's> {
    stream: &'s mut Stream,
    functions: &'static Functions,
    is_ended: bool,
    /// Of the stream's own memory, what copies use.
    staged_bytes: usize,
    /// Where what comes back through that memory belongs, and where it is in it.
    returned: Vec<(&'a mut [u8], usize)>,
}

impl<'a> Work<'a, '_> {
    /// Copies to the device.
    pub(in crate::cuda) fn copy_in(&mut self, to: &'a Slab, offset: usize, bytes: &'a [u8]) -> Result<()> {
        to.check(offset, bytes.len())?;
        let from = match self.staged(bytes.len()) {
            None => bytes.as_ptr(),
            Some((_, place)) => {
                // SAFETY: so many bytes of the stream's own memory, that no other copy uses before this has ended.
                unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                place.cast_const()
            }
        };
        // SAFETY: both ranges are whole, and stay until this ends.
        let code =
            unsafe { (self.functions.copy_in)(to.at(offset), from.cast(), bytes.len(), self.stream.handle) };
        self.stream.context.answer("cuMemcpyHtoDAsync", code)
    }

    /// Copies from the device.
    pub(in crate::cuda) fn copy_out(
        &mut self,
        bytes: &'a mut [u8],
        from: &'a Slab,
        offset: usize,
    ) -> Result<()> {
        let len_bytes = bytes.len();
        from.check(offset, len_bytes)?;
        let to = match self.staged(len_bytes) {
            None => bytes.as_mut_ptr(),
            Some((start, place)) => {
                self.returned.push((bytes, start));
                place
            }
        };
        // SAFETY: both ranges are whole, and stay until this ends; nobody else reads or writes these.
        let code =
            unsafe { (self.functions.copy_out)(to.cast(), from.at(offset), len_bytes, self.stream.handle) };
        self.stream.context.answer("cuMemcpyDtoHAsync", code)
    }

    /// Room for something small in the stream's own memory, if there is some left: where it begins.
    fn staged(&mut self, len_bytes: usize) -> Option<(usize, *mut u8)> {
        let memory = self.stream.staging.as_ref().filter(|_| len_bytes < STAGED_BELOW_BYTES)?;
        let start = self.staged_bytes;
        let end = start.checked_add(len_bytes)?.checked_next_multiple_of(STAGED_ALIGNMENT_BYTES)?;
        if end > memory.len_bytes {
            return None;
        }
        self.staged_bytes = end;
        // SAFETY: it lies within that memory.
        Some((start, unsafe { memory.start.as_ptr().add(start) }))
    }

    /// Runs a kernel of this crate.
    ///
    /// # Safety
    /// The arguments must be the kernel's parameters in order, and their addresses must lie in memory that is lent to this.
    pub(in crate::cuda) unsafe fn launch(
        &mut self,
        kernel: &'a Module,
        blocks: (u32, u32),
        threads: u32,
        arguments: &mut [Vec<u64>],
    ) -> Result<()> {
        let mut places: Vec<*mut c_void> =
            arguments.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
        let ((x, y), none) = (blocks, null_mut());
        let (one, nothing): (c_uint, c_uint) = (1, 0);
        // SAFETY: the caller vouches for the arguments, which the driver copies before it returns.
        let code = unsafe {
            (self.functions.launch)(
                kernel.function,
                x,
                y,
                one,
                threads,
                one,
                one,
                nothing,
                self.stream.handle,
                places.as_mut_ptr(),
                none,
            )
        };
        self.stream.context.answer("cuLaunchKernel", code)
    }

    /// Waits for all of it, and hands over what came back.
    fn end(mut self) -> Result<()> {
        self.is_ended = true;
        self.wait()?;
        let Some(memory) = &self.stream.staging else { return Ok(()) };
        for (bytes, start) in &mut self.returned {
            // SAFETY: so many bytes from there on were set aside in that memory; the copies have ended, and nobody else borrows them.
            let staged =
                unsafe { std::slice::from_raw_parts(memory.start.as_ptr().add(*start), bytes.len()) };
            bytes.copy_from_slice(staged);
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: the stream is there.
        let code = unsafe { (self.functions.stream_synchronize)(self.stream.handle) };
        self.stream.context.answer("cuStreamSynchronize", code)
    }
}

impl Drop for Work<'_, '_> {
    fn drop(&mut self) {
        if !self.is_ended {
            let _ = self.wait(); // an error is on its way already
        }
    }
}
