//! Panels: as many lines of an array as fit a few registers, side by side, as float64.
//!
//! Row `p` of a panel holds the elements at position `p` of all its lines, so that loops over lanes are vectors along
//! whatever axis the lines lie. Invariant: lanes beyond the lines there are hold old numbers, which nothing reads back.
//! Called by windows along one axis.

use super::space::{Space, load, store};
use super::span::Span;
use crate::{DType, Lines};
use std::ops::Range;

/// Lines of a panel: so many that what is read of a row of memory is several cache lines, one after another.
pub(super) const LANES: usize = 128;

/// Contiguous lines that are turned into columns of a panel together: so many that a row is written by whole cache lines.
const ABREAST: usize = 8;

/// One position of all lines of a panel.
pub(super) type Row = [f64; LANES];

/// Fills `rows` with the lines `lanes` of `source`; row `n` is what stands at `places[n]` of the span.
pub(super) fn gather(
    source: &Space<'_>,
    lines: &Lines,
    span: &Span,
    positions: Range<usize>,
    lanes: Range<usize>,
    rows: &mut [Row],
    staged: &mut Vec<f64>,
) {
    let places = span.places.get(positions).unwrap_or_default();
    let held = places.iter().flatten();
    let (Some(least), Some(most)) = (held.clone().min(), held.max()) else {
        rows.iter_mut().for_each(|row| row.fill(span.value));
        return;
    };
    if lines.inner == 1 {
        let width = most + 1 - least;
        staged.resize(width * ABREAST, 0.0);
        for first in lanes.clone().step_by(ABREAST) {
            let group = first..(first + ABREAST).min(lanes.end);
            for (line, staged) in group.clone().zip(staged.chunks_exact_mut(width)) {
                load(source.bytes, source.dtype, line * lines.len + least, staged);
            }
            let own = first - lanes.start..group.end - lanes.start;
            for (row, place) in rows.iter_mut().zip(places) {
                let Some(row) = row.get_mut(own.clone()) else { continue };
                let Some(place) = place else {
                    row.fill(span.value);
                    continue;
                };
                let column = staged.get(place - least..).unwrap_or_default();
                row.iter_mut().zip(column.iter().step_by(width)).for_each(|(to, from)| *to = *from);
            }
        }
        return;
    }
    for (outer, inner, lane) in runs(lines, lanes) {
        let stand = outer * lines.len * lines.inner;
        let own = lane..lane + inner.len();
        let is_staged = inner.len() < 8;
        if is_staged {
            staged.resize((most + 1 - least) * lines.inner, 0.0);
            load(source.bytes, source.dtype, stand + least * lines.inner, staged);
        }
        for (row, place) in rows.iter_mut().zip(places) {
            let Some(row) = row.get_mut(own.clone()) else { continue };
            match place {
                None => row.fill(span.value),
                Some(place) if is_staged => {
                    let at = (place - least) * lines.inner + inner.start;
                    let from = staged.get(at..at + inner.len()).unwrap_or_default();
                    row.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
                Some(place) => {
                    load(source.bytes, source.dtype, stand + place * lines.inner + inner.start, row);
                }
            }
        }
    }
}

/// Stores rows as the positions from `start` on of the lines `lanes` of `out`.
pub(super) fn scatter(
    rows: &[Row],
    lines: &Lines,
    start: usize,
    lanes: Range<usize>,
    out: &mut [u8],
    dtype: DType,
    staged: &mut Vec<f64>,
) {
    if lines.inner == 1 && !rows.is_empty() {
        staged.resize(rows.len() * ABREAST, 0.0);
        for first in lanes.clone().step_by(ABREAST) {
            let group = first..(first + ABREAST).min(lanes.end);
            let own = first - lanes.start..group.end - lanes.start;
            for (n, row) in rows.iter().enumerate() {
                let column = staged.get_mut(n..).unwrap_or_default().iter_mut().step_by(rows.len());
                let row = row.get(own.clone()).unwrap_or_default();
                column.zip(row).for_each(|(to, from)| *to = *from);
            }
            for (line, made) in group.zip(staged.chunks_exact(rows.len())) {
                store(out, dtype, line * lines.len + start, made);
            }
        }
        return;
    }
    for (outer, inner, lane) in runs(lines, lanes) {
        let stand = (outer * lines.len + start) * lines.inner + inner.start;
        let own = lane..lane + inner.len();
        for (n, row) in rows.iter().enumerate() {
            store(out, dtype, stand + n * lines.inner, row.get(own.clone()).unwrap_or_default());
        }
    }
}

/// The lines `lanes` as runs that lie side by side: number along the axes before, range along those after, first lane.
fn runs(lines: &Lines, lanes: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>, usize)> {
    let inner = lines.inner.max(1);
    let (mut at, first) = (lanes.start, lanes.start);
    std::iter::from_fn(move || {
        if at >= lanes.end {
            return None;
        }
        let (outer, start) = (at / inner, at % inner);
        let count = (inner - start).min(lanes.end - at);
        let lane = at - first;
        at += count;
        Some((outer, start..start + count, lane))
    })
}
