//! [`Device`]: what evaluates programs, and reduces what they make, in place of this machine's processors.
//!
//! The threads of a run read, decode, encode and write as ever; a task's programs go to the device, if it has kernels for them. Invariants:
//! a device is asked task by task and answers when the results are in the host's memory, so nothing of a task is under way when its
//! buffers go back to their pool; what a device leaves undone the processors do. Implemented by `blockwise-gpu`; called by
//! [`crate::exec`], and by the planner, who tells what runs where.

mod placement;

use crate::context::TaskContext;
use crate::error::Result;
use blockwise_kernels::filter::Filter;
use blockwise_kernels::program::{Input, Program};
use blockwise_kernels::reduce::Reduction;
use blockwise_kernels::{DType, Pages};
pub(crate) use placement::{Placed, place_output, placed_at, placed_calls, prepare_calls};
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// What a task wants of a device: a program for every element of a shape, and what becomes of its outputs.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// What is evaluated.
    pub program: &'a Program,
    /// Elements along each axis.
    pub shape: &'a [usize],
    /// The axes, ascending, that all outputs are reduced over, and the reduction of each; `None`: they are wanted as they are.
    pub reduced: Option<(&'a [usize], &'a [Reduction])>,
}

/// What a task wants of a device that does a filter's part: a box of its results, from the box of an array that it holds.
#[derive(Clone, Debug)]
pub struct FilterDemand<'a> {
    /// The filter.
    pub filter: &'a Filter,
    /// The dtype of the array.
    pub dtype: DType,
    /// The box of it that the task holds, in C order.
    pub held: Vec<Range<i64>>,
    /// The box of results, likewise.
    pub wanted: Vec<Range<i64>>,
    /// Elements of the array along each axis; `None`: it goes on as its other end, and what is needed of that is held.
    pub extents: Vec<Option<i64>>,
}

/// What became of a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The results are there.
    Done,
    /// Nothing was done: the device has no room for it, or it is not worth its while. What the results hold is unspecified.
    Left,
}

/// What computes in place of this machine's processors.
///
/// # Contract
/// * `check` follows from the demand alone, so that a plan can tell beforehand what will run where.
/// * `compute` is called by several threads at once, of demands that `check` has taken but for the shape: that of a task at an array's end is
///   smaller. Results do not depend on what else runs, nor on how large the device is.
/// * A task's inputs and results belong to it: when `compute` returns, however, nothing reads or writes them any more.
pub trait Device: Debug + Send + Sync {
    /// What people call it: `cuda:0`.
    fn label(&self) -> &str;

    /// Whether it can do what a demand says; if not, why, as the end of a sentence.
    ///
    /// # Errors
    /// The reason.
    fn check(&self, demand: &Demand<'_>) -> std::result::Result<(), String>;

    /// Whether it is to do all that it can, however little is gained.
    fn is_insisted_on(&self) -> bool {
        false
    }

    /// Gets ready for what will be wanted, while the first chunks are read; returns at once.
    fn prepare(&self, demand: &Demand<'_>) {
        let _ = demand;
    }

    /// Does what a demand says. There is one input for each of the program's, and a result for each of its outputs: its elements in C order,
    /// or the state of its reduction, laid out as [`Reduction::begin`] lays it out.
    ///
    /// # Errors
    /// If the device fails; a task that it has no room for is [`Outcome::Left`].
    fn compute(
        &self,
        demand: &Demand<'_>,
        inputs: &[Input<'_>],
        results: &mut [&mut [u8]],
        cx: &TaskContext<'_>,
    ) -> Result<Outcome>;

    /// As [`Device::check`], of a filter.
    ///
    /// # Errors
    /// The reason.
    fn check_filter(&self, demand: &FilterDemand<'_>) -> std::result::Result<(), String> {
        let _ = demand;
        Err("it has no kernels for filters".to_owned())
    }

    /// As [`Device::prepare`], for a filter.
    fn prepare_filter(&self, demand: &FilterDemand<'_>) {
        let _ = demand;
    }

    /// As [`Device::compute`], of a filter: `held` are the elements of the box of that name, `result` gets those of the box that is wanted.
    ///
    /// # Errors
    /// As [`Device::compute`].
    fn compute_filter(
        &self,
        demand: &FilterDemand<'_>,
        held: &[u8],
        result: &mut [u8],
        cx: &TaskContext<'_>,
    ) -> Result<Outcome> {
        let _ = (demand, held, result, cx);
        Ok(Outcome::Left)
    }

    /// Memory of the host that it reads and writes fastest, for the chunks of a run.
    fn pages(&self) -> Option<Arc<dyn Pages>> {
        None
    }
}
