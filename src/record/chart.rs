//! Charts of a run as SVG: what threads did, memory against the budget, throughput.
//!
//! Invariants: an SVG needs nothing but itself, and every text in it is escaped; a chart's size depends on its width and
//! the number of threads, not on the number of steps. Called by the page of `--report` and by the dashboard.

use super::{Kind, Span};
use blockwise_core::error::human_bytes;
use std::fmt::Write;

/// Width of the charts, in pixels; time is binned as finely.
pub(super) const WIDTH: usize = 1100;
/// Pixels to the left of the charts, for names.
pub(super) const LEFT: usize = 110;
const ROW_HEIGHT: usize = 22;
const CHART_HEIGHT: usize = 120;
pub(crate) const READING: &str = "#3b76b3";
pub(crate) const WORKING: &str = "#d9822b";

/// The stretch of time that a chart shows, in seconds since the run began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) start_secs: f64,
    pub(crate) end_secs: f64,
}

impl Window {
    fn secs(self) -> f64 {
        (self.end_secs - self.start_secs).max(1e-9)
    }

    /// The bin of a moment; what lies outside is in the first or the last.
    fn bin(self, at_secs: f64) -> usize {
        (((at_secs - self.start_secs) / self.secs() * WIDTH as f64) as usize).min(WIDTH - 1)
    }
}

/// A row a thread, in the order of their names: what it did most of the time in every bin.
pub(crate) fn threads(names: &[String], spans: &[Span], window: Window) -> String {
    let mut shares = vec![vec![[0.0_f32; 2]; WIDTH]; names.len()];
    let bin_secs = (window.secs() / WIDTH as f64) as f32;
    for span in spans {
        let Some(row) = shares.get_mut(usize::from(span.thread)) else { continue };
        let (start_secs, end_secs) = (f64::from(span.start_secs), f64::from(span.start_secs + span.secs));
        if end_secs < window.start_secs {
            continue;
        }
        let (first, last) = (window.bin(start_secs), window.bin(end_secs));
        let (from, to) = ((start_secs - window.start_secs) as f32, (end_secs - window.start_secs) as f32);
        let kind = usize::from(span.kind == Kind::Task);
        for (number, share) in row.iter_mut().enumerate().take(last + 1).skip(first) {
            let start = number as f32 * bin_secs;
            share[kind] += (to.min(start + bin_secs) - from.max(start)).max(0.0);
        }
    }
    let height = names.len() * ROW_HEIGHT + 20;
    let mut svg = open_svg(height);
    let mut rows: Vec<(&String, &Vec<[f32; 2]>)> = names.iter().zip(&shares).collect();
    rows.sort_by(|(one, _), (other, _)| in_order(one).cmp(&in_order(other)));
    for (row, (name, bins)) in rows.into_iter().enumerate() {
        let y = row * ROW_HEIGHT;
        let _ = write!(svg, "<text x=\"0\" y=\"{}\">{}</text>", y + 15, escaped(name));
        // Neighbouring bins of one colour are one bar.
        let colour = |share: &[f32; 2]| match share {
            [read, task] if read + task < bin_secs / 2.0 => "",
            [read, task] if read > task => READING,
            _ => WORKING,
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
    close_svg(svg, height, window)
}

/// A key by which `thread 9` comes before `thread 10`: the words of a name, and its numbers.
fn in_order(name: &str) -> Vec<(&str, u64)> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    let split = parts.map(|part| {
        let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
        (word, part.get(word.len()..).and_then(|number| number.parse().ok()).unwrap_or(0))
    });
    split.collect()
}

/// Bytes reserved over time, and the budget as a line.
pub(crate) fn memory(points: &[(f32, u64)], budget_bytes: u64, window: Window) -> String {
    let peak = points.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let top = budget_bytes.max(peak).max(1);
    let mut svg = open_svg(CHART_HEIGHT + 20);
    let y = |bytes: u64| CHART_HEIGHT as f64 * (1.0 - bytes as f64 / top as f64);
    let points: Vec<String> = points
        .iter()
        .map(|(at, bytes)| format!("{},{:.1}", LEFT + window.bin((*at).into()), y(*bytes)))
        .collect();
    let _ = write!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{READING}\"/>", points.join(" "));
    let line = y(budget_bytes);
    let _ = write!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#c33\" stroke-dasharray=\"4\"/>\
         <text x=\"0\" y=\"12\">{}</text>",
        LEFT + WIDTH,
        human_bytes(top)
    );
    close_svg(svg, CHART_HEIGHT + 20, window)
}

/// Bytes of steps that ended in every stretch of ten bins: those read, and those that tasks were about.
pub(crate) fn throughput(spans: &[Span], window: Window) -> String {
    const STRETCH: usize = 10;
    let mut bytes = vec![[0.0_f64; 2]; WIDTH.div_ceil(STRETCH)];
    for span in spans {
        let end_secs = f64::from(span.start_secs + span.secs);
        if let Some(own) = bytes.get_mut(window.bin(end_secs) / STRETCH)
            && end_secs >= window.start_secs
        {
            own[usize::from(span.kind == Kind::Task)] += span.bytes as f64;
        }
    }
    let stretch_secs = window.secs() / WIDTH as f64 * STRETCH as f64;
    let top = bytes.iter().flatten().copied().fold(1.0, f64::max);
    let mut svg = open_svg(CHART_HEIGHT + 20);
    for (kind, colour) in [READING, WORKING].iter().enumerate() {
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
    close_svg(svg, CHART_HEIGHT + 20, window)
}

fn open_svg(height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-size=\"11\" font-family=\"sans-serif\">",
        WIDTH + LEFT + 50
    )
}

fn close_svg(mut svg: String, height: usize, window: Window) -> String {
    for tenth in (0..=10).step_by(2) {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" fill=\"#777\">{:.2} s</text>",
            LEFT + WIDTH * tenth / 10,
            height - 4,
            window.start_secs + window.secs() * tenth as f64 / 10.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// `text` as HTML and SVG want it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_before_the_window_do_not_show() {
        let span =
            |start_secs, secs| Span { start_secs, secs, bytes: 8, stage: 0, thread: 0, kind: Kind::Read };
        let window = Window { start_secs: 10.0, end_secs: 20.0 };
        let names = ["<a>".to_owned()];
        let rects = |spans: &[Span]| threads(&names, spans, window).matches("<rect").count();
        assert_eq!(rects(&[span(1.0, 2.0)]), 0);
        assert_eq!(rects(&[span(9.0, 2.0), span(15.0, 1.0)]), 2);
        assert!(threads(&names, &[], window).contains("&lt;a&gt;"));
        assert!(
            in_order("worker 2.10") > in_order("worker 2.9")
                && in_order("worker 10.1") > in_order("worker 9.1")
        );
        assert_eq!(throughput(&[span(1.0, 2.0)], window), throughput(&[], window));
        assert_ne!(throughput(&[span(11.0, 2.0)], window), throughput(&[], window));
    }
}
