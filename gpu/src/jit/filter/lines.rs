//! Passes along one axis, through shared memory.
//!
//! Invariant: a tile has room for the window of at least [`LEAST_POSITIONS`] results of a line. Called by [`super::generate`].

use super::{ELEMENTS, Passing, Tables, elements, parameter, place, table};
use crate::jit::{Argument, Kernel, Launch, blocks};
use crate::{Error, Result};
use blockwise_kernels::Lines;
use blockwise_kernels::filter::pass::{Pass, Running, Span, Symmetry, Work};

/// The text of the kernels.
const LINES: &str = include_str!("lines.cuh");
/// Doubles of a block's shared memory: 48 KiB.
const TILE: usize = 6144;
/// Results of a line that a block makes at a time, at least, unless the line is shorter,
const LEAST_POSITIONS: usize = 16;
/// and at most: of lines that are contiguous, and of others.
const MOST_POSITIONS: [usize; 2] = [1024, 128];
/// Lines beside each other that a block takes: of others than contiguous ones so many that their elements fill accesses.
const MOST_WIDTH: usize = 32;
/// Elements of a window, at most.
const MOST_SIZE: usize = TILE - LEAST_POSITIONS + 1;

/// The kernel of a pass along `axis`.
pub(super) fn generate(pass: &Pass<'_>, axis: usize, span: &Span) -> Result<Passing> {
    let overflow = |_| Error::Overflow { shape: pass.from.clone() };
    let (held, made) = (Lines::new(&pass.from, axis), Lines::new(&pass.to, axis));
    let (held, made) = (held.map_err(overflow)?, made.map_err(overflow)?);
    let size = span.places.len().saturating_sub(made.len) + 1;
    if size > MOST_SIZE {
        return Err(Error::Window {
            why: format!("windows of more than {MOST_SIZE} elements along an axis"),
        });
    }
    let is_along = made.inner == 1;
    let (width, positions) = tile(size, made.len, is_along);
    let mut tables = Tables::default();
    let (operation, weights) = match &pass.work {
        Work::Correlate { weights, symmetry, .. } => {
            let start = tables.add(weights.iter().map(|weight| weight.to_ne_bytes()));
            let symmetry = match symmetry {
                Symmetry::Even => "EVEN",
                Symmetry::Odd => "ODD",
                Symmetry::None => "NEITHER",
            };
            (format!("Weighted<{symmetry}>"), Some(start))
        }
        Work::Running { of, .. } => {
            let of = match of {
                Running::Min => "SMALLEST",
                Running::Max => "LARGEST",
                Running::Mean => "MEAN",
            };
            (format!("Running<{of}>"), None)
        }
        Work::Points { .. } => return Err(Error::Window { why: "a window of another kind".to_owned() }),
    };
    let places = span.places.iter().map(|own| place(*own)).collect::<Result<Vec<_>>>()?;
    let places = tables.add(places.into_iter().map(i32::to_ne_bytes));

    let mut parameters = vec![
        parameter("const M *__restrict__".to_owned(), "p"),
        parameter("Q *__restrict__".to_owned(), "q"),
        parameter("const i32 *__restrict__".to_owned(), "places"),
        parameter("const Lines".to_owned(), "lines"),
    ];
    let mut arguments = vec![
        Argument::Input { index: ELEMENTS, offset: 0 },
        Argument::Output { index: 0 },
        table(places),
        Argument::Value(shape(&held, &made, span, size, (width, positions))),
    ];
    let given = match weights {
        Some(start) => {
            parameters.push(parameter("const f64 *__restrict__".to_owned(), "weights"));
            arguments.push(table(start));
            "{weights, lines.size}"
        }
        None => "{lines.size}",
    };
    let statements = format!(
        "  __shared__ f64 tile[{TILE}];\n  windows<{is_along}>(p, q, places, lines, {operation}{given}, tile);\n"
    );
    let definitions = format!("{}{LINES}", elements(pass.input, pass.output)?);
    let turns = (made.count().div_ceil(width) * made.len.div_ceil(positions)) as u64;
    let launch = Launch { blocks: (blocks(turns), u32::from(turns > 0)), arguments };
    let step = (Kernel { definitions, parameters, statements }, launch);
    Ok(Passing { step, tables: tables.0, has_barriers: true })
}

/// Lines, and results of each, that a block takes at a time.
fn tile(size: usize, made: usize, is_along: bool) -> (usize, usize) {
    let [along, across] = MOST_POSITIONS;
    let most = if is_along { along } else { across }.min(made).max(1);
    // What a line has beside its results, and so many of these that the line is worth it.
    let beside = size - 1;
    let wanted = most.min(LEAST_POSITIONS.max(beside));
    let mut width = MOST_WIDTH;
    while width > 1 && width * (wanted + beside) > TILE {
        width /= 2;
    }
    let positions = (TILE / width - beside).min(most);
    if is_along {
        // Of short lines as many as give all threads of a block something to do.
        width = width.min((along / positions.max(1)).max(1));
    }
    (width, positions)
}

/// The `Lines` of the text.
fn shape(
    held: &Lines,
    made: &Lines,
    span: &Span,
    size: usize,
    (width, positions): (usize, usize),
) -> Vec<u8> {
    let words = [made.count(), made.inner, held.len, made.len].map(|n| (n as u64).to_ne_bytes());
    let mut bytes: Vec<u8> = words.into_iter().flatten().collect();
    bytes.extend(span.first.to_ne_bytes());
    bytes.extend(span.value.to_ne_bytes());
    // None is larger than a tile. What fills the struct up to a whole word comes last.
    for n in [size, width, positions, 0] {
        bytes.extend(u32::try_from(n).unwrap_or(u32::MAX).to_ne_bytes());
    }
    bytes
}
