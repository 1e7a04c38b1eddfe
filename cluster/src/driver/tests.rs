//! What a driver makes of workers that are never heard of: storage that is not shared, or a submission that was lost; and when the
//! folder of a run is removed.
//!
//! Called by `cargo test`.

use super::Driver;
use crate::error::Result;
use crate::folder::{self, DoneMark, Folder};
use crate::launcher::{Launcher, Place};
use crate::order::Order;
use crate::settings::{Kind, Settings};
use blockwise_core::context::TaskContext;
use blockwise_core::engine::Engine;
use blockwise_core::plan::Resources;
use blockwise_core::sink::{Sharing, Sink};
use blockwise_core::{Array, Chunk, ChunkGrid, DType, Fault, Session};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An array that workers write, chunk by chunk, each at its place; here nobody does.
pub(super) struct Unwritten(pub(super) ChunkGrid);

impl Sink for Unwritten {
    fn label(&self) -> &str {
        "unwritten"
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn grid(&self) -> &ChunkGrid {
        &self.0
    }

    fn write_scratch_bytes(&self) -> u64 {
        0
    }

    fn write(&self, _: &[u64], _: &Chunk, _: &TaskContext<'_>) -> blockwise_core::Result<u64> {
        panic!("a driver computes nothing");
    }

    fn sharing(&self) -> Sharing {
        Sharing::Shared
    }

    fn finish(&self) -> blockwise_core::Result<()> {
        Ok(())
    }
}

/// Workers that come with the submission that is told, and are done at once; those of others are gone before anybody sees them.
#[derive(Debug)]
struct Lossy {
    folder: Folder,
    submitted: Arc<AtomicUsize>,
    suspected: Arc<AtomicUsize>,
    arrives: Option<usize>,
}

impl Launcher for Lossy {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        if Some(self.submitted.fetch_add(1, Ordering::SeqCst)) != self.arrives {
            return Ok(true);
        }
        let order_of: Order = folder::read(&self.folder.order(order)).unwrap();
        let done = self.folder.stage(order_of.plan, order_of.stage).join("done");
        for share in 0..shares {
            self.folder.sign_in(order, share)?;
            for batch in order_of.batches(share) {
                let mark = DoneMark {
                    digest: order_of.digest.clone(),
                    bytes_read: 1,
                    bytes_written: 1,
                    stored_bytes: 1,
                    peak_reserved_bytes: 1,
                    secs: 1.0,
                    host: "n1".to_owned(),
                };
                folder::write(&done.join(batch.to_string()), &mark)?;
            }
        }
        Ok(true)
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        Ok(Some(HashSet::new()))
    }

    fn suspect(&mut self, lost: &HashSet<Place>) {
        assert!(!lost.is_empty());
        self.suspected.fetch_add(1, Ordering::SeqCst);
    }

    fn stop(&mut self) {}

    fn detail(&self) -> String {
        "no worker was seen".to_owned()
    }
}

/// A session whose runs a driver drives.
pub(super) fn session(driver: &Arc<Driver>) -> Session {
    Session::new(Resources {
        budget_bytes: driver.budget_bytes(),
        threads: driver.threads(),
        spill_folder: std::env::temp_dir(),
        spill_limit_bytes: None,
        engine: Some(Arc::clone(driver) as Arc<dyn Engine>),
        device: None,
    })
}

/// A run whose workers come with one submission, or with none: its outcome, how many submissions there were, and how many were suspected.
fn run(arrives: Option<usize>) -> (blockwise_core::Result<()>, usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (submitted, suspected) = (Arc::default(), Arc::default());
    let driver = begun(&folder.path().join("work"), arrives, false, &submitted, &suspected);
    let outcome = store(&driver);
    driver.end();
    (outcome, submitted.load(Ordering::SeqCst), suspected.load(Ordering::SeqCst))
}

/// A driver whose workers come with one submission, or with none.
fn begun(
    work_folder: &Path,
    arrives: Option<usize>,
    resume: bool,
    submitted: &Arc<AtomicUsize>,
    suspected: &Arc<AtomicUsize>,
) -> Arc<Driver> {
    let settings =
        Settings { batch_bytes: 1000, resume, ..Settings::new(Kind::Processes, work_folder.to_owned(), 2) };
    let lossy = |_: &Settings, folder: &Folder, _: &str| -> Result<Box<dyn Launcher>> {
        let (submitted, suspected) = (Arc::clone(submitted), Arc::clone(suspected));
        Ok(Box::new(Lossy { folder: folder.clone(), submitted, suspected, arrives }))
    };
    Arc::new(Driver::begin_with(settings, lossy).unwrap())
}

/// Stores an array through a driver.
fn store(driver: &Arc<Driver>) -> blockwise_core::Result<()> {
    let (shape, chunks) = ([8, 100, 100], [1, 100, 100]);
    let x = Array::from_fn(&shape, |at| at[0] as f32).unwrap().rechunk(chunks).unwrap();
    let sink: Arc<dyn Sink> = Arc::new(Unwritten(ChunkGrid::regular(&shape, &chunks).unwrap()));
    session(driver).store(&[(&x + 1.0, sink)]).map(|_| ())
}

#[test]
fn workers_that_are_never_seen_mean_storage_that_is_not_shared() {
    let (outcome, submitted, suspected) = run(None);
    let error = outcome.unwrap_err();
    assert_eq!((error.fault(), submitted, suspected), (Fault::Refused, 2, 1), "{error}");
    assert!(error.to_string().contains("no worker was seen"), "{error}");
}

#[test]
fn a_submission_that_is_lost_is_repeated() {
    let (outcome, submitted, suspected) = run(Some(1));
    outcome.unwrap();
    assert_eq!((submitted, suspected), (2, 1));
}

#[test]
fn the_folder_of_a_run_stays_until_all_is_done_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let begin = |arrives, resume| begun(&work, arrives, resume, &Arc::default(), &Arc::default());
    let runs = || folder::names(&work).len();
    // Nothing was begun.
    begin(None, false).end();
    assert_eq!(runs(), 0);
    // A plan failed; then the program ended before it came to that plan; then an output was not published.
    let driver = begin(None, false);
    assert!(store(&driver).is_err());
    driver.end();
    begin(None, true).end();
    assert_eq!(runs(), 1);
    let driver = begin(Some(0), true);
    driver.agree("output", "x").unwrap();
    store(&driver).unwrap();
    driver.end();
    assert_eq!(runs(), 1);
    // Nobody needs to be started for what is done.
    let driver = begin(None, true);
    driver.agree("output", "x").unwrap();
    store(&driver).unwrap();
    driver.before_publication().unwrap();
    driver.published();
    driver.end();
    assert_eq!(runs(), 0);
}

#[test]
fn a_run_that_is_cancelled_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let driver = begun(&work, Some(0), false, &Arc::default(), &Arc::default());
    let [run] = &folder::names(&work)[..] else { panic!("one run") };
    crate::runs::cancel(&work, run.trim_start_matches("run-")).unwrap();
    assert_eq!(store(&driver).unwrap_err().fault(), Fault::Cancelled);
    assert_eq!(driver.before_publication().unwrap_err().fault(), Fault::Cancelled);
    driver.end();
    assert!(folder::names(&work).is_empty());
}
