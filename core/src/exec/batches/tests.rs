//! Plans in batches give the bits of one process: every kind of stage, every number of batches, batches carried out twice.

use super::*;
use crate::context::Unobserved;
use crate::engine::{Engine, Role};
use crate::exec::run_here;
use crate::plan::Resources;
use crate::{Array, DType, Session};
use proptest::prelude::*;
use std::sync::Mutex;

/// Carries out every batch in this process, each as another process would: by a run of its own.
#[derive(Debug)]
struct Batched {
    wanted: RangeInclusive<u64>,
    folder: tempfile::TempDir,
    /// Batches of each stage that was run.
    counts: Mutex<Vec<usize>>,
}

impl Batched {
    fn new(wanted: RangeInclusive<u64>) -> Self {
        Self { wanted, folder: tempfile::tempdir().unwrap(), counts: Mutex::default() }
    }
}

impl Engine for Batched {
    fn name(&self) -> &'static str {
        "batched"
    }

    fn role(&self) -> Role {
        Role::Driver
    }

    fn run(
        &self,
        plan: &Plan,
        resources: &Resources,
        observer: &dyn Observer,
        cancellation: &Cancellation,
    ) -> Result<RunReport> {
        let folder = self.folder.path().join(plan.digest());
        let driver = SharedRun::new(plan, resources, &folder);
        driver.create()?;
        for number in 0..driver.stages().len() {
            let batches = driver.batches(number, &self.wanted)?;
            self.counts.lock().unwrap().push(batches.len());
            let mut tasks: Vec<Vec<u64>> = batches.iter().cloned().flat_map(crate::plan::c_order).collect();
            let all = tasks.len();
            tasks.sort();
            tasks.dedup();
            assert_eq!(tasks.len(), all, "a task in two batches");
            let twice = batches.iter().enumerate().rev().chain(batches.iter().enumerate().take(2));
            for (id, batch) in twice {
                let worker = SharedRun::new(plan, resources, &folder);
                worker.run_batch(number, id as u64, batch, observer, cancellation)?;
            }
            if driver.leaves_states(number) {
                driver.combine(number, batches.len() as u64, cancellation)?;
            }
            driver.discard(number)?;
        }
        driver.collect(cancellation)?;
        Ok(RunReport::default())
    }

    fn batches(&self, _plan_bytes: u64, _stage_bytes: u64) -> Option<RangeInclusive<u64>> {
        Some(self.wanted.clone())
    }

    fn agree(&self, _what: &str, own: &str) -> Result<String> {
        Ok(own.to_owned())
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn threads(&self) -> usize {
        2
    }

    fn budget_bytes(&self) -> u64 {
        64 << 20
    }
}

fn session(engine: Option<Arc<dyn Engine>>, budget_bytes: u64) -> Session {
    let spill_folder = std::env::temp_dir();
    Session::new(Resources {
        budget_bytes,
        threads: 2,
        spill_folder,
        spill_limit_bytes: None,
        engine,
        device: None,
    })
}

/// Values whose sums depend on the order in which they are added.
fn noise(shape: &[u64], chunks: &[u64]) -> Array {
    let value = |at: &[u64]| {
        let n = at.iter().fold(7_u64, |n, i| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i + 1));
        (n >> 11) as f64 / (1_u64 << 40) as f64 - 3.0
    };
    Array::from_fn(shape, value).unwrap().rechunk(chunks).unwrap()
}

/// The same bits from `wanted` batches as from one process; how many batches each stage had.
fn same_bits(array: &Array, wanted: u64, budget_bytes: u64) -> Vec<usize> {
    same_bits_within(array, wanted..=wanted, budget_bytes)
}

fn same_bits_within(array: &Array, wanted: RangeInclusive<u64>, budget_bytes: u64) -> Vec<usize> {
    let bits = |engine: Option<Arc<dyn Engine>>| {
        let grid = array.grid().clone();
        let result = Arc::new(crate::memory::MemoryArray::zeros("r", DType::F64, grid).unwrap());
        let sink = Arc::clone(&result) as Arc<dyn crate::Sink>;
        session(engine, budget_bytes).store(&[(array.clone(), sink)]).unwrap();
        result.to_elements::<f64>().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let engine = Arc::new(Batched::new(wanted));
    assert_eq!(bits(Some(Arc::clone(&engine) as Arc<dyn Engine>)), bits(None));
    engine.counts.lock().unwrap().clone()
}

#[test]
fn reductions_are_cut_anywhere() {
    let x = noise(&[37, 20, 9], &[3, 7, 4]);
    assert!(same_bits(&x.mean(0).unwrap(), 5, 64 << 20)[0] >= 5);
    assert!(same_bits(&x.std(..).unwrap(), 7, 64 << 20)[0] >= 7);
    same_bits(&x.sum([0_i64, 2].as_slice()).unwrap(), 11, 64 << 20);
    same_bits(&(&x - x.mean(0).unwrap()), 4, 64 << 20);
    same_bits(&x.max(..).unwrap(), 1000, 64 << 20);
}

#[test]
fn groups_are_cut_across_alone() {
    let x = noise(&[24, 20], &[5, 4]);
    let labels: Vec<i64> = (0..24).map(|n| n % 5).collect();
    let mean = x.group_by(&labels, 0).unwrap().mean().unwrap();
    let counts = same_bits(&mean, 8, 64 << 20);
    assert!(counts[0] > 1 && counts[0] <= 5, "{counts:?}");
}

#[test]
fn copies_through_temporary_arrays() {
    let x = noise(&[64, 64, 16], &[1, 64, 16]);
    // Stored on its own grid first, then cut otherwise: through temporary arrays in so little memory.
    let counts = same_bits(&(&x + 1.0).rechunk([64, 2, 2]).unwrap(), 6, 300 << 10);
    assert!(!counts.is_empty() && counts.iter().all(|count| *count >= 6), "{counts:?}");
}

#[test]
fn functions_of_blocks_and_empty_arrays() {
    let x = noise(&[31, 8], &[4, 8]);
    same_bits(&x.cumsum(0).unwrap(), 5, 64 << 20);
    same_bits(&x.rechunk([31, 3]).unwrap(), 5, 64 << 20);
    let none = Array::zeros(&[0, 4], DType::F64).unwrap();
    same_bits(&none.sum(0).unwrap(), 3, 64 << 20);
}

#[test]
fn finer_batches_are_made_where_they_cost_next_to_nothing() {
    let x = noise(&[64, 8], &[1, 8]);
    assert_eq!(same_bits_within(&(&x + 1.0), 4..=32, 64 << 20), [32]);
    // Windows of 17 rows: what batches read beyond their own grows with their number.
    assert_eq!(same_bits_within(&x.filter().gaussian(&[2.0, 1.0]).unwrap(), 4..=32, 64 << 20), [4]);
    // Each batch leaves states.
    assert_eq!(same_bits_within(&x.mean(0).unwrap(), 4..=32, 64 << 20), [4]);
}

#[test]
fn a_plan_for_others_runs_here_too() {
    let x = noise(&[20, 6], &[3, 6]);
    let engine: Arc<dyn Engine> = Arc::new(Batched::new(3..=3));
    let session = session(Some(engine), 64 << 20);
    let result = Arc::new(crate::memory::MemoryArray::zeros("r", DType::F64, x.grid().clone()).unwrap());
    let plan = session.plan(&[(&x + 1.0, Arc::clone(&result) as Arc<dyn crate::Sink>)]).unwrap();
    run_here(&plan, session.resources(), &Unobserved, &Cancellation::new()).unwrap();
    let first = result.to_elements::<f64>().unwrap()[0];
    assert_eq!(first, x.compute::<f64>().unwrap()[[0, 0]] + 1.0);
    let again = session.plan(&[(&x + 1.0, Arc::clone(&result) as Arc<dyn crate::Sink>)]).unwrap();
    let other = session.plan(&[(&x + 1.5, result as Arc<dyn crate::Sink>)]).unwrap();
    assert_eq!(plan.digest(), again.digest());
    assert_ne!(plan.digest(), other.digest());
}

#[test]
fn plans_are_told_apart_by_what_they_compute_and_not_by_names_of_outputs() {
    let x = noise(&[20, 6], &[3, 6]);
    let engine: Arc<dyn Engine> = Arc::new(Batched::new(3..=3));
    let session = session(Some(engine), 64 << 20);
    let digest = |name: &str, array: &Array| {
        let result = crate::memory::MemoryArray::zeros(name, DType::F64, array.grid().clone()).unwrap();
        session.plan(&[(array.clone(), Arc::new(result) as Arc<dyn crate::Sink>)]).unwrap().digest()
    };
    let anomaly = &x - &x.mean(0).unwrap();
    let turned = x.transpose([1, 0]).unwrap();
    let sums = [x.sum(0).unwrap(), x.max(0).unwrap(), x.mean(0).unwrap(), x.sort(1).unwrap()];
    let all: Vec<&Array> = [&anomaly, &turned].into_iter().chain(&sums).collect();
    for (number, array) in all.iter().enumerate() {
        assert_eq!(digest("/a/b.nc", array), digest("/c.nc", array), "{number}");
        assert!(all[..number].iter().all(|other| digest("r", array) != digest("r", other)), "{number}");
    }
}

proptest! {
    #[test]
    fn batches_cover_all_boxes_once(lengths in proptest::collection::vec(1_u64..9, 1..4), seed in 1_u64..40) {
        let whole: Vec<Range<u64>> = lengths.iter().map(|length| 2..2 + length).collect();
        let cuts: Vec<u64> = lengths.iter().map(|length| 1 + seed % length).collect();
        let all = boxes(&whole, &cuts);
        prop_assert_eq!(all.len() as u64, cuts.iter().product::<u64>());
        let mut seen: Vec<Vec<u64>> = all.into_iter().flat_map(crate::plan::c_order).collect();
        let count = seen.len();
        seen.sort();
        seen.dedup();
        prop_assert_eq!((seen.len(), count as u64), (count, lengths.iter().product::<u64>()));
    }
}
