//! The report of a run as one HTML page: no scripts, no outside files; pictures are in it.
//!
//! Invariant: everything that came from outside (names, labels) is escaped. Called by
//! [`Recorder::report_html`](super::Recorder::report_html).

use super::{Kind, Picture, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blockwise_core::error::human_bytes;
use std::fmt::Write;

/// Width of the charts, in pixels; time is binned as finely.
const WIDTH: usize = 1100;
const ROW_HEIGHT: usize = 22;
const CHART_HEIGHT: usize = 120;
const LEFT: usize = 110;

pub(super) fn page(state: &State, title: &str, secs: f64) -> String {
    let title = escaped(title);
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
        ("steps", format!("{}", state.spans.len() as u64 + state.left_out)),
    ];
    page.push_str("<table>");
    for (name, value) in rows {
        let _ = write!(page, "<tr><th>{name}</th><td>{value}</td></tr>");
    }
    page.push_str("</table>\n");
    pictures(&mut page, &state.pictures);
    page.push_str("<h2>Stages</h2>\n<table><tr><th></th><th>stage</th><th>time on threads, reading</th><th>computing and writing</th></tr>");
    for (number, name) in state.stages.iter().enumerate() {
        let on = |kind: Kind| -> f64 {
            let own = state.spans.iter().filter(|s| usize::from(s.stage) == number && s.kind == kind);
            own.map(|span| f64::from(span.secs)).sum()
        };
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{:.2} s</td><td>{:.2} s</td></tr>",
            number + 1,
            escaped(name),
            on(Kind::Read),
            on(Kind::Task)
        );
    }
    page.push_str("</table>\n<h2>Threads</h2>\n<p><span style=\"color:#3b76b3\">&#9632;</span> reading, <span style=\"color:#d9822b\">&#9632;</span> computing and writing</p>\n");
    page.push_str(&threads(state, secs));
    page.push_str("<h2>Memory reserved</h2>\n");
    page.push_str(&memory(state, secs, peak));
    page.push_str("<h2>Throughput</h2>\n");
    page.push_str(&throughput(state, secs));
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

/// The bin of a moment.
fn bin(at_secs: f64, secs: f64) -> usize {
    ((at_secs / secs.max(1e-9) * WIDTH as f64) as usize).min(WIDTH - 1)
}

/// A row a thread: what it did most of the time in every bin.
fn threads(state: &State, secs: f64) -> String {
    let mut shares = vec![vec![[0.0_f32; 2]; WIDTH]; state.threads.len()];
    let bin_secs = (secs / WIDTH as f64) as f32;
    for span in &state.spans {
        let Some(row) = shares.get_mut(usize::from(span.thread)) else { continue };
        let (first, last) =
            (bin(span.start_secs.into(), secs), bin(f64::from(span.start_secs + span.secs), secs));
        let kind = usize::from(span.kind == Kind::Task);
        for (number, share) in row.iter_mut().enumerate().take(last + 1).skip(first) {
            let start = number as f32 * bin_secs;
            let overlap = (span.start_secs + span.secs).min(start + bin_secs) - span.start_secs.max(start);
            share[kind] += overlap.max(0.0);
        }
    }
    let height = state.threads.len() * ROW_HEIGHT + 20;
    let mut svg = open_svg(height);
    for (row, (name, bins)) in state.threads.iter().zip(&shares).enumerate() {
        let y = row * ROW_HEIGHT;
        let _ = write!(svg, "<text x=\"0\" y=\"{}\">{}</text>", y + 15, escaped(name));
        // Neighbouring bins of one colour are one bar.
        let colour = |share: &[f32; 2]| match share {
            [read, task] if read + task < bin_secs / 2.0 => "",
            [read, task] if read > task => "#3b76b3",
            _ => "#d9822b",
        };
        let mut at = 0;
        while at < bins.len() {
            let own = bins.get(at).map_or("", colour);
            let run = bins.iter().skip(at).take_while(|share| colour(share) == own).count().max(1);
            if !own.is_empty() {
                let _ = write!(
                    svg,
                    "<rect x=\"{}\" y=\"{}\" width=\"{run}\" height=\"{}\" fill=\"{own}\"/>",
                    LEFT + at,
                    y + 2,
                    ROW_HEIGHT - 4
                );
            }
            at += run;
        }
    }
    close_svg(svg, height, secs)
}

fn memory(state: &State, secs: f64, peak: u64) -> String {
    let top = state.budget_bytes.max(peak).max(1);
    let mut svg = open_svg(CHART_HEIGHT + 20);
    let y = |bytes: u64| CHART_HEIGHT as f64 * (1.0 - bytes as f64 / top as f64);
    let points: Vec<String> = state
        .memory
        .iter()
        .map(|(at, bytes)| format!("{},{:.1}", LEFT + bin((*at).into(), secs), y(*bytes)))
        .collect();
    let _ = write!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"#3b76b3\"/>", points.join(" "));
    let line = y(state.budget_bytes);
    let _ = write!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#c33\" stroke-dasharray=\"4\"/>\
         <text x=\"0\" y=\"12\">{}</text>",
        LEFT + WIDTH,
        human_bytes(top)
    );
    close_svg(svg, CHART_HEIGHT + 20, secs)
}

/// Bytes of steps that ended in every stretch of ten bins, read above, written below.
fn throughput(state: &State, secs: f64) -> String {
    const STRETCH: usize = 10;
    let mut bytes = vec![[0.0_f64; 2]; WIDTH.div_ceil(STRETCH)];
    for span in &state.spans {
        let at = bin(f64::from(span.start_secs + span.secs), secs) / STRETCH;
        if let Some(own) = bytes.get_mut(at) {
            own[usize::from(span.kind == Kind::Task)] += span.bytes as f64;
        }
    }
    let stretch_secs = secs / WIDTH as f64 * STRETCH as f64;
    let top = bytes.iter().flatten().copied().fold(1.0, f64::max);
    let mut svg = open_svg(CHART_HEIGHT + 20);
    for (kind, colour) in ["#3b76b3", "#d9822b"].iter().enumerate() {
        let points: Vec<String> = bytes
            .iter()
            .enumerate()
            .map(|(n, own)| {
                format!("{},{:.1}", LEFT + n * STRETCH, CHART_HEIGHT as f64 * (1.0 - own[kind] / top))
            })
            .collect();
        let _ = write!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", points.join(" "));
    }
    let per_sec = (top / stretch_secs.max(1e-9)) as u64;
    let _ = write!(svg, "<text x=\"0\" y=\"12\">{}/s</text>", human_bytes(per_sec));
    close_svg(svg, CHART_HEIGHT + 20, secs)
}

fn open_svg(height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-size=\"11\" font-family=\"sans-serif\">",
        WIDTH + LEFT + 50
    )
}

fn close_svg(mut svg: String, height: usize, secs: f64) -> String {
    for tenth in (0..=10).step_by(2) {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"#777\">{:.2} s</text>",
            LEFT + WIDTH * tenth / 10,
            height - 4,
            secs * tenth as f64 / 10.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
