//! Chunk memory: 64-byte aligned buffers that go back to a pool when dropped.
//!
//! Fresh pages cost a fault each and are zeroed by the kernel; a pipeline that allocates and frees 40 MB a chunk
//! spends a sixth of its time there. The pool keeps freed buffers and hands them out again without clearing them.
//! All but small buffers are anonymous mappings of their own, so that freeing one gives its pages back at once: a general
//! allocator keeps freed megabytes for itself as it sees fit, once for every thread, and the budget would be a hope.
//! Invariants: live plus retained bytes stay at or below the pool's limit whenever live bytes alone do; a buffer's
//! memory is always initialised. Called by core's executor and by every source and codec.

use crate::sync::{Mutex, MutexGuard};
use bytemuck::{Pod, Zeroable};
use memmap2::MmapMut;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

/// Alignment of every buffer, in bytes: a cache line, and the widest vector register.
pub const ALIGNMENT_BYTES: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT_BYTES]);

/// Bytes aligned to 64, of a fixed length; returned to their pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    memory: Memory,
    len_bytes: usize,
    pool: Option<Arc<Shared>>,
}

/// Buffers from this size on are mappings of their own.
const MAPPED_FROM_BYTES: usize = 256 << 10;

/// So are those from this size on, while there are not too many: pieces of chunks that wait on disk are as small, and a budget may be
/// full of them.
const MAPPED_WHILE_FEW_FROM_BYTES: usize = 32 << 10;

/// How many of the smaller mappings there may be: a process has 65,530 of all kinds on Linux, unless told otherwise.
const FEW_MAPPINGS: usize = 16 << 10;

/// The smaller mappings of the process.
static SMALL_MAPPINGS: AtomicUsize = AtomicUsize::new(0);

/// A large page: mappings from this size on start at one and ask for as many as they hold whole.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Where the larger buffers of a pool lie, if not in memory of this process alone: in pages that a device reads and writes, too.
pub trait Pages: std::fmt::Debug + Send + Sync {
    /// Zeroed memory of `len_bytes`, aligned to [`ALIGNMENT_BYTES`]; `None` if there is none to be had, which is no fault.
    fn page(&self, len_bytes: usize) -> Option<Box<dyn Page>>;
}

/// Memory that [`Pages`] gave; dropping it gives it back.
pub trait Page: Send + Sync {
    /// Its bytes, always as many.
    fn bytes(&self) -> &[u8];

    /// Its bytes, to write.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// An anonymous mapping. A large one is longer than its memory, which starts at a large page; what lies before and behind is
/// address space that nothing touches.
struct Mapping {
    mapping: MmapMut,
    start: usize,
    len_bytes: usize,
}

impl Mapping {
    /// `None` if the system refuses one.
    fn fresh(len_bytes: usize) -> Option<Self> {
        if len_bytes < HUGE_PAGE_BYTES {
            return Some(Self { mapping: MmapMut::map_anon(len_bytes).ok()?, start: 0, len_bytes });
        }
        let mapping = MmapMut::map_anon(len_bytes.saturating_add(HUGE_PAGE_BYTES)).ok()?;
        let start = mapping.as_ptr().addr().next_multiple_of(HUGE_PAGE_BYTES) - mapping.as_ptr().addr();
        // Large pages: a five-hundredth of the faults, and few misses where rows of many chunks are gathered. A part of one stays
        // small pages, so that no more becomes resident than was asked for. A wish, so a refusal is no fault.
        #[cfg(target_os = "linux")]
        let _ =
            mapping.advise_range(memmap2::Advice::HugePage, start, len_bytes - len_bytes % HUGE_PAGE_BYTES);
        Some(Self { mapping, start, len_bytes })
    }

    fn bytes(&self) -> &[u8] {
        &self.mapping[self.start..self.start + self.len_bytes]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.mapping[self.start..self.start + self.len_bytes]
    }
}

/// Aligned, initialised memory of a size class.
enum Memory {
    Heap(Vec<Line>),
    Mapped(Mapping),
    Lent(Box<dyn Page>),
}

impl Memory {
    /// Zeroed memory. Where the system refuses a mapping, the heap is asked, whose failure ends the process.
    fn fresh(class_bytes: usize) -> Self {
        if Self::may_be_mapped(class_bytes)
            && let Some(mapping) = Mapping::fresh(class_bytes)
        {
            if class_bytes < MAPPED_FROM_BYTES {
                SMALL_MAPPINGS.fetch_add(1, Ordering::Relaxed);
            }
            return Self::Mapped(mapping);
        }
        Self::Heap(bytemuck::zeroed_vec(class_bytes / ALIGNMENT_BYTES))
    }

    fn may_be_mapped(class_bytes: usize) -> bool {
        class_bytes >= MAPPED_FROM_BYTES
            || class_bytes >= MAPPED_WHILE_FEW_FROM_BYTES
                && SMALL_MAPPINGS.load(Ordering::Relaxed) < FEW_MAPPINGS
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(lines) => bytemuck::cast_slice(lines),
            Self::Mapped(mapping) => mapping.bytes(),
            Self::Lent(page) => page.bytes(),
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(lines) => bytemuck::cast_slice_mut(lines),
            Self::Mapped(mapping) => mapping.bytes_mut(),
            Self::Lent(page) => page.bytes_mut(),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if matches!(self, Self::Mapped(mapping) if mapping.len_bytes < MAPPED_FROM_BYTES) {
            SMALL_MAPPINGS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

impl Buffer {
    /// A buffer of `len_bytes` zeros that belongs to no pool.
    #[must_use]
    pub fn zeroed(len_bytes: usize) -> Self {
        Self { memory: Memory::fresh(size_class_bytes(len_bytes)), len_bytes, pool: None }
    }

    /// Bytes in the buffer.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len_bytes
    }

    /// Whether the buffer holds no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Shortens the buffer; the memory stays its own until it is dropped. Longer than it is: no change.
    pub fn truncate(&mut self, len_bytes: usize) {
        self.len_bytes = self.len_bytes.min(len_bytes);
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory.bytes()[..self.len_bytes]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[..self.len_bytes]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(std::mem::take(&mut self.memory));
        }
    }
}

/// Hands out [`Buffer`]s and keeps the returned ones for reuse. Cloning shares the pool.
///
/// ```
/// use blockwise_kernels::BufferPool;
/// let pool = BufferPool::new(1 << 20);
/// let first = pool.take(1000);
/// assert_eq!((first.len(), first.as_ptr() as usize % 64), (1000, 0));
/// drop(first);
/// assert_eq!(pool.live_bytes(), 0);
/// assert!(pool.retained_bytes() >= 1000);
/// ```
#[derive(Clone, Debug)]
pub struct BufferPool {
    shared: Arc<Shared>,
    /// Whether buffers that are taken of it never lie in lent pages.
    is_plain: bool,
}

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    pages: Option<Arc<dyn Pages>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live_bytes: usize,
    retained_bytes: usize,
    /// Returned memory by size class, but for lent pages.
    free: BTreeMap<usize, Vec<Memory>>,
    /// Returned pages, by their bytes. They are let go last: a device's are slow to come by.
    lent: BTreeMap<usize, Vec<Memory>>,
}

impl BufferPool {
    /// A pool that frees retained memory rather than let live plus retained bytes pass `limit_bytes`. It does not
    /// refuse: what may be live is the budget's business.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self::with_pages(limit_bytes, None)
    }

    /// As [`BufferPool::new`]; its larger buffers lie in `pages`, as far as they last.
    #[must_use]
    pub fn with_pages(limit_bytes: usize, pages: Option<Arc<dyn Pages>>) -> Self {
        Self { shared: Arc::new(Shared { limit_bytes, pages, state: Mutex::default() }), is_plain: false }
    }

    /// The same pool, for what no device is to reach, such as encoded bytes: its buffers lie in ordinary memory.
    ///
    /// ```
    /// use blockwise_kernels::BufferPool;
    /// let pool = BufferPool::new(1 << 20);
    /// let encoded = pool.plain().take(1001);
    /// assert_eq!(pool.live_bytes(), 1024);
    /// # drop(encoded);
    /// ```
    #[must_use]
    pub fn plain(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), is_plain: true }
    }

    /// A buffer of `len_bytes` with unspecified (old or zero) content, to be overwritten whole.
    #[must_use]
    pub fn take(&self, len_bytes: usize) -> Buffer {
        let lent = if self.is_plain { None } else { self.shared.page(len_bytes) };
        if let Some(memory) = lent {
            return Buffer { memory, len_bytes, pool: Some(Arc::clone(&self.shared)) };
        }
        let class_bytes = size_class_bytes(len_bytes);
        let recycled = {
            let mut state = self.shared.state();
            state.live_bytes += class_bytes;
            let recycled = state.free.get_mut(&class_bytes).and_then(Vec::pop);
            if recycled.is_some() {
                state.retained_bytes -= class_bytes;
            }
            let freed = state.trim(self.shared.limit_bytes);
            drop(state);
            drop(freed);
            recycled
        };
        let memory = recycled.unwrap_or_else(|| Memory::fresh(class_bytes));
        Buffer { memory, len_bytes, pool: Some(Arc::clone(&self.shared)) }
    }

    /// A buffer of `len_bytes` zeros.
    #[must_use]
    pub fn take_zeroed(&self, len_bytes: usize) -> Buffer {
        let mut buffer = self.take(len_bytes);
        buffer.fill(0);
        buffer
    }

    /// Counts `bytes` that are held outside of the pool (tables of a library, say) as live until the result is dropped: what is kept
    /// for reuse makes room for them.
    ///
    /// ```
    /// use blockwise_kernels::BufferPool;
    /// let pool = BufferPool::new(1 << 20);
    /// drop(pool.take(1 << 20));
    /// let table = pool.set_aside(1 << 19);
    /// assert_eq!((pool.live_bytes(), pool.retained_bytes()), (1 << 19, 0));
    /// drop(table);
    /// assert_eq!(pool.live_bytes(), 0);
    /// ```
    #[must_use]
    pub fn set_aside(&self, bytes: usize) -> SetAside {
        let mut state = self.shared.state();
        state.live_bytes = state.live_bytes.saturating_add(bytes);
        let freed = state.trim(self.shared.limit_bytes);
        drop(state);
        drop(freed);
        SetAside { bytes, pool: Arc::clone(&self.shared) }
    }

    /// Bytes in buffers that are in use, and set aside.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.shared.state().live_bytes
    }

    /// Bytes kept for reuse.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.shared.state().retained_bytes
    }

    /// Frees everything kept for reuse.
    pub fn release_retained(&self) {
        let freed = self.shared.state().trim(0);
        drop(freed);
    }
}

/// Bytes outside of a pool that count as live in it.
#[derive(Debug)]
pub struct SetAside {
    bytes: usize,
    pool: Arc<Shared>,
}

impl Drop for SetAside {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.live_bytes = state.live_bytes.saturating_sub(self.bytes);
    }
}

/// What the memory that [`Pages`] lend comes in.
const PAGE_BYTES: usize = 4096;

/// A page serves buffers that leave so many of its bytes unused, as a part of all: one in eight.
const UNUSED_PART: usize = 8;

impl Shared {
    /// A page for a buffer, which counts as live then; `None` where there is none to be had, or the buffer is small. What lies in pages is
    /// resident as a whole, its tail too: a fresh one has hardly any, but those that are nearly as long serve again.
    fn page(&self, len_bytes: usize) -> Option<Memory> {
        let pages = self.pages.as_deref().filter(|_| len_bytes >= MAPPED_FROM_BYTES)?;
        let page_bytes = len_bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let (recycled, freed) = {
            let mut state = self.state();
            let longest = page_bytes.saturating_add(page_bytes / UNUSED_PART);
            let recycled = state.lent.range_mut(page_bytes..=longest).find_map(|(_, kept)| kept.pop());
            let taken_bytes = recycled.as_ref().map_or(0, |memory| memory.bytes().len());
            state.retained_bytes -= taken_bytes;
            state.live_bytes += if recycled.is_some() { taken_bytes } else { page_bytes };
            (recycled, state.trim(self.limit_bytes))
        };
        drop(freed);
        let fresh = || {
            pages.page(page_bytes).filter(|page| {
                let bytes = page.bytes();
                bytes.len() == page_bytes && bytes.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES)
            })
        };
        let found = recycled.or_else(|| fresh().map(Memory::Lent));
        if found.is_none() {
            self.state().live_bytes -= page_bytes;
        }
        found
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is counters and lists, valid between any two statements, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, memory: Memory) {
        let class_bytes = memory.bytes().len();
        let mut state = self.state();
        state.live_bytes -= class_bytes;
        state.retained_bytes += class_bytes;
        let kept = if matches!(memory, Memory::Lent(_)) { &mut state.lent } else { &mut state.free };
        kept.entry(class_bytes).or_default().push(memory);
        let freed = state.trim(self.limit_bytes);
        drop(state);
        drop(freed); // outside the lock: unmapping is slow
    }
}

impl State {
    /// Takes out retained memory, largest first and lent pages last, until live plus retained is at most `limit_bytes`.
    fn trim(&mut self, limit_bytes: usize) -> Vec<Memory> {
        let mut freed = Vec::new();
        while self.retained_bytes > 0 && self.live_bytes.saturating_add(self.retained_bytes) > limit_bytes {
            let kept = if self.free.is_empty() { &mut self.lent } else { &mut self.free };
            let Some(mut entry) = kept.last_entry() else { break };
            if let Some(memory) = entry.get_mut().pop() {
                self.retained_bytes -= memory.bytes().len();
                freed.push(memory);
            }
            if entry.get().is_empty() {
                entry.remove();
            }
        }
        freed
    }
}

/// Bytes that a buffer of `len_bytes` takes: rounded up to an eighth of its power of two, so that chunks of nearly
/// one size (edges, encoded bytes) share memory. The tail beyond `len_bytes` is never touched, so never resident
/// once it spans pages.
#[must_use]
pub fn size_class_bytes(len_bytes: usize) -> usize {
    let step = (len_bytes.max(1).next_power_of_two() / 16).max(ALIGNMENT_BYTES);
    len_bytes.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for len in [0, 1, 63, 64, 65, 1000, 4096, 41_587_200, (1 << 30) + 1] {
            let class = size_class_bytes(len);
            assert!(class >= len && class.is_multiple_of(ALIGNMENT_BYTES), "{len} {class}");
            assert!(class - len < (len / 8).max(ALIGNMENT_BYTES), "{len} {class}");
        }
    }

    #[test]
    fn large_buffers_start_at_large_pages() {
        for len in [HUGE_PAGE_BYTES, HUGE_PAGE_BYTES + 1, 3 * HUGE_PAGE_BYTES - 1] {
            let mut buffer = Buffer::zeroed(len);
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % HUGE_PAGE_BYTES), (len, 0));
            buffer.fill(1);
            assert!(buffer.iter().all(|x| *x == 1));
        }
    }

    #[test]
    fn memory_is_reused_and_trimmed() {
        let pool = BufferPool::new(10_000);
        let address = {
            let mut buffer = pool.take(4000);
            buffer.fill(7);
            buffer.as_ptr() as usize
        };
        let again = pool.take(3999);
        assert_eq!(again.as_ptr() as usize, address);
        drop(again);
        let large = pool.take(9000);
        assert_eq!(pool.retained_bytes(), 0, "retained memory must give way");
        drop(large);
        pool.release_retained();
        assert_eq!((pool.live_bytes(), pool.retained_bytes()), (0, 0));
    }

    /// Pages of the heap, so many.
    #[derive(Debug)]
    struct Few(AtomicUsize);

    impl Pages for Few {
        fn page(&self, len_bytes: usize) -> Option<Box<dyn Page>> {
            let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.ok()
                .map(|_| Box::new(Own(bytemuck::zeroed_vec(len_bytes / ALIGNMENT_BYTES))) as Box<dyn Page>)
        }
    }

    struct Own(Vec<Line>);

    impl Page for Own {
        fn bytes(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }

        fn bytes_mut(&mut self) -> &mut [u8] {
            bytemuck::cast_slice_mut(&mut self.0)
        }
    }

    #[test]
    fn large_buffers_lie_in_pages_while_there_are_some() {
        let pool = BufferPool::with_pages(10 << 20, Some(Arc::new(Few(AtomicUsize::new(1)))));
        let mut buffers: Vec<Buffer> = [(1 << 20) + 1, 1 << 20, 1000].map(|len| pool.take(len)).into();
        assert_eq!(
            pool.live_bytes(),
            (2 << 20) + PAGE_BYTES + size_class_bytes(1000),
            "no more than a page beyond each"
        );
        let lent = |buffer: &Buffer| matches!(buffer.memory, Memory::Lent(_));
        assert_eq!(buffers.iter().map(lent).collect::<Vec<_>>(), [true, false, false]);
        buffers.iter_mut().for_each(|buffer| buffer.fill(3));
        assert!(buffers.iter().flat_map(|buffer| buffer.iter()).all(|byte| *byte == 3));
        drop(buffers);
        let again = [pool.take((1 << 20) + 9), pool.take(1 << 20)];
        assert!(again.iter().any(lent), "it is kept for reuse");
    }

    #[test]
    fn lent_pages_serve_again_go_last_and_hold_nothing_plain() {
        let pages = Arc::new(Few(AtomicUsize::new(100)));
        let left = Arc::clone(&pages);
        let pool = BufferPool::with_pages(4 << 20, Some(pages));
        let lent = |buffer: &Buffer| matches!(buffer.memory, Memory::Lent(_));
        drop(pool.take(1 << 20));
        let (shorter, plain) = (pool.take((1 << 20) - 50_000), pool.plain().take((1 << 20) + 1));
        assert!(lent(&shorter) && !lent(&plain));
        assert_eq!(left.0.load(Ordering::SeqCst), 99, "the page that was there serves");
        drop((shorter, plain));
        let large = pool.plain().take((5 << 20) / 2);
        assert_eq!(pool.retained_bytes(), 1 << 20, "what is plain gives way first");
        drop(large);
        assert!(lent(&pool.take(1 << 20)));
        assert_eq!(left.0.load(Ordering::SeqCst), 99);
        pool.release_retained();
        assert_eq!((pool.live_bytes(), pool.retained_bytes()), (0, 0));
    }

    #[test]
    fn empty_buffers_are_fine() {
        let pool = BufferPool::new(0);
        assert!(pool.take(0).is_empty());
        assert_eq!(Buffer::zeroed(100).iter().sum::<u8>(), 0);
    }
}
