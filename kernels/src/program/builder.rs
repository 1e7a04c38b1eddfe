//! Building programs: dtype rules, conversions, common subexpressions, constants.
//!
//! Invariant: two equal instructions never stand in one program, and none whose arguments are all constants does.
//! Called by core's lowering and by the expansions of [`crate::function`].

use super::compile::Code;
use super::{Input, Instruction, Program, ProgramError, Scratch, Value};
use crate::function::Function;
use crate::promote::Operand;
use crate::simd::InstructionSet;
use crate::{Buffer, DType, Scalar, cast};
use num_complex::Complex;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::ops::Range;

/// An argument of a function: a value, or a plain number, which takes the type of the others (NEP 50).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// A value of the program.
    Value(Value),
    /// A number with a dtype of its own.
    Scalar(Scalar),
    /// A plain integer.
    Int(i128),
    /// A plain float.
    Float(f64),
    /// A plain complex number.
    Complex(Complex<f64>),
}

macro_rules! argument_from {
    ($($t:ty: $a:ident => $argument:expr;)*) => {$(
        impl From<$t> for Argument {
            fn from($a: $t) -> Self {
                $argument
            }
        }
    )*};
}
argument_from! {
    Value: a => Self::Value(a);
    Scalar: a => Self::Scalar(a);
    bool: a => Self::Scalar(a.into());
    i32: a => Self::Int(a.into());
    i64: a => Self::Int(a.into());
    f64: a => Self::Float(a);
    Complex<f64>: a => Self::Complex(a);
}

/// Collects the instructions of a [`Program`].
///
/// ```
/// use blockwise_kernels::DType;
/// use blockwise_kernels::program::Builder;
/// let mut builder = Builder::new();
/// let (x, y) = (builder.input(DType::F32), builder.input(DType::I16));
/// let first = builder.call_named("add", &[x.into(), y.into()])?;
/// let again = builder.call_named("add", &[x.into(), y.into()])?;
/// assert_eq!(first, again);
/// assert_eq!(builder.dtype(first)?, DType::F32);
/// # Ok::<(), blockwise_kernels::program::ProgramError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    inputs: Vec<DType>,
    instructions: Vec<Instruction>,
    known: HashMap<Instruction, Value>,
}

impl Builder {
    /// An empty program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next input.
    pub fn input(&mut self, dtype: DType) -> Value {
        self.inputs.push(dtype);
        self.push(Instruction::Input { index: self.inputs.len() - 1, dtype })
    }

    /// A number that is the same for every element.
    pub fn constant(&mut self, scalar: Scalar) -> Value {
        self.push(Instruction::Constant(scalar))
    }

    /// The dtype of a value.
    ///
    /// # Errors
    /// [`ProgramError::ForeignValue`] if another builder made it.
    pub fn dtype(&self, value: Value) -> Result<DType, ProgramError> {
        let instruction = self.instructions.get(value.index());
        instruction.map(Instruction::dtype).ok_or(ProgramError::ForeignValue { value })
    }

    /// The number that a value always is, if it is a constant.
    #[must_use]
    pub fn constant_of(&self, value: Value) -> Option<Scalar> {
        match self.instructions.get(value.index())? {
            Instruction::Constant(scalar) => Some(*scalar),
            _ => None,
        }
    }

    /// A value converted as by `astype`; itself if it has the dtype.
    ///
    /// # Errors
    /// [`ProgramError::ForeignValue`] if another builder made the value.
    pub fn cast(&mut self, from: Value, dtype: DType) -> Result<Value, ProgramError> {
        if self.dtype(from)? == dtype {
            return Ok(from);
        }
        if let Some(scalar) = self.constant_of(from) {
            return Ok(self.constant(converted(scalar, dtype)));
        }
        Ok(self.push(Instruction::Cast { from, dtype }))
    }

    /// The function of a name; see [`Builder::call`].
    ///
    /// # Errors
    /// [`ProgramError::UnknownFunction`], or what [`Builder::call`] returns.
    pub fn call_named(&mut self, name: &str, arguments: &[Argument]) -> Result<Value, ProgramError> {
        let function =
            Function::named(name).ok_or_else(|| ProgramError::UnknownFunction { name: name.to_owned() })?;
        self.call(function, arguments)
    }

    /// A function of arguments, which are converted to the function's dtypes.
    ///
    /// # Errors
    /// [`ProgramError`] for a wrong number of arguments, dtypes that NumPy refuses too, a plain integer that does not
    /// fit its dtype (comparisons excepted), or a value of another builder.
    pub fn call(
        &mut self,
        function: &'static Function,
        arguments: &[Argument],
    ) -> Result<Value, ProgramError> {
        let (name, given) = (function.name, arguments.len());
        if given != function.arity {
            return Err(ProgramError::Arity { function: name, arity: function.arity, given });
        }
        let operands: SmallVec<[Operand; 3]> =
            arguments.iter().map(|argument| self.operand(argument)).collect::<Result<_, _>>()?;
        let signature = function
            .signature(&operands)
            .ok_or_else(|| ProgramError::Refused { function: name, dtypes: listed(&operands) })?;
        let mut values = SmallVec::<[Value; 3]>::new();
        for (place, (argument, &dtype)) in arguments.iter().zip(&signature.inputs).enumerate() {
            match self.typed(argument, dtype) {
                Ok(value) => values.push(value),
                Err(ProgramError::IntegerRange { value, .. }) if function.is_comparison() => {
                    // The integer is beyond every value of the dtype, on the side that its sign says.
                    let integer_is_greater = value > 0;
                    let first_is_less = integer_is_greater == (place == 1);
                    let holds = match name {
                        "equal" => false,
                        "not_equal" => true,
                        "less" | "less_equal" => first_is_less,
                        _ => !first_is_less,
                    };
                    return Ok(self.constant(holds.into()));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(value) = function.expand(self, &values)? {
            return Ok(value);
        }
        let constants: Option<SmallVec<[Scalar; 3]>> =
            values.iter().map(|value| self.constant_of(*value)).collect();
        let instruction = Instruction::Call { function, arguments: values, dtype: signature.output };
        match constants {
            Some(constants) => self.fold(function, &constants, signature.output),
            None => Ok(self.push(instruction)),
        }
    }

    /// All instructions of `program` with its inputs replaced by `inputs`; returns the values of its outputs.
    ///
    /// # Errors
    /// [`ProgramError`] if the number or the dtypes of the inputs are not the program's.
    pub fn inline(&mut self, program: &Program, inputs: &[Value]) -> Result<Vec<Value>, ProgramError> {
        let expected = program.inputs.len();
        if inputs.len() != expected {
            return Err(ProgramError::Count { what: "inputs", expected, given: inputs.len() });
        }
        for (input, (&value, &expected)) in inputs.iter().zip(&program.inputs).enumerate() {
            let given = self.dtype(value)?;
            if given != expected {
                return Err(ProgramError::InputType { input, expected, given });
            }
        }
        let mut values = Vec::with_capacity(program.instructions.len());
        let renamed = |values: &[Value], value: Value| {
            values.get(value.index()).copied().ok_or(ProgramError::ForeignValue { value })
        };
        for instruction in &program.instructions {
            let value = match instruction {
                Instruction::Input { index, .. } => {
                    let given = inputs.len();
                    *inputs.get(*index).ok_or(ProgramError::Count { what: "inputs", expected, given })?
                }
                Instruction::Constant(scalar) => self.constant(*scalar),
                Instruction::Cast { from, dtype } => self.cast(renamed(&values, *from)?, *dtype)?,
                Instruction::Call { function, arguments, .. } => {
                    let arguments: Result<SmallVec<[Argument; 3]>, _> =
                        arguments.iter().map(|value| renamed(&values, *value).map(Argument::Value)).collect();
                    self.call(function, &arguments?)?
                }
            };
            values.push(value);
        }
        program.outputs.iter().map(|value| renamed(&values, *value)).collect()
    }

    /// The program that computes `outputs`; what none of them needs is left out, but every input stays.
    ///
    /// # Errors
    /// [`ProgramError::ForeignValue`] if another builder made an output.
    pub fn finish(self, outputs: &[Value]) -> Result<Program, ProgramError> {
        let mut needed = vec![false; self.instructions.len()];
        for &value in outputs {
            *needed.get_mut(value.index()).ok_or(ProgramError::ForeignValue { value })? = true;
        }
        for (number, instruction) in self.instructions.iter().enumerate().rev() {
            if needed.get(number) == Some(&true) {
                for argument in instruction.arguments() {
                    if let Some(flag) = needed.get_mut(argument.index()) {
                        *flag = true;
                    }
                }
            }
        }
        let mut renamed = vec![Value(0); needed.len()];
        let mut instructions = Vec::new();
        for (number, instruction) in self.instructions.into_iter().enumerate() {
            if needed.get(number) != Some(&true) {
                continue;
            }
            if let Some(place) = renamed.get_mut(number) {
                *place = numbered(instructions.len());
            }
            let new = |value: &Value| renamed.get(value.index()).copied().unwrap_or(*value);
            instructions.push(match instruction {
                Instruction::Cast { from, dtype } => Instruction::Cast { from: new(&from), dtype },
                Instruction::Call { function, arguments, dtype } => {
                    Instruction::Call { function, arguments: arguments.iter().map(new).collect(), dtype }
                }
                leaf => leaf,
            });
        }
        let outputs: Vec<Value> =
            outputs.iter().filter_map(|value| renamed.get(value.index()).copied()).collect();
        let code = Code::new(&instructions, &outputs)?;
        Ok(Program { inputs: self.inputs, instructions, outputs, code, set: InstructionSet::best() })
    }

    fn push(&mut self, instruction: Instruction) -> Value {
        if let Some(&value) = self.known.get(&instruction) {
            return value;
        }
        let value = numbered(self.instructions.len());
        self.instructions.push(instruction.clone());
        self.known.insert(instruction, value);
        value
    }

    fn operand(&self, argument: &Argument) -> Result<Operand, ProgramError> {
        Ok(match argument {
            Argument::Value(value) => Operand::Typed(self.dtype(*value)?),
            Argument::Scalar(scalar) => Operand::Typed(scalar.dtype()),
            Argument::Int(_) => Operand::WeakInt,
            Argument::Float(_) => Operand::WeakFloat,
            Argument::Complex(_) => Operand::WeakComplex,
        })
    }

    fn typed(&mut self, argument: &Argument, dtype: DType) -> Result<Value, ProgramError> {
        let scalar = match *argument {
            Argument::Value(value) => return self.cast(value, dtype),
            Argument::Scalar(scalar) => scalar,
            Argument::Int(value) => whole(value, dtype)?,
            Argument::Float(value) => Scalar::from(value),
            Argument::Complex(value) => Scalar::from(value),
        };
        Ok(self.constant(converted(scalar, dtype)))
    }

    /// The value of a function of numbers, computed here and now by the loop that would compute it for arrays.
    fn fold(
        &mut self,
        function: &'static Function,
        constants: &[Scalar],
        output: DType,
    ) -> Result<Value, ProgramError> {
        let mut single = Self::new();
        let arguments = constants.iter().map(|scalar| single.input(scalar.dtype())).collect();
        let value = single.push(Instruction::Call { function, arguments, dtype: output });
        let program = single.finish(&[value])?;
        let inputs: Vec<Input<'_>> =
            constants.iter().map(|scalar| Input::contiguous(scalar.bytes(), scalar.dtype())).collect();
        let mut result = Buffer::zeroed(output.size());
        program.evaluate(&inputs, &[], &mut [&mut result], &mut Scratch::default())?;
        Ok(self.constant(Scalar::from_bytes(output, &result).unwrap_or(Scalar::zero(output))))
    }
}

impl Program {
    /// The same program with some of its outputs alone, and all of its inputs.
    ///
    /// ```
    /// use blockwise_kernels::DType;
    /// use blockwise_kernels::program::Builder;
    /// let mut builder = Builder::new();
    /// let x = builder.input(DType::F32);
    /// let square = builder.call_named("multiply", &[x.into(), x.into()])?;
    /// let both = builder.finish(&[x, square])?;
    /// assert!(both.part(0..1)?.is_identity());
    /// # Ok::<(), blockwise_kernels::program::ProgramError>(())
    /// ```
    ///
    /// # Errors
    /// [`ProgramError::Count`] if there are not so many outputs.
    pub fn part(&self, outputs: Range<usize>) -> Result<Self, ProgramError> {
        let mut builder = Builder::new();
        let inputs: Vec<Value> = self.inputs.iter().map(|dtype| builder.input(*dtype)).collect();
        let values = builder.inline(self, &inputs)?;
        let (given, expected) = (values.len(), outputs.end);
        let wanted = values.get(outputs).ok_or(ProgramError::Count { what: "outputs", expected, given })?;
        builder.finish(wanted)
    }
}

/// The value made by the instruction at `place`.
fn numbered(place: usize) -> Value {
    // Four thousand million instructions do not fit into memory.
    Value(u32::try_from(place).unwrap_or(u32::MAX))
}

/// `scalar` as a `dtype`, by the rules of casts.
pub(crate) fn converted(scalar: Scalar, dtype: DType) -> Scalar {
    let mut bytes = [0; 16];
    let out = bytes.get_mut(..dtype.size()).unwrap_or_default();
    match cast(out, dtype, scalar.bytes(), scalar.dtype()) {
        Ok(()) => Scalar::from_bytes(dtype, out).unwrap_or(Scalar::zero(dtype)),
        Err(_) => Scalar::zero(dtype),
    }
}

/// A plain integer as a scalar that converts to `dtype` without a second rounding.
fn whole(value: i128, dtype: DType) -> Result<Scalar, ProgramError> {
    let bits = 8 * u32::try_from(dtype.size()).unwrap_or(0);
    let (low, high) = match dtype.kind() {
        'i' => (-1 << (bits - 1), (1 << (bits - 1)) - 1),
        'u' => (0, (1 << bits) - 1),
        _ => (i128::MIN, i128::MAX),
    };
    if value < low || value > high {
        return Err(ProgramError::IntegerRange { value, dtype });
    }
    Ok(match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Scalar::from(value),
        (_, Ok(value)) => Scalar::from(value),
        _ => Scalar::from(value as f64),
    })
}

fn listed(operands: &[Operand]) -> String {
    let name = |operand: &Operand| match operand {
        Operand::Typed(dtype) => dtype.name(),
        Operand::WeakInt => "a plain integer",
        Operand::WeakFloat => "a plain float",
        Operand::WeakComplex => "a plain complex number",
    };
    operands.iter().map(name).collect::<Vec<_>>().join(", ")
}
