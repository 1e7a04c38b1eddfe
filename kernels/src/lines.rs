//! A chunk seen as lines along one axis.
//!
//! Invariant: the element at `(outer, k, inner)` stands at `(outer * len + k) * inner_count + inner`; the line it
//! belongs to has the number `outer * inner_count + inner`, C order of the other axes. Called by scans, sorts, gathers,
//! distances and Fourier transforms.

pub(crate) mod panel;

use crate::KernelError;

/// A C-ordered chunk as `outer` x `len` x `inner`: the axes before, the axis itself, the axes after.
///
/// ```
/// use blockwise_kernels::Lines;
/// let lines = Lines::new(&[2, 3, 4, 5], 1)?;
/// assert_eq!((lines.outer, lines.len, lines.inner, lines.count()), (2, 3, 20, 40));
/// # Ok::<(), blockwise_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Elements of the axes before.
    pub outer: usize,
    /// Elements of a line.
    pub len: usize,
    /// Elements of the axes after: the distance between neighbours in a line.
    pub inner: usize,
}

impl Lines {
    /// The lines of a chunk of `shape` along `axis`.
    ///
    /// # Errors
    /// [`KernelError::Axis`], [`KernelError::Overflow`].
    pub fn new(shape: &[usize], axis: usize) -> Result<Self, KernelError> {
        let overflow = || KernelError::Overflow { shape: shape.to_vec() };
        let (Some(before), Some(&len), Some(after)) =
            (shape.get(..axis), shape.get(axis), shape.get(axis.saturating_add(1)..))
        else {
            return Err(KernelError::Axis { axis, rank: shape.len() });
        };
        let product = |lengths: &[usize]| {
            lengths.iter().try_fold(1_usize, |total, &len| total.checked_mul(len)).ok_or_else(overflow)
        };
        let lines = Self { outer: product(before)?, len, inner: product(after)? };
        lines.outer.checked_mul(lines.inner).and_then(|n| n.checked_mul(len.max(1))).ok_or_else(overflow)?;
        Ok(lines)
    }

    /// Lines there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.outer * self.inner
    }

    /// Elements of all lines.
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.outer * self.inner * self.len
    }
}
