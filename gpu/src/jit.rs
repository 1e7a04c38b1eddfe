//! CUDA C from programs: elementwise kernels, and reductions with the program before them; and from filters.
//!
//! What is baked into a text: dtypes, instructions, how many axes are left when those that lie alike are merged, and which
//! operands are contiguous, repeated or strided. Shapes, steps and the numbers of an expression are arguments, so that one
//! compiled kernel serves many calls. Operations round once each, as on the CPU (`--fmad=false`); float sums are float64.
//!
//! [`Form`] looks at shape and layouts and chooses; [`elementwise`] and [`reduction`] print a [`Kernel`] for it and list
//! the [`Argument`]s of a launch. Invariants: equal programs and forms give equal texts; no atomic operations; the order of
//! every addition follows from the shape alone.

mod body;
pub mod elementwise;
pub mod filter;
mod form;
pub mod reduction;
mod text;

use crate::Result;
pub use form::{Form, Operand};

/// Types, conversions and functions that every kernel uses.
const PRELUDE: &str = include_str!("jit/prelude.cuh");
/// States of reductions.
const STATES: &str = include_str!("jit/states.cuh");
/// The name of the kernel in [`Kernel::source`].
pub const ENTRY: &str = "blockwise_kernel";

/// Threads of a block, for every kernel.
pub const BLOCK_THREADS: u32 = 256;

/// One generated kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// What stands before the entry point.
    definitions: String,
    /// The C types of the parameters, with their names.
    parameters: Vec<(String, String)>,
    /// What stands in the entry point.
    statements: String,
}

impl Kernel {
    /// What a compiler is given: one kernel, called [`ENTRY`].
    #[must_use]
    pub fn source(&self) -> String {
        format!("{}{}", headers(), self.named(ENTRY))
    }

    /// The kernel alone, under a name of its own and in a namespace of that name followed by `_of`: several may stand
    /// behind one [`headers`].
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        let parameters: Vec<String> =
            self.parameters.iter().map(|(c_type, parameter)| format!("{c_type} {parameter}")).collect();
        // At least one block a multiprocessor: without that the assembler rather spills a word than take a 33rd register.
        format!(
            "namespace {name}_of {{\n{}extern \"C\" __global__ void __launch_bounds__({BLOCK_THREADS}, 1) {name}(\n    {}) {{\n{}}}\n}}\n",
            self.definitions,
            parameters.join(",\n    "),
            self.statements,
        )
    }

    /// The C types of the parameters, in the order of the arguments.
    pub fn parameter_types(&self) -> impl ExactSizeIterator<Item = &str> {
        self.parameters.iter().map(|(c_type, _)| c_type.as_str())
    }
}

/// What stands before kernels, whatever they are.
#[must_use]
pub fn headers() -> String {
    format!("{PRELUDE}\n{STATES}\n")
}

/// What is passed for a parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// The address of an element of an input.
    Input {
        /// The number of the input.
        index: usize,
        /// Elements from the beginning of its bytes.
        offset: usize,
    },
    /// The address of an output, of a state, or of the states of parts.
    Output {
        /// Its number.
        index: usize,
    },
    /// The value itself, in the machine's byte order.
    Value(Vec<u8>),
}

/// How often a kernel is to run, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Blocks of [`BLOCK_THREADS`], along x and y. More or fewer do not change the result; none where nothing is to be done.
    pub blocks: (u32, u32),
    /// One argument a parameter.
    pub arguments: Vec<Argument>,
}

/// At most so many blocks a launch: enough to fill any device several times.
const MOST_BLOCKS: u64 = 1 << 16;

/// Blocks for so many pieces of work, each a block's.
fn blocks(work: u64) -> u32 {
    u32::try_from(work.min(MOST_BLOCKS)).unwrap_or(u32::MAX)
}

/// A value of the machine's integers as an argument.
fn word(value: u64) -> Argument {
    Argument::Value(value.to_ne_bytes().to_vec())
}

/// The number of elements of a shape.
fn total(shape: &[usize]) -> Result<usize> {
    let product = shape.iter().try_fold(1_usize, |total, len| total.checked_mul(*len));
    product
        .filter(|total| isize::try_from(*total).is_ok())
        .ok_or_else(|| crate::Error::Overflow { shape: shape.to_vec() })
}
