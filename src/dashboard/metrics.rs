//! The run's numbers in Prometheus' text format, version 0.0.4.
//!
//! Invariant: a counter never falls while the run goes on. Called by [`Dashboard`](super::Dashboard) for `/metrics`.

use crate::record::Snapshot;
use std::fmt::Write;

pub(super) fn text(seen: &Snapshot) -> String {
    let mut text = String::new();
    let mut number = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = write!(
            text,
            "# HELP blockwise_{name} {help}\n# TYPE blockwise_{name} {kind}\nblockwise_{name} {value}\n"
        );
    };
    number("run_seconds", "gauge", "Seconds since the run began.", seen.secs);
    number("read_bytes_total", "counter", "Decoded bytes read.", seen.bytes_read as f64);
    number("written_bytes_total", "counter", "Decoded bytes that tasks wrote.", seen.bytes_written as f64);
    number(
        "stored_bytes_total",
        "counter",
        "Encoded bytes stored, in temporary files too.",
        seen.stored_bytes as f64,
    );
    number("chunks_read_total", "counter", "Chunks read and decoded.", seen.chunks_read as f64);
    number("tasks_total", "counter", "Tasks carried out.", seen.tasks as f64);
    number(
        "chunks_skipped_total",
        "counter",
        "Chunks that an earlier run had stored.",
        seen.chunks_skipped as f64,
    );
    number("errors_total", "counter", "Stages that failed.", seen.errors.len() as f64);
    number("memory_budget_bytes", "gauge", "The budget.", seen.budget_bytes as f64);
    number("memory_reserved_bytes", "gauge", "Bytes of the budget in use.", seen.reserved_bytes as f64);
    number(
        "memory_reserved_peak_bytes",
        "gauge",
        "The most bytes of the budget that were in use.",
        seen.peak_reserved_bytes as f64,
    );
    number(
        "temporary_disk_bytes",
        "gauge",
        "Bytes that open temporary files take at most.",
        seen.temporary_bytes as f64,
    );
    let stages = [
        ("stage_bytes", "Decoded bytes that a stage writes.", seen.stages.iter().map(|s| s.bytes).collect()),
        (
            "stage_done_bytes",
            "Decoded bytes that a stage has written.",
            seen.stages.iter().map(|s| s.bytes_done).collect::<Vec<_>>(),
        ),
    ];
    for (name, help, values) in stages {
        let _ = write!(text, "# HELP blockwise_{name} {help}\n# TYPE blockwise_{name} gauge\n");
        for (number, (stage, value)) in seen.stages.iter().zip(values).enumerate() {
            let number = seen.stages_before + number;
            let label = label(&stage.name);
            let _ = writeln!(text, "blockwise_{name}{{stage=\"{number}\",name=\"{label}\"}} {value}");
        }
    }
    text
}

/// `text` as the value of a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
