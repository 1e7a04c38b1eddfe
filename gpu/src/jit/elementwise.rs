//! Kernels that evaluate a program for every element of a shape: contiguous, row by row, and strided.
//!
//! Invariant: every element of the outputs, which are contiguous, is written once, by one thread. Called by whoever runs
//! programs on a device; the tests run them on the CPU.

use super::body::Body;
use super::form::{Access, Variant};
use super::text::{memory_type, stored};
use super::{Argument, BLOCK_THREADS, Form, Kernel, Launch, blocks, word};
use crate::{Error, Result};
use blockwise_kernels::DType;
use blockwise_kernels::program::Program;
use std::fmt::Write as _;

/// Bytes of the widest access.
const ACCESS_BYTES: usize = 16;
/// Most bytes of one operand that a thread holds at a time: of programs of few operations, and of others, which
/// arithmetic holds up and not memory.
const HELD_BYTES: [usize; 2] = [64, ACCESS_BYTES];
/// Operations an element from which on they are many.
const MANY_OPERATIONS: u64 = 48;

/// The kernel of a program for a form, and how to run it.
///
/// ```
/// use blockwise_gpu::jit::{Form, Operand, elementwise};
/// use blockwise_kernels::DType;
/// use blockwise_kernels::program::Builder;
/// let mut builder = Builder::new();
/// let x = builder.input(DType::F32);
/// let doubled = builder.call_named("multiply", &[x.into(), 2.0.into()])?;
/// let program = builder.finish(&[doubled])?;
/// let form = Form::new(&[1000], &[Operand::default()], true)?;
/// let (kernel, launch) = elementwise::generate(&program, &form)?;
/// assert!(kernel.source().contains("Pack<f32, 4>"));
/// assert_eq!(launch.arguments.len(), kernel.parameter_types().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Type`] and [`Error::Function`] for what kernels cannot compute.
pub fn generate(program: &Program, form: &Form) -> Result<(Kernel, Launch)> {
    let body = Body::new(program)?;
    check_operands(program, form.operands())?;
    let mut parameters = body.parameters(program)?;
    let mut arguments = body.arguments(form);
    for (output, dtype) in body.outputs.iter().enumerate() {
        parameters.push((format!("{} *__restrict__", memory_type(*dtype)?), format!("q{output}")));
        arguments.push(Argument::Output { index: output });
    }
    let elements = form.elements() as u64;
    let (statements, blocks) = match form.variant() {
        Variant::Contiguous => {
            push(&mut parameters, &mut arguments, "count", elements);
            let pack = pack_elements(program, &body, form, &body.outputs);
            (contiguous(&body, form, pack)?, (blocks(turns(elements.div_ceil(pack as u64))), 1))
        }
        Variant::Rows => {
            let columns = form.columns() as u64;
            let rows = elements.checked_div(columns).unwrap_or(0);
            push(&mut parameters, &mut arguments, "rows", rows);
            push(&mut parameters, &mut arguments, "columns", columns);
            let layout = form.layout(true);
            let has_layout = layout.is_some();
            if let Some((parameter, argument)) = layout {
                parameters.push(parameter);
                arguments.push(argument);
            }
            // The y axis of a grid is shorter than the x axis.
            let high = u32::try_from(rows.min(1 << 15)).unwrap_or(1);
            (in_rows(&body, form, has_layout)?, (blocks(turns(columns)), high))
        }
        Variant::Strided => {
            push(&mut parameters, &mut arguments, "count", elements);
            if let Some((parameter, argument)) = form.layout(false) {
                parameters.push(parameter);
                arguments.push(argument);
            }
            (strided(&body, form)?, (blocks(turns(elements)), 1))
        }
    };
    let kernel = Kernel { definitions: body.definitions, parameters, statements };
    Ok((kernel, Launch { blocks: if elements == 0 { (0, 0) } else { blocks }, arguments }))
}

fn push(parameters: &mut Vec<(String, String)>, arguments: &mut Vec<Argument>, name: &str, value: u64) {
    parameters.push(("const u64".to_owned(), name.to_owned()));
    arguments.push(word(value));
}

/// Blocks that give each of so many items a thread.
fn turns(items: u64) -> u64 {
    items.div_ceil(u64::from(BLOCK_THREADS))
}

/// Elements that a thread takes at once: of the narrowest operand 16 bytes, of the widest at most [`HELD_BYTES`].
/// `stored`: what is written.
pub(super) fn pack_elements(program: &Program, body: &Body, form: &Form, stored: &[DType]) -> usize {
    let flat = body.used().filter(|(index, _)| form.access(*index) == Access::Flat).map(|(_, dtype)| dtype);
    let sizes: Vec<usize> = flat.chain(stored.iter().copied()).map(DType::size).collect();
    let narrowest = sizes.iter().min().copied().unwrap_or(1);
    let widest = sizes.iter().max().copied().unwrap_or(1);
    let [held_bytes, held_of_many] = HELD_BYTES;
    let held = if program.flops() < MANY_OPERATIONS { held_bytes } else { held_of_many };
    (ACCESS_BYTES / narrowest).min(held / widest)
}

/// Writes the outputs' values to what `place` names.
fn stores(body: &Body, indent: &str, place: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (output, dtype) in body.outputs.iter().enumerate() {
        let _ = writeln!(text, "{indent}{} = {};", place(output), stored(*dtype, &format!("y{output}")));
    }
    text
}

/// Packs of the flat inputs, `a0` and so on, read at the pack index `at`.
pub(super) fn packs(body: &Body, form: &Form, pack: usize, at: &str) -> Result<String> {
    let mut text = String::new();
    for (index, dtype) in body.used().filter(|(index, _)| form.access(*index) == Access::Flat) {
        let kind = format!("Pack<{}, {pack}>", memory_type(dtype)?);
        let _ = writeln!(text, "    const {kind} a{index} = ((const {kind} *)p{index})[{at}];");
    }
    Ok(text)
}

const THREAD: &str =
    "  const u64 thread = (u64)blockIdx.x * blockDim.x + threadIdx.x, threads = (u64)gridDim.x * blockDim.x;
  if (thread >= count) return;
";

fn contiguous(body: &Body, form: &Form, pack: usize) -> Result<String> {
    let mut text = format!("{THREAD}{}", body.once(form)?);
    let _ = writeln!(text, "  for (u64 at = thread; at < count / {pack}; at += threads) {{");
    text += &packs(body, form, pack, "at")?;
    for (output, dtype) in body.outputs.iter().enumerate() {
        let _ = writeln!(text, "    Pack<{}, {pack}> b{output};", memory_type(*dtype)?);
    }
    let _ = writeln!(text, "#pragma unroll\n    for (int k = 0; k < {pack}; ++k) {{");
    text += &body.loads(form, "      ", |index| format!("a{index}.at[k]"))?;
    text += &body.evaluation("      ")?;
    text += &stores(body, "      ", |output| format!("b{output}.at[k]"));
    text += "    }\n";
    for (output, dtype) in body.outputs.iter().enumerate() {
        let _ = writeln!(text, "    ((Pack<{}, {pack}> *)q{output})[at] = b{output};", memory_type(*dtype)?);
    }
    let _ = writeln!(
        text,
        "  }}\n  for (u64 at = count / {pack} * {pack} + thread; at < count; at += threads) {{"
    );
    text += &body.loads(form, "    ", |index| format!("p{index}[at]"))?;
    text += &body.evaluation("    ")?;
    text += &stores(body, "    ", |output| format!("q{output}[at]"));
    text += "  }\n";
    Ok(text)
}

fn in_rows(body: &Body, form: &Form, has_layout: bool) -> Result<String> {
    let mut text = body.once(form)?;
    text += "  for (u64 row = blockIdx.y; row < rows; row += gridDim.y) {\n";
    if has_layout {
        let _ = writeln!(text, "    i64 at[{}];\n    offsets(layout, row, at);", form.strided());
    }
    text += "    for (u64 column = (u64)blockIdx.x * blockDim.x + threadIdx.x; column < columns; column += (u64)gridDim.x * blockDim.x) {\n";
    text += &body.loads(form, "      ", |index| match form.access(index) {
        Access::Strided(place) if form.repeats_in_row(index) => format!("p{index}[at[{place}]]"),
        Access::Strided(place) => format!("p{index}[at[{place}] + (i64)column]"),
        _ => format!("p{index}[row * columns + column]"),
    })?;
    text += &body.evaluation("      ")?;
    text += &stores(body, "      ", |output| format!("q{output}[row * columns + column]"));
    text += "    }\n  }\n";
    Ok(text)
}

fn strided(body: &Body, form: &Form) -> Result<String> {
    let mut text = format!("{THREAD}{}", body.once(form)?);
    text += "  for (u64 flat = thread; flat < count; flat += threads) {\n";
    text += &by_steps(body, form, "    ")?;
    text += &body.evaluation("    ")?;
    text += &stores(body, "    ", |output| format!("q{output}[flat]"));
    text += "  }\n";
    Ok(text)
}

/// The inputs' values at the index `flat` of the shape.
pub(super) fn by_steps(body: &Body, form: &Form, indent: &str) -> Result<String> {
    let mut text = String::new();
    if form.strided() > 0 {
        let _ = writeln!(text, "{indent}i64 at[{}];\n{indent}offsets(layout, flat, at);", form.strided());
    }
    text += &body.loads(form, indent, |index| match form.access(index) {
        Access::Strided(place) => format!("p{index}[at[{place}]]"),
        _ => format!("p{index}[flat]"),
    })?;
    Ok(text)
}

/// Checks that a program has as many operands as a form.
pub(super) fn check_operands(program: &Program, operands: usize) -> Result<()> {
    let expected = program.inputs().len();
    if expected == operands {
        return Ok(());
    }
    Err(Error::Count { what: "operands of a program", expected, given: operands })
}
