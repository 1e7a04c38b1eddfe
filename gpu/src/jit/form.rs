//! How the operands of a kernel lie: axes merged over all of them, and which of the variants that asks for.
//!
//! Invariant: what a kernel reads through a form lies in what the layouts cover; axes of one element and axes that every
//! operand walks like one are gone. Called by [`super::elementwise`] and [`super::reduction`].

use super::{Argument, total};
use crate::{Error, Result};
use blockwise_kernels::strided::Layout;

/// One operand: where its elements lie, if not in C order of the shape from the first byte on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operand {
    /// One step an axis, 0 to repeat; `None` for C order.
    pub layout: Option<Layout>,
}

/// How a kernel finds the elements of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// By the flat index of the shape.
    Flat,
    /// It is one element.
    Repeated,
    /// By steps along the axes; its number among those.
    Strided(usize),
}

/// Which text a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// All operands are flat or one element, and accesses of 16 bytes are aligned.
    Contiguous,
    /// Along the innermost axis all operands are contiguous or repeat.
    Rows,
    /// Any other.
    Strided,
}

/// Rows shorter than this are not worth a block's turn.
const LEAST_ROW: usize = 64;
/// Elements up to which indices are divided by multiplication.
const NARROW_ELEMENTS: usize = 1 << 31;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Axis {
    len: usize,
    /// Of each operand, in elements.
    steps: Vec<isize>,
}

/// Shape and operands of a call, as kernels see them.
///
/// ```
/// use blockwise_gpu::jit::{Form, Operand};
/// use blockwise_kernels::strided::Layout;
/// let row = Operand { layout: Some(Layout { offset: 0, strides: vec![0, 1] }) };
/// let form = Form::new(&[100, 200], &[Operand::default(), row], true)?;
/// assert_eq!(form.elements(), 20_000);
/// # Ok::<(), blockwise_gpu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    elements: usize,
    axes: Vec<Axis>,
    offsets: Vec<usize>,
    access: Vec<Access>,
    variant: Variant,
    aligned: bool,
    /// Whether indices are divided by multiplication, in 32 bits.
    narrow: bool,
}

impl Form {
    /// The form of a call. `aligned`: every operand begins at a multiple of 16 bytes, its offset counted, and so does every
    /// output.
    ///
    /// # Errors
    /// [`Error::Count`] if a layout has not the rank of the shape; [`Error::Overflow`].
    pub fn new(shape: &[usize], operands: &[Operand], aligned: bool) -> Result<Self> {
        let overflow = || Error::Overflow { shape: shape.to_vec() };
        let elements = total(shape)?;
        let c_order = Layout::c_order(shape).map_err(|_| overflow())?;
        let layouts: Vec<&Layout> =
            operands.iter().map(|operand| operand.layout.as_ref().unwrap_or(&c_order)).collect();
        for layout in &layouts {
            let (expected, given) = (shape.len(), layout.strides.len());
            if expected != given {
                return Err(Error::Count { what: "strides of an operand", expected, given });
            }
        }
        let mut axes: Vec<Axis> = Vec::new();
        for (number, &len) in shape.iter().enumerate().filter(|(_, len)| **len != 1) {
            let steps = layouts.iter().map(|layout| layout.strides.get(number).copied().unwrap_or(0));
            let axis = Axis { len, steps: steps.collect() };
            let extent = isize::try_from(len).map_err(|_| overflow())?;
            let continues = |outer: &Axis| {
                outer
                    .steps
                    .iter()
                    .zip(&axis.steps)
                    .all(|(outer, inner)| inner.checked_mul(extent) == Some(*outer))
            };
            match axes.last_mut() {
                Some(outer) if continues(outer) => *outer = Axis { len: outer.len * len, ..axis },
                _ => axes.push(axis),
            }
        }
        let mut form = Self {
            elements,
            offsets: layouts.iter().map(|layout| layout.offset).collect(),
            access: Vec::new(),
            variant: Variant::Strided,
            axes,
            aligned,
            narrow: elements < NARROW_ELEMENTS,
        };
        form.choose(operands.len());
        Ok(form)
    }

    /// The same form with indices of 64 bits, as large shapes have: for tests.
    #[must_use]
    pub const fn with_wide_indices(mut self) -> Self {
        self.narrow = false;
        self
    }

    /// Elements of the shape.
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.elements
    }

    /// Operands of the call.
    pub(super) const fn operands(&self) -> usize {
        self.offsets.len()
    }

    fn choose(&mut self, operands: usize) {
        if self.elements == 0 {
            // Nothing may be read, not even what repeats.
            self.access = vec![Access::Flat; operands];
            self.variant = Variant::Contiguous;
            return;
        }
        let mut strided = 0;
        for operand in 0..operands {
            let mut step = 1;
            let mut flat = true;
            for axis in self.axes.iter().rev() {
                flat &= axis.steps.get(operand) == Some(&step);
                step = step.saturating_mul(isize::try_from(axis.len).unwrap_or(isize::MAX));
            }
            let repeated = self.axes.iter().all(|axis| axis.steps.get(operand) == Some(&0));
            self.access.push(match (repeated, flat) {
                // What has one element only is both; one load serves.
                (true, _) => Access::Repeated,
                (_, true) => Access::Flat,
                _ => {
                    strided += 1;
                    Access::Strided(strided - 1)
                }
            });
        }
        let row = self.axes.last();
        let row_like = row.is_none_or(|axis| axis.steps.iter().all(|step| matches!(step, 0 | 1)));
        let long = self.axes.len() < 2 || row.is_some_and(|axis| axis.len >= LEAST_ROW);
        self.variant = if strided == 0 && self.aligned {
            Variant::Contiguous
        } else if strided == 0 || (row_like && long) {
            Variant::Rows
        } else {
            Variant::Strided
        };
    }

    pub(super) const fn variant(&self) -> Variant {
        self.variant
    }

    pub(super) const fn is_aligned(&self) -> bool {
        self.aligned
    }

    pub(super) fn access(&self, operand: usize) -> Access {
        self.access.get(operand).copied().unwrap_or(Access::Flat)
    }

    pub(super) fn offset(&self, operand: usize) -> usize {
        self.offsets.get(operand).copied().unwrap_or(0)
    }

    /// Operands that are found by steps.
    pub(super) fn strided(&self) -> usize {
        self.access.iter().filter(|access| matches!(access, Access::Strided(_))).count()
    }

    /// Whether every step of an operand along the innermost axis is 0.
    pub(super) fn repeats_in_row(&self, operand: usize) -> bool {
        self.axes.last().is_some_and(|axis| axis.steps.get(operand) == Some(&0))
    }

    /// The innermost axis' length, where flat operands alone make one row of everything.
    pub(super) fn columns(&self) -> usize {
        if self.strided() == 0 { self.elements } else { self.axes.last().map_or(1, |axis| axis.len) }
    }

    /// The parameter `layout` and its argument: all axes, or those around rows; `None` where no operand needs it.
    pub(super) fn layout(&self, of_rows: bool) -> Option<((String, String), Argument)> {
        let operands = self.strided();
        let (_, outer) = self.axes.split_last()?;
        let axes = if of_rows { outer } else { &self.axes };
        if operands == 0 || axes.is_empty() {
            return None;
        }
        let kind = if self.narrow { "Narrow" } else { "Wide" };
        let mut bytes = Vec::new();
        for axis in axes {
            if self.narrow {
                bytes.extend(divisor(axis.len).into_iter().flat_map(u32::to_ne_bytes));
            } else {
                bytes.extend((axis.len as u64).to_ne_bytes());
            }
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        for (operand, _) in
            self.access.iter().enumerate().filter(|(_, access)| matches!(access, Access::Strided(_)))
        {
            for axis in axes {
                let step = axis.steps.get(operand).copied().unwrap_or(0);
                bytes.extend((step as i64).to_ne_bytes());
            }
        }
        let parameter = (format!("const {kind}<{}, {operands}>", axes.len()), "layout".to_owned());
        Some((parameter, Argument::Value(bytes)))
    }
}

/// A `Divisor` of the prelude, for what is below 2^31. Source: T. Granlund, P. Montgomery, "Division by invariant integers
/// using multiplication" (1994).
fn divisor(by: usize) -> [u32; 3] {
    let by = u64::try_from(by).unwrap_or(1).max(1);
    let shift = by.next_power_of_two().trailing_zeros();
    let factor = (((1_u64 << shift) - by) << 32) / by + 1;
    let narrow = |word: u64| u32::try_from(word).unwrap_or(u32::MAX);
    [narrow(by), narrow(factor), shift]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operand(strides: &[isize]) -> Operand {
        Operand { layout: Some(Layout { offset: 0, strides: strides.to_vec() }) }
    }

    #[test]
    fn axes_that_lie_alike_are_one() {
        let form = Form::new(&[4, 1, 5, 6], &[Operand::default(), operand(&[0, 9, 0, 0])], true).unwrap();
        assert_eq!((form.variant(), form.axes.len()), (Variant::Contiguous, 1));
        assert_eq!((form.access(0), form.access(1)), (Access::Flat, Access::Repeated));
        let unaligned = Form::new(&[4, 5, 6], &[Operand::default()], false).unwrap();
        assert_eq!((unaligned.variant(), unaligned.columns()), (Variant::Rows, 120));
    }

    #[test]
    fn rows_and_steps_are_told_apart() {
        let rows = Form::new(&[4, 5, 100], &[Operand::default(), operand(&[100, 0, 1])], true).unwrap();
        assert_eq!((rows.variant(), rows.columns(), rows.strided()), (Variant::Rows, 100, 1));
        let turned = Form::new(&[100, 200], &[operand(&[1, 100])], true).unwrap();
        assert_eq!(turned.variant(), Variant::Strided);
        let short = Form::new(&[100, 3], &[Operand::default(), operand(&[0, 1])], true).unwrap();
        assert_eq!(short.variant(), Variant::Strided);
    }

    #[test]
    fn division_by_multiplication_is_exact() {
        let check = |n: u64, by: u64| {
            let [_, factor, shift] = divisor(usize::try_from(by).unwrap());
            let quotient = (((n * u64::from(factor)) >> 32) + n) >> shift;
            assert_eq!(quotient, n / by, "{n} / {by}");
        };
        let interesting: Vec<u64> =
            (0..31).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]).collect();
        for &by in interesting.iter().filter(|by| (1..1 << 31).contains(*by)) {
            for &n in &interesting {
                check(n, by);
                check((1 << 31) - 1 - n.min((1 << 31) - 1), by);
                check((n / by * by).saturating_sub(1), by);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(matches!(Form::new(&[2, 3], &[operand(&[1])], true), Err(Error::Count { .. })));
        assert!(matches!(Form::new(&[usize::MAX, 3], &[], true), Err(Error::Overflow { .. })));
    }

    #[test]
    fn large_shapes_have_wide_indices() {
        let kind = |len: usize| {
            let form = Form::new(&[len, 1 << 11], &[operand(&[1, 7])], true).unwrap();
            form.layout(false).unwrap().0.0
        };
        assert_eq!(
            (kind(1 << 19).as_str(), kind(1 << 20).as_str()),
            ("const Narrow<2, 1>", "const Wide<2, 1>")
        );
    }
}
