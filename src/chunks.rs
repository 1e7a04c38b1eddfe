//! The grammar of `--chunks` and `--shards`, and what it means for an array.
//!
//! `40,361,720` is one length per axis, `time=40,lat=-1` names axes (the others keep theirs), `-1` is a whole axis,
//! `auto` fills to a target size, and a size such as `128MiB` is that target; these three, alone, hold for all axes.
//! Invariants: a resolved chunk shape has one positive length per axis, none longer than its axis. The meaning of
//! `auto` follows dask: axes grow evenly, in whole multiples of the chunks they have, to the target. Called by
//! [`crate::convert`] and [`crate::rechunk`].

use crate::error::{Error, Result};
use crate::size::parse_bytes;
use blockwise_io::ArrayInfo;
use std::fmt;

/// The largest chunk that `auto` makes unless a size is given, in bytes; dask's default.
pub const AUTO_BYTES: u64 = 128 << 20;

/// `auto` takes at most this part of the memory budget for a chunk, so that a few are in flight at once.
const AUTO_BUDGET_PART: u64 = 16;

/// Target for chunks of arrays that have none (contiguous files), in bytes.
const CONTIGUOUS_BYTES: u64 = 16 << 20;

/// Lengths that are tried in the search for a divisor of a chunk.
const LARGEST_SEARCH: u64 = 1 << 16;

/// What one axis was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Whole,
    Auto,
    Elements(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Axes {
    /// The same for every axis.
    All(Length),
    /// One per axis.
    PerAxis(Vec<Length>),
    /// By dimension name, or by axis number; the rest keep theirs.
    Named(Vec<(String, Length)>),
}

/// A chunk shape as it was asked for, before it meets an array.
///
/// ```
/// use blockwise::chunks::ChunkRequest;
/// let request: ChunkRequest = "time=40,lat=-1".parse()?;
/// assert_eq!(request.names().collect::<Vec<_>>(), ["time", "lat"]);
/// # Ok::<(), blockwise::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    text: String,
    axes: Axes,
    target_bytes: Option<u64>,
}

impl std::str::FromStr for ChunkRequest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut target_bytes = None;
        let trimmed = text.trim().trim_start_matches(['(', '[']).trim_end_matches([')', ']', ',']);
        let pieces: Vec<&str> = trimmed.split(',').map(str::trim).collect();
        let named = pieces.iter().filter(|piece| piece.contains('=')).count();
        let wrong =
            |why: &str| Error::Argument { what: "chunk shape", text: text.to_owned(), why: why.to_owned() };
        let axes = if named == pieces.len() {
            let mut axes: Vec<(String, Length)> = Vec::new();
            for piece in pieces {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                let name = name.trim().to_owned();
                if name.is_empty() || axes.iter().any(|(other, _)| *other == name) {
                    return Err(wrong("name each dimension once, as in time=40,lat=-1"));
                }
                axes.push((name, parse_length(text, value, &mut target_bytes)?));
            }
            Axes::Named(axes)
        } else if named > 0 {
            return Err(wrong("give lengths for all axes (40,361,720) or by name (time=40), not both"));
        } else {
            let lengths = pieces.iter().map(|piece| parse_length(text, piece, &mut target_bytes));
            match lengths.collect::<Result<Vec<_>>>()?.as_slice() {
                [only @ (Length::Whole | Length::Auto)] => Axes::All(*only),
                lengths => Axes::PerAxis(lengths.to_vec()),
            }
        };
        Ok(Self { text: text.to_owned(), axes, target_bytes })
    }
}

impl fmt::Display for ChunkRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_length(text: &str, piece: &str, target_bytes: &mut Option<u64>) -> Result<Length> {
    let wrong = |why: String| Error::Argument { what: "chunk shape", text: text.to_owned(), why };
    match piece.trim() {
        "-1" => return Ok(Length::Whole),
        "auto" => return Ok(Length::Auto),
        "" => return Err(wrong("give a length for every axis, as in 40,361,720".to_owned())),
        _ => {}
    }
    if piece.trim().bytes().all(|byte| byte.is_ascii_digit()) {
        return match piece.trim().parse() {
            Ok(0) => Err(wrong("a chunk length of 0 holds nothing; use -1 for a whole axis".to_owned())),
            Ok(length) => Ok(Length::Elements(length)),
            Err(_) => Err(wrong(format!("'{piece}' is more than 64 bits can count"))),
        };
    }
    let bytes = parse_bytes(piece)
        .map_err(|_| wrong(format!("'{piece}' is neither a length, -1, auto nor a size such as 128MiB")))?;
    *target_bytes = Some(target_bytes.map_or(bytes, |other| other.min(bytes)).max(1));
    Ok(Length::Auto)
}

/// What a [`ChunkRequest`] is resolved against.
#[derive(Clone, Copy, Debug)]
pub struct ChunkContext<'a> {
    /// Elements per axis.
    pub shape: &'a [u64],
    /// Dimension names, as far as there are any.
    pub dimension_names: &'a [Option<String>],
    /// The chunks that the array has now; `None` for contiguous layouts.
    pub previous: Option<&'a [u64]>,
    /// Bytes of one element of the output.
    pub item_bytes: u64,
    /// The memory budget in bytes; `auto` stays well below it.
    pub budget_bytes: u64,
}

impl<'a> ChunkContext<'a> {
    /// The context of a stored array whose output elements have `item_bytes`.
    #[must_use]
    pub fn of(info: &'a ArrayInfo, item_bytes: u64, budget_bytes: u64) -> Self {
        Self {
            shape: &info.shape,
            dimension_names: &info.dimension_names,
            previous: info.chunk_shape.as_deref(),
            item_bytes: item_bytes.max(1),
            budget_bytes,
        }
    }

    fn kept(&self, axis: usize) -> Option<u64> {
        self.previous?.get(axis).copied()
    }
}

impl ChunkRequest {
    /// The dimension names that it mentions; none if it gives lengths by position.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named: &[(String, Length)] = if let Axes::Named(named) = &self.axes { named } else { &[] };
        named.iter().map(|(name, _)| name.as_str())
    }

    /// Whether it gives one length per axis, by position.
    #[must_use]
    pub const fn is_positional(&self) -> bool {
        matches!(self.axes, Axes::PerAxis(_))
    }

    /// What of it is meant for an array with these dimensions, in a container that holds others too: of names, those
    /// that the array has. `None` if nothing is.
    #[must_use]
    pub fn restricted_to(&self, rank: usize, dimension_names: &[Option<String>]) -> Option<Self> {
        let axes = match &self.axes {
            Axes::PerAxis(lengths) if lengths.len() != rank => return None,
            Axes::Named(named) => {
                let has = |(name, _): &&(String, Length)| axis_of(name, rank, dimension_names).is_some();
                let known: Vec<_> = named.iter().filter(has).cloned().collect();
                if known.is_empty() {
                    return None;
                }
                Axes::Named(known)
            }
            all => all.clone(),
        };
        Some(Self { axes, ..self.clone() })
    }

    /// The chunk shape for an array: one length per axis, from 1 to the axis's extent (1 if it is empty).
    ///
    /// # Errors
    /// If the number of lengths is not the number of axes, or there is no dimension of a name.
    pub fn resolve(&self, context: &ChunkContext<'_>) -> Result<Vec<u64>> {
        let rank = context.shape.len();
        let wrong = |why: String| Error::Argument { what: "chunk shape", text: self.text.clone(), why };
        let lengths = match &self.axes {
            Axes::All(length) => vec![*length; rank],
            Axes::PerAxis(lengths) if lengths.len() == rank => lengths.clone(),
            Axes::PerAxis(lengths) => {
                let why = format!(
                    "it has {} lengths, the array has {rank} axes {:?}",
                    lengths.len(),
                    context.shape
                );
                return Err(wrong(why));
            }
            Axes::Named(named) => {
                let kept = (0..rank).map(|axis| context.kept(axis).map_or(Length::Whole, Length::Elements));
                let mut lengths: Vec<Length> = kept.collect();
                for (name, length) in named {
                    let axis = axis_of(name, rank, context.dimension_names);
                    let Some(slot) = axis.and_then(|axis| lengths.get_mut(axis)) else {
                        let known: Vec<&str> = context
                            .dimension_names
                            .iter()
                            .map(|name| name.as_deref().unwrap_or("-"))
                            .collect();
                        let why = format!("the array has no dimension '{name}', only [{}]", known.join(", "));
                        return Err(wrong(why));
                    };
                    *slot = *length;
                }
                lengths
            }
        };
        Ok(self.fill(&lengths, context))
    }

    fn fill(&self, lengths: &[Length], context: &ChunkContext<'_>) -> Vec<u64> {
        let default_bytes = AUTO_BYTES.min((context.budget_bytes / AUTO_BUDGET_PART).max(1 << 20));
        let target = self.target_bytes.unwrap_or(default_bytes) / context.item_bytes.max(1);
        let mut chunk: Vec<u64> = lengths
            .iter()
            .zip(context.shape)
            .map(|(length, extent)| match length {
                Length::Elements(elements) => (*elements).min(*extent).max(1),
                Length::Whole => (*extent).max(1),
                Length::Auto => 1,
            })
            .collect();
        let open: Vec<usize> =
            (0..chunk.len()).filter(|axis| lengths.get(*axis) == Some(&Length::Auto)).collect();
        let fixed = chunk.iter().fold(1_u64, |product, length| product.saturating_mul(*length));
        grow(&mut chunk, open, (target / fixed).max(1), context);
        chunk
    }
}

/// Sets the `open` axes of `chunk` so that their product comes close to `target` elements without exceeding it:
/// all by the same factor over the chunks the array has (equal lengths where it has none), in whole multiples or
/// divisors of those, whole axes first.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a factor only guides; the lengths are clamped to their axes"
)]
fn grow(chunk: &mut [u64], mut open: Vec<usize>, target: u64, context: &ChunkContext<'_>) {
    let extent = |axis: usize| context.shape.get(axis).copied().unwrap_or(1).max(1);
    let unit = |axis: usize| context.kept(axis).unwrap_or(1).clamp(1, extent(axis));
    let mut room = target as f64;
    while !open.is_empty() {
        let base: f64 = open.iter().map(|axis| unit(*axis) as f64).product();
        let factor = (room / base).powf(1.0 / open.len() as f64);
        // An axis that would fall below one element takes more than its share, so it is settled first; whole axes
        // leave some of theirs to the others, so they come next.
        let least = open.iter().position(|axis| unit(*axis) as f64 * factor < 1.0);
        let whole = open.iter().position(|axis| unit(*axis) as f64 * factor >= extent(*axis) as f64);
        let whole = if least.is_some() { None } else { whole };
        let axis = open.remove(least.or(whole).unwrap_or(0));
        let ideal = ((unit(axis) as f64 * factor * (1.0 + 1e-9)) as u64).clamp(1, extent(axis));
        let length = if whole.is_some() { extent(axis) } else { aligned(ideal, unit(axis)) };
        if let Some(slot) = chunk.get_mut(axis) {
            *slot = length;
        }
        room = (room / length as f64).max(1.0);
    }
}

/// The length near `ideal`, not above it, that keeps chunk borders of `unit`: a multiple of it, or a divisor.
fn aligned(ideal: u64, unit: u64) -> u64 {
    if ideal >= unit {
        return ideal / unit * unit;
    }
    let searched = ideal.div_ceil(2).max(ideal.saturating_sub(LARGEST_SEARCH));
    let divisor = (searched..=ideal).rev().find(|length| unit.is_multiple_of(*length));
    divisor.unwrap_or(ideal).max(1)
}

/// Chunks for an array that has none: whole trailing axes up to 16 MiB, so that a chunk is one piece of the file.
#[must_use]
pub fn contiguous_chunks(shape: &[u64], item_bytes: u64) -> Vec<u64> {
    let mut room = (CONTIGUOUS_BYTES / item_bytes.max(1)).max(1);
    let mut chunk = vec![1; shape.len()];
    for (length, extent) in chunk.iter_mut().zip(shape).rev() {
        *length = (*extent).clamp(1, room);
        room = (room / *length).max(1);
    }
    chunk
}

fn axis_of(name: &str, rank: usize, dimension_names: &[Option<String>]) -> Option<usize> {
    dimension_names
        .iter()
        .position(|known| known.as_deref() == Some(name))
        .or_else(|| name.parse::<usize>().ok().filter(|axis| *axis < rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resolve(text: &str, shape: &[u64], previous: Option<&[u64]>, item_bytes: u64) -> Result<Vec<u64>> {
        let names: Vec<_> =
            ["time", "lat", "lon"].iter().take(shape.len()).map(|n| Some((*n).to_owned())).collect();
        let context =
            ChunkContext { shape, dimension_names: &names, previous, item_bytes, budget_bytes: 4 << 30 };
        text.parse::<ChunkRequest>()?.resolve(&context)
    }

    #[test]
    fn explicit_lengths() {
        let shape = [2920, 361, 720];
        assert_eq!(resolve("40,361,720", &shape, None, 4).unwrap(), [40, 361, 720]);
        assert_eq!(resolve("(40, -1, 9999)", &shape, None, 4).unwrap(), [40, 361, 720]);
        assert_eq!(resolve("100", &[300], None, 4).unwrap(), [100]);
        assert_eq!(resolve("lat=-1,time=40", &shape, Some(&[1, 19, 36]), 4).unwrap(), [40, 361, 36]);
        assert_eq!(resolve("1=7", &shape, Some(&[1, 19, 36]), 4).unwrap(), [1, 7, 36]);
        assert_eq!(resolve("-1", &[], None, 4).unwrap(), [0_u64; 0]);
        assert_eq!(resolve("-1", &[0, 3], None, 4).unwrap(), [1, 3]);
    }

    #[test]
    fn restriction_keeps_what_the_array_has() {
        let names = [Some("time".to_owned()), None];
        let request: ChunkRequest = "time=40,lat=-1".parse().unwrap();
        assert_eq!(request.restricted_to(2, &names).unwrap().names().collect::<Vec<_>>(), ["time"]);
        assert_eq!(request.restricted_to(1, &[None]), None);
        let positional: ChunkRequest = "40,361".parse().unwrap();
        assert!(
            positional.restricted_to(2, &names).is_some() && positional.restricted_to(1, &names).is_none()
        );
    }

    #[test]
    fn faults_name_what_is_right() {
        for (text, hint) in [
            ("40,361", "3 axes"),
            ("40", "3 axes"),
            ("0", "use -1"),
            ("time=4,5", "not both"),
            ("time=4,time=5", "once"),
            ("depth=4", "only [time, lat, lon]"),
            ("40,,3", "every axis"),
            ("4x", "128MiB"),
            ("99999999999999999999", "64 bits"),
        ] {
            let error = resolve(text, &[2920, 361, 720], None, 4).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn auto_fills_to_the_target() {
        assert_eq!(resolve("auto", &[10, 10], None, 8).unwrap(), [10, 10]);
        assert_eq!(resolve("1MiB", &[4096, 4096], None, 4).unwrap(), [512, 512]);
        // Time is kept whole, the others share what is left.
        assert_eq!(
            resolve("time=-1,lat=16MiB,lon=auto", &[1024, 361, 720], None, 4).unwrap(),
            [1024, 64, 64]
        );
        // Chunks grow in whole multiples of those there are.
        let grown = resolve("auto", &[2920, 361, 720], Some(&[40, 361, 720]), 4).unwrap();
        assert_eq!(grown, [120, 361, 720]);
    }

    #[test]
    fn slabs_for_contiguous_arrays() {
        assert_eq!(contiguous_chunks(&[12, 90, 180], 4), [12, 90, 180]);
        assert_eq!(contiguous_chunks(&[2920, 361, 720], 4), [16, 361, 720]);
        assert_eq!(contiguous_chunks(&[3, 1 << 30], 8), [1, 1 << 21]);
        assert_eq!(contiguous_chunks(&[0, 5], 8), [1, 5]);
    }

    #[test]
    fn a_tiny_target_gives_single_elements() {
        assert_eq!(resolve("1B", &[1045, 633, 1], Some(&[1037, 629, 1]), 1).unwrap(), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn auto_stays_within_target_and_axes(
            axes in proptest::collection::vec((1_u64..3000, 1_u64..3000), 1..6),
            target in 1_u64..1_000_000,
            has_chunks: bool,
        ) {
            let shape: Vec<u64> = axes.iter().map(|(extent, _)| *extent).collect();
            let previous: Vec<u64> = axes.iter().map(|(extent, chunk)| (*chunk).min(*extent)).collect();
            let request: ChunkRequest = format!("{target}B").parse().unwrap();
            let context = ChunkContext {
                shape: &shape,
                dimension_names: &[],
                previous: has_chunks.then_some(previous.as_slice()),
                item_bytes: 1,
                budget_bytes: 1 << 30,
            };
            let chunk = request.resolve(&context).unwrap();
            prop_assert!(chunk.iter().zip(&shape).all(|(length, extent)| *length >= 1 && length <= extent));
            let elements: u64 = chunk.iter().product();
            prop_assert!(elements <= target, "{chunk:?} of {shape:?}");
            if has_chunks {
                for ((length, kept), extent) in chunk.iter().zip(&previous).zip(&shape) {
                    prop_assert!(length == extent || length < kept || length.is_multiple_of(*kept));
                }
            }
        }
    }
}
