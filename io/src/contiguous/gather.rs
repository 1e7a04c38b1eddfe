//! Reading one box of a strided array: runs of adjacent bytes, or spans that hold many short runs.
//!
//! Invariant: the output is filled whole, in the file's order of axes. A system call costs about as much as copying
//! [`GAP_BYTES`], so runs that are closer together are read in one span and picked out of it. Called by
//! [`StridedSource`](super::StridedSource) alone.

use crate::error::Result;
use blockwise_core::TaskContext;

/// Runs with gaps of at most this many bytes are read together.
const GAP_BYTES: u64 = 8 << 10;
/// Bytes of one span read; scratch of a box.
pub(super) const SPAN_BYTES: usize = 256 << 10;
/// Bytes read between two looks at the cancellation flag.
const BYTES_BETWEEN_CHECKS: usize = 16 << 20;

/// What is to be read: a run of adjacent bytes, repeated along outer axes.
#[derive(Debug)]
pub(super) struct Gather {
    /// Bytes of one run.
    run_bytes: u64,
    /// `(count, stride in bytes)` of the axes around the run, fastest first.
    axes: Vec<(u64, u64)>,
}

impl Gather {
    /// A run of one element of `item_bytes`.
    pub(super) const fn new(item_bytes: usize) -> Self {
        Self { run_bytes: item_bytes as u64, axes: Vec::new() }
    }

    /// Adds the next slower axis: `count` steps of `stride` bytes. Merges it where bytes adjoin.
    pub(super) fn push_outer_axis(&mut self, count: u64, stride: u64) {
        match self.axes.last_mut() {
            _ if count == 1 => {}
            None if stride == self.run_bytes => self.run_bytes = self.run_bytes.saturating_mul(count),
            Some((inner, inner_stride)) if inner_stride.saturating_mul(*inner) == stride => *inner *= count,
            _ => self.axes.push((count, stride)),
        }
    }

    /// Reads everything into `output`, the first byte from `start`.
    pub(super) fn run(
        &self,
        start: u64,
        output: &mut [u8],
        cx: &TaskContext<'_>,
        read: impl Fn(u64, &mut [u8]) -> Result<()>,
    ) -> blockwise_core::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let run_bytes = usize::try_from(self.run_bytes).unwrap_or(usize::MAX);
        let (inner_count, inner_stride) = self.axes.first().copied().unwrap_or((1, self.run_bytes));
        let row_bytes = run_bytes.saturating_mul(usize::try_from(inner_count).unwrap_or(usize::MAX));
        let runs_a_span = (SPAN_BYTES as u64).saturating_sub(self.run_bytes) / inner_stride.max(1) + 1;
        let in_spans = inner_count > 1
            && runs_a_span > 1
            && inner_stride >= self.run_bytes
            && inner_stride - self.run_bytes <= GAP_BYTES;
        let mut span = if in_spans {
            cx.pool().take(SPAN_BYTES.min(span_bytes(self, inner_count)))
        } else {
            cx.pool().take(0)
        };
        let mut unchecked_bytes = 0;
        for (row, target) in output.chunks_mut(row_bytes.max(1)).enumerate() {
            let at = start + self.row_offset(row as u64);
            if in_spans {
                let piece_bytes =
                    usize::try_from(runs_a_span).unwrap_or(usize::MAX).saturating_mul(run_bytes);
                for (piece, target) in target.chunks_mut(piece_bytes).enumerate() {
                    let runs = (target.len() / run_bytes) as u64;
                    let len =
                        usize::try_from((runs - 1) * inner_stride + self.run_bytes).unwrap_or(usize::MAX);
                    let Some(bytes) = span.get_mut(..len) else { continue };
                    read(at + piece as u64 * runs_a_span * inner_stride, bytes)?;
                    let step = usize::try_from(inner_stride).unwrap_or(usize::MAX);
                    for (run, source) in target.chunks_exact_mut(run_bytes).zip(bytes.chunks(step)) {
                        if let Some(source) = source.get(..run_bytes) {
                            run.copy_from_slice(source);
                        }
                    }
                }
            } else {
                for (run, target) in target.chunks_mut(run_bytes).enumerate() {
                    let at = at + run as u64 * inner_stride;
                    for (piece, target) in target.chunks_mut(BYTES_BETWEEN_CHECKS).enumerate() {
                        read(at + (piece * BYTES_BETWEEN_CHECKS) as u64, target)?;
                        unchecked_bytes += target.len();
                        if unchecked_bytes >= BYTES_BETWEEN_CHECKS {
                            cx.check_cancelled()?;
                            unchecked_bytes = 0;
                        }
                    }
                }
            }
        }
        cx.check_cancelled()
    }

    /// Bytes from the first run to the first run of row `row`, rows counted over all axes but the fastest.
    fn row_offset(&self, row: u64) -> u64 {
        let mut rest = row;
        let mut offset = 0;
        for (count, stride) in self.axes.iter().skip(1) {
            offset += rest % count * stride;
            rest /= count;
        }
        offset
    }
}

/// Bytes from the first byte to the last of `runs` runs of the fastest axis.
fn span_bytes(gather: &Gather, runs: u64) -> usize {
    let (_, stride) = gather.axes.first().copied().unwrap_or((1, 0));
    let bytes = runs.saturating_sub(1).saturating_mul(stride).saturating_add(gather.run_bytes);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
