//! [`Pace`]: how fast the workers of a run get on, from the marks of its batches, and into how many batches that cuts a stage.
//!
//! A batch is what is lost with a worker, and what nothing is heard of meanwhile; so a stage of hours has many. Invariant: what a stage was
//! cut into stands in its folder, and is not decided again by a driver that takes the run up. Called by [`crate::driver`] and, for plans
//! that are only shown, by [`crate::planner`].

use crate::folder::DoneMark;
use crate::settings::Settings;
use std::ops::RangeInclusive;

/// Batches for each worker, so that a slow one does not keep the others waiting.
const BATCHES_PER_WORKER: u64 = 4;
/// And at most, however long they take: each is a mark to be looked for.
const MOST_PER_WORKER: u64 = 64;
/// Seconds of a batch where finer ones cost next to nothing.
const BATCH_SECS: f64 = 20.0;
/// What a thread reads and writes in a second, before anything is known: slow, so that the first stage has batches enough.
const BYTES_PER_SEC: f64 = 50e6;

/// What has been done in a run.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    bytes: u64,
    secs: f64,
}

impl Pace {
    /// Takes note of a batch; states that are put together count no bytes, and say nothing of how long bytes take.
    pub(crate) fn take(&mut self, mark: &DoneMark) {
        let bytes = mark.bytes_read.saturating_add(mark.bytes_written);
        if bytes > 0 {
            self.bytes = self.bytes.saturating_add(bytes);
            self.secs += mark.secs;
        }
    }

    /// About how many batches a stage is cut into, as [`Engine::batches`](blockwise_core::engine::Engine::batches) says.
    pub(crate) fn batches(
        &self,
        settings: &Settings,
        plan_bytes: u64,
        stage_bytes: u64,
    ) -> Option<RangeInclusive<u64>> {
        if plan_bytes <= settings.batch_bytes {
            return None;
        }
        let for_each = |count: u64| u64::from(settings.workers).saturating_mul(count).max(1);
        let least = (stage_bytes / settings.batch_bytes).clamp(1, for_each(BATCHES_PER_WORKER));
        let assumed = BYTES_PER_SEC * settings.threads as f64;
        let bytes_per_sec =
            if self.bytes > 0 && self.secs > 0.0 { self.bytes as f64 / self.secs } else { assumed };
        let in_time = (stage_bytes as f64 / bytes_per_sec / BATCH_SECS).ceil() as u64;
        Some(least..=in_time.clamp(least, for_each(MOST_PER_WORKER).max(least)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Kind;

    #[test]
    fn batches_take_as_long_as_was_measured() {
        let settings = Settings { threads: 2, ..Settings::new(Kind::Processes, "work".into(), 10) };
        let mut pace = Pace::default();
        let batches = |pace: &Pace, bytes| pace.batches(&settings, u64::MAX, bytes).unwrap();
        assert_eq!(pace.batches(&settings, settings.batch_bytes, 1), None);
        // 2 GB in 20 s before anything is known: a hundred of them.
        assert_eq!(batches(&pace, 200_000_000_000), 40..=100);
        assert_eq!(batches(&pace, 1 << 30), 32..=32);
        assert_eq!(batches(&pace, 1 << 60), 40..=640);
        let mark = DoneMark {
            digest: String::new(),
            bytes_read: 3_000_000_000,
            bytes_written: 1_000_000_000,
            stored_bytes: 0,
            peak_reserved_bytes: 0,
            secs: 80.0,
            host: String::new(),
        };
        pace.take(&mark);
        pace.take(&DoneMark { bytes_read: 0, bytes_written: 0, ..mark.clone() });
        pace.take(&mark);
        // 1 GB in 20 s.
        assert_eq!(batches(&pace, 200_000_000_000), 40..=200);
    }
}
