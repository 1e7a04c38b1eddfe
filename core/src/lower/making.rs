//! Functions of whole blocks without a stage of their own: where one stage alone uses what a function gives, and each of its
//! tasks just the block that it would be given, the task makes that itself. So a filter before a sum, or a spectrum before its
//! amplitudes, costs no temporary array.
//!
//! Invariant: a function is carried out once for each of its tasks, whoever does it. Called by [`super::outputs`].

use super::outputs::Job;
use crate::array::{Array, BlockCall, Kind, Operand, Reduced};
use crate::grid::ChunkGrid;
use crate::view::{AxisView, View};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Which call of a function of whole blocks.
pub(super) type CallKey = *const ();

pub(super) fn call_key(call: &Arc<BlockCall>) -> CallKey {
    Arc::as_ptr(call).cast()
}

/// Which job: what it produces, and whether it just writes that.
type JobKey = (*const (), bool);

fn node_key(array: &Array) -> *const () {
    std::ptr::from_ref(array.node()).cast()
}

fn job_key(job: &Job) -> JobKey {
    match job {
        Job::Write { array, .. } => (node_key(array), true),
        Job::Reduce { array, .. } => (node_key(array), false),
        Job::Block { call, .. } => (call_key(call), false),
    }
}

/// Who uses what functions of whole blocks give.
#[derive(Default)]
pub(super) struct Uses {
    /// The jobs that use a call block by block.
    users: HashMap<CallKey, HashSet<JobKey>>,
    /// Calls that something uses otherwise.
    apart: HashSet<CallKey>,
}

/// A job whose uses are looked for.
struct User<'a> {
    key: JobKey,
    tasks: &'a ChunkGrid,
    /// Whether tasks see their own box of what is looked at.
    plain: bool,
    known: HashSet<(*const (), Vec<AxisView>)>,
}

impl Uses {
    /// The uses of all these jobs.
    pub(super) fn of(jobs: &[(usize, Job)]) -> Self {
        let mut uses = Self::default();
        for (_, job) in jobs {
            let (key, (tasks, _)) = (job_key(job), job.grids());
            match job {
                Job::Write { array, .. } => uses.add(key, tasks, true, array),
                Job::Reduce { array, .. } => {
                    if let Kind::Reduce(Reduced { input, .. }) = &array.node().kind {
                        uses.add(key, tasks, true, input);
                    }
                }
                Job::Block { call, .. } => {
                    let shape = tasks.shape();
                    for input in &call.inputs {
                        let plain =
                            input.reach.iter().all(|reach| *reach == (0, 0)) && input.array.shape() == shape;
                        uses.add(key, tasks, plain, &input.array);
                    }
                }
            }
        }
        uses
    }

    /// The calls that tasks of others may make, if each is used in one stage.
    pub(super) fn candidates(&self, apart: &HashSet<CallKey>) -> HashSet<CallKey> {
        let used = self.users.keys().copied();
        used.filter(|call| !self.apart.contains(call) && !apart.contains(call)).collect()
    }

    /// The calls among `made` whose users do not share a stage.
    pub(super) fn divided(&self, groups: &[Vec<&Job>], made: &HashSet<CallKey>) -> Vec<CallKey> {
        let keys: Vec<HashSet<JobKey>> =
            groups.iter().map(|jobs| jobs.iter().map(|job| job_key(job)).collect()).collect();
        let is_divided = |call: &&CallKey| {
            let mut users = HashSet::new();
            self.collect_users(**call, made, &mut users);
            keys.iter().filter(|group| !group.is_disjoint(&users)).count() != 1
        };
        made.iter().filter(is_divided).copied().collect()
    }

    /// The jobs whose tasks would make `call`: those that use it, or what is made of it.
    fn collect_users(&self, call: CallKey, made: &HashSet<CallKey>, users: &mut HashSet<JobKey>) {
        for user in self.users.get(&call).into_iter().flatten() {
            if made.contains(&user.0) {
                self.collect_users(user.0, made, users);
            } else {
                users.insert(*user);
            }
        }
    }

    fn add(&mut self, key: JobKey, tasks: &ChunkGrid, plain: bool, array: &Array) {
        let mut user = User { key, tasks, plain, known: HashSet::new() };
        self.visit(&mut user, array, &View::identity(array.rank()));
    }

    fn visit(&mut self, user: &mut User<'_>, array: &Array, view: &View) {
        if !user.known.insert((node_key(array), view.axes().to_vec())) {
            return;
        }
        match &array.node().kind {
            Kind::Source(_) | Kind::Constant(_) | Kind::Reduce(_) => {}
            Kind::View { input, view: inner } => self.visit(user, input, &inner.below(view)),
            Kind::Rechunk { input } | Kind::Cast { input } => self.visit(user, input, view),
            Kind::Call(call) => {
                for argument in &call.arguments {
                    if let Operand::Array(array) = argument {
                        self.visit(user, array, view);
                    }
                }
            }
            // Pieces are read where they are stored.
            Kind::Join(parts) => parts.iter().for_each(|part| self.keep_stored(&part.array)),
            Kind::Reshape(reshape) => self.keep_stored(&reshape.input),
            Kind::Adapted(adapted) => self.keep_stored(&adapted.input),
            Kind::Block { call, .. } => {
                let fits = user.plain
                    && view.is_identity()
                    && call.folded.is_none()
                    && call.tasks == *user.tasks
                    && call.index_axes.iter().enumerate().all(|(n, axis)| *axis == Some(n))
                    && call.outputs.iter().all(|(_, grid)| grid == user.tasks);
                if fits {
                    self.users.entry(call_key(call)).or_default().insert(user.key);
                } else {
                    self.apart.insert(call_key(call));
                }
            }
        }
    }

    /// Notes that calls whose results `array` shows are read in pieces.
    fn keep_stored(&mut self, array: &Array) {
        match &array.node().kind {
            Kind::View { input, .. } | Kind::Rechunk { input } => self.keep_stored(input),
            Kind::Join(parts) => parts.iter().for_each(|part| self.keep_stored(&part.array)),
            Kind::Block { call, .. } => {
                self.apart.insert(call_key(call));
            }
            _ => {}
        }
    }

    /// Notes that a call writes for others than the stages of the plan.
    pub(super) fn keep(&mut self, call: CallKey) {
        self.apart.insert(call);
    }
}
