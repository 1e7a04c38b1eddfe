//! [`Slots`]: how many threads of a run compute at a time. A thread that waits for a device lends its slot to another.
//!
//! Invariant: no more threads than there are slots hold one, whatever ends a wait. Called by [`crate::exec`] around the steps of a
//! stage, and by sinks through [`TaskContext::waiting`](crate::TaskContext::waiting).

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;

/// The right to compute, for so many threads at a time.
pub(crate) struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a slot and takes it.
    pub(crate) fn acquire(&self) {
        let is_none = |free: &mut usize| *free == 0;
        let free = self.freed.wait_while(self.free(), is_none);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    /// Gives back a slot that was taken.
    pub(crate) fn release(&self) {
        *self.free() += 1;
        self.freed.notify_one();
    }

    /// Calls `wait` while others may use the caller's slot.
    pub(crate) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.release();
        let _back = Back(self);
        wait()
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        // A count is valid between any two statements, so a poisoned lock is still good.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a slot again when it is dropped, by a panic too.
struct Back<'a>(&'a Slots);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.acquire();
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
        assert_eq!((*slots.free(), waiting.into_inner()), (2, 1000));
        assert!(most.into_inner() <= 2);
    }
}
