//! Text for people: sizes, shapes, attributes, tables; and the log on standard error.
//!
//! Invariant: a reader that goes away (`| head`) ends the program quietly, as other tools do. Called by the commands.

use crate::args::OutputArgs;
use blockwise::io::{AttributeValue, Attributes};
use blockwise::kernels::Scalar;
use std::io::{ErrorKind, Write};

/// Texts of attributes are shown up to this many characters.
const SHOWN_CHARS: usize = 200;

/// Numbers of a list are shown up to this many.
const SHOWN_NUMBERS: usize = 12;

/// Writes a result to standard output.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    if let Err(error) = written {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { 1 };
        if code != 0 {
            eprintln!("arrayctl: standard output: {error}");
        }
        std::process::exit(code);
    }
}

/// Sends warnings (more with `-v`, only errors with `-q`) to standard error.
pub(crate) fn start_log(output: &OutputArgs) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match (output.quiet, output.verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => LevelFilter::WARN,
        (_, 1) => LevelFilter::INFO,
        (_, _) => LevelFilter::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .without_time()
        .init();
}

/// A shape or chunk: `40 x 361 x 720`; `scalar` for rank 0.
pub(crate) fn shape(lengths: &[u64]) -> String {
    if lengths.is_empty() {
        return "scalar".to_owned();
    }
    lengths.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ")
}

/// Rows of two columns, the first padded, below each other with an indent.
pub(crate) fn columns(rows: &[(String, String)], indent: usize) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| {
        let pad = " ".repeat(width - name.chars().count() + 2);
        format!("{}{name}{pad}{value}", " ".repeat(indent)).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Attributes as rows.
pub(crate) fn attribute_rows(attributes: &Attributes) -> Vec<(String, String)> {
    attributes.iter().map(|(name, value)| (printable(name), attribute(value))).collect()
}

/// An attribute's value on one line.
pub(crate) fn attribute(value: &AttributeValue) -> String {
    let text = match value {
        AttributeValue::Text(text) => quoted(text),
        AttributeValue::Texts(texts) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        AttributeValue::Number(number) => typed(number),
        AttributeValue::Numbers(dtype, numbers) => {
            let shown =
                numbers.iter().take(SHOWN_NUMBERS).map(Scalar::to_string).collect::<Vec<_>>().join(", ");
            let more = if numbers.len() > SHOWN_NUMBERS { ", …" } else { "" };
            format!("[{shown}{more}] ({dtype})")
        }
        AttributeValue::Json(value) => value.to_string(),
        _ => "?".to_owned(),
    };
    shortened(&text)
}

/// A number with its dtype where its look does not say it: `-999.0 (float32)`.
pub(crate) fn typed(number: &Scalar) -> String {
    format!("{number} ({})", number.dtype())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text))
}

/// `text` without what would move the cursor or change colours: names and attributes come from files.
pub(crate) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// As [`printable`], with line breaks kept.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Seconds with three digits: `0.0123`, `1.23`, `123`.
pub(crate) fn seconds(secs: f64) -> String {
    match secs {
        s if s >= 100.0 => format!("{s:.0}"),
        s if s >= 10.0 => format!("{s:.1}"),
        s if s >= 1.0 => format!("{s:.2}"),
        s => format!("{s:.3}"),
    }
}

/// Bytes per second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
pub(crate) fn per_second(bytes: u64, secs: f64) -> u64 {
    (bytes as f64 / secs.max(1e-6)) as u64
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    format!("{start}…")
}

/// `1 chunk`, `2 chunks`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(attribute(&AttributeValue::Text("a\u{1b}[31m\nb é".into())), "\"a\\u{1b}[31m\\nb é\"");
        assert!(attribute(&AttributeValue::Text("x".repeat(1000))).chars().count() < 250);
    }

    #[test]
    fn columns_line_up() {
        let rows = [("a".to_owned(), "1".to_owned()), ("long".to_owned(), "2".to_owned())];
        assert_eq!(columns(&rows, 2), "  a     1\n  long  2");
        assert_eq!((shape(&[]), shape(&[2, 3])), ("scalar".into(), "2 x 3".into()));
    }
}
