//! [`MemoryBudget`]: the bytes a run may hold, as a ledger.
//!
//! Invariant: reserved bytes never exceed the limit; what was reserved is released exactly once. It is a plain
//! ledger without a lock: the executor keeps it inside its own state and decides who waits. Called by the executor.

/// A ledger of reserved bytes under a limit.
///
/// ```
/// use blockwise_core::budget::MemoryBudget;
/// let mut budget = MemoryBudget::new(100);
/// assert!(budget.try_reserve(60) && !budget.try_reserve(60));
/// budget.release(60);
/// assert_eq!((budget.reserved_bytes(), budget.peak_bytes()), (0, 60));
/// ```
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    limit_bytes: u64,
    reserved_bytes: u64,
    peak_bytes: u64,
}

impl MemoryBudget {
    /// A budget of `limit_bytes`, none of them reserved.
    #[must_use]
    pub const fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, reserved_bytes: 0, peak_bytes: 0 }
    }

    /// Reserves `bytes` if they fit; says whether they did.
    pub fn try_reserve(&mut self, bytes: u64) -> bool {
        match self.reserved_bytes.checked_add(bytes) {
            Some(total) if total <= self.limit_bytes => {
                self.reserved_bytes = total;
                self.peak_bytes = self.peak_bytes.max(total);
                true
            }
            _ => false,
        }
    }

    /// Releases `bytes` that were reserved.
    pub fn release(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.reserved_bytes, "{bytes} released of {}", self.reserved_bytes);
        self.reserved_bytes = self.reserved_bytes.saturating_sub(bytes);
    }

    /// Bytes reserved now.
    #[must_use]
    pub const fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    /// The most bytes that were reserved at once.
    #[must_use]
    pub const fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// Bytes that may be reserved in all.
    #[must_use]
    pub const fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }
}
