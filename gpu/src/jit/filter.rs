//! Kernels of filters: one for each pass, and one that makes several chains one.
//!
//! A pass along one axis brings pieces of lines together in shared memory; one of any shape looks at its points where they lie.
//! Edges are tables that come with a launch, so that no kernel knows modes, shapes or weights: baked in are dtypes, the operation,
//! and how many axes there are. Invariant: windows are added up as the CPU adds them up, so that results are its bits.
//! Called by whoever runs filters on a device; the tests run them on the CPU.

mod lines;
mod points;

use super::text::{converted, loaded, memory_type, register_type, stored};
use super::{Argument, Kernel, Launch, blocks, total, word};
use crate::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::filter::Terms;
use blockwise_kernels::filter::pass::{Pass, Work};

/// Several chains as one.
const TERMS: &str = include_str!("filter/terms.cuh");

/// The number of the argument [`Argument::Input`] for the elements of a pass.
pub const ELEMENTS: usize = 0;
/// The number of that for its tables, whose offsets count bytes.
pub const TABLES: usize = 1;

/// A pass as a kernel.
#[derive(Clone, Debug)]
pub struct Passing {
    /// The kernel, and how to run it: its inputs are [`ELEMENTS`] and [`TABLES`], its output is one.
    pub step: (Kernel, Launch),
    /// What [`TABLES`] holds, which begins at a multiple of 8 bytes.
    pub tables: Vec<u8>,
    /// Whether threads of a block wait for each other.
    pub has_barriers: bool,
}

/// The kernel of a pass.
///
/// ```
/// use blockwise_gpu::jit::filter;
/// use blockwise_kernels::DType;
/// use blockwise_kernels::filter::{Edge, Filter, Step};
/// let smooth = Filter::chain(vec![Step::uniform(0, 3, 0, Edge::Mirror)?], DType::F32);
/// let chains = smooth.passes(DType::F32, &[0..100], &[Some(100)])?;
/// let passing = filter::generate(&chains[0].passes[0])?;
/// assert!(passing.step.0.source().contains("Running<MEAN>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Type`] for complex numbers; [`Error::Window`] for windows that are too long or have too many axes; [`Error::Overflow`].
pub fn generate(pass: &Pass<'_>) -> Result<Passing> {
    total(&pass.from)?;
    total(&pass.to)?;
    match &pass.work {
        Work::Correlate { axis, span, .. } | Work::Running { axis, span, .. } => {
            lines::generate(pass, *axis, span)
        }
        Work::Points { spans, places, of } => points::generate(pass, spans, places, of),
    }
}

/// The kernel that makes the results of several chains, that lie one behind another as its input [`ELEMENTS`], one.
///
/// # Errors
/// [`Error::Type`]; [`Error::Overflow`].
pub fn generate_terms(
    dtype: DType,
    terms: Terms,
    chains: usize,
    shape: &[usize],
) -> Result<(Kernel, Launch)> {
    let element = memory_type(dtype)?;
    let mut definitions = elements(dtype, dtype)?;
    // Integers wrap.
    let (wide, c_type) =
        if matches!(dtype.kind(), 'i' | 'u' | 'b') { (DType::I64, "u64") } else { (DType::F64, "f64") };
    let value = |name: &str| -> Result<String> {
        Ok(format!("({c_type}){}", converted(dtype, wide, &loaded(dtype, name))?))
    };
    let register = register_type(wide)?;
    let (a, b) = (value("a")?, value("b")?);
    for (head, text) in [("squared(Q a)", format!("{a} * {a}")), ("added(Q a, Q b)", format!("{a} + {b}"))] {
        let made = stored(dtype, &converted(wide, dtype, &format!("(({register})({text}))"))?);
        definitions += &format!("FN Q {head} {{ return {made}; }}\n");
    }
    definitions += TERMS;
    let count = total(shape)? as u64;
    let parameters = vec![
        parameter(format!("const {element} *__restrict__"), "terms"),
        parameter(format!("{element} *__restrict__"), "q"),
        parameter("const u64".to_owned(), "count"),
        parameter("const u32".to_owned(), "chains"),
    ];
    let chains = u32::try_from(chains).map_err(|_| Error::Overflow { shape: shape.to_vec() })?;
    let arguments = vec![
        Argument::Input { index: ELEMENTS, offset: 0 },
        Argument::Output { index: 0 },
        word(count),
        Argument::Value(chains.to_ne_bytes().to_vec()),
    ];
    let statements = format!("  terms_of<{}>(terms, q, count, chains);\n", terms == Terms::Norm);
    let launch = Launch { blocks: (blocks(turns(count)), u32::from(count > 0)), arguments };
    Ok((Kernel { definitions, parameters, statements }, launch))
}

fn parameter(c_type: String, name: &str) -> (String, String) {
    (c_type, name.to_owned())
}

/// Blocks that give each of so many results a thread.
fn turns(results: u64) -> u64 {
    results.div_ceil(u64::from(super::BLOCK_THREADS))
}

/// `M` and `Q`, what lies in memory before and after a pass, and a double as the second.
fn types(input: DType, output: DType) -> Result<String> {
    let (from, to) = (memory_type(input)?, memory_type(output)?);
    // C's cast to a byte: what is below 1 is false.
    let value = if output == DType::Bool { "trunc(y)" } else { "y" };
    let made = stored(output, &converted(DType::F64, output, value)?);
    Ok(format!("typedef {from} M;\ntypedef {to} Q;\nFN Q made(f64 y) {{ return {made}; }}\n"))
}

/// The same, and what lies in memory before a pass as a double.
fn elements(input: DType, output: DType) -> Result<String> {
    let seen = converted(input, DType::F64, &loaded(input, "x"))?;
    Ok(format!("{}FN f64 seen(M x) {{ return {seen}; }}\n", types(input, output)?))
}

/// Values of several types one behind another, each at a multiple of its size.
#[derive(Default)]
struct Tables(Vec<u8>);

impl Tables {
    /// Adds some; where they begin.
    fn add<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) -> usize {
        self.0.resize(self.0.len().next_multiple_of(N.max(1)), 0);
        let start = self.0.len();
        self.0.extend(values.flatten());
        start
    }
}

/// The address of a table that begins at `offset`.
const fn table(offset: usize) -> Argument {
    Argument::Input { index: TABLES, offset }
}

/// A place as kernels have it: -1 where there is none.
fn place(place: Option<usize>) -> Result<i32> {
    place.map_or(Ok(-1), |place| {
        i32::try_from(place)
            .map_err(|_| Error::Window { why: "an axis of more than 2^31 elements".to_owned() })
    })
}
