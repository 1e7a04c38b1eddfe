//! What a computation must produce: its targets and the barriers on the way, by level.
//!
//! Invariant: a job's level is above those of all barriers it reads, so that running levels in order is right. Called
//! by [`super::plan_arrays`].

use super::making::{CallKey, Uses, call_key};
use super::{Sums, Target};
use crate::array::{Array, BlockCall, Kind, Operand, Reduced};
use crate::error::Result;
use crate::grid::ChunkGrid;
use crate::plan::Resources;
use crate::region::byte_count;
use crate::sink::Sink;
use crate::temporary::{Place, Temporary};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Something that the tasks of a stage produce.
pub(super) enum Job {
    /// An array, written.
    Write { array: Array, sink: Arc<dyn Sink>, opens: Vec<Arc<Temporary>> },
    /// A reduction.
    Reduce { array: Array, sinks: Vec<Arc<dyn Sink>>, opens: Vec<Arc<Temporary>> },
    /// All outputs of a function of whole blocks.
    Block { call: Arc<BlockCall>, sinks: Vec<Arc<dyn Sink>>, opens: Vec<Arc<Temporary>> },
}

impl Job {
    /// The boxes of its tasks, and those that are committed as one.
    pub(super) fn grids(&self) -> (&ChunkGrid, &ChunkGrid) {
        match self {
            Self::Write { sink, .. } => (sink.grid(), sink.commit_grid()),
            Self::Reduce { array, .. } => match &array.node().kind {
                Kind::Reduce(reduced) => (reduced.input.grid(), reduced.input.grid()),
                _ => (array.grid(), array.grid()),
            },
            Self::Block { call, .. } => (&call.tasks, &call.tasks),
        }
    }

    /// Whether its tasks are those of `first`, in an order that suits both: a function of whole blocks that folds nothing
    /// is content with any.
    fn fits_beside(&self, first: &Self) -> bool {
        let (own, theirs) = (self.grids(), first.grids());
        let any_order = matches!(self, Self::Block { call, .. } if call.folded.is_none());
        own.0 == theirs.0 && (any_order || own.1 == theirs.1)
    }

    pub(super) fn opens(&self) -> &[Arc<Temporary>] {
        match self {
            Self::Write { opens, .. } | Self::Reduce { opens, .. } | Self::Block { opens, .. } => opens,
        }
    }
}

/// Which barrier an array is; a function of whole blocks is one barrier, whatever its outputs.
pub(super) type BarrierKey = (*const (), usize);

/// Everything that must be produced.
pub(super) struct Outputs {
    /// With their levels, lowest first.
    jobs: Vec<(usize, Job)>,
    temporaries: HashMap<BarrierKey, Arc<Temporary>>,
    /// Functions without a job: the tasks that use what they give make it.
    made: HashSet<CallKey>,
    pub(super) sums: Sums,
}

/// Whether a target is a barrier whose chunks are the sink's: it goes there without a stop.
fn is_direct(Target { array, sink }: &Target) -> bool {
    barrier_key(array).is_some() && sink.grid() == array.grid() && sink.commit_grid() == sink.grid()
}

/// The key of an array that is stored though it is no barrier of its own.
pub(super) fn stored_key(array: &Array) -> BarrierKey {
    (std::ptr::from_ref(array.node()).cast(), usize::MAX)
}

/// Whether what an array shows lies in storage or in the result of a barrier, so that it can be read in pieces.
pub(crate) fn is_stored(array: &Array) -> bool {
    match &array.node().kind {
        Kind::Source(_)
        | Kind::Constant(_)
        | Kind::Join(_)
        | Kind::Reshape(_)
        | Kind::Adapted(_)
        | Kind::Reduce(_)
        | Kind::Block { .. } => true,
        Kind::View { input, .. } | Kind::Rechunk { input } => is_stored(input),
        Kind::Cast { .. } | Kind::Call(_) => false,
    }
}

/// The key of a barrier; `None` if the array is none.
pub(super) fn barrier_key(array: &Array) -> Option<BarrierKey> {
    match &array.node().kind {
        Kind::Reduce(_) => Some((std::ptr::from_ref(array.node()).cast(), 0)),
        Kind::Block { call, output } => Some((Arc::as_ptr(call).cast(), *output)),
        _ => None,
    }
}

impl Outputs {
    /// What `targets` need. Functions of whole blocks whose results one stage alone uses, box by box, are left to its tasks, but for
    /// those `apart`.
    pub(super) fn of(
        targets: &[Target],
        held_bytes: u64,
        sums: Sums,
        resources: &Resources,
        apart: &HashSet<CallKey>,
    ) -> Result<Self> {
        let made_by = |made: HashSet<CallKey>| Self::making(targets, held_bytes, sums, resources, made);
        let outputs = made_by(HashSet::new());
        let mut uses = Uses::of(&outputs.jobs);
        let shown = targets.iter().filter_map(|target| match &target.array.node().kind {
            Kind::Block { call, .. } if is_direct(target) => Some(call_key(call)),
            _ => None,
        });
        shown.for_each(|call| uses.keep(call));
        let mut made = uses.candidates(apart);
        if made.is_empty() {
            return Ok(outputs);
        }
        loop {
            let outputs = made_by(made.clone());
            let divided = uses.divided(&outputs.groups(), &made);
            if divided.is_empty() {
                return Ok(outputs);
            }
            made.retain(|call| !divided.contains(call));
        }
    }

    /// As [`Outputs::of`], with just these functions left to the tasks that use them.
    fn making(
        targets: &[Target],
        held_bytes: u64,
        sums: Sums,
        resources: &Resources,
        made: HashSet<CallKey>,
    ) -> Self {
        let mut walk = Walk { made, ..Walk::default() };
        let mut writes: Vec<(usize, Job)> = Vec::new();
        let mut direct: HashMap<BarrierKey, Vec<Arc<dyn Sink>>> = HashMap::new();
        for target in targets {
            let Target { array, sink } = target;
            let level = walk.level(array);
            match barrier_key(array) {
                Some(key) if is_direct(target) => direct.entry(key).or_default().push(Arc::clone(sink)),
                _ => {
                    walk.read(array);
                    let (array, sink) = (array.clone(), Arc::clone(sink));
                    writes.push((level, Job::Write { array, sink, opens: Vec::new() }));
                }
            }
        }
        // Temporary arrays may take a quarter of what is free of the budget, the smallest first.
        let mut room = resources.budget_bytes.saturating_sub(held_bytes) / 4;
        let mut wanted: Vec<(u64, BarrierKey)> = walk
            .read
            .iter()
            .map(|(key, array)| (byte_count(&array.shape(), array.dtype().size()).unwrap_or(u64::MAX), *key))
            .collect();
        wanted.sort_unstable();
        let mut temporaries = HashMap::new();
        for (bytes, key) in wanted {
            let Some(array) = walk.read.get(&key) else { continue };
            // Other processes do not see this one's memory.
            let place = if bytes <= room && resources.engine.is_none() {
                room -= bytes;
                Place::Memory
            } else {
                Place::Disk(resources.spill_folder.clone())
            };
            let temporary = Temporary::new("intermediate result", array.dtype(), array.grid().clone(), place);
            temporaries.insert(key, Arc::new(temporary));
        }
        let mut jobs = writes;
        for (level, array) in walk.stored {
            let opens: Vec<Arc<Temporary>> =
                temporaries.get(&stored_key(&array)).cloned().into_iter().collect();
            for temporary in opens {
                let sink = Arc::clone(&temporary) as Arc<dyn Sink>;
                jobs.push((level, Job::Write { array: array.clone(), sink, opens: vec![temporary] }));
            }
        }
        for (level, array) in walk.barriers {
            jobs.push((level, barrier_job(&array, &temporaries, &mut direct, resources)));
        }
        jobs.sort_by_key(|(level, _)| *level);
        Self { jobs, temporaries, made: walk.made, sums }
    }

    /// Whether the tasks that use what a function gives make it themselves.
    pub(super) fn makes(&self, call: &Arc<BlockCall>) -> bool {
        self.made.contains(&call_key(call))
    }

    /// Bytes of memory that all temporary arrays between levels take together.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.temporaries.values().map(|temporary| temporary.held_bytes()).fold(0, u64::saturating_add)
    }

    /// The temporary array that holds a barrier's result.
    pub(super) fn temporary(&self, key: BarrierKey) -> Option<&Arc<Temporary>> {
        self.temporaries.get(&key)
    }

    /// Jobs that may share a stage, in an order in which what is read was produced before.
    pub(super) fn groups(&self) -> Vec<Vec<&Job>> {
        let mut groups: Vec<(usize, Vec<&Job>)> = Vec::new();
        for (level, job) in &self.jobs {
            let fits = |(other, members): &&mut (usize, Vec<&Job>)| {
                other == level && members.first().is_some_and(|first| job.fits_beside(first))
            };
            match groups.iter_mut().find(fits) {
                Some((_, members)) => members.push(job),
                None => groups.push((*level, vec![job])),
            }
        }
        groups.into_iter().map(|(_, members)| members).collect()
    }
}

fn barrier_job(
    array: &Array,
    temporaries: &HashMap<BarrierKey, Arc<Temporary>>,
    direct: &mut HashMap<BarrierKey, Vec<Arc<dyn Sink>>>,
    resources: &Resources,
) -> Job {
    let mut sinks_of = |key: BarrierKey| {
        let opens: Vec<Arc<Temporary>> = temporaries.get(&key).cloned().into_iter().collect();
        let mut sinks: Vec<Arc<dyn Sink>> =
            opens.iter().map(|temporary| Arc::clone(temporary) as Arc<dyn Sink>).collect();
        sinks.extend(direct.remove(&key).unwrap_or_default());
        (sinks, opens)
    };
    match &array.node().kind {
        Kind::Block { call, .. } => {
            let (mut sinks, mut opens) = (Vec::new(), Vec::new());
            for (output, (dtype, grid)) in call.outputs.iter().enumerate() {
                let (mut own, own_opens) = sinks_of((Arc::as_ptr(call).cast(), output));
                opens.extend(own_opens);
                // An output that nobody reads is made all the same: it goes nowhere.
                let sink = own.pop().unwrap_or_else(|| {
                    let place = Place::Disk(resources.spill_folder.clone());
                    let unread = Arc::new(Temporary::new("unread result", *dtype, grid.clone(), place));
                    opens.push(Arc::clone(&unread));
                    unread
                });
                sinks.push(fan_out(sink, own));
            }
            Job::Block { call: Arc::clone(call), sinks, opens }
        }
        _ => {
            let (sinks, opens) = barrier_key(array).map_or_else(|| (Vec::new(), Vec::new()), &mut sinks_of);
            Job::Reduce { array: array.clone(), sinks, opens }
        }
    }
}

/// One sink that hands every chunk to all.
fn fan_out(first: Arc<dyn Sink>, others: Vec<Arc<dyn Sink>>) -> Arc<dyn Sink> {
    if others.is_empty() {
        return first;
    }
    Arc::new(crate::adapt::Several::new(first, others))
}

#[derive(Default)]
struct Walk {
    /// The level at which an array can be evaluated.
    levels: HashMap<*const (), usize>,
    /// Barriers with the level of their stage; one entry for all outputs of a function.
    barriers: Vec<(usize, Array)>,
    /// Parts of joined arrays that are computed, with the level of their stage: they are stored first.
    stored: Vec<(usize, Array)>,
    /// Barriers and stored parts that something reads.
    read: HashMap<BarrierKey, Array>,
    /// Functions that are no barriers.
    made: HashSet<CallKey>,
}

impl Walk {
    fn level(&mut self, array: &Array) -> usize {
        let address = std::ptr::from_ref(array.node()).cast::<()>();
        if let Some(level) = self.levels.get(&address) {
            return *level;
        }
        let level = match &array.node().kind {
            Kind::Source(_) | Kind::Constant(_) => 0,
            Kind::View { input, .. } | Kind::Rechunk { input } | Kind::Cast { input } => self.input(input),
            Kind::Call(call) => call
                .arguments
                .iter()
                .map(|argument| match argument {
                    Operand::Array(array) => self.input(array),
                    Operand::Number(_) => 0,
                })
                .max()
                .unwrap_or(0),
            Kind::Join(parts) => parts.iter().map(|part| self.part(&part.array)).max().unwrap_or(0),
            Kind::Reshape(reshape) if reshape.stored().is_some() => 0,
            Kind::Reshape(reshape) => self.stored(&reshape.input),
            Kind::Adapted(adapted) if adapted.stored().is_some() => 0,
            Kind::Adapted(adapted) if barrier_key(&adapted.input).is_some() => self.input(&adapted.input),
            Kind::Adapted(adapted) => self.stored(&adapted.input),
            Kind::Reduce(Reduced { input, .. }) => {
                let level = self.input(input);
                self.barriers.push((level, array.clone()));
                level + 1
            }
            Kind::Block { call, .. } => {
                let known = Arc::as_ptr(call).cast::<()>();
                if let Some(level) = self.levels.get(&known) {
                    *level
                } else {
                    let mut level =
                        call.inputs.iter().map(|input| self.input(&input.array)).max().unwrap_or(0);
                    if !self.made.contains(&known) {
                        self.barriers.push((level, array.clone()));
                        level += 1;
                    }
                    self.levels.insert(known, level);
                    level
                }
            }
        };
        self.levels.insert(address, level);
        level
    }

    /// The level from which a part of a joined array can be read in pieces.
    fn part(&mut self, array: &Array) -> usize {
        if is_stored(array) { self.input(array) } else { self.stored(array) }
    }

    /// The level from which an array that is stored as it is cut can be read.
    fn stored(&mut self, array: &Array) -> usize {
        let level = self.input(array);
        if self.read.insert(stored_key(array), array.clone()).is_none() {
            self.stored.push((level, array.clone()));
        }
        level + 1
    }

    /// The level of something that is read.
    fn input(&mut self, array: &Array) -> usize {
        self.read(array);
        self.level(array)
    }

    /// Notes that an array is read, if it is a barrier.
    fn read(&mut self, array: &Array) {
        let is_made =
            matches!(&array.node().kind, Kind::Block { call, .. } if self.made.contains(&call_key(call)));
        if let Some(key) = barrier_key(array).filter(|_| !is_made) {
            self.read.insert(key, array.clone());
        }
    }
}
