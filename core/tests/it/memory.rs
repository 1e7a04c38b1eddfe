//! The memory law: every operation, on an input of eight times the budget, keeps to the budget.
//!
//! Each operation runs in a process of its own, this test binary again, because the system tells the peak of resident
//! memory once a process. The input is generated, but is read as if it were compressed: only in its own chunks, with scratch
//! memory for each. Results go to a sink that counts them and drops them.

mod inputs;
mod operations;

use crate::surface;
use blockwise_core::{Array, Session, Sink, machine};
use inputs::{Counted, Inputs};
use operations::{OPERATIONS, Operation};
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const MIB: u64 = 1 << 20;

/// What a process has resident beyond its budget: code, stacks, queues, what the allocator keeps of small things.
const BASELINE_BYTES: u64 = 24 * MIB;

/// Names the operation to the process that measures it.
const VARIABLE: &str = "BLOCKWISE_MEMORY_OF";

#[test]
fn every_operation_keeps_to_the_budget() {
    let next = AtomicUsize::new(0);
    let rows = std::sync::Mutex::new(Vec::new());
    let measured = || {
        while let Some((n, operation)) = next_of(&next) {
            let outcome = in_own_process(operation);
            rows.lock().unwrap().push((n, operation.name, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..machine::cores().min(4) {
            scope.spawn(measured);
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|(n, ..)| *n);
    let (mut table, mut faults) = (String::new(), String::new());
    for (_, name, outcome) in &rows {
        match outcome {
            Ok(figures) => writeln!(table, "{name:<24} {figures}").unwrap(),
            Err(fault) => writeln!(faults, "{name}: {fault}").unwrap(),
        }
    }
    println!("{table}");
    assert!(faults.is_empty(), "{faults}");
    assert_eq!(rows.len(), OPERATIONS.len());
}

fn next_of(next: &AtomicUsize) -> Option<(usize, &'static Operation)> {
    let n = next.fetch_add(1, Ordering::Relaxed);
    OPERATIONS.get(n).map(|operation| (n, operation))
}

/// The figures that the process of an operation prints, or what it says when it fails.
fn in_own_process(operation: &Operation) -> Result<String, String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::measured_alone", "--ignored", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, operation.name)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = text.lines().find_map(|line| line.split_once("measured: "));
    match figures {
        Some((_, figures)) if output.status.success() => Ok(figures.to_owned()),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
#[ignore = "run by every_operation_keeps_to_the_budget, once for each operation"]
fn measured_alone() {
    let Ok(name) = std::env::var(VARIABLE) else { return };
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).unwrap();
    let budget_bytes = operation.budget_bytes;
    let started = Instant::now();
    let session = Session::new(crate::support::resources(budget_bytes, 2));
    let (mut reserved_bytes, mut runs) = (0, 0);
    for array in (operation.arrays)(&Inputs::new(8 * budget_bytes, session.clone()).unwrap()).unwrap() {
        let sink = Arc::new(Counted::of(&array));
        let report = session.store(&[(array.clone(), Arc::clone(&sink) as Arc<dyn Sink>)]);
        let report = report.unwrap_or_else(|error| panic!("{array:?}: {error}"));
        assert_eq!(sink.bytes(), bytes_of(&array), "{array:?}");
        assert!(report.peak_reserved_bytes <= budget_bytes, "{array:?}: {report:?}");
        reserved_bytes = report.peak_reserved_bytes.max(reserved_bytes);
        runs += 1;
        let peak_bytes = machine::peak_resident_bytes().unwrap();
        assert!(
            peak_bytes <= budget_bytes + BASELINE_BYTES,
            "{array:?}: {:.1} MiB resident with a budget of {} MiB, of which {:.1} were reserved",
            peak_bytes as f64 / MIB as f64,
            budget_bytes / MIB,
            reserved_bytes as f64 / MIB as f64
        );
    }
    let peak_bytes = machine::peak_resident_bytes().unwrap();
    println!(
        "measured: {:>5.1} MiB peak, {:>5.1} reserved of {:>2}, {runs:>2} runs in {:.1} s",
        peak_bytes as f64 / MIB as f64,
        reserved_bytes as f64 / MIB as f64,
        budget_bytes / MIB,
        started.elapsed().as_secs_f64()
    );
}

fn bytes_of(array: &Array) -> u64 {
    array.shape().iter().product::<u64>() * array.dtype().size() as u64
}

/// Methods of arrays that compute nothing: they tell, or say where and how others run.
const NO_OPERATIONS: &[&str] = &[
    "call",
    "compute",
    "from_blocks",
    "from_folded_blocks",
    "dtype",
    "from_source",
    "grid",
    "names",
    "rank",
    "shape",
    "with_some_names",
];

#[test]
fn every_method_is_measured() {
    let text = include_str!("memory/operations.rs");
    let is_used = |name: &str| {
        [format!(".{name}("), format!("::{name}("), format!("::{name},")]
            .iter()
            .any(|call| text.contains(call.as_str()))
    };
    let missing: Vec<String> = surface::methods_of("Array")
        .into_iter()
        .filter(|name| !NO_OPERATIONS.contains(&name.as_str()) && !is_used(name))
        .collect();
    assert!(missing.is_empty(), "add operations that use {missing:?} to core/tests/it/memory/operations.rs");
}

#[test]
#[ignore = "a minute; run alone"]
fn climatology_and_anomaly_of_12_gb_within_1_gib() {
    let budget_bytes = 1 << 30;
    let session = Session::new(crate::support::resources(budget_bytes, 2));
    // Eight years of days on a grid of a quarter of a degree, a month to a chunk.
    let x = inputs::days(94 * 31).unwrap();
    let targets = |label: fn(i64) -> i64| {
        let labels: Vec<i64> = (0..94 * 31).map(label).collect();
        let groups = x.group_by(&labels, "time").unwrap();
        let climatology = groups.nanmean().unwrap();
        let anomaly = &x - groups.spread(&climatology).unwrap();
        let arrays = [climatology, anomaly];
        arrays.map(|array| (array.clone(), Arc::new(Counted::of(&array)) as Arc<dyn Sink>))
    };
    // Of 366 days: planned within the budget too, by way of the disk.
    let days = session.plan(&targets(|day| day % 366)).unwrap();
    println!("{}", days.summary());
    assert!(days.summary().sources.iter().all(|source| source.passes <= 2), "{}", days.summary());
    let plan = session.plan(&targets(|day| day / 30 % 12)).unwrap();
    let started = Instant::now();
    let report = session.run(&plan).unwrap();
    let peak_bytes = machine::peak_resident_bytes().unwrap();
    println!(
        "{}{:.1} GB in {:.0} s, {} MiB resident at most, {} reserved",
        plan.summary(),
        bytes_of(&x) as f64 / 1e9,
        started.elapsed().as_secs_f64(),
        peak_bytes / MIB,
        report.peak_reserved_bytes / MIB
    );
    assert!(bytes_of(&x) > 12_000_000_000 && report.peak_reserved_bytes <= budget_bytes, "{report:?}");
    assert!(peak_bytes <= budget_bytes + BASELINE_BYTES, "{} MiB resident", peak_bytes / MIB);
    assert!(plan.summary().sources.iter().all(|source| source.passes <= 2), "{}", plan.summary());
}
