//! Kernels that reduce what a program makes, without storing it: over all axes, inner ones or outer ones; several results
//! of one reading.
//!
//! States are those of `blockwise_kernels::reduce`, byte for byte where they lie, so that what a device reduced combines
//! with what a CPU reduced, and finishes the same. Long reductions are cut into parts by shape alone; a second kernel merges
//! the parts' states. Invariant: a cell's elements are added in an order that follows from the shape, whatever runs when.
//! Called by whoever runs reductions on a device; the tests run them on the CPU.

use super::body::Body;
use super::elementwise::{by_steps, check_operands, pack_elements, packs};
use super::text::{memory_type, register_type};
use super::{Argument, BLOCK_THREADS, Form, Kernel, Launch, blocks, total, word};
use crate::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::program::Program;
use blockwise_kernels::reduce::{Reducer, Reduction};
use std::fmt::Write as _;

/// Blocks that a reduction is cut for: enough for any device, and fixed, so that results do not depend on it.
const WANTED_BLOCKS: u64 = 1024;
/// Elements of a thread's share of a part, at least.
const LEAST_SHARE: u64 = 16;
/// Parts begin at multiples of this, so that packs do.
const PART_STEP: u64 = 32;
/// Bytes of states that a thread may have in shared memory, what lies between them counted: its part of the 48 KiB of a block.
const MOST_STATE_BYTES: usize = (48 << 10) / BLOCK_THREADS as usize;
/// What the widest member of a state is aligned to.
const MOST_ALIGNMENT_BYTES: usize = 8;

/// Which elements fall into which cell: `outer` x `reduced` x `inner` elements to `outer` x `inner` cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    outer: u64,
    reduced: u64,
    inner: u64,
}

impl Cells {
    /// A shape reduced over axes that lie beside each other, but for axes of one element.
    ///
    /// # Errors
    /// [`Error::Reducer`] if kept axes lie between them; [`Error::Overflow`].
    pub fn new(shape: &[usize], axes: &[usize]) -> Result<Self> {
        total(shape)?;
        let mut cells = Self { outer: 1, reduced: 1, inner: 1 };
        let (mut began, mut ended) = (false, false);
        for (number, &len) in shape.iter().enumerate().filter(|(_, len)| **len != 1) {
            let extent = len as u64;
            if axes.contains(&number) {
                if ended {
                    return Err(Error::Reducer { reducer: "reduction over axes that are apart".to_owned() });
                }
                began = true;
                cells.reduced *= extent;
            } else if began {
                ended = true;
                cells.inner *= extent;
            } else {
                cells.outer *= extent;
            }
        }
        Ok(cells)
    }

    /// Kept indices.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.outer * self.inner
    }

    /// How the work is cut into blocks' turns: the width of a block in cells, the parts, and their length.
    fn split(&self) -> Split {
        let width = self.inner.next_power_of_two().min(u64::from(BLOCK_THREADS)).max(1);
        let turns = (self.outer * self.inner.div_ceil(width)).max(1);
        let least = LEAST_SHARE * u64::from(BLOCK_THREADS) / width;
        let parts = (WANTED_BLOCKS / turns).min(self.reduced / least.max(1)).max(1);
        let part_len = self.reduced.div_ceil(parts).next_multiple_of(PART_STEP);
        Split { width, parts: self.reduced.div_ceil(part_len.max(1)).max(1), part_len }
    }

    /// The `Reduced` of the prelude.
    fn argument(&self, split: Split) -> Argument {
        let words = [self.outer, self.reduced, self.inner, split.parts, split.part_len, split.width];
        Argument::Value(words.into_iter().flat_map(u64::to_ne_bytes).collect())
    }

    fn blocks(&self, split: Split) -> (u32, u32) {
        let turns = self.outer * split.parts * self.inner.div_ceil(split.width);
        (blocks(turns), 1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split {
    width: u64,
    parts: u64,
    part_len: u64,
}

/// Kernels that reduce, and how to run them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reducing {
    /// Makes the states of the parts: its outputs are these, one part's behind another's.
    pub reduce: (Kernel, Launch),
    /// Makes one state of them: its inputs are the outputs of `reduce`. `None` where there is one part, whose states are
    /// the result.
    pub merge: Option<(Kernel, Launch)>,
    /// Parts.
    pub parts: u64,
}

/// The kernels that reduce every output of a program by the reduction of its number.
///
/// # Errors
/// [`Error::Reducer`] for what has no kernel: products, positions, first and last values, exact sums, complex numbers;
/// [`Error::TileType`] if an output is not [`Reduction::tile_dtype`]; [`Error::Count`]; [`Error::Type`],
/// [`Error::Function`], [`Error::Overflow`].
pub fn generate(program: &Program, form: &Form, cells: &Cells, reductions: &[Reduction]) -> Result<Reducing> {
    let mut body = Body::new(program)?;
    check_operands(program, form.operands())?;
    let (expected, given) = (body.outputs.len(), reductions.len());
    if expected != given {
        return Err(Error::Count { what: "reductions of a program's outputs", expected, given });
    }
    if form.elements() as u64 != cells.outer * cells.reduced * cells.inner {
        let (expected, given) = (form.elements(), usize::try_from(cells.count()).unwrap_or(usize::MAX));
        return Err(Error::Count { what: "elements of the form that is reduced", expected, given });
    }
    let states = states(&body.outputs, reductions)?;
    let split = cells.split();
    let mut parameters = body.parameters(program)?;
    let mut arguments = body.arguments(form);
    if let Some((parameter, argument)) = form.layout(false) {
        parameters.push(parameter);
        arguments.push(argument);
    }
    outputs(&mut parameters, &mut arguments, reductions, cells)?;
    parameters.push(shape_parameter());
    arguments.push(cells.argument(split));
    let pack = pack_elements(program, &body, form, &[]);
    let row_is_packed = cells.outer == 1 || cells.reduced.is_multiple_of(pack as u64);
    let take = if cells.inner == 1 && form.strided() == 0 && form.is_aligned() && row_is_packed {
        packed(&body, form, pack)?
    } else {
        element_by_element(&body, form)?
    };
    let statements =
        format!("  __shared__ State states[THREADS];\n{}{}", body.once(form)?, turn(&take, reductions.len()));
    body.definitions += &states;
    let launch = Launch { blocks: cells.blocks(split), arguments };
    let reduce = (Kernel { definitions: body.definitions, parameters, statements }, launch);
    let merge = (split.parts > 1).then(|| merge(&states, reductions, cells, split.parts)).transpose()?;
    Ok(Reducing { reduce, merge, parts: split.parts })
}

fn shape_parameter() -> (String, String) {
    ("const Reduced".to_owned(), "shape".to_owned())
}

/// States, and the bytes of one part's.
fn outputs(
    parameters: &mut Vec<(String, String)>,
    arguments: &mut Vec<Argument>,
    reductions: &[Reduction],
    cells: &Cells,
) -> Result<()> {
    for (index, reduction) in reductions.iter().enumerate() {
        parameters.push(("u8 *__restrict__".to_owned(), format!("q{index}")));
        arguments.push(Argument::Output { index });
        let overflow = || Error::Overflow { shape: Vec::new() };
        let count = usize::try_from(cells.count()).map_err(|_| overflow())?;
        let bytes = reduction.state_bytes(count).map_err(|_| overflow())?;
        parameters.push(("const u64".to_owned(), format!("bytes{index}")));
        arguments.push(word(bytes as u64));
    }
    Ok(())
}

/// The struct of all states of a cell.
fn states(outputs: &[DType], reductions: &[Reduction]) -> Result<String> {
    let (mut bytes, mut widest) = (0_usize, 1);
    let (mut members, mut clear, mut merge) = (String::new(), String::new(), String::new());
    let (mut parameters, mut take) = (Vec::new(), String::new());
    for (number, (reduction, &dtype)) in reductions.iter().zip(outputs).enumerate() {
        let expected = reduction.tile_dtype();
        if expected != dtype {
            return Err(Error::TileType { output: number, expected, given: dtype });
        }
        let (kind, size) = state(reduction)?;
        // As a compiler lays them out: each at a multiple of its alignment, and so the whole.
        let alignment = size.min(MOST_ALIGNMENT_BYTES);
        widest = widest.max(alignment);
        bytes = bytes.next_multiple_of(alignment) + size;
        let _ = write!(members, " {kind} s{number};");
        let _ = write!(clear, " s{number}.clear();");
        let _ = write!(merge, " s{number}.merge(b.s{number});");
        let _ = write!(take, " s{number}.take(y{number});");
        parameters.push(format!("{} y{number}", register_type(dtype)?));
    }
    let bytes = bytes.next_multiple_of(widest);
    if bytes > MOST_STATE_BYTES {
        return Err(Error::Count {
            what: "bytes of states a thread",
            expected: MOST_STATE_BYTES,
            given: bytes,
        });
    }
    Ok(format!(
        "struct State {{\n {members}\n  ME void clear() {{{clear} }}\n  ME void merge(const State &b) {{{merge} }}\n  ME void take({}) {{{take} }}\n}};\n",
        parameters.join(", ")
    ))
}

/// The C type of a reduction's state, and its bytes.
fn state(reduction: &Reduction) -> Result<(String, usize)> {
    let refused = |what: &str| Err(Error::Reducer { reducer: what.to_owned() });
    let tile = reduction.tile_dtype();
    let (register, memory) = (register_type(tile)?, memory_type(tile)?);
    if reduction.is_exact() {
        return refused("exact sum");
    }
    let (number, number_bytes) = if tile == DType::F32 { ("Plain", 8) } else { ("Carried", 16) };
    let skip = reduction.skips_nan();
    let counts = if skip { "COUNT_COLUMN" } else { "ONE_COUNT" };
    Ok(match reduction.reducer() {
        Reducer::Sum if matches!(tile, DType::I64 | DType::U64) => ("Whole".to_owned(), 8),
        Reducer::Sum => (format!("Sum<{number}, {skip}, NO_COUNTS>"), number_bytes + 8),
        Reducer::Mean => (format!("Sum<{number}, {skip}, {counts}>"), number_bytes + 8),
        Reducer::CountNonzero => ("Whole".to_owned(), 8),
        Reducer::Any => ("Truth<false>".to_owned(), 4),
        Reducer::All => ("Truth<true>".to_owned(), 4),
        Reducer::Min | Reducer::Max => {
            let smallest = reduction.reducer() == Reducer::Min;
            let skip = skip && tile.kind() == 'f';
            (format!("Extreme<{register}, {memory}, {smallest}, {skip}>"), tile.size().max(4))
        }
        Reducer::Variance => (format!("Moments<{number}, 2, {skip}, {counts}>"), 16 + 2 * number_bytes),
        Reducer::Moments => (format!("Moments<{number}, 4, {skip}, {counts}>"), 16 + 4 * number_bytes),
        other => return refused(&format!("reduction {other:?}")),
    })
}

/// A block's turns: `take` gathers a thread's elements of a cell in `own`.
fn turn(take: &str, reductions: usize) -> String {
    let mut text = "  const u32 row = threadIdx.x / shape.width, rows = THREADS / shape.width;
  const u64 cells = shape.outer * shape.inner;
  for (u64 turn = blockIdx.x; turn < Turn::count(shape); turn += gridDim.x) {
    const Turn t = Turn::at(shape, turn);
    State own;
    own.clear();
    if (t.column < shape.inner) {
"
    .to_owned();
    text += take;
    text += "    }
    merge_block(states, own, shape.width);
    if (row == 0 && t.column < shape.inner) {
      const u64 cell = t.outer * shape.inner + t.column;
";
    for number in 0..reductions {
        let _ = writeln!(
            text,
            "      states[threadIdx.x].s{number}.store(q{number} + t.part * bytes{number}, cells, cell);"
        );
    }
    text += "    }\n    __syncthreads();\n  }\n";
    text
}

/// The outputs' values, added to a thread's states.
fn taking(body: &Body, indent: &str) -> Result<String> {
    let values: Vec<String> = (0..body.outputs.len()).map(|output| format!("y{output}")).collect();
    Ok(format!("{}{indent}own.take({});\n", body.evaluation(indent)?, values.join(", ")))
}

fn element_by_element(body: &Body, form: &Form) -> Result<String> {
    let mut text = "    for (u64 r = t.first + row; r < t.last; r += rows) {
      const u64 flat = (t.outer * shape.reduced + r) * shape.inner + t.column;
"
    .to_owned();
    text += &by_steps(body, form, "      ")?;
    text += &taking(body, "      ")?;
    text += "    }\n";
    Ok(text)
}

/// Rows of one cell, in packs; what is left of a part, element by element.
fn packed(body: &Body, form: &Form, pack: usize) -> Result<String> {
    let mut text = format!(
        "    const u64 base = t.outer * shape.reduced + t.first, packs = (t.last - t.first) / {pack};
    for (u64 at = base / {pack} + threadIdx.x; at < base / {pack} + packs; at += THREADS) {{
"
    );
    text += &packs(body, form, pack, "at")?;
    let _ = writeln!(text, "#pragma unroll\n    for (int k = 0; k < {pack}; ++k) {{");
    text += &body.loads(form, "      ", |index| format!("a{index}.at[k]"))?;
    text += &taking(body, "      ")?;
    let _ = writeln!(
        text,
        "    }}\n    }}\n    for (u64 flat = base + packs * {pack} + threadIdx.x; flat < t.outer * shape.reduced + t.last; flat += THREADS) {{"
    );
    text += &body.loads(form, "      ", |index| format!("p{index}[flat]"))?;
    text += &taking(body, "      ")?;
    text += "    }\n";
    Ok(text)
}

/// The kernel that merges the states of parts: a reduction of parts to cells.
fn merge(states: &str, reductions: &[Reduction], cells: &Cells, parts: u64) -> Result<(Kernel, Launch)> {
    let merged = Cells { outer: 1, reduced: parts, inner: cells.count() };
    let width = merged.inner.next_power_of_two().min(u64::from(BLOCK_THREADS)).max(1);
    let split = Split { width, parts: 1, part_len: parts };
    let (mut parameters, mut arguments) = (Vec::new(), Vec::new());
    for index in 0..reductions.len() {
        parameters.push(("const u8 *__restrict__".to_owned(), format!("p{index}")));
        arguments.push(Argument::Input { index, offset: 0 });
    }
    outputs(&mut parameters, &mut arguments, reductions, cells)?;
    parameters.push(shape_parameter());
    arguments.push(merged.argument(split));
    let mut take = "    for (u64 r = t.first + row; r < t.last; r += rows) {\n      State next;\n".to_owned();
    for number in 0..reductions.len() {
        let _ = writeln!(take, "      next.s{number}.load(p{number} + r * bytes{number}, cells, t.column);");
    }
    take += "      own.merge(next);\n    }\n";
    let statements = format!("  __shared__ State states[THREADS];\n{}", turn(&take, reductions.len()));
    let kernel = Kernel { definitions: states.to_owned(), parameters, statements };
    Ok((kernel, Launch { blocks: merged.blocks(split), arguments }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jit::Operand;
    use blockwise_kernels::program::Builder;

    #[test]
    fn what_lies_between_states_counts() {
        let generated = |pairs: usize| {
            let any = Reduction::new(Reducer::Any, DType::Bool, false).unwrap();
            let sum = Reduction::new(Reducer::Sum, DType::I64, false).unwrap();
            let reductions: Vec<Reduction> = (0..pairs).flat_map(|_| [any, sum]).collect();
            let mut builder = Builder::new();
            let x = builder.input(DType::I64);
            let outputs: Vec<_> =
                reductions.iter().map(|of| builder.cast(x, of.tile_dtype()).unwrap()).collect();
            let program = builder.finish(&outputs).unwrap();
            let form = Form::new(&[1000], &[Operand::default()], true).unwrap();
            generate(&program, &form, &Cells::new(&[1000], &[0]).unwrap(), &reductions)
        };
        // 4 bytes, 4 that nobody uses, and 8: twelve times that are 48 KiB in a block.
        assert!(generated(12).is_ok());
        assert!(matches!(generated(13), Err(Error::Count { expected: 192, given: 208, .. })));
    }
}
