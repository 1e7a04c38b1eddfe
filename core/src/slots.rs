//! [`Slots`]: how many threads of a run compute at a time. A thread that waits for a device lends its slot to another.
//!
//! Invariant: no more threads than there are slots hold one, whatever ends a wait. Called by [`crate::exec`] around the steps of a
//! stage, and by sinks through [`TaskContext::waiting`](crate::TaskContext::waiting).

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;

/// The right to compute, for so many threads at a time.
pub(crate) struct Slots {
    state: Mutex<State>,
    freed: Condvar,
    freed_for_returning: Condvar,
}

struct State {
    free: usize,
    /// Threads that lent their slots in the middle of a step and want them back.
    returning: usize,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        let state = Mutex::new(State { free: count, returning: 0 });
        Self { state, freed: Condvar::new(), freed_for_returning: Condvar::new() }
    }

    /// Waits for a slot and takes it. Threads in the middle of a step go first: they hold memory that others wait for.
    pub(crate) fn acquire(&self) {
        let is_none = |state: &mut State| state.free <= state.returning;
        let state = self.freed.wait_while(self.state(), is_none);
        state.unwrap_or_else(PoisonError::into_inner).free -= 1;
    }

    /// Gives back a slot that was taken.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.free += 1;
        if state.returning > 0 { self.freed_for_returning.notify_one() } else { self.freed.notify_one() }
    }

    /// Between two steps: whether a thread in the middle of one wants a slot.
    pub(crate) fn are_wanted(&self) -> bool {
        let state = self.state();
        state.returning > state.free
    }

    /// Calls `wait` while others may use the caller's slot.
    pub(crate) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.release();
        let _back = Back(self);
        wait()
    }

    fn acquire_again(&self) {
        let mut state = self.state();
        state.returning += 1;
        let state = self.freed_for_returning.wait_while(state, |state| state.free == 0);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.free -= 1;
        state.returning -= 1;
        // What was kept for this thread may be another's now.
        if state.free > state.returning {
            self.freed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are valid between any two statements, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a slot again when it is dropped, by a panic too.
struct Back<'a>(&'a Slots);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.acquire_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn as_many_compute_as_there_are_slots() {
        let (slots, now, most) = (Slots::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let waiting = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..5 {
                let (slots, now, most, waiting) = (&slots, &now, &most, &waiting);
                scope.spawn(move || {
                    for step in 0..200 {
                        slots.acquire();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        now.fetch_sub(1, Ordering::SeqCst);
                        let waits = || {
                            waiting.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            assert!(n != 4 || step % 7 != 0);
                        };
                        let _ = catch_unwind(AssertUnwindSafe(|| slots.waiting(waits)));
                        slots.release();
                    }
                });
            }
        });
        let state = slots.state();
        assert_eq!((state.free, state.returning, waiting.into_inner()), (2, 0, 1000));
        assert!(most.into_inner() <= 2);
    }

    #[test]
    fn who_is_in_the_middle_of_a_step_goes_first() {
        let slots = Slots::new(1);
        let order = Mutex::new(Vec::new());
        let note = |what| order.lock().unwrap().push(what);
        std::thread::scope(|scope| {
            slots.acquire();
            scope.spawn(|| {
                slots.waiting(|| {
                    // The lent slot is taken by another, who goes on only when it is wanted back.
                    slots.acquire();
                    scope.spawn(|| {
                        while !slots.are_wanted() {
                            std::thread::yield_now();
                        }
                        scope.spawn(|| {
                            slots.acquire();
                            note("another");
                            slots.release();
                        });
                        slots.release();
                    });
                });
                note("in a step");
                slots.release();
            });
        });
        assert_eq!(*order.lock().unwrap(), ["in a step", "another"]);
        assert!(!slots.are_wanted());
    }
}
