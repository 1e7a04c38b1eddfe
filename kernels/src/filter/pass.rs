//! Filters as passes: what whoever carries them out elsewhere than on this machine's processors has to know.
//!
//! A chain of steps is a list of passes, each of which makes one box of another; edges are already places among what is held,
//! so that nobody else needs to know modes. Invariant: passes carried out one after another, each rounded to its own dtype,
//! give the bits that [`Filter::run`] gives, if windows are added up in the orders that [`Work`] tells. Called by
//! back ends for devices.

pub use super::correlate::Symmetry;
pub use super::herk::Running;
pub use super::span::Span;
pub use super::window::Points;

use super::line::Op;
use super::step::{Kind, Step};
use super::stream::needed;
use super::{Filter, Terms, space};
use crate::{DType, KernelError};
use std::ops::Range;

/// One window over one box.
#[derive(Clone, Debug)]
pub struct Pass<'a> {
    /// The dtype of what it reads.
    pub input: DType,
    /// The dtype of what it makes.
    pub output: DType,
    /// Elements along each axis of the box that it reads.
    pub from: Vec<usize>,
    /// Elements along each axis of the box that it makes.
    pub to: Vec<usize>,
    /// What it does.
    pub work: Work<'a>,
}

/// What a pass does. Elements are float64, but for ranks of 64-bit integers, which are those.
#[derive(Clone, Debug)]
pub enum Work<'a> {
    /// A window along one axis becomes a weighted sum. Even and odd weights: the middle first, then pairs from the outside in,
    /// each added (subtracted) before it is weighted; others: the last first, then from the first on.
    Correlate {
        /// The axis.
        axis: usize,
        /// What windows see along it.
        span: Span,
        /// One for each element of a window.
        weights: &'a [f64],
        /// How those before the middle go with those after it.
        symmetry: Symmetry,
    },
    /// A window along one axis becomes its smallest or largest element, or its mean. Blocks of elements as long as a window begin at multiples
    /// of that in the array; what of a window lies in the first of its two blocks is joined from its end on, what lies in the second
    /// from its start on, then both.
    Running {
        /// The axis.
        axis: usize,
        /// What windows see along it.
        span: Span,
        /// Elements of a window.
        size: usize,
        /// What windows become.
        of: Running,
    },
    /// The points of a window become one element, one after another.
    Points {
        /// What windows see along each axis.
        spans: Vec<Span>,
        /// The place of each point in the window.
        places: &'a [Vec<usize>],
        /// What they become.
        of: &'a Points,
    },
}

/// Passes one after another.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    /// The box that the first reads.
    pub reads: Vec<Range<i64>>,
    /// The passes; without any the result is what is read, in the filter's dtype.
    pub passes: Vec<Pass<'a>>,
}

impl Filter {
    /// The passes of every chain for the box `wanted` of the result, of an array of `dtype` and `extents`; an axis that has none goes on as its
    /// other end.
    ///
    /// ```
    /// use blockwise_kernels::DType;
    /// use blockwise_kernels::filter::{Edge, Filter, Step};
    /// let mean = |axis| Step::uniform(axis, 3, 0, Edge::Nearest);
    /// let both = Filter::chain(vec![mean(0)?, mean(1)?], DType::F32);
    /// let chains = both.passes(DType::U8, &[4..8, 0..10], &[Some(20), Some(10)])?;
    /// assert_eq!(chains[0].reads, [3..9, 0..10]);
    /// assert_eq!(chains[0].passes[0].from, [6, 10]);
    /// assert_eq!(chains[0].passes[1].to, [4, 10]);
    /// # Ok::<(), blockwise_kernels::KernelError>(())
    /// ```
    ///
    /// # Errors
    /// If a dtype is complex, or the steps do not fit the axes.
    pub fn passes(
        &self,
        dtype: DType,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
    ) -> Result<Vec<Chain<'_>>, KernelError> {
        self.chains.iter().map(|steps| self.chain_of(steps, dtype, wanted, extents)).collect()
    }

    fn chain_of<'a>(
        &self,
        steps: &'a [Step],
        dtype: DType,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
    ) -> Result<Chain<'a>, KernelError> {
        let (mut passes, mut input) = (Vec::with_capacity(steps.len()), dtype);
        let reads = needed(steps, wanted, extents);
        let mut held = reads.clone();
        for (number, step) in steps.iter().enumerate() {
            let rest = steps.get(number + 1..).unwrap_or_default();
            let to = needed(rest, wanted, extents);
            let output = step.dtype.unwrap_or(self.dtype);
            if let Some(dtype) = [input, output].into_iter().find(|dtype| dtype.kind() == 'c') {
                return Err(KernelError::Refused { operation: "a filter of real numbers", dtype });
            }
            let work = step.work(&held, input, &to, extents)?;
            let (from, made) = (space::shape(&held), space::shape(&to));
            passes.push(Pass { input, output, from, to: made, work });
            (held, input) = (to, output);
        }
        Ok(Chain { reads, passes })
    }

    /// How the chains become one.
    #[must_use]
    pub const fn combination(&self) -> Terms {
        self.terms
    }

    /// Operations that a processor carries out for an element, about: for estimates of what a run takes.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.chains.iter().flatten().map(Step::operations).fold(0, u64::saturating_add)
    }
}

impl Step {
    fn work(
        &self,
        held: &[Range<i64>],
        input: DType,
        to: &[Range<i64>],
        extents: &[Option<i64>],
    ) -> Result<Work<'_>, KernelError> {
        match &self.kind {
            Kind::Line(line) => {
                let (axis, span) = (line.axis, line.span(held, to, extents)?);
                Ok(match &line.op {
                    Op::Correlate(correlation) => {
                        let (weights, symmetry) = (correlation.weights(), correlation.symmetry());
                        Work::Correlate { axis, span, weights, symmetry }
                    }
                    Op::Running(of) => Work::Running { axis, span, size: line.size(), of: *of },
                })
            }
            Kind::Window(window) => {
                let spans = window.spans(held, input, to, extents)?;
                Ok(Work::Points { spans, places: &window.places, of: &window.points })
            }
        }
    }

    fn operations(&self) -> u64 {
        match &self.kind {
            Kind::Line(line) => match &line.op {
                Op::Correlate(correlation) => match correlation.symmetry() {
                    Symmetry::None => 2 * line.size() as u64,
                    // Two elements are weighted at once.
                    Symmetry::Even | Symmetry::Odd => 3 * line.size() as u64 / 2,
                },
                // Whatever the window: a suffix, a prefix, both together, and the way through memory of all three, which takes longer.
                Op::Running(_) => 24,
            },
            Kind::Window(window) => {
                let points = window.places.len() as u64;
                let each = match &window.points {
                    Points::Rank(_) | Points::Rolling(super::Rolling::Median, _) => {
                        // About a comparison of two for each level of a network.
                        2 * u64::from(points.max(2).ilog2())
                    }
                    Points::Rolling(..) => 4,
                    Points::Correlate(_) | Points::Smallest(_) | Points::Largest(_) => 2,
                    Points::All | Points::Any => 1,
                };
                points.saturating_mul(each)
            }
        }
    }
}
