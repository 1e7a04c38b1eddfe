//! A driver at its full size, with workers that write marks and nothing else: what the driver holds, and how much of a core it takes.
//!
//! The driver is the real one: it plans, cuts, orders, looks and publishes. Its workers are one other process, which reads the orders and
//! writes the marks of their batches, so many a second. [`run`] is one such run and prints its figures; a short one, with bounds, is part
//! of the tests, and `docs/scale.md` says how to run others. Called by `cargo test`.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use super::Driver;
use super::tests::{Unwritten, session};
use crate::error::{Error, Result};
use crate::folder::{self, DoneMark, Folder};
use crate::launcher::{Launcher, Place};
use crate::order::Order;
use crate::settings::{Kind, Settings};
use blockwise_core::sink::Sink;
use blockwise_core::{Array, ChunkGrid};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the test is called, for the processes that it starts.
const NAME: &str = "driver::simulation::run";

/// A number that the environment gives.
fn given(name: &str, default: u64) -> u64 {
    std::env::var(format!("BLOCKWISE_SIMULATED_{name}"))
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// A process of this program that does one run, or is the workers of one.
fn process() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([NAME, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command
}

/// Starts nobody: the other process finds its orders by itself.
#[derive(Debug)]
struct Simulated {
    folder: Folder,
    workers: Child,
    open: Vec<(u64, usize)>,
}

impl Simulated {
    fn start(folder: &Folder) -> Result<Box<dyn Launcher>> {
        let workers = process().env("BLOCKWISE_SIMULATED_RUN", &folder.root).stdout(Stdio::null()).spawn();
        let workers = workers.map_err(|source| Error::os(&folder.root, "starting", source))?;
        Ok(Box::new(Self { folder: folder.clone(), workers, open: Vec::new() }))
    }
}

impl Launcher for Simulated {
    fn submit(&mut self, order: u64, shares: usize) -> Result<bool> {
        self.open.push((order, shares));
        Ok(true)
    }

    fn alive(&mut self) -> Result<Option<HashSet<Place>>> {
        self.open.retain(|(order, _)| !ended(&self.folder.root, *order).exists());
        let places = |(order, shares): &(u64, usize)| {
            let order = *order;
            (0..*shares).map(move |share| (order, share))
        };
        Ok(Some(self.open.iter().flat_map(places).collect()))
    }

    fn stop(&mut self) {
        let _ = self.workers.kill(); // it may have ended
        let _ = self.workers.wait();
    }

    fn detail(&self) -> String {
        "simulated".to_owned()
    }
}

/// The file that says that an order has been carried out.
fn ended(root: &Path, order: u64) -> PathBuf {
    root.join(format!("ended-{order}"))
}

/// All workers of a run: writes `per_sec` marks a second, share by share in turn, until it is killed.
fn work(root: PathBuf, per_sec: u64) {
    let folder = Folder { root };
    let began = Instant::now();
    let mut written = 0_u64;
    for number in 0.. {
        let order: Order = loop {
            match folder::read(&folder.order(number)) {
                Some(order) => break order,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let done = folder.stage(order.plan, order.stage).join("done");
        let mark = DoneMark {
            digest: order.digest.clone(),
            bytes_read: 10_000_000,
            bytes_written: 10_000_000,
            stored_bytes: 7_000_000,
            peak_reserved_bytes: 1 << 30,
            secs: 12.5,
            host: "n1".to_owned(),
        };
        folder.sign_in(number, 0).unwrap();
        let shares: Vec<Vec<u64>> = (0..order.shares()).map(|share| order.batches(share)).collect();
        for turn in 0..shares.iter().map(Vec::len).max().unwrap_or(0) {
            for id in shares.iter().filter_map(|share| share.get(turn)) {
                folder::write(&done.join(id.to_string()), &mark).unwrap();
                written += 1;
                let due = began + Duration::from_secs(1) * (written / per_sec) as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        std::fs::write(ended(&folder.root, number), "").unwrap();
    }
}

/// Seconds of processor time of this thread.
fn thread_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let ticks: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split(' ')
        .skip(12)
        .take(2)
        .map(|text| text.parse().unwrap())
        .collect();
    ticks.iter().sum::<f64>() / 100.0
}

/// The most memory that this process has had, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// One run of the size that the environment says: 100 chunks by 100 by so many, of 10 MB.
#[test]
#[ignore = "a measurement: docs/scale.md"]
fn run() {
    if let Some(root) = std::env::var_os("BLOCKWISE_SIMULATED_RUN") {
        return work(PathBuf::from(root), given("MARKS_PER_SEC", 100));
    }
    let (tasks, workers) = (given("TASKS", 1_000_000), given("WORKERS", 1000));
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        threads: 16,
        budget_bytes: 8 << 30,
        ..Settings::new(Kind::Processes, folder.path().join("work"), u32::try_from(workers).unwrap())
    };
    let (began, secs) = (Instant::now(), thread_secs());
    let driver = Arc::new(Driver::begin_with(settings, |_, folder, _| Simulated::start(folder)).unwrap());
    let session = session(&driver);
    let (shape, chunks) = ([tasks / 10_000, 160_000, 160_000], [1, 1600, 1600]);
    let x = Array::from_fn(&shape, |at| at[0] as f32).unwrap().rechunk(chunks).unwrap();
    let sink: Arc<dyn Sink> = Arc::new(Unwritten(ChunkGrid::regular(&shape, &chunks).unwrap()));
    let plan = session.plan(&[(&x + 1.0, Arc::clone(&sink))]).unwrap();
    assert_eq!((plan.summary().tasks, plan.digest().is_empty()), (tasks, false));
    let planned_secs = thread_secs() - secs;
    drop(plan);
    session.store(&[(&x + 1.0, sink)]).unwrap();
    let (wall_secs, secs) = (began.elapsed().as_secs_f64(), thread_secs() - secs);
    driver.end();
    println!(
        "{tasks} tasks, {workers} workers: planned in {planned_secs:.2} s; peak {} MB; {secs:.2} s of a core in {wall_secs:.1} s",
        peak_bytes() / 1_000_000
    );
}

/// A million tasks on 200 nodes, done in two seconds.
#[test]
fn a_driver_of_a_million_tasks_is_small_and_quiet() {
    let output = process()
        .env("BLOCKWISE_SIMULATED_WORKERS", "200")
        .env("BLOCKWISE_SIMULATED_MARKS_PER_SEC", "400")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figure = |after: &str| -> f64 {
        let rest = text.split(after).nth(1).unwrap_or_else(|| panic!("no figures in {text}"));
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (peak_mb, secs, wall_secs) = (figure("peak "), figure("MB; "), figure("a core in "));
    assert!(peak_mb < 300.0, "{text}");
    assert!(secs < 0.1 * wall_secs + 0.2, "{text}");
}
