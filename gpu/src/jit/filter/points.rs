//! Passes with windows of any shape: a thread a result, that looks at the points of its window.
//!
//! Invariant: where the window of a result lies whole among what is held, its points are found by one table of distances; else each by
//! the places along all axes. Called by [`super::generate`].

use super::{
    ELEMENTS, Passing, Tables, converted, elements, loaded, parameter, place, register_type, stored, table,
    turns, types,
};
use crate::jit::{Argument, Kernel, Launch, blocks, total};
use crate::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::Rolling;
use blockwise_kernels::filter::pass::{Pass, Points, Span};
use blockwise_kernels::strided::Layout;

const POINTS: &str = include_str!("points.cuh");
const REALS: &str = include_str!("reals.cuh");
const RANKS: &str = include_str!("ranks.cuh");
/// Axes, at most.
const MOST_AXES: usize = 8;

/// What becomes of the points, as the text says it.
struct Operation {
    /// Types and functions that it builds on.
    definitions: String,
    /// Its type, and the values of its members.
    text: String,
    /// Values that are listed point by point.
    listed: Vec<f64>,
    /// Further members, each a parameter of its own.
    values: Vec<Member>,
}

/// A number that an operation is given.
struct Member {
    c_type: &'static str,
    name: &'static str,
    value: Argument,
}

impl Member {
    fn real(name: &'static str, value: f64) -> Self {
        Self { c_type: "const f64", name, value: Argument::Value(value.to_ne_bytes().to_vec()) }
    }
}

/// The kernel of a pass whose windows see `spans` and have points at `places`.
pub(super) fn generate(
    pass: &Pass<'_>,
    spans: &[Span],
    places: &[Vec<usize>],
    of: &Points,
) -> Result<Passing> {
    let rank = pass.to.len();
    if !(1..=MOST_AXES).contains(&rank) {
        return Err(Error::Window {
            why: format!("windows in an array of {rank} axes: it takes 1 to {MOST_AXES}"),
        });
    }
    let overflow = |_| Error::Overflow { shape: pass.from.clone() };
    let steps = Layout::c_order(&pass.from).map_err(overflow)?.strides;
    let operation = operation(pass, of)?;
    let mut tables = Tables::default();
    let delta = |place: &Vec<usize>| {
        let each = place.iter().zip(&steps).map(|(n, step)| (*n as i64).wrapping_mul(*step as i64));
        each.fold(0_i64, i64::wrapping_add).to_ne_bytes()
    };
    let deltas = tables.add(places.iter().map(delta));
    let listed = tables.add(operation.listed.iter().map(|value| value.to_ne_bytes()));
    let (mut along, mut starts) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (span, made) in spans.iter().zip(&pass.to) {
        let own = span.places.iter().map(|own| place(*own)).collect::<Result<Vec<i32>>>()?;
        let size = own.len().saturating_sub(*made) + 1;
        starts[0].push(along.len() as u64);
        along.extend_from_slice(&own);
        starts[1].push(along.len() as u64);
        along.extend(own.windows(size).take(*made).map(whole));
    }
    let along = tables.add(along.into_iter().map(i32::to_ne_bytes));
    let points = places.iter().flatten().map(|n| u32::try_from(*n).unwrap_or(u32::MAX).to_ne_bytes());
    let points = tables.add(points);

    let count = total(&pass.to)? as u64;
    let mut parameters = vec![
        parameter("const M *__restrict__".to_owned(), "p"),
        parameter("Q *__restrict__".to_owned(), "q"),
        parameter("const i32 *__restrict__".to_owned(), "tables"),
        parameter("const i64 *__restrict__".to_owned(), "deltas"),
        parameter("const u32 *__restrict__".to_owned(), "points"),
        parameter(format!("const Seen<{rank}>"), "shape"),
    ];
    let mut arguments = vec![
        Argument::Input { index: ELEMENTS, offset: 0 },
        Argument::Output { index: 0 },
        table(along),
        table(deltas),
        table(points),
        Argument::Value(shape(pass, spans, &starts, &steps, places.len())?),
    ];
    if !operation.listed.is_empty() {
        parameters.push(parameter("const f64 *__restrict__".to_owned(), "listed"));
        arguments.push(table(listed));
    }
    for member in operation.values {
        parameters.push(parameter(member.c_type.to_owned(), member.name));
        arguments.push(member.value);
    }
    let statements = format!("  windows(p, q, tables, deltas, points, shape, {});\n", operation.text);
    let launch = Launch { blocks: (blocks(turns(count)), u32::from(count > 0)), arguments };
    let step = (Kernel { definitions: operation.definitions, parameters, statements }, launch);
    Ok(Passing { step, tables: tables.0, has_barriers: false })
}

/// Where a window begins whose elements all lie behind each other; -1 of others.
fn whole(window: &[i32]) -> i32 {
    let is_whole = window.windows(2).all(|pair| pair[0] >= 0 && pair[1] == pair[0] + 1);
    window.first().copied().filter(|_| is_whole).unwrap_or(-1)
}

/// The `Seen` of the text.
fn shape(
    pass: &Pass<'_>,
    spans: &[Span],
    starts: &[Vec<u64>; 2],
    steps: &[isize],
    points: usize,
) -> Result<Vec<u8>> {
    let too_many = |_| Error::Window { why: "windows of more than 2^32 points".to_owned() };
    let points = u32::try_from(points).map_err(too_many)?;
    let words = pass.to.iter().map(|n| *n as u64).chain(starts.iter().flatten().copied());
    let words = words.chain(steps.iter().map(|step| *step as u64));
    let words = words.chain(spans.iter().map(|span| span.value.to_bits()));
    let words = words.chain([total(&pass.to)? as u64, u64::from(points)]);
    Ok(words.flat_map(u64::to_ne_bytes).collect())
}

fn operation(pass: &Pass<'_>, of: &Points) -> Result<Operation> {
    let reals = |text: String, listed: Vec<f64>, values: Vec<Member>| -> Result<Operation> {
        let own = elements(pass.input, pass.output)?;
        let constant = "typedef f64 V;\nFN V constant(f64 x) { return x; }\n";
        Ok(Operation { definitions: format!("{own}{constant}{POINTS}{REALS}"), text, listed, values })
    };
    let extreme = |is_smallest: bool, heights: &Option<Vec<f64>>| {
        let (least, count) = wrap(pass.input);
        let values = vec![Member::real("least", least), Member::real("count", count)];
        match heights {
            Some(list) => {
                let text = format!("Extreme<{is_smallest}, true>{{listed, least, count}}");
                reals(text, list.clone(), values)
            }
            None => reals(format!("Extreme<{is_smallest}, false>{{nullptr, 0, 0}}"), Vec::new(), Vec::new()),
        }
    };
    match of {
        // Without points there is no list, and nothing looks at it.
        Points::Correlate(weights) if weights.is_empty() => {
            reals("Weighted{nullptr}".to_owned(), Vec::new(), Vec::new())
        }
        Points::Correlate(weights) => reals("Weighted{listed}".to_owned(), weights.clone(), Vec::new()),
        Points::Smallest(heights) => extreme(true, heights),
        Points::Largest(heights) => extreme(false, heights),
        Points::All => reals("Truths<true>{}".to_owned(), Vec::new(), Vec::new()),
        Points::Any => reals("Truths<false>{}".to_owned(), Vec::new(), Vec::new()),
        Points::Rank(rank) => {
            let too_many = |_| Error::Window { why: "windows of more than 2^32 points".to_owned() };
            let rank = u32::try_from(*rank).map_err(too_many)?;
            let value = Argument::Value(rank.to_ne_bytes().to_vec());
            let rank = Member { c_type: "const u32", name: "rank", value };
            let definitions = format!("{}{POINTS}{RANKS}", keys(pass, false)?);
            let text = "Ranked{rank}".to_owned();
            Ok(Operation { definitions, text, listed: Vec::new(), values: vec![rank] })
        }
        Points::Rolling(of, least) => {
            let least = Member::real("least", *least as f64);
            let (name, less) = match of {
                Rolling::Median => {
                    let definitions = format!("{}{POINTS}{RANKS}", keys(pass, true)?);
                    let text = "Median{least}".to_owned();
                    return Ok(Operation { definitions, text, listed: Vec::new(), values: vec![least] });
                }
                Rolling::Count => ("COUNT", 0.0),
                Rolling::Sum => ("SUM", 0.0),
                Rolling::Mean => ("MEAN", 0.0),
                Rolling::Min => ("SMALLEST", 0.0),
                Rolling::Max => ("LARGEST", 0.0),
                Rolling::Std(less) => ("DEVIATION", *less),
            };
            reals(
                format!("Rolling<{name}>{{least, less}}"),
                Vec::new(),
                vec![least, Member::real("less", less)],
            )
        }
    }
}

/// The smallest number of an integer dtype of fewer than 64 bits, and how many there are; else none.
fn wrap(dtype: DType) -> (f64, f64) {
    let count = 2.0_f64.powi(8 * i32::try_from(dtype.size()).unwrap_or(0));
    match dtype.kind() {
        _ if dtype.size() == 8 => (0.0, 0.0),
        'b' | 'u' => (0.0, count),
        'i' => (-count / 2.0, count),
        _ => (0.0, 0.0),
    }
}

/// `V`, a word in whose order elements sort, and what it is of an element and of a double, and the other way. `is_missing`: NaN comes last,
/// and what is made of elements is made of doubles.
fn keys(pass: &Pass<'_>, is_missing: bool) -> Result<String> {
    let (from, to) = (pass.input, pass.output);
    // As doubles, what a window that leaves out NaN looks at may lie between elements; ranks are of the dtype's own.
    let own = if is_missing { DType::F64 } else { from };
    let (value, word) = (register_type(own)?, if own.size() == 8 { "u64" } else { "u32" });
    let (key, back) = match own.kind() {
        'f' if own.size() == 8 => (
            "const u64 bits = (u64)__double_as_longlong(x); return (bits >> 63 ? ~bits : bits | 1ULL << 63)",
            "__longlong_as_double((i64)(key >> 63 ? key & ~(1ULL << 63) : ~key))",
        ),
        // Narrower floats are float32 in registers.
        'f' => (
            "const u32 bits = __float_as_uint(x); return (bits >> 31 ? ~bits : bits | 1u << 31)",
            "__uint_as_float(key >> 31 ? key & ~(1u << 31) : ~key)",
        ),
        'i' if own.size() == 8 => ("return (u64)x ^ 1ULL << 63", "(i64)(key ^ 1ULL << 63)"),
        'i' => ("return (u32)(i32)x ^ 1u << 31", "(i32)(key ^ 1u << 31)"),
        _ => ("return (V)x", "key"),
    };
    let missing = if is_missing { "if (x != x) return LAST; " } else { "" };
    // A double of the constant's dtype, of which it is one.
    let constant = converted(DType::F64, own, if own == DType::Bool { "trunc(x)" } else { "x" })?;
    let element = converted(from, own, &loaded(from, "x"))?;
    let is_wide = matches!(own, DType::I64 | DType::U64);
    let made = if is_wide {
        stored(to, &converted(own, to, &format!("({value})({back})"))?)
    } else {
        format!("made((f64)({value})({back}))")
    };
    Ok(format!(
        "{}typedef {word} V;\nconstexpr V LAST = (V)~(V)0;\nFN V key_of({value} x) {{ {missing}{key}; }}\n\
         FN V seen(M x) {{ return key_of({element}); }}\nFN V constant(f64 x) {{ return key_of({constant}); }}\n\
         FN f64 value_of(V key) {{ return (f64)({value})({back}); }}\nFN Q made_of_key(V key) {{ return {made}; }}\n",
        types(from, to)?
    ))
}
