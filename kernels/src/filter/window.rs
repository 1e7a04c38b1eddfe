//! Windows of any shape: correlations, smallest and largest elements, ranks, binary erosion and dilation.
//!
//! A task's box is brought together once with all that its windows see, edges made; then every point of the window is a
//! row of vectors beside the others. Invariant: points are taken in C order. Called by [`Step`](super::Step).

mod ranks;
mod rolling;
mod seen;
mod select;
mod tile;

pub use rolling::Rolling;

use super::space::{Space, load, shape, store};
use super::span::{Edge, Span};
use crate::simd::InstructionSet;
use crate::{BufferPool, DType, KernelError};
use bytemuck::Pod;
use ranks::Found;
use rolling::{LANES, Medians, Staged, Statistics};
use seen::Seen;
use select::{MOST, Selection};
use std::ops::Range;
use tile::{Binary, Extremes, Sums, TILE, Wrap};

/// What the elements at the points of a window become.
#[derive(Clone, Debug, PartialEq)]
pub enum Points {
    /// The sum, each with its weight.
    Correlate(Vec<f64>),
    /// The smallest, each with what is added to it.
    Smallest(Option<Vec<f64>>),
    /// The largest, each with what is added to it.
    Largest(Option<Vec<f64>>),
    /// That of a rank.
    Rank(usize),
    /// A statistic of those that are not NaN, of which there must be so many.
    Rolling(Rolling, usize),
    /// Whether all are other than zero.
    All,
    /// Whether any is other than zero.
    Any,
}

/// A window of any shape.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Along each axis, elements before and after the result's own position.
    pub(super) reach: Vec<(usize, usize)>,
    edges: Vec<Edge>,
    /// Places of the points in the window.
    pub(super) places: Vec<Vec<usize>>,
    pub(super) points: Points,
    selection: Selection,
}

impl Window {
    pub(super) fn new(
        window: &[usize],
        reach: Vec<(usize, usize)>,
        edges: Vec<Edge>,
        points: Points,
        mut is_inside: impl FnMut(usize) -> bool,
    ) -> Result<Self, KernelError> {
        let total = window.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
        let total = total.filter(|total| *total <= 1 << 24);
        let total = total.ok_or_else(|| KernelError::Overflow { shape: window.to_vec() })?;
        let places: Vec<Vec<usize>> =
            (0..total).filter(|n| is_inside(*n)).map(|n| place(n, window)).collect();
        let parameter =
            |what, value: usize, wanted| Err(KernelError::Parameter { what, value: value as f64, wanted });
        if reach.len() != window.len() || edges.len() != window.len() {
            return parameter(
                "the number of origins or modes",
                reach.len(),
                "one for each axis of the window",
            );
        }
        if places.is_empty() && !matches!(points, Points::Correlate(_) | Points::All | Points::Any) {
            return parameter("the number of points of a footprint", 0, "1 or more");
        }
        let listed = match &points {
            Points::Correlate(list) | Points::Smallest(Some(list)) | Points::Largest(Some(list)) => {
                list.len()
            }
            _ => places.len(),
        };
        if listed != places.len() {
            return parameter("the number of values of a window", listed, "that of its points");
        }
        let selection = match points {
            Points::Rank(rank) if rank >= places.len() => {
                return parameter("the rank", rank, "less than the points of the window");
            }
            Points::Rank(rank) => Selection::new(places.len(), rank),
            Points::Rolling(Rolling::Median, _) => Selection::of_all(places.len()),
            _ => Selection::new(0, 0),
        };
        Ok(Self { reach, edges, places, points, selection })
    }

    const fn is_binary(&self) -> bool {
        matches!(self.points, Points::All | Points::Any)
    }

    /// Bytes that [`Window::run`] takes for results of `wanted` elements along each axis.
    pub(super) fn scratch_bytes(&self, wanted: &[u64]) -> u64 {
        let item_bytes = if self.is_binary() { 1 } else { 8 };
        let lengths = wanted.iter().zip(&self.reach);
        let seen = lengths.map(|(n, (before, after))| n.saturating_add((before + after) as u64));
        let elements = seen.clone().fold(1_u64, |product, n| product.saturating_mul(n));
        let bytes = elements.saturating_add(ROOM as u64).saturating_mul(item_bytes);
        let padded = usize::try_from(bytes).map_or(u64::MAX, |n| crate::buffer::size_class_bytes(n) as u64);
        let rows = seen.fold(0_u64, u64::saturating_add).saturating_mul(48);
        let points = (self.places.len() as u64).saturating_mul(8 + 2 * 8 * TILE as u64);
        padded.saturating_add(rows).saturating_add(points).saturating_add(STAGED_BYTES)
    }

    /// What the windows of `wanted` see along each axis of the box `held`, whose elements are of `dtype`.
    pub(super) fn spans(
        &self,
        held: &[Range<i64>],
        dtype: DType,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
    ) -> Result<Vec<Span>, KernelError> {
        let axes = wanted.iter().zip(held).zip(extents).zip(self.reach.iter().zip(&self.edges));
        let mut spans = axes
            .map(|(((own, held), extent), (reach, edge))| Span::new(own, *reach, held, *extent, *edge))
            .collect::<Result<Vec<_>, _>>()?;
        if matches!(self.points, Points::Smallest(_) | Points::Largest(_) | Points::Rank(_)) {
            // As in SciPy, the constant is one of the array's own elements.
            spans.iter_mut().for_each(|span| span.value = of_dtype(span.value, dtype));
        }
        if spans.len() != wanted.len() || self.reach.len() != wanted.len() {
            return Err(KernelError::Axis { axis: self.reach.len(), rank: wanted.len() });
        }
        Ok(spans)
    }

    pub(super) fn run(
        &self,
        source: &Space<'_>,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        dtype: DType,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let spans = self.spans(source.held, source.dtype, wanted, extents)?;
        let lengths: Vec<usize> = spans.iter().map(|span| span.places.len()).collect();
        let total = lengths.iter().try_fold(ROOM, |product, n| product.checked_mul(*n));
        let total = total.ok_or_else(|| KernelError::Overflow { shape: lengths.clone() })? / ROOM + ROOM;
        let given = Given { source, spans: &spans, lengths: &lengths, total, wanted, dtype };
        match (&self.points, source.dtype) {
            (Points::All | Points::Any, _) => {
                let mut seen = pool.take(total);
                fill(source, &spans, &mut seen, |row: &[f64], to| {
                    to.iter_mut().zip(row).for_each(|(to, x)| *to = u8::from(*x != 0.0));
                });
                self.rows::<u8>(&seen, wanted, &lengths, source.dtype, dtype, out);
            }
            // So many lanes that the compiler makes vectors of their loops: short ones it unrolls, and makes branches of what is in them.
            (Points::Rank(_), DType::Bool | DType::U8) => self.ranked::<u8, 128>(&given, out, pool),
            (Points::Rank(_), DType::I8) => self.ranked::<i8, 128>(&given, out, pool),
            (Points::Rank(_), DType::U16) => self.ranked::<u16, 64>(&given, out, pool),
            (Points::Rank(_), DType::I16) => self.ranked::<i16, 64>(&given, out, pool),
            (Points::Rank(_), DType::F16 | DType::BF16 | DType::F32) if self.places.len() <= MOST => {
                self.ranked::<f32, 32>(&given, out, pool);
            }
            (Points::Rank(_), DType::F16 | DType::BF16 | DType::F32) => {
                self.ranked::<u32, 32>(&given, out, pool);
            }
            (Points::Rank(_), DType::I64 | DType::U64) => self.ranked::<u64, 64>(&given, out, pool),
            (Points::Rank(_), _) => self.ranked::<f64, 32>(&given, out, pool),
            _ => {
                let mut seen = pool.take(total * size_of::<f64>());
                let seen: &mut [f64] = bytemuck::cast_slice_mut(&mut seen);
                fill(source, &spans, seen, |row: &[f64], to| to.copy_from_slice(row));
                self.rows::<f64>(seen, wanted, &lengths, source.dtype, dtype, out);
            }
        }
        Ok(())
    }

    /// Elements of a rank, compared as `V`.
    fn ranked<V: Found + Pod, const LANES: usize>(
        &self,
        given: &Given<'_>,
        out: &mut [u8],
        pool: &BufferPool,
    ) {
        let Given { source, spans, lengths, total, wanted, dtype } = given;
        let mut seen = pool.take(total * size_of::<V>());
        let seen: &mut [V] = bytemuck::cast_slice_mut(&mut seen);
        fill(source, spans, seen, |row: &[V], to| to.copy_from_slice(row));
        self.ranks::<V, LANES>(seen, wanted, lengths, source.dtype, *dtype, out);
    }

    /// Results, row by row along the last axis, from all that windows see.
    fn rows<V>(
        &self,
        seen: &[V],
        wanted: &[Range<i64>],
        lengths: &[usize],
        source: DType,
        dtype: DType,
        out: &mut [u8],
    ) where
        [V]: AsRow,
    {
        let set = InstructionSet::best();
        let length = wanted.last().map_or(1, |range| usize::try_from(range.end - range.start).unwrap_or(0));
        let mut row = vec![0.0; length.next_multiple_of(LANES)];
        let mut staged: Option<Box<Staged>> = None;
        self.each_row(wanted, lengths, |base, offsets, start| {
            let from = seen.get(base..).unwrap_or_default();
            let out_row = &mut row;
            match (&self.points, from.as_row()) {
                (Points::Correlate(weights), Row::Reals(from)) => {
                    set.run(Sums { from, offsets, weights, out: out_row });
                }
                (Points::Smallest(added), Row::Reals(from)) => {
                    let added = added.as_deref().map(|added| (added, Wrap::of(source)));
                    set.run(Extremes::<true> { from, offsets, added, out: out_row });
                }
                (Points::Largest(added), Row::Reals(from)) => {
                    let added = added.as_deref().map(|added| (added, Wrap::of(source)));
                    set.run(Extremes::<false> { from, offsets, added, out: out_row });
                }
                (Points::Rolling(Rolling::Median, least), Row::Reals(from)) => {
                    let (selection, least) = (&self.selection, *least);
                    let staged = staged.get_or_insert_with(|| Box::new([[0.0; LANES]; MOST]));
                    set.run(Medians { from, offsets, selection, staged, least, out: out_row });
                }
                (Points::Rolling(of, least), Row::Reals(from)) => {
                    let (of, least) = (*of, *least as f64);
                    set.run(Statistics { from, offsets, of, least, out: out_row });
                }
                (Points::All, Row::Truths(from)) => {
                    set.run(Binary::<true> { from, offsets, out: out_row });
                }
                (Points::Any, Row::Truths(from)) => {
                    set.run(Binary::<false> { from, offsets, out: out_row });
                }
                // Binary windows see truth values, all others here reals.
                _ => {}
            }
            store(out, dtype, start, row.get(..length).unwrap_or_default());
        });
    }

    /// Calls `run` for each row of results along the last axis, with where its first window begins among all that is seen, how far behind that
    /// the points lie, and the number of its first result.
    fn each_row(
        &self,
        wanted: &[Range<i64>],
        lengths: &[usize],
        mut run: impl FnMut(usize, &[usize], usize),
    ) {
        let (results, strides) = (shape(wanted), strides(lengths));
        let far = |place: &[usize]| place.iter().zip(&strides).map(|(n, stride)| n * stride).sum::<usize>();
        let offsets: Vec<usize> = self.places.iter().map(|place| far(place)).collect();
        let (length, leading) = results.split_last().map_or((1, &[][..]), |(last, leading)| (*last, leading));
        for number in 0..leading.iter().product() {
            run(far(&place(number, leading)), &offsets, number * length);
        }
    }
}

/// Vectors may reach so many elements beyond the last that windows see.
const ROOM: usize = 128;

/// What is brought in order at a time, at most.
const STAGED_BYTES: u64 = (MOST * 64 * size_of::<u64>()) as u64;

/// What a window is run on.
struct Given<'a> {
    source: &'a Space<'a>,
    spans: &'a [Span],
    /// Elements seen along each axis.
    lengths: &'a [usize],
    /// Elements of room for all of them.
    total: usize,
    wanted: &'a [Range<i64>],
    /// Of the results.
    dtype: DType,
}

/// A number as an element of `dtype`.
fn of_dtype(value: f64, dtype: DType) -> f64 {
    let (mut bytes, mut back) = ([0; 16], [0.0]);
    let bytes = bytes.get_mut(..dtype.size()).unwrap_or_default();
    store(bytes, dtype, 0, &[value]);
    load(bytes, dtype, 0, &mut back);
    back[0]
}

/// What windows see, by its type.
enum Row<'a> {
    Reals(&'a [f64]),
    Truths(&'a [u8]),
}

trait AsRow {
    fn as_row(&self) -> Row<'_>;
}

impl AsRow for [f64] {
    fn as_row(&self) -> Row<'_> {
        Row::Reals(self)
    }
}

impl AsRow for [u8] {
    fn as_row(&self) -> Row<'_> {
        Row::Truths(self)
    }
}

/// The place of number `n` in C order.
fn place(n: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = n;
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|length| {
            let at = rest % length.max(&1);
            rest /= length.max(&1);
            at
        })
        .collect();
    place.reverse();
    place
}

fn strides(lengths: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; lengths.len()];
    for axis in (1..lengths.len()).rev() {
        strides[axis - 1] = strides[axis] * lengths[axis];
    }
    strides
}

/// Brings together all that windows see, in C order, edges made.
fn fill<S: Seen, V>(source: &Space<'_>, spans: &[Span], seen: &mut [V], convert: impl Fn(&[S], &mut [V])) {
    let Some((last, leading)) = spans.split_last() else {
        let mut row = [S::default()];
        S::load(source.bytes, source.dtype, 0, &mut row);
        if let Some(first) = seen.first_chunk_mut::<1>() {
            convert(&row, first);
        }
        return;
    };
    let held = strides(&shape(source.held));
    let lengths: Vec<usize> = leading.iter().map(|span| span.places.len()).collect();
    let count: usize = lengths.iter().product();
    let mut row = vec![S::default(); last.places.len()];
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (n, place) in last.places.iter().enumerate() {
        match (place, runs.last_mut()) {
            (Some(place), Some((at, from, count))) if n == *at + *count && *place == *from + *count => {
                *count += 1;
            }
            (Some(place), _) => runs.push((n, *place, 1)),
            (None, _) => {}
        }
    }
    for (number, to) in (0..count).zip(seen.chunks_exact_mut(row.len().max(1))) {
        let at = place(number, &lengths);
        let places = leading.iter().zip(&at).map(|(span, n)| span.places.get(*n).copied().flatten());
        let base = places.zip(&held).map(|(place, stride)| Some(place? * stride)).sum::<Option<usize>>();
        row.fill(S::of(last.value, source.dtype));
        match base {
            Some(base) => {
                for (at, from, count) in &runs {
                    let part = row.get_mut(*at..at + count).unwrap_or_default();
                    S::load(source.bytes, source.dtype, base + from, part);
                }
            }
            None => {
                let value = leading.iter().zip(&at).find(|(span, n)| span.places.get(**n) == Some(&None));
                row.fill(S::of(value.map_or(0.0, |(span, _)| span.value), source.dtype));
            }
        }
        convert(&row, to);
    }
}
