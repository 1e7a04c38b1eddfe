//! [`Memory`]: a device's memory within a budget of its own.
//!
//! A task takes one [`Slab`] for all that it needs, and waits until the budget has room; what it gives back is kept for the next. Invariants:
//! slabs in use and kept stay within the budget; whoever waits for it holds neither any of it nor a slot among threads, so somebody always goes on; what the driver refuses although the
//! budget has it, since others use the device too, is refused. Called by [`super::task`].

use super::driver::{Context, Slab, waiting};
use crate::Result;
use blockwise_core::TaskContext;
use blockwise_kernels::buffer::size_class_bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Memory {
    context: Arc<Context>,
    budget_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    used_bytes: usize,
    kept_bytes: usize,
    /// Slabs for the next task, by their bytes.
    kept: BTreeMap<usize, Vec<Slab>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes used, {} kept", self.used_bytes, self.kept_bytes)
    }
}

/// A slab in use.
pub(super) struct Lent<'a> {
    memory: &'a Memory,
    slab: Option<Slab>,
    class_bytes: usize,
}

impl Memory {
    pub(super) fn new(context: Arc<Context>, budget_bytes: u64) -> Self {
        let budget_bytes = usize::try_from(budget_bytes).unwrap_or(usize::MAX);
        Self { context, budget_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters and lists, valid between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slab of at least so many bytes, once the budget has room for it; `None` if it never has, or the device has none.
    pub(super) fn take(&self, len_bytes: usize, cx: Option<&TaskContext<'_>>) -> Result<Option<Lent<'_>>> {
        let class_bytes = size_class_bytes(len_bytes);
        if class_bytes > self.budget_bytes {
            return Ok(None);
        }
        self.reserve(class_bytes, cx);
        let mut freed = Vec::new();
        let found = {
            let mut state = self.lock();
            let found = state.kept.get_mut(&class_bytes).and_then(Vec::pop);
            if found.is_some() {
                state.kept_bytes -= class_bytes;
            }
            while state.used_bytes + state.kept_bytes > self.budget_bytes {
                let Some(slab) = state.let_go() else { break };
                freed.push(slab);
            }
            found
        };
        let mut lent = Lent { memory: self, slab: found, class_bytes };
        drop(freed); // outside the lock: the driver waits for the device
        if lent.slab.is_none() {
            lent.slab = Slab::new(&self.context, class_bytes)?;
        }
        if lent.slab.is_none() {
            // What is kept may be what the device lacks.
            let freed: Vec<Slab> = {
                let mut state = self.lock();
                std::iter::from_fn(|| state.let_go()).collect()
            };
            drop(freed);
            lent.slab = Slab::new(&self.context, class_bytes)?;
        }
        Ok(lent.slab.is_some().then_some(lent))
    }

    /// Takes so many bytes of the budget, which has as many in all, once they are free.
    fn reserve(&self, class_bytes: usize, cx: Option<&TaskContext<'_>>) {
        let is_full = |state: &mut State| state.used_bytes + class_bytes > self.budget_bytes;
        {
            let mut state = self.lock();
            if !is_full(&mut state) {
                state.used_bytes += class_bytes;
                return;
            }
        }
        // Who comes back from waiting may wait for a slot among threads that want the lock: so it is not taken along.
        waiting(cx, || {
            let mut state =
                self.changed.wait_while(self.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
            state.used_bytes += class_bytes;
        });
    }
}

impl State {
    /// Takes out the largest of the slabs that are kept.
    fn let_go(&mut self) -> Option<Slab> {
        let mut entry = self.kept.last_entry()?;
        let slab = entry.get_mut().pop();
        if entry.get().is_empty() {
            entry.remove();
        }
        self.kept_bytes -= slab.as_ref().map_or(0, Slab::len_bytes);
        slab
    }
}

impl Lent<'_> {
    /// The slab; there is one once this has been handed out.
    pub(super) const fn slab(&self) -> Option<&Slab> {
        self.slab.as_ref()
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.used_bytes -= self.class_bytes;
        if let Some(slab) = self.slab.take() {
            state.kept_bytes += self.class_bytes;
            state.kept.entry(self.class_bytes).or_default().push(slab);
        }
        drop(state);
        self.memory.changed.notify_all();
    }
}
