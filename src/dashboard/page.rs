//! What a dashboard shows: a frame with one small script, and the fragment that it puts in twice a second.
//!
//! Invariants: nothing is fetched but from this server; everything that came from outside (names, labels, messages) is escaped;
//! a fragment's size does not grow with the run. Called by [`Dashboard`](super::Dashboard).

use super::request::Html;
use crate::record::chart::{self, READING, WORKING, Window, escaped};
use crate::record::{Snapshot, StageProgress};
use blockwise_core::error::human_bytes;
use std::fmt::Write;

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self { text, nonce: None }
    }
}

/// The page around what changes. `nonce` marks its script.
pub(super) fn frame(title: &str, nonce: &str) -> Html {
    let title = escaped(title);
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <link rel=\"icon\" href=\"data:,\">\n<style>\
         body{{font:14px sans-serif;margin:2em;max-width:1270px;color:#222}}h1{{font-size:1.3em}}h2{{font-size:1.1em}}\
         table{{border-collapse:collapse}}td,th{{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}}\
         pre{{background:#f6f6f4;padding:1em;overflow:auto}}svg{{display:block;margin:.5em 0}}\
         #state{{color:#c33;min-height:1.3em}}.error{{color:#c33}}</style></head>\n\
         <body><h1>{title}</h1><p id=\"state\" role=\"status\"></p><div id=\"live\" data-updates=\"0\"></div>\n\
         <script nonce=\"{nonce}\">\n{SCRIPT}</script></body></html>\n"
    );
    Html { text, nonce: Some(nonce.to_owned()) }
}

/// Asks for the fragment twice a second; what it holds was escaped by the server.
const SCRIPT: &str = r#"const live = document.getElementById("live"), state = document.getElementById("state");
let updates = 0;
async function update() {
  try {
    const answer = await fetch("live" + location.search, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    live.innerHTML = await answer.text();
    live.dataset.updates = ++updates;
    state.textContent = "";
    setTimeout(update, 500);
  } catch (error) {
    state.textContent = updates ? "The run has ended, or cannot be reached. Below is what it last showed." : "The run cannot be reached.";
    setTimeout(update, 2000);
  }
}
update();
"#;

/// What changes.
pub(super) fn live(seen: &Snapshot) -> String {
    let mut page = String::new();
    let (position, count) = seen.position;
    if !seen.label.is_empty() {
        let place = if count > 1 { format!("[{}/{count}] ", position + 1) } else { String::new() };
        let _ = write!(page, "<p><b>{place}{}</b></p>", escaped(&seen.label));
    }
    for error in &seen.errors {
        let _ = write!(page, "<p class=\"error\">{}</p>", escaped(error));
    }
    page.push_str(&numbers(seen));
    page.push_str(&stages(seen));
    let window = Window { start_secs: seen.recent_since_secs(), end_secs: seen.secs };
    let _ = write!(
        page,
        "<h2>Threads</h2><p><span style=\"color:{READING}\">&#9632;</span> reading, \
         <span style=\"color:{WORKING}\">&#9632;</span> computing and writing; steps show when they end</p>{}\
         <h2>Memory reserved, of the budget</h2>{}<h2>Throughput</h2>{}",
        chart::threads(&seen.threads, &seen.recent, window),
        chart::memory(&seen.memory, seen.budget_bytes, window),
        chart::throughput(&seen.recent, window),
    );
    page.push_str("<h2>Slowest steps</h2><table><tr><th>took</th><th>at</th><th></th><th>bytes</th><th>thread</th><th>stage</th></tr>");
    for step in &seen.slowest {
        let _ = write!(
            page,
            "<tr><td>{:.3} s</td><td>{:.1} s</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            step.secs,
            step.start_secs,
            if step.is_read { "read" } else { "task" },
            human_bytes(step.bytes),
            escaped(&step.thread),
            escaped(&step.stage),
        );
    }
    page.push_str("</table>");
    if !seen.plan.is_empty() {
        let _ = write!(page, "<h2>Plan</h2><pre>{}</pre>", escaped(&seen.plan));
    }
    page
}

fn numbers(seen: &Snapshot) -> String {
    let rate = |per_sec: f64| format!("{}/s", human_bytes(per_sec as u64));
    let rows = [
        ("time", format!("{:.1} s", seen.secs)),
        (
            "read, decoded",
            format!("{} ({} now)", human_bytes(seen.bytes_read), rate(seen.read_bytes_per_sec)),
        ),
        (
            "written, decoded",
            format!("{} ({} now)", human_bytes(seen.bytes_written), rate(seen.written_bytes_per_sec)),
        ),
        ("stored", human_bytes(seen.stored_bytes)),
        (
            "memory in flight and held",
            format!(
                "{} of {} (most: {})",
                human_bytes(seen.reserved_bytes),
                human_bytes(seen.budget_bytes),
                human_bytes(seen.peak_reserved_bytes)
            ),
        ),
        (
            "temporary files, at most",
            format!(
                "{} (most: {})",
                human_bytes(seen.temporary_bytes),
                human_bytes(seen.peak_temporary_bytes)
            ),
        ),
        (
            "steps",
            format!(
                "{} reads, {} tasks, {} chunks done before",
                seen.chunks_read, seen.tasks, seen.chunks_skipped
            ),
        ),
    ];
    let mut table = "<table>".to_owned();
    for (name, value) in rows {
        let _ = write!(table, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    table.push_str("</table>");
    table
}

fn stages(seen: &Snapshot) -> String {
    let mut table = "<h2>Stages</h2><table>".to_owned();
    for (number, stage) in seen.stages.iter().enumerate() {
        let done = share(stage);
        let until = stage.finished_secs.unwrap_or(seen.secs);
        let _ = write!(
            table,
            "<tr><td>{}</td><td>{}</td><td><svg width=\"200\" height=\"14\"><rect width=\"200\" height=\"14\" fill=\"#eee\"/>\
             <rect width=\"{:.0}\" height=\"14\" fill=\"{READING}\"/></svg></td><td>{:.0} %</td><td>{} of {}</td><td>{:.1} s</td></tr>",
            seen.stages_before + number + 1,
            escaped(&stage.name),
            done * 200.0,
            done * 100.0,
            human_bytes(stage.bytes_done),
            human_bytes(stage.bytes),
            until - stage.started_secs,
        );
    }
    table.push_str("</table>");
    table
}

/// How much of a stage is done, from 0 to 1.
fn share(stage: &StageProgress) -> f64 {
    match (stage.finished_secs, stage.bytes) {
        (Some(_), _) => 1.0,
        (None, 0) => stage.chunks_done as f64 / stage.chunks.max(1) as f64,
        (None, bytes) => (stage.bytes_done as f64 / bytes as f64).min(1.0),
    }
}
