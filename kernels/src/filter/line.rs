//! Windows along one axis: correlations, running means, smallest and largest elements.
//!
//! Lines are worked on side by side, in segments that stay in cache. Invariant: segments follow each other so that every
//! result sees its whole window. Called by [`Step`](super::Step).

use super::correlate::{self, Correlation, TALL};
use super::herk::{self, Running};
use super::panel::{LANES, Row, gather, scatter};
use super::space::{Space, load, shape, store};
use super::span::{Edge, Span};
use crate::simd::InstructionSet;
use crate::{BufferPool, DType, KernelError, Lines};
use std::ops::Range;

/// Results along a line that are made at a time; there is room for so many behind the last.
const VECTOR: usize = 32;

/// Results of a line along the last axis that are made before the next line's.
const LONG: usize = 1024;

/// What a window along one axis becomes.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Correlate(Correlation),
    Running(Running),
}

/// Room for lines side by side: those that windows see, results, and what running windows know of the elements behind.
struct Panels<'a> {
    rows: &'a mut [Row],
    made: &'a mut [Row],
    behind: &'a mut [Row],
}

/// A window along one axis.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) axis: usize,
    /// Elements of the window before the result's own position, and after it.
    pub(super) reach: (usize, usize),
    pub(super) edge: Edge,
    pub(super) op: Op,
}

impl Line {
    pub(super) const fn size(&self) -> usize {
        self.reach.0 + self.reach.1 + 1
    }

    /// Results of a line that are computed at a time.
    fn segment(&self) -> usize {
        (3 * self.size()).max(96)
    }

    /// Rows of the largest segment of a line, and what its windows see beside it.
    fn rows(&self, length: usize) -> (usize, usize) {
        let segment = self.segment().min(length);
        (segment, segment.saturating_add(self.size() - 1))
    }

    /// Bytes that [`Line::run`] takes.
    pub(super) fn scratch_bytes(&self, length: u64) -> u64 {
        let (made, seen) = self.rows(usize::try_from(length).unwrap_or(usize::MAX));
        let bytes = |rows: usize| super::class((rows as u64).saturating_mul(size_of::<Row>() as u64));
        // Rows in, their suffixes, and rows out; for each position its place, and eight doubles of lines on their way.
        bytes(seen)
            .saturating_mul(2)
            .saturating_add(bytes(made))
            .saturating_add(length.saturating_add(self.size() as u64).saturating_mul(96))
    }

    /// What the windows of `wanted` see along the axis of the box `held`.
    pub(super) fn span(
        &self,
        held: &[Range<i64>],
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
    ) -> Result<Span, KernelError> {
        let missing = || KernelError::Axis { axis: self.axis, rank: wanted.len() };
        let (held, own) = (held.get(self.axis), wanted.get(self.axis));
        let (held, own) = (held.ok_or_else(missing)?, own.ok_or_else(missing)?);
        let extent = extents.get(self.axis).copied().flatten();
        Span::new(own, self.reach, held, extent, self.edge)
    }

    /// Fills `out`, the box `wanted`, from `source`.
    pub(super) fn run(
        &self,
        source: &Space<'_>,
        wanted: &[Range<i64>],
        extents: &[Option<i64>],
        dtype: DType,
        out: &mut [u8],
        pool: &BufferPool,
    ) -> Result<(), KernelError> {
        let lines = Lines::new(&shape(source.held), self.axis)?;
        let results = Lines::new(&shape(wanted), self.axis)?;
        let span = self.span(source.held, wanted, extents)?;
        let segments = |length: usize| {
            let starts = (0..results.len).step_by(length);
            starts.map(move |start| start..(start + length).min(results.len))
        };
        match &self.op {
            Op::Correlate(correlation) if lines.inner == 1 => {
                for positions in segments(LONG) {
                    self.along(correlation, source, (&lines, &results), &span, positions, dtype, out);
                }
            }
            _ => {
                let (made, seen) = self.rows(results.len);
                let is_running = matches!(self.op, Op::Running(_));
                let room = |rows: usize| pool.take(rows * size_of::<Row>());
                let (mut rows, mut made, mut behind) = (
                    room(seen),
                    room(if is_running { made } else { 0 }),
                    room(if is_running { seen } else { 0 }),
                );
                let mut panels = Panels {
                    rows: bytemuck::cast_slice_mut(&mut rows),
                    made: bytemuck::cast_slice_mut(&mut made),
                    behind: bytemuck::cast_slice_mut(&mut behind),
                };
                for positions in segments(self.segment()) {
                    self.across(source, (&lines, &results), &span, positions, dtype, out, &mut panels);
                }
            }
        }
        Ok(())
    }

    /// Results at `positions` of all lines, many lines at a time.
    #[expect(
        clippy::too_many_arguments,
        reason = "where lines are read, where results go, and room for them"
    )]
    fn across(
        &self,
        source: &Space<'_>,
        (lines, results): (&Lines, &Lines),
        span: &Span,
        positions: Range<usize>,
        dtype: DType,
        out: &mut [u8],
        panels: &mut Panels<'_>,
    ) {
        let set = InstructionSet::best();
        let count = positions.len() + self.size() - 1;
        let rows = panels.rows.get_mut(..count).unwrap_or_default();
        let made = panels.made.get_mut(..positions.len()).unwrap_or_default();
        let behind = panels.behind.get_mut(..count).unwrap_or_default();
        let (mut few, mut staged) = ([[0.0; LANES]; TALL], Vec::new());
        let seen = positions.start..positions.end + self.size() - 1;
        for start in (0..lines.count()).step_by(LANES) {
            let lanes = start..(start + LANES).min(lines.count());
            gather(source, lines, span, seen.clone(), lanes.clone(), rows, &mut staged);
            match &self.op {
                Op::Correlate(correlation) => {
                    // Few rows at a time, which are stored while they are at hand.
                    for at in (0..positions.len()).step_by(TALL) {
                        let (lanes, few) = (lanes.clone(), &mut few);
                        let rows = rows.get(at..).unwrap_or_default();
                        correlate::Across { correlation, lanes: lanes.len(), rows, out: few }.run(set);
                        let few = few.get(..positions.len() - at).unwrap_or(few);
                        scatter(few, results, positions.start + at, lanes, out, dtype, &mut staged);
                    }
                }
                Op::Running(op) => {
                    let first = span.first + positions.start as i64;
                    herk::across(*op, (self.size(), lanes.len()), set, first, rows, behind, made);
                    scatter(made, results, positions.start, lanes, out, dtype, &mut staged);
                }
            }
        }
    }

    /// Results at `positions` of lines along the last axis, one line at a time.
    #[expect(clippy::too_many_arguments, reason = "where lines are read and where results go")]
    fn along(
        &self,
        correlation: &Correlation,
        source: &Space<'_>,
        (lines, results): (&Lines, &Lines),
        span: &Span,
        positions: Range<usize>,
        dtype: DType,
        out: &mut [u8],
    ) {
        let set = InstructionSet::best();
        let places = span.places.get(positions.start..positions.end + self.size() - 1).unwrap_or_default();
        let mut line = vec![0.0; places.len() + VECTOR];
        let mut made = vec![0.0; positions.len().next_multiple_of(VECTOR)];
        // What is held in a row is read in a row.
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (n, place) in places.iter().enumerate() {
            match (place, runs.last_mut()) {
                (Some(place), Some((at, from, count))) if n == *at + *count && *place == *from + *count => {
                    *count += 1;
                }
                (Some(place), _) => runs.push((n, *place, 1)),
                (None, _) => line[n] = span.value,
            }
        }
        for number in 0..lines.outer {
            for (at, from, count) in &runs {
                load(
                    source.bytes,
                    source.dtype,
                    number * lines.len + from,
                    line.get_mut(*at..at + count).unwrap_or_default(),
                );
            }
            set.run(correlate::Along { correlation, line: &line, out: &mut made });
            let made = made.get(..positions.len()).unwrap_or_default();
            store(out, dtype, number * results.len + positions.start, made);
        }
    }
}
