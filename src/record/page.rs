//! The report of a run as one HTML page: no scripts, no outside files; pictures are in it.
//!
//! Invariant: everything that came from outside (names, labels) is escaped. Called by
//! [`Recorder::report_html`](super::Recorder::report_html).

use super::chart::{self, LEFT, WIDTH, Window, escaped};
use super::{Advice, Kind, Picture, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blockwise_core::error::human_bytes;
use std::fmt::Write;

pub(super) fn page(state: &State, title: &str, secs: f64) -> String {
    let (title, window) = (escaped(title), Window { start_secs: 0.0, end_secs: secs });
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:14px sans-serif;margin:2em;max-width:{}px;color:#222}}\
         table{{border-collapse:collapse}}td,th{{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}}\
         pre{{background:#f6f6f4;padding:1em;overflow:auto}}svg{{display:block;margin:.5em 0}}</style></head>\n\
         <body><h1>{title}</h1>\n",
        WIDTH + LEFT + 60
    );
    let peak = state.memory.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let rows = [
        ("time", format!("{secs:.2} s")),
        ("read, decoded", human_bytes(state.bytes_read)),
        ("stored", human_bytes(state.stored_bytes)),
        ("peak memory reserved", format!("{} of {}", human_bytes(peak), human_bytes(state.budget_bytes))),
        ("what set the peak", state.ledger.peak().unwrap_or_default()),
        ("steps", format!("{}", state.spans.len() as u64 + state.left_out)),
    ];
    page.push_str("<table>");
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        let value = escaped(&value);
        let _ = write!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    page.push_str("</table>\n<h2>What to change</h2>\n");
    advice(&mut page, &state.ledger.advice());
    pictures(&mut page, &state.pictures);
    page.push_str("<h2>Stages</h2>\n<table><tr><th></th><th>stage</th><th>time on threads, reading</th><th>computing and writing</th></tr>");
    for (number, stage) in state.stages.iter().enumerate() {
        let on = |kind: Kind| -> f64 {
            let own = state.spans.iter().filter(|s| usize::from(s.stage) == number && s.kind == kind);
            own.map(|span| f64::from(span.secs)).sum()
        };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{:.2} s</td><td>{:.2} s</td></tr>",
            number + 1,
            escaped(&stage.name),
            on(Kind::Read),
            on(Kind::Task)
        );
    }
    page.push_str("</table>\n<h2>Threads</h2>\n<p><span style=\"color:#3b76b3\">&#9632;</span> reading, <span style=\"color:#d9822b\">&#9632;</span> computing and writing</p>\n");
    page.push_str(&chart::threads(&state.threads, &state.spans, window));
    page.push_str("<h2>Memory reserved</h2>\n");
    page.push_str(&chart::memory(&state.memory, state.budget_bytes, window));
    page.push_str("<h2>Throughput</h2>\n");
    page.push_str(&chart::throughput(&state.spans, window));
    if !state.plans.is_empty() {
        page.push_str("<h2>Plan</h2>\n");
        for plan in &state.plans {
            let _ = writeln!(page, "<pre>{}</pre>", escaped(plan));
        }
    }
    if state.left_out > 0 {
        let _ = writeln!(page, "<p>The charts leave out the last {} steps.</p>", state.left_out);
    }
    page.push_str("</body></html>\n");
    page
}

/// What to change.
fn advice(page: &mut String, advice: &[Advice]) {
    if advice.is_empty() {
        page.push_str("<p>Nothing that is known from the plan and the run would gain a tenth of it.</p>\n");
        return;
    }
    page.push_str("<ul>");
    for Advice { topic, text } in advice {
        let _ = write!(page, "<li><b>{topic}</b>: {}</li>", escaped(text));
    }
    page.push_str("</ul>\n");
}

/// What was stored.
fn pictures(page: &mut String, pictures: &[Picture]) {
    if !pictures.is_empty() {
        page.push_str("<h2>Stored</h2>\n");
    }
    for Picture { caption, png } in pictures {
        let caption = escaped(caption);
        let _ = match png {
            Some(png) => writeln!(
                page,
                "<figure><img alt=\"{caption}\" src=\"data:image/png;base64,{}\"><figcaption>{caption}</figcaption></figure>",
                STANDARD.encode(png)
            ),
            None => writeln!(page, "<p>{caption}</p>"),
        };
    }
}
