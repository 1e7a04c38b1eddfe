//! Sizes in bytes as people write them: `512MiB`, `2G`, `1.5 GB`, `65536`.
//!
//! Invariant: `K`, `M`, `G`, `T` and `KiB` … are powers of 1024, `KB`, `MB` … powers of 1000, case does not matter.
//! Called by the chunk grammar and by the command line's `--memory`, `--spill-limit` and `--size`.

use crate::error::{Error, Result};

/// Unit names in lower case with their bytes.
const UNITS: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// The bytes that `text` says.
///
/// ```
/// use blockwise::size::parse_bytes;
/// assert_eq!(parse_bytes("512MiB")?, 512 << 20);
/// assert_eq!(parse_bytes("1.5g")?, 3 << 29);
/// assert_eq!(parse_bytes("10 MB")?, 10_000_000);
/// assert!(parse_bytes("-1").is_err() && parse_bytes("3 miles").is_err());
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If it is no number with one of the units, or more than 64 bits hold.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the range is checked, and a fraction of a byte means nothing"
)]
pub fn parse_bytes(text: &str) -> Result<u64> {
    let wrong = |why: &str| Error::Argument { what: "size", text: text.to_owned(), why: why.to_owned() };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| wrong("give a number and one of B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB)"))?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*factor).ok_or_else(|| wrong("more bytes than 64 bits can count"));
    }
    let value: f64 = number.parse().map_err(|_| wrong("give a number such as 512MiB or 1.5GiB"))?;
    let bytes = value * *factor as f64;
    if !bytes.is_finite() || bytes >= u64::MAX as f64 {
        return Err(wrong("more bytes than 64 bits can count"));
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_faults() {
        for (text, bytes) in [("0", 0), ("1k", 1024), ("1KB", 1000), ("2 TiB", 2 << 40), (".5MiB", 1 << 19)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "1.2.3M", "1e3", "-5", "99999999999999999999", "20000000TiB", "٣MiB"] {
            let error = parse_bytes(text).unwrap_err().to_string();
            assert!(error.contains("is no size"), "{error}");
        }
    }
}
