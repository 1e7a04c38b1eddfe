//! [`Memory`]: a device's memory within a budget of its own.
//!
//! A task takes one [`Slab`] for all that it needs, and waits until the budget has room; what it gives back is kept for the next. Invariants:
//! slabs in use and kept stay within the budget; whoever waits for it holds neither any of it nor a slot among threads, so somebody always goes on; what the driver
//! refuses although the budget has it, since others use the device too, is waited for while this process has memory of the device that it
//! will give back, and refused when it has none. Called by [`super::task`] and [`super::user`].

use super::driver::{Context, Slab, waiting};
use crate::Result;
use blockwise_core::TaskContext;
use blockwise_kernels::buffer::size_class_bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// After the driver has refused memory, each task that ends raises the limit again, by this part of it: others who use the device may have
/// ended.
const REGAINED_PART: usize = 64;

#[derive(Debug)]
pub(super) struct Memory {
    context: Arc<Context>,
    budget_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What slabs may take together: the budget, or less where the driver has refused more.
    limit_bytes: usize,
    /// Of those who have a slab, or ask the driver for one.
    used_bytes: usize,
    /// Of slabs in use.
    held_bytes: usize,
    /// Those who ask the driver.
    asking: usize,
    kept_bytes: usize,
    /// Of slabs on their way back to the driver.
    freeing_bytes: usize,
    /// Counts what was given back, and who has given up.
    returns: u64,
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
        let state = Mutex::new(State { limit_bytes: budget_bytes, ..State::default() });
        Self { context, budget_bytes, state, changed: Condvar::new() }
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
        loop {
            self.reserve(class_bytes, cx);
            let mut lent = Lent { memory: self, slab: None, class_bytes };
            let (found, freed, returns) = {
                let mut state = self.lock();
                let found = state.take_kept(class_bytes);
                let freed = state.let_go(|state| state.used_bytes + state.kept_bytes > state.limit_bytes);
                (found, freed, state.returns)
            };
            self.free(freed);
            lent.slab = match found {
                Some(slab) => Some(slab),
                None => Slab::new(&self.context, class_bytes)?,
            };
            if lent.slab.is_none() {
                // What is kept may be what the device lacks.
                let freed = self.lock().let_go(|_| true);
                self.free(freed);
                lent.slab = Slab::new(&self.context, class_bytes)?;
            }
            if lent.slab.is_some() {
                let mut state = self.lock();
                state.asking -= 1;
                state.held_bytes += class_bytes;
                state.limit_bytes = state.limit_bytes.max(state.used_bytes);
                drop(state);
                return Ok(Some(lent));
            }
            if !self.wait_for_others(lent, returns, cx) {
                return Ok(None);
            }
        }
    }

    /// Gives back to the driver, outside the lock: the driver waits for the device.
    fn free(&self, freed: Vec<Slab>) {
        if freed.is_empty() {
            return;
        }
        let freed_bytes: usize = freed.iter().map(Slab::len_bytes).sum();
        drop(freed);
        let mut state = self.lock();
        state.freeing_bytes -= freed_bytes;
        state.returns += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until others of this process have given back memory, if there are some who will: what they have is all that the driver grants,
    /// for the time being. Whether there were. `returns`: as it was before the driver refused.
    fn wait_for_others(&self, refused: Lent<'_>, returns: u64, cx: Option<&TaskContext<'_>>) -> bool {
        let mut state = self.lock();
        let others_bytes = state.held_bytes + state.freeing_bytes;
        if state.returns == returns && others_bytes == 0 && state.asking == 1 {
            drop(state);
            return false; // dropping `refused` tells those who waited for this one
        }
        state.used_bytes -= refused.class_bytes;
        state.asking -= 1;
        if others_bytes > 0 {
            state.limit_bytes = state.limit_bytes.min(others_bytes);
        }
        drop(state);
        // It is given back already, and nobody is told: who waits would ask in vain, and so on by turns.
        std::mem::forget(refused);
        self.changed.notify_all();
        waiting(cx, || {
            let is_same = |state: &mut State| state.returns == returns;
            drop(self.changed.wait_while(self.lock(), is_same).unwrap_or_else(PoisonError::into_inner));
        });
        true
    }

    /// Takes so many bytes of the budget, which has as many in all, once they are free.
    fn reserve(&self, class_bytes: usize, cx: Option<&TaskContext<'_>>) {
        let is_full = |state: &mut State| {
            state.used_bytes > 0 && state.used_bytes.saturating_add(class_bytes) > state.limit_bytes
        };
        {
            let mut state = self.lock();
            if !is_full(&mut state) {
                state.reserve(class_bytes);
                return;
            }
        }
        // Who comes back from waiting may wait for a slot among threads that want the lock: so it is not taken along.
        waiting(cx, || {
            let state = self.changed.wait_while(self.lock(), is_full);
            state.unwrap_or_else(PoisonError::into_inner).reserve(class_bytes);
        });
    }
}

impl State {
    fn reserve(&mut self, class_bytes: usize) {
        self.used_bytes += class_bytes;
        self.asking += 1;
    }

    fn take_kept(&mut self, class_bytes: usize) -> Option<Slab> {
        let slab = self.kept.get_mut(&class_bytes).and_then(Vec::pop)?;
        self.kept_bytes -= class_bytes;
        Some(slab)
    }

    /// Takes out the largest of the slabs that are kept, one after another while `go_on` says so.
    fn let_go(&mut self, go_on: impl Fn(&Self) -> bool) -> Vec<Slab> {
        let mut freed = Vec::new();
        while go_on(self)
            && let Some(mut entry) = self.kept.last_entry()
        {
            let slab = entry.get_mut().pop();
            if entry.get().is_empty() {
                entry.remove();
            }
            let slab_bytes = slab.as_ref().map_or(0, Slab::len_bytes);
            self.kept_bytes -= slab_bytes;
            self.freeing_bytes += slab_bytes;
            freed.extend(slab);
        }
        freed
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
        state.returns += 1;
        match self.slab.take() {
            None => state.asking -= 1,
            Some(slab) => {
                state.held_bytes -= self.class_bytes;
                let raised_bytes = state.limit_bytes.saturating_add(state.limit_bytes / REGAINED_PART);
                state.limit_bytes = raised_bytes.min(self.memory.budget_bytes);
                state.kept_bytes += self.class_bytes;
                state.kept.entry(self.class_bytes).or_default().push(slab);
            }
        }
        drop(state);
        self.memory.changed.notify_all();
    }
}
