//! Panels: some lines gathered side by side, so that whoever works on lines sees each as one slice.
//!
//! Invariant: the panels of [`panels`] cover every line once, in order. Called by [`crate::order`], [`crate::distance`] and
//! [`crate::fourier`].

use crate::strided::{Layout, copy};
use crate::{Buffer, KernelError, Lines};

/// Bytes a panel should not exceed: it stays in the second-level cache.
const PANEL_BYTES: usize = 256 << 10;

/// Lines whose numbers follow one another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    /// The first line.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

/// Lines of a panel: at least as many as share a cache line, if they lie side by side.
fn panel_lines(lines: Lines, item_bytes: usize) -> usize {
    let least = if lines.inner > 1 { 64 / item_bytes } else { 1 };
    let fitting = PANEL_BYTES / (lines.len * item_bytes).max(1);
    let most = if lines.inner > 1 { lines.inner } else { lines.outer };
    fitting.max(least).min(most).max(1)
}

/// Bytes of one panel.
pub(crate) fn panel_bytes(lines: Lines, item_bytes: usize) -> usize {
    panel_lines(lines, item_bytes).saturating_mul(lines.len).saturating_mul(item_bytes)
}

/// The panels of a chunk.
pub(crate) fn panels(lines: Lines, item_bytes: usize) -> impl Iterator<Item = Panel> {
    let step = panel_lines(lines, item_bytes);
    let (groups, group) = if lines.inner > 1 { (lines.outer, lines.inner) } else { (1, lines.count()) };
    (0..groups).flat_map(move |outer| {
        (0..group)
            .step_by(step)
            .map(move |from| Panel { first: outer * group + from, count: step.min(group - from) })
    })
}

impl Panel {
    /// Where its lines lie in a chunk of `lines`, and how they lie in the panel.
    fn layouts(self, lines: Lines) -> (Layout, Layout, [usize; 2]) {
        let (outer, inner) = (self.first / lines.inner.max(1), self.first % lines.inner.max(1));
        let next = if lines.inner > 1 { 1 } else { lines.len };
        let strides = |a: usize, b: usize| vec![a.cast_signed(), b.cast_signed()];
        let chunk =
            Layout { offset: outer * lines.len * lines.inner + inner, strides: strides(next, lines.inner) };
        (chunk, Layout { offset: 0, strides: strides(lines.len, 1) }, [self.count, lines.len])
    }

    /// Copies the panel's lines from a chunk, one after another.
    pub(crate) fn gather(self, chunk: &[u8], lines: Lines, item_bytes: usize, into: &mut Buffer) {
        let (from, to, shape) = self.layouts(lines);
        let len = self.count * lines.len * item_bytes;
        // The lengths were checked by the caller, so that the layouts hold.
        let _ = copy(into.get_mut(..len).unwrap_or_default(), &to, chunk, &from, &shape, item_bytes);
    }

    /// Copies the panel's lines back to a chunk of `lines`.
    pub(crate) fn scatter(self, panel: &[u8], chunk: &mut [u8], lines: Lines, item_bytes: usize) {
        let (to, from, shape) = self.layouts(lines);
        let _ = copy(chunk, &to, panel, &from, &shape, item_bytes);
    }
}

/// A buffer for panels.
pub(crate) fn panel_buffer(lines: Lines, item_bytes: usize) -> Result<Buffer, KernelError> {
    let bytes = panel_bytes(lines, item_bytes);
    if bytes > isize::MAX as usize || u32::try_from(lines.len).is_err() {
        return Err(KernelError::Overflow { shape: vec![lines.outer, lines.len, lines.inner] });
    }
    Ok(Buffer::zeroed(bytes))
}
