//! Fused elementwise expressions as data: built once, evaluated tile by tile in cache, printed for other back ends.
//!
//! A [`Program`] is a list of instructions in static single assignment form over typed values. [`Builder`] applies the
//! dtype rules, converts arguments, removes common subexpressions and folds constants; `finish` drops what no output
//! needs and compiles the rest to steps over registers of one tile each.
//!
//! Invariants: an instruction's arguments come before it; the value of every instruction depends on its inputs alone;
//! tiles hold at most [`TILE_ELEMENTS`] elements and do not depend on the program, so what consumes tiles sees the
//! same ones always. Called by core for every elementwise node and before every reduction, and by gpu, which
//! prints the instructions.

mod builder;
mod compile;
mod convert;
mod evaluate;
mod feed;

use crate::function::Function;
use crate::simd::InstructionSet;
use crate::strided::Layout;
use crate::{DType, Scalar};
pub(crate) use builder::converted;
pub use builder::{Argument, Builder};
pub use evaluate::Scratch;
use smallvec::SmallVec;
use std::fmt;

/// Elements of a tile: small enough that the registers of an ordinary program stay in the first-level cache, large
/// enough that a step's dispatch does not count.
pub const TILE_ELEMENTS: usize = 1024;

/// The tiles of a shape of `total` elements, in order: their flat first indices and counts.
pub fn whole_tiles(total: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    (0..total).step_by(TILE_ELEMENTS).map(move |first| (first, TILE_ELEMENTS.min(total - first)))
}

/// One value of a program: the result of the instruction of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);

impl Value {
    /// The number of the instruction that makes the value.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// What makes a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// An element of the input of this number.
    Input {
        /// The number of the input.
        index: usize,
        /// Its dtype.
        dtype: DType,
    },
    /// A number.
    Constant(Scalar),
    /// A value converted as by `astype`.
    Cast {
        /// What is converted.
        from: Value,
        /// The dtype it is converted to.
        dtype: DType,
    },
    /// A function that has a loop, of arguments of its signature's dtypes.
    Call {
        /// The function.
        function: &'static Function,
        /// Its arguments.
        arguments: SmallVec<[Value; 3]>,
        /// The dtype of the result.
        dtype: DType,
    },
}

impl Instruction {
    /// The dtype of the value.
    #[must_use]
    pub const fn dtype(&self) -> DType {
        match self {
            Self::Input { dtype, .. } | Self::Cast { dtype, .. } | Self::Call { dtype, .. } => *dtype,
            Self::Constant(scalar) => scalar.dtype(),
        }
    }

    /// The values it needs.
    #[must_use]
    pub fn arguments(&self) -> &[Value] {
        match self {
            Self::Input { .. } | Self::Constant(_) => &[],
            Self::Cast { from, .. } => std::slice::from_ref(from),
            Self::Call { arguments, .. } => arguments,
        }
    }
}

/// Why a program could not be built or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// No function has this name.
    #[error("there is no function {name:?}; `arrayctl functions` lists those there are")]
    UnknownFunction {
        /// The name.
        name: String,
    },
    /// A function has another number of arguments.
    #[error("{function} takes {arity} arguments, not {given}")]
    Arity {
        /// The function.
        function: &'static str,
        /// What it takes.
        arity: usize,
        /// What it was given.
        given: usize,
    },
    /// A function is not defined for these dtypes.
    #[error("{function} is not defined for ({dtypes}); convert an argument with astype first")]
    Refused {
        /// The function.
        function: &'static str,
        /// The dtypes, separated by commas.
        dtypes: String,
    },
    /// A plain integer does not fit the dtype it takes part in.
    #[error("the integer {value} does not fit {dtype}; convert the array to a wider type first")]
    IntegerRange {
        /// The integer.
        value: i128,
        /// The dtype of the other arguments.
        dtype: DType,
    },
    /// An argument that decides how a program is built varies.
    #[error("the second argument of {function} must be a plain number")]
    NotConstant {
        /// The function.
        function: &'static str,
    },
    /// A value of another builder.
    #[error("{value} is no value of this program; values belong to the builder that made them")]
    ForeignValue {
        /// The value.
        value: Value,
    },
    /// The number of inputs or outputs is not the program's.
    #[error("the program has {expected} {what}, not {given}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// What the program has.
        expected: usize,
        /// What was given.
        given: usize,
    },
    /// An input has another dtype than the program says.
    #[error("input {input} is {given}, but the program was built for {expected}")]
    InputType {
        /// The number of the input.
        input: usize,
        /// What the program was built for.
        expected: DType,
        /// What was given.
        given: DType,
    },
    /// An input's layout has another rank than the shape, or leaves its bytes.
    #[error(
        "input {input} with strides {strides:?} from element {offset} does not hold shape {shape:?} in {len_bytes} bytes"
    )]
    InputLayout {
        /// The number of the input.
        input: usize,
        /// Its strides, in elements.
        strides: Vec<isize>,
        /// The element of index zero.
        offset: usize,
        /// The shape to evaluate.
        shape: Vec<usize>,
        /// Bytes of the input.
        len_bytes: usize,
    },
    /// An output does not have exactly the bytes of the shape.
    #[error("output {output} has {given_bytes} bytes, but shape and dtype make {expected_bytes}")]
    OutputLength {
        /// The number of the output.
        output: usize,
        /// What is needed.
        expected_bytes: usize,
        /// What was given.
        given_bytes: usize,
    },
    /// An output does not begin at a multiple of its element size.
    #[error("output {output} is not aligned for {dtype}; use a Buffer, or a slice of it at whole elements")]
    OutputAlignment {
        /// The number of the output.
        output: usize,
        /// Its dtype.
        dtype: DType,
    },
    /// The number of elements or bytes does not fit the machine's integers.
    #[error("a shape of {shape:?} overflows the address space; evaluate smaller chunks")]
    Overflow {
        /// The shape.
        shape: Vec<usize>,
    },
}

/// One operand of an evaluation: bytes, their dtype, and where in them the elements lie.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The bytes, in the machine's order; bools hold 0 and 1 only.
    pub bytes: &'a [u8],
    /// The dtype of the elements.
    pub dtype: DType,
    /// One stride per axis of the evaluated shape, 0 to repeat (broadcast); `None` for C order of that shape.
    pub layout: Option<Layout>,
}

impl<'a> Input<'a> {
    /// An operand that holds the evaluated shape in C order.
    #[must_use]
    pub const fn contiguous(bytes: &'a [u8], dtype: DType) -> Self {
        Self { bytes, dtype, layout: None }
    }

    /// An operand with strides.
    #[must_use]
    pub const fn strided(bytes: &'a [u8], dtype: DType, layout: Layout) -> Self {
        Self { bytes, dtype, layout: Some(layout) }
    }
}

/// A fused elementwise expression with one or more outputs.
///
/// ```
/// use blockwise_kernels::program::{Builder, Input, Scratch};
/// use blockwise_kernels::{Buffer, DType, Element};
/// let mut builder = Builder::new();
/// let x = builder.input(DType::F32);
/// let scaled = builder.call_named("multiply", &[x.into(), 2.0.into()])?;
/// let shifted = builder.call_named("add", &[scaled.into(), 1.0.into()])?;
/// let program = builder.finish(&[shifted])?;
///
/// let mut out = Buffer::zeroed(12);
/// let x = [1.0_f32, 2.0, 3.0];
/// let input = Input::contiguous(f32::as_bytes(&x), DType::F32);
/// program.evaluate(&[input], &[3], &mut [&mut out], &mut Scratch::default())?;
/// assert_eq!(f32::cast_slice(&out), Some(&[3.0, 5.0, 7.0][..]));
/// # Ok::<(), blockwise_kernels::program::ProgramError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Program {
    inputs: Vec<DType>,
    instructions: Vec<Instruction>,
    outputs: Vec<Value>,
    code: compile::Code,
    set: InstructionSet,
}

impl Program {
    /// The dtypes of the inputs, in order; one may be unused.
    #[must_use]
    pub fn inputs(&self) -> &[DType] {
        &self.inputs
    }

    /// The instructions; the value numbered `i` is the result of the instruction at `i`.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The values that are the outputs, in order.
    #[must_use]
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// The dtypes of the outputs, in order.
    pub fn output_dtypes(&self) -> impl ExactSizeIterator<Item = DType> + '_ {
        self.outputs.iter().map(|value| self.dtype(*value))
    }

    /// Whether the only output is the only input, unchanged.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self.instructions.as_slice(), [Instruction::Input { .. }])
            && self.inputs.len() == 1
            && self.outputs.len() == 1
    }

    /// Rough floating-point operations for one element of the shape.
    #[must_use]
    pub fn flops(&self) -> u64 {
        let cost = |instruction: &Instruction| match instruction {
            Instruction::Call { function, .. } => u64::from(function.flops),
            Instruction::Cast { .. } => 1,
            Instruction::Input { .. } | Instruction::Constant(_) => 0,
        };
        self.instructions.iter().map(cost).sum()
    }

    /// The most bytes a [`Scratch`] holds after evaluating this program.
    #[must_use]
    pub fn scratch_bytes(&self) -> usize {
        self.code.scratch_bytes(self)
    }

    /// The same program evaluated with `set` and not with the widest one: for measurements and tests.
    #[must_use]
    pub fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.set = set;
        self
    }

    fn dtype(&self, value: Value) -> DType {
        self.instructions.get(value.index()).map_or(DType::Bool, Instruction::dtype)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Value]| {
            values.iter().try_for_each(|value| write!(f, " {value}"))
        };
        for (number, instruction) in self.instructions.iter().enumerate() {
            write!(f, "%{number}: {} = ", instruction.dtype())?;
            match instruction {
                Instruction::Input { index, .. } => write!(f, "input {index}")?,
                Instruction::Constant(scalar) => write!(f, "{scalar}")?,
                Instruction::Cast { from, .. } => write!(f, "cast {from}")?,
                Instruction::Call { function, arguments, .. } => {
                    f.write_str(function.name)?;
                    list(f, arguments)?;
                }
            }
            writeln!(f)?;
        }
        f.write_str("return")?;
        list(f, &self.outputs)?;
        writeln!(f)
    }
}
