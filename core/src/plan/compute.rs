//! [`Compute`]: what the tasks of a stage evaluate: programs over operands, written, reduced or handed to functions.
//!
//! Invariants: a program's inputs are the operands named beside it, in order; those of a call that makes an operand stand before
//! it; the boxes of a written output and of a made operand are the tasks' own; those of a reduced output are the tasks'
//! without the reduced axes. Made by [`crate::lower`], carried out by [`crate::exec`].

use super::leaf::Reach;
use crate::array::Groups;
use crate::block::{BlockFold, BlockFunction};
use crate::sink::Sink;
use blockwise_kernels::DType;
use blockwise_kernels::program::Program;
use blockwise_kernels::reduce::{Reduction, Statistic};
use std::sync::Arc;

/// What the tasks of a stage evaluate.
pub(crate) struct Compute {
    pub(crate) operands: Vec<Operand>,
    /// Functions whose results are operands.
    pub(crate) makers: Vec<Maker>,
    pub(crate) outputs: Vec<Output>,
}

/// An array as a program's input.
pub(crate) enum Operand {
    /// One leaf, or several that fill it together.
    Read {
        /// Positions in [`super::Stage::leaves`].
        leaves: Vec<usize>,
        dtype: DType,
        /// Whether every task finds it in one chunk whose rows are read forwards: then it is used where it lies.
        direct: bool,
    },
    /// What a function of whole blocks gives each task.
    Made {
        /// Position in [`Compute::makers`].
        maker: usize,
        output: usize,
    },
}

/// A function of whole blocks whose results are used by the task that makes them, and nowhere else.
pub(crate) struct Maker {
    pub(crate) call: FunctionCall,
    /// Of its results, which have the task's own box.
    pub(crate) dtypes: Vec<DType>,
}

/// What becomes of programs' results.
pub(crate) enum Output {
    /// Each output of the program is written to the sink beside it.
    Written { program: Program, operands: Vec<usize>, sinks: Vec<Arc<dyn Sink>> },
    /// The outputs are reduced.
    Reduced(Reductions),
    /// The outputs are reduced group by group.
    Grouped(Grouped),
    /// The outputs of the programs, one each, are handed to a function as whole blocks.
    Applied(Applied),
}

/// Reductions of what one program gives, side by side: each tile is reduced over all sets of axes while it is in cache.
pub(crate) struct Reductions {
    /// One output for each fold of each part, in order, of its tile's dtype.
    pub(crate) program: Program,
    pub(crate) operands: Vec<usize>,
    pub(crate) parts: Vec<Reduced>,
}

/// Reductions over the same axes.
pub(crate) struct Reduced {
    /// The reduced axes of the task array, ascending.
    pub(crate) axes: Vec<usize>,
    pub(crate) folds: Vec<Fold>,
}

/// One reduction and the statistics that are wanted of it.
pub(crate) struct Fold {
    pub(crate) reduction: Reduction,
    /// Sinks whose chunks are the tasks' boxes without the reduced axes.
    pub(crate) results: Vec<(Statistic, Arc<dyn Sink>)>,
}

/// Reductions of groups of positions along one axis.
pub(crate) struct Grouped {
    /// One output for each fold, of its tile's dtype.
    pub(crate) program: Program,
    pub(crate) operands: Vec<usize>,
    /// The axis of the task array whose positions are grouped.
    pub(crate) axis: usize,
    pub(crate) groups: Arc<Groups>,
    /// Their sinks' chunks are the tasks' boxes with some groups in the place of the axis.
    pub(crate) folds: Vec<Fold>,
}

/// A block that a function is given.
pub(crate) struct AppliedInput {
    /// Of one output.
    pub(crate) program: Program,
    pub(crate) operands: Vec<usize>,
    /// What it holds beside the task's own box, as all its operands do.
    pub(crate) reach: Vec<Reach>,
}

/// A function of whole blocks and what it is given.
pub(crate) struct FunctionCall {
    pub(crate) function: Arc<dyn BlockFunction>,
    /// One block each.
    pub(crate) inputs: Vec<AppliedInput>,
}

/// A function of whole blocks whose results are written.
pub(crate) struct Applied {
    pub(crate) call: FunctionCall,
    /// For every axis of the sinks, the task axis whose chunk index it shares; `None`: it has one chunk.
    pub(crate) index_axes: Vec<Option<usize>>,
    pub(crate) sinks: Vec<Arc<dyn Sink>>,
    /// Task axes, ascending, along which results become one, and how.
    pub(crate) folded: Option<(Vec<usize>, Arc<dyn BlockFold>)>,
}

impl Compute {
    /// The arrays that the stage writes.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = &Arc<dyn Sink>> {
        self.outputs.iter().flat_map(|output| -> Box<dyn Iterator<Item = &Arc<dyn Sink>>> {
            match output {
                Output::Written { sinks, .. } | Output::Applied(Applied { sinks, .. }) => {
                    Box::new(sinks.iter())
                }
                Output::Grouped(grouped) => {
                    Box::new(grouped.folds.iter().flat_map(|fold| fold.results.iter().map(|(_, sink)| sink)))
                }
                Output::Reduced(reductions) => {
                    Box::new(reductions.folds().flat_map(|fold| fold.results.iter().map(|(_, sink)| sink)))
                }
            }
        })
    }
}

impl Reductions {
    /// The folds of all parts, in order.
    pub(crate) fn folds(&self) -> impl Iterator<Item = &Fold> {
        self.parts.iter().flat_map(|part| &part.folds)
    }
}

impl Reduced {
    /// Index of the result's chunk that the task at `index` adds to.
    pub(crate) fn kept(&self, index: &[u64]) -> Vec<u64> {
        index.iter().enumerate().filter(|(axis, _)| !self.axes.contains(axis)).map(|(_, at)| *at).collect()
    }

    /// Number of the task among those of its result chunk, in C order, and how many those are.
    pub(crate) fn place(&self, index: &[u64], counts: &[u64]) -> (u64, u64) {
        place(&self.axes, index, counts)
    }
}

/// Number of the task at `index` among those that differ along `axes` alone, in C order, and how many those are.
pub(crate) fn place(axes: &[usize], index: &[u64], counts: &[u64]) -> (u64, u64) {
    let of_axis = axes.iter().filter_map(|axis| Some((*index.get(*axis)?, *counts.get(*axis)?)));
    of_axis.fold((0, 1), |(number, total), (at, count)| (number * count + at, total * count))
}
