//! [`Groups`]: which positions of an axis belong together, and which tasks along the axis hold some of each group.
//!
//! Invariants: groups are numbered by ascending label and have at least one position each; the tasks of a group are
//! ascending. Made by [`Array::group_by`](crate::Array::group_by), used by the planner and the tasks.

use crate::error::{Error, Result};
use crate::grid::AxisGrid;
use std::sync::Arc;

/// The group of a position that belongs to none.
pub(crate) const LEFT_OUT: u32 = u32::MAX;

/// Positions of an axis by group, for tasks that are cut in a certain way along it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    /// Of every position the number of its group, or [`LEFT_OUT`].
    pub(crate) codes: Arc<[u32]>,
    /// Of every group.
    pub(crate) labels: Vec<i64>,
    /// How tasks are cut along the axis.
    cuts: AxisGrid,
    /// Of every group the tasks that hold some of it.
    tasks: Vec<Vec<u32>>,
    /// Most groups that one task holds some of.
    most_in_task: u64,
    /// Most groups that are begun and not ended at a time, when tasks come in order along the axis.
    most_open: u64,
}

impl Groups {
    /// The groups of labels, one for each position; negative ones are left out.
    pub(crate) fn new(labels: &[i64], cuts: &AxisGrid) -> Result<Self> {
        let mut known: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0).collect();
        known.sort_unstable();
        known.dedup();
        let too_many = || Error::TooLarge { what: "set of groups", shape: vec![labels.len() as u64] };
        if u32::try_from(labels.len()).is_err() {
            return Err(too_many());
        }
        let code = |label: &i64| known.binary_search(label).map_or(LEFT_OUT, |code| code as u32);
        let codes: Arc<[u32]> = labels.iter().map(code).collect();
        Ok(Self::cut(codes, known, cuts.clone()))
    }

    /// The same groups for tasks that are cut otherwise.
    pub(crate) fn for_tasks(&self, cuts: &AxisGrid) -> Self {
        Self::cut(Arc::clone(&self.codes), self.labels.clone(), cuts.clone())
    }

    fn cut(codes: Arc<[u32]>, labels: Vec<i64>, cuts: AxisGrid) -> Self {
        let mut tasks: Vec<Vec<u32>> = vec![Vec::new(); labels.len()];
        let mut most_in_task = 0;
        let mut start = 0;
        for task in 0..cuts.count() {
            let end = cuts.start(task + 1) as usize;
            let mut held = 0;
            for code in codes.get(start..end).unwrap_or_default() {
                if let Some(known) = tasks.get_mut(*code as usize)
                    && known.last() != Some(&(task as u32))
                {
                    known.push(task as u32);
                    held += 1;
                }
            }
            most_in_task = most_in_task.max(held);
            start = end;
        }
        let most_open = most_at_a_time(tasks.iter().filter_map(|own| Some((*own.first()?, *own.last()?))));
        Self { codes, labels, cuts, tasks, most_in_task, most_open }
    }

    /// How many groups there are.
    pub(crate) fn count(&self) -> u64 {
        self.labels.len() as u64
    }

    /// Most groups that one task holds some of.
    pub(crate) const fn most_in_task(&self) -> u64 {
        self.most_in_task
    }

    /// Most groups that are begun and not ended at a time, when tasks come in order along the axis.
    pub(crate) const fn most_open(&self) -> u64 {
        self.most_open
    }

    /// Most chunks of `together` groups of which some have ended and others not, when tasks come in order along the axis.
    pub(crate) fn most_filled(&self, together: u64) -> u64 {
        let length = usize::try_from(together).unwrap_or(usize::MAX).max(1);
        let spans = self.tasks.chunks(length).filter_map(|chunk| {
            let ends = || chunk.iter().filter_map(|own| own.last().copied());
            Some((ends().min()?, ends().max()?))
        });
        most_at_a_time(spans)
    }

    /// Number of `task` among those that hold some of `group`, and how many those are.
    pub(crate) fn place(&self, group: u32, task: u64) -> Option<(u64, u64)> {
        let tasks = self.tasks.get(group as usize)?;
        let number = tasks.binary_search(&u32::try_from(task).ok()?).ok()?;
        Some((number as u64, tasks.len() as u64))
    }

    /// Positions of every group, ascending.
    pub(crate) fn positions(&self) -> Vec<Vec<i64>> {
        let mut positions = vec![Vec::new(); self.labels.len()];
        for (at, code) in self.codes.iter().enumerate() {
            if let Some(own) = positions.get_mut(*code as usize) {
                own.push(at as i64);
            }
        }
        positions
    }
}

/// Most of some spans, each given with its first and last step, that are under way in one step.
fn most_at_a_time(spans: impl Iterator<Item = (u32, u32)>) -> u64 {
    let (mut begun, mut ended): (Vec<u32>, Vec<u32>) = spans.unzip();
    begun.sort_unstable();
    ended.sort_unstable();
    let mut ended = ended.into_iter().peekable();
    let (mut open, mut most) = (0_u64, 0);
    for at in begun {
        while ended.next_if(|end| *end < at).is_some() {
            open -= 1;
        }
        open += 1;
        most = most.max(open);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_know_their_tasks() {
        let cuts = AxisGrid::regular(7, 2).unwrap();
        let groups = Groups::new(&[30, 10, 10, -1, 10, 20, 20], &cuts).unwrap();
        assert_eq!(groups.labels, [10, 20, 30]);
        assert_eq!(&groups.codes[..], [2, 0, 0, LEFT_OUT, 0, 1, 1]);
        assert_eq!(groups.positions(), [vec![1, 2, 4], vec![5, 6], vec![0]]);
        assert_eq!(groups.place(0, 2), Some((2, 3)));
        assert_eq!((groups.place(1, 3), groups.place(2, 1)), (Some((1, 2)), None));
        assert_eq!((groups.most_in_task(), groups.most_open()), (2, 2));
        assert_eq!((groups.most_filled(1), groups.most_filled(3)), (1, 1));
        // Groups 1 and 2 end in the first task and the last, 3 and 4 between.
        let nested = Groups::new(&[1, 3, 4, 2], &AxisGrid::regular(4, 1).unwrap()).unwrap();
        assert_eq!((nested.most_open(), nested.most_filled(2)), (1, 2));
    }
}
