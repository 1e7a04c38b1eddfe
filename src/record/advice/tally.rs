//! [`Tally`]: what the stages of a run took, added up from its events.
//!
//! Invariant: a stage that starts over adds to what it took before. Called by [`super`].

use blockwise_core::Event;

/// What a stage, a plan or a run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// Seconds from begin to end.
    pub(super) wall_secs: f64,
    /// Seconds of all threads that read chunks, codecs included.
    pub(super) reading_secs: f64,
    /// Seconds of all threads that computed, encoded and wrote.
    pub(super) working_secs: f64,
    pub(super) decoding_secs: f64,
    pub(super) encoding_secs: f64,
    /// The longest step.
    pub(super) longest_secs: f64,
    pub(super) chunks_read: u64,
    pub(super) bytes_read: u64,
}

impl Sum {
    pub(super) fn busy_secs(&self) -> f64 {
        self.reading_secs + self.working_secs
    }

    fn add(&mut self, other: &Self) {
        self.wall_secs += other.wall_secs;
        self.reading_secs += other.reading_secs;
        self.working_secs += other.working_secs;
        self.decoding_secs += other.decoding_secs;
        self.encoding_secs += other.encoding_secs;
        self.longest_secs = self.longest_secs.max(other.longest_secs);
        self.chunks_read += other.chunks_read;
        self.bytes_read = self.bytes_read.saturating_add(other.bytes_read);
    }
}

/// Sums by plan and stage.
#[derive(Default)]
pub(super) struct Tally {
    /// What ran before the first plan that was announced, stage by stage.
    unplanned: Vec<Sum>,
    /// Of each plan, its stages.
    plans: Vec<Vec<Sum>>,
    /// The stage that runs, and since when.
    running: Option<(usize, f64)>,
    /// Plan, stage and bytes where most was reserved.
    pub(super) peak: Option<(usize, usize, u64)>,
}

impl Tally {
    pub(super) fn begin_plan(&mut self) {
        self.plans.push(Vec::new());
        self.running = None;
    }

    pub(super) fn take(&mut self, event: &Event<'_>, now_secs: f64) {
        match event {
            Event::StageStarted { stage, .. } => self.running = Some((*stage, now_secs)),
            Event::ChunkRead { stage, bytes, secs } => {
                let sum = self.stage(*stage);
                sum.reading_secs += secs;
                sum.longest_secs = sum.longest_secs.max(*secs);
                sum.chunks_read += 1;
                sum.bytes_read = sum.bytes_read.saturating_add(*bytes);
            }
            Event::ChunkWritten { stage, secs, .. } => {
                let sum = self.stage(*stage);
                sum.working_secs += secs;
                sum.longest_secs = sum.longest_secs.max(*secs);
            }
            Event::CodecTime { stage, decoding_secs, encoding_secs } => {
                let sum = self.stage(*stage);
                sum.decoding_secs += decoding_secs;
                sum.encoding_secs += encoding_secs;
            }
            Event::StageFinished { stage } | Event::StageFailed { stage, .. } => {
                if let Some((_, since)) = self.running.take_if(|(running, _)| running == stage) {
                    self.stage(*stage).wall_secs += now_secs - since;
                }
            }
            Event::Memory { reserved_bytes } => {
                let is_more = self.peak.is_none_or(|(.., most)| *reserved_bytes > most);
                if let (true, Some((stage, _)), Some(plan)) =
                    (is_more, self.running, self.plans.len().checked_sub(1))
                {
                    self.peak = Some((plan, stage, *reserved_bytes));
                }
            }
            _ => {}
        }
    }

    fn stage(&mut self, stage: usize) -> &mut Sum {
        let stages = self.plans.last_mut().unwrap_or(&mut self.unplanned);
        if stages.len() <= stage {
            stages.resize(stage + 1, Sum::default());
        }
        &mut stages[stage]
    }

    pub(super) fn of_stage(&self, plan: usize, stage: usize) -> Sum {
        self.plans.get(plan).and_then(|stages| stages.get(stage)).copied().unwrap_or_default()
    }

    pub(super) fn of_plan(&self, plan: usize) -> Sum {
        self.plans.get(plan).map_or_else(Sum::default, added)
    }

    pub(super) fn all(&self) -> Sum {
        added(self.plans.iter().flatten().chain(&self.unplanned))
    }
}

fn added<'a>(sums: impl IntoIterator<Item = &'a Sum>) -> Sum {
    let mut all = Sum::default();
    sums.into_iter().for_each(|sum| all.add(sum));
    all
}
