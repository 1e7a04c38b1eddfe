//! [`Pinned`]: memory of the host that a device reads and writes by itself, for the chunks of a run.
//!
//! It is not write-combined: codecs read what they have written. Where the system has no more memory to pin, chunks lie in ordinary memory, and
//! the driver copies them once more. Called by the pools of buffers.

use super::driver::{Context, HostMemory};
use blockwise_kernels::{Page, Pages};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Pinned {
    context: Arc<Context>,
}

impl Pinned {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

impl Pages for Pinned {
    fn page(&self, len_bytes: usize) -> Option<Box<dyn Page>> {
        HostMemory::new(&self.context, len_bytes).map(|memory| Box::new(memory) as Box<dyn Page>)
    }
}
