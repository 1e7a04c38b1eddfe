//! The bytes that the outputs of a stage take: in a task, and waiting for other tasks.
//!
//! Invariant: bytes are upper bounds over all tasks. Called by [`super::stage`].

use crate::exec::fold::{waiting_states, waiting_states_of_range};
use crate::grid::{AxisGrid, ChunkGrid};
use crate::plan::{AppliedInput, Fold, FunctionCall, Grouped, Maker, Operand, Output, Reach, Reduced};
use crate::region::byte_count;
use crate::sink::Sink;
use std::sync::Arc;

/// Bytes of the largest box of a task with what it sees around it.
pub(super) fn reached_bytes(tasks: &ChunkGrid, reach: &[Reach], item_bytes: usize) -> u64 {
    let mut shape = tasks.largest_chunk();
    for ((length, reach), cuts) in shape.iter_mut().zip(reach).zip(tasks.axes()) {
        *length = match reach {
            Reach::Around(before, after) => {
                length.saturating_add(*before).saturating_add(*after).min(cuts.extent())
            }
            Reach::Still => 1,
        };
    }
    byte_count(&shape, item_bytes).unwrap_or(u64::MAX)
}

/// Bytes that producing an output takes in a task, beyond its operands.
pub(super) fn output_bytes(output: &Output, operands: &[Operand], tasks: &ChunkGrid) -> u64 {
    let written = |sinks: &[Arc<dyn Sink>]| {
        let scratch = sinks.iter().map(|sink| sink.write_scratch_bytes()).max().unwrap_or(0);
        sinks.iter().map(chunk_bytes).fold(scratch, u64::saturating_add)
    };
    match output {
        Output::Written { program, sinks, .. } => {
            written(sinks).saturating_add(program.scratch_bytes() as u64)
        }
        Output::Reduced(reductions) => {
            let (mut states, mut finished) = (0_u64, 0_u64);
            for part in &reductions.parts {
                let cells = cells(&part.axes, tasks);
                for fold in &part.folds {
                    states = states.saturating_add(state_bytes(fold, cells));
                    // Finishing makes a column of the widest type, then the chunk.
                    for (_, sink) in &fold.results {
                        let own = written(std::slice::from_ref(sink));
                        finished = finished.max(cells.saturating_mul(16).saturating_add(own));
                    }
                }
            }
            states.saturating_add(finished).saturating_add(reductions.program.scratch_bytes() as u64)
        }
        Output::Grouped(grouped) => {
            let cells = cells(&[grouped.axis], tasks);
            let mut finished = 0_u64;
            for (_, sink) in grouped.folds.iter().flat_map(|fold| &fold.results) {
                let own = written(std::slice::from_ref(sink));
                finished = finished.max(cells.saturating_mul(32).saturating_add(own));
            }
            group_states(grouped, tasks, grouped.groups.most_in_task())
                .saturating_add(finished)
                .saturating_add(grouped.program.scratch_bytes() as u64)
        }
        Output::Applied(applied) => {
            call_bytes(&applied.call, operands, tasks).saturating_add(written(&applied.sinks))
        }
    }
}

/// Bytes that carrying out a function takes in a task, beyond its operands and results.
fn call_bytes(call: &FunctionCall, operands: &[Operand], tasks: &ChunkGrid) -> u64 {
    let elements = byte_count(&tasks.largest_chunk(), 1).unwrap_or(u64::MAX);
    // What was brought together, as it is, is the block.
    let is_evaluated = |input: &&AppliedInput| match input.operands.as_slice() {
        [only] => {
            !input.program.is_identity()
                || matches!(operands.get(*only), None | Some(Operand::Read { direct: true, .. }))
        }
        _ => true,
    };
    let evaluated = call.inputs.iter().filter(is_evaluated);
    let blocks = evaluated.map(|AppliedInput { program, reach, .. }| {
        let item_bytes = program.output_dtypes().map(|dtype| dtype.size()).max().unwrap_or(0);
        reached_bytes(tasks, reach, item_bytes).saturating_add(program.scratch_bytes() as u64)
    });
    blocks.fold(call.function.scratch_bytes(elements), u64::saturating_add)
}

/// Bytes that `maker`, number `n` of the stage, takes in a task, beyond all operands.
pub(super) fn maker_bytes(n: usize, maker: &Maker, operands: &[Operand], tasks: &ChunkGrid) -> u64 {
    let is_operand = |at: usize| {
        let mut made = operands.iter();
        made.any(|operand| matches!(operand, Operand::Made { maker, output } if (*maker, *output) == (n, at)))
    };
    // Results that are no operands are made all the same, and dropped.
    let unused = maker.dtypes.iter().enumerate().filter(|(at, _)| !is_operand(*at));
    let bytes = unused.map(|(_, dtype)| reached_bytes(tasks, &[], dtype.size()));
    bytes.fold(call_bytes(&maker.call, operands, tasks), u64::saturating_add)
}

/// Bytes of what a task has made that may wait for its turn; `None` if nothing does.
pub(super) fn early_bytes(output: &Output, tasks: &ChunkGrid) -> Option<u64> {
    let Output::Grouped(grouped) = output else { return None };
    let states = group_states(grouped, tasks, grouped.groups.most_in_task());
    let results = grouped.folds.iter().flat_map(|fold| &fold.results);
    Some(results.map(|(_, sink)| chunk_bytes(sink)).fold(states, u64::saturating_add))
}

fn chunk_bytes(sink: &Arc<dyn Sink>) -> u64 {
    byte_count(&sink.grid().largest_chunk(), sink.dtype().size()).unwrap_or(u64::MAX)
}

fn cells(reduced_axes: &[usize], tasks: &ChunkGrid) -> u64 {
    let chunk = tasks.largest_chunk();
    let kept = chunk.iter().enumerate().filter(|(axis, _)| !reduced_axes.contains(axis));
    kept.fold(1, |product, (_, length)| product.saturating_mul(*length))
}

fn state_bytes(fold: &Fold, cells: u64) -> u64 {
    let bytes = usize::try_from(cells).ok().and_then(|cells| fold.reduction.state_bytes(cells).ok());
    bytes.map_or(u64::MAX, |bytes| bytes as u64)
}

/// Bytes of the states of `count` groups.
fn group_states(grouped: &Grouped, tasks: &ChunkGrid, count: u64) -> u64 {
    let cells = cells(&[grouped.axis], tasks);
    let one = grouped.folds.iter().map(|fold| state_bytes(fold, cells)).fold(0, u64::saturating_add);
    one.saturating_mul(count)
}

/// What waits of an output until the tasks of one result are done.
pub(super) struct Waiting {
    /// The task axes that one result is over, ascending.
    pub(super) axes: Vec<usize>,
    /// Of a state; where states are added one after another, of all that wait.
    bytes: u64,
    /// Whether states wait in a tree.
    in_tree: bool,
}

/// What waits of an output: nothing if each task has its own results.
pub(super) fn waiting(output: &Output, tasks: &ChunkGrid) -> Vec<Waiting> {
    match output {
        Output::Reduced(reductions) => {
            let of_part = |part: &Reduced| {
                let cells = cells(&part.axes, tasks);
                let states = part.folds.iter().map(|fold| state_bytes(fold, cells));
                let bytes = states.fold(0, u64::saturating_add);
                Waiting { axes: part.axes.clone(), bytes, in_tree: true }
            };
            reductions.parts.iter().map(of_part).collect()
        }
        Output::Applied(applied) => {
            let Some((axes, _)) = &applied.folded else { return Vec::new() };
            let bytes = applied.sinks.iter().map(chunk_bytes).fold(0, u64::saturating_add);
            vec![Waiting { axes: axes.clone(), bytes, in_tree: true }]
        }
        Output::Grouped(grouped) => {
            // States of the groups that are open, and chunks of results that are filled group by group. What comes
            // before its turn is of the task's own bytes: the stage gives these back in turn.
            let is_one = tasks.axes().get(grouped.axis).is_some_and(|cuts| cuts.count() == 1);
            let groups = &grouped.groups;
            let states = if is_one { 0 } else { groups.most_open() };
            let filled = grouped.folds.iter().flat_map(|fold| &fold.results).map(|(_, sink)| {
                let together = sink.grid().axes().get(grouped.axis).map_or(1, AxisGrid::longest);
                if together > 1 { chunk_bytes(sink).saturating_mul(groups.most_filled(together)) } else { 0 }
            });
            let bytes = filled.fold(group_states(grouped, tasks, states), u64::saturating_add);
            vec![Waiting { axes: vec![grouped.axis], bytes, in_tree: false }]
        }
        Output::Written { .. } => Vec::new(),
    }
}

impl Waiting {
    /// Bytes of the states that wait at a time when tasks, `counts` along the axes, come in this order; `in_batches`: or when batches of
    /// them do, in processes of their own.
    pub(super) fn most_bytes(&self, order: &[usize], counts: &[u64], in_batches: bool) -> u64 {
        let count = |axis: usize| counts.get(axis).copied().unwrap_or(1);
        let tasks_of_one = self.axes.iter().fold(1_u64, |product, axis| product.saturating_mul(count(*axis)));
        if tasks_of_one <= 1 && self.in_tree {
            return 0;
        }
        // Results that are begun while the slowest reduced axis advances.
        let open = order
            .iter()
            .skip_while(|axis| !self.axes.contains(axis) || count(**axis) <= 1)
            .filter(|axis| !self.axes.contains(axis))
            .fold(1_u64, |product, axis| product.saturating_mul(count(*axis)));
        let deep = match (self.in_tree, in_batches) {
            (true, true) => waiting_states_of_range(tasks_of_one),
            (true, false) => waiting_states(tasks_of_one),
            (false, _) => 1,
        };
        self.bytes.saturating_mul(open).saturating_mul(deep)
    }
}

/// Whether `some` (ascending) stand in `axes` in that order.
pub(super) fn is_in_order(axes: &[usize], some: &[usize]) -> bool {
    let mut wanted = axes.iter().filter(|axis| some.contains(axis));
    some.iter().all(|axis| wanted.next() == Some(axis))
}
