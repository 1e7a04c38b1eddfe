//! From instructions to steps over registers: half-width floats made single, liveness, kernels chosen.
//!
//! Invariants: a step never writes a register that it, or a later step, still reads as something else; a value that
//! is an output is written where the output lies, and read from there by later steps. Called by
//! [`super::Builder::finish`].

use super::convert::conversion;
use super::{Instruction, Program, ProgramError, TILE_ELEMENTS, Value, converted};
use crate::function::Function;
use crate::function::loops::Kernel;
use crate::{DType, Scalar};
use smallvec::SmallVec;
use std::collections::HashMap;

/// Where the elements of a value are during a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the tile of an input.
    Input(usize),
    /// In a register that is filled once per evaluation.
    Constant(usize),
    /// In a register.
    Register(usize),
    /// In the tile of an output.
    Output(usize),
}

/// What a step does.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// Runs a typed loop.
    Loop(Kernel),
    /// Converts by the general cast.
    Cast { from: DType, to: DType },
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loop(_) => f.write_str("loop"),
            Self::Cast { from, to } => write!(f, "cast {from} to {to}"),
        }
    }
}

/// One loop over a tile.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) action: Action,
    /// Places and element sizes of the arguments.
    pub(super) arguments: SmallVec<[(Place, usize); 3]>,
    pub(super) result: Place,
    /// Bytes of an element of the result.
    pub(super) result_size: usize,
}

/// A compiled program.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) steps: Vec<Step>,
    pub(super) constants: Vec<Scalar>,
    /// Bytes of an element in each register.
    pub(super) registers: Vec<usize>,
    /// Where each output comes from, if no step writes it: an input, a constant, or an earlier output of the same
    /// value.
    pub(super) copies: Vec<Option<Place>>,
}

/// A value before registers are chosen.
struct Lowered {
    action: Action,
    arguments: SmallVec<[(Source, usize); 3]>,
    size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Input(usize),
    Constant(usize),
    Lowered(usize),
}

#[derive(Default)]
struct Lowering {
    values: Vec<Lowered>,
    constants: Vec<Scalar>,
    /// Single-precision twins of half-width values.
    widened: HashMap<Value, Source>,
}

impl Code {
    pub(super) fn new(instructions: &[Instruction], outputs: &[Value]) -> Result<Self, ProgramError> {
        let mut lowering = Lowering::default();
        let mut sources: Vec<(Source, DType)> = Vec::with_capacity(instructions.len());
        for instruction in instructions {
            let source = match instruction {
                Instruction::Input { index, .. } => Source::Input(*index),
                Instruction::Constant(scalar) => lowering.constant(*scalar),
                Instruction::Cast { from, dtype } => {
                    let (from, old) = source_of(&sources, *from)?;
                    lowering.cast(from, old, *dtype)
                }
                Instruction::Call { function, arguments, dtype } => {
                    lowering.call(&sources, function, arguments, *dtype)?
                }
            };
            sources.push((source, instruction.dtype()));
        }
        let outputs: Result<Vec<Source>, _> =
            outputs.iter().map(|value| source_of(&sources, *value).map(|(source, _)| source)).collect();
        Ok(lowering.allocate(&outputs?))
    }

    /// As [`Program::scratch_bytes`].
    pub(super) fn scratch_bytes(&self, program: &Program) -> usize {
        let registers = self.registers.iter().sum::<usize>();
        let constants = self.constants.iter().map(|scalar| scalar.dtype().size()).sum::<usize>();
        // An operand that repeats with a short period is laid out twice.
        let inputs = 2 * program.inputs.iter().map(|dtype| dtype.size()).sum::<usize>();
        let outputs = program.output_dtypes().map(DType::size).sum::<usize>();
        TILE_ELEMENTS * (registers + constants + inputs + outputs)
    }
}

fn source_of(sources: &[(Source, DType)], value: Value) -> Result<(Source, DType), ProgramError> {
    sources.get(value.index()).copied().ok_or(ProgramError::ForeignValue { value })
}

impl Lowering {
    fn push(&mut self, action: Action, arguments: SmallVec<[(Source, usize); 3]>, size: usize) -> Source {
        self.values.push(Lowered { action, arguments, size });
        Source::Lowered(self.values.len() - 1)
    }

    fn constant(&mut self, scalar: Scalar) -> Source {
        let place = self.constants.iter().position(|known| *known == scalar).unwrap_or_else(|| {
            self.constants.push(scalar);
            self.constants.len() - 1
        });
        Source::Constant(place)
    }

    fn cast(&mut self, from: Source, old: DType, new: DType) -> Source {
        let action = conversion(old, new).map_or(Action::Cast { from: old, to: new }, Action::Loop);
        self.push(action, SmallVec::from_elem((from, old.size()), 1), new.size())
    }

    fn call(
        &mut self,
        sources: &[(Source, DType)],
        function: &'static Function,
        arguments: &[Value],
        output: DType,
    ) -> Result<Source, ProgramError> {
        let mut given = SmallVec::<[(Source, DType); 3]>::new();
        for argument in arguments {
            given.push(source_of(sources, *argument)?);
        }
        let dtypes: SmallVec<[DType; 3]> = given.iter().map(|(_, dtype)| *dtype).collect();
        let sized = |given: &[(Source, DType)]| {
            given.iter().map(|(source, dtype)| (*source, dtype.size())).collect::<SmallVec<[_; 3]>>()
        };
        if let Some(kernel) = function.kernel(&dtypes) {
            return Ok(self.push(Action::Loop(kernel), sized(&given), output.size()));
        }
        // No loop for half-width floats: compute in float32 and round.
        for (place, argument) in given.iter_mut().zip(arguments) {
            if is_half(place.1) {
                let known = self.widened.get(argument).copied();
                let number = match place.0 {
                    Source::Constant(constant) => self.constants.get(constant).copied(),
                    _ => None,
                };
                let wide = known.unwrap_or_else(|| match number {
                    Some(scalar) => self.constant(converted(scalar, DType::F32)),
                    None => self.cast(place.0, place.1, DType::F32),
                });
                self.widened.insert(*argument, wide);
                *place = (wide, DType::F32);
            }
        }
        let wide: SmallVec<[DType; 3]> = given.iter().map(|(_, dtype)| *dtype).collect();
        let Some(kernel) = function.kernel(&wide).filter(|_| wide != dtypes) else {
            let dtypes = dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(", ");
            return Err(ProgramError::Refused { function: function.name, dtypes });
        };
        let halved = is_half(output);
        let size = if halved { DType::F32.size() } else { output.size() };
        let result = self.push(Action::Loop(kernel), sized(&given), size);
        Ok(if halved { self.cast(result, DType::F32, output) } else { result })
    }

    /// Chooses registers: the fewest that hold what is alive, wide enough for their widest value.
    fn allocate(self, outputs: &[Source]) -> Code {
        let count = self.values.len();
        let mut last_use = vec![0; count];
        for (step, value) in self.values.iter().enumerate() {
            for (source, _) in &value.arguments {
                if let Source::Lowered(argument) = *source
                    && let Some(last) = last_use.get_mut(argument)
                {
                    *last = step;
                }
            }
        }
        let mut places: Vec<Option<Place>> = vec![None; count];
        let mut copies = Vec::with_capacity(outputs.len());
        for (number, source) in outputs.iter().enumerate() {
            copies.push(match *source {
                Source::Input(input) => Some(Place::Input(input)),
                Source::Constant(constant) => Some(Place::Constant(constant)),
                Source::Lowered(value) => match places.get_mut(value) {
                    Some(place @ None) => {
                        *place = Some(Place::Output(number));
                        None
                    }
                    Some(earlier) => *earlier,
                    None => None,
                },
            });
        }
        let mut registers: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut steps = Vec::with_capacity(count);
        for (number, value) in self.values.iter().enumerate() {
            let argument_place = |source: Source| match source {
                Source::Input(input) => Place::Input(input),
                Source::Constant(constant) => Place::Constant(constant),
                Source::Lowered(value) => places.get(value).copied().flatten().unwrap_or(Place::Register(0)),
            };
            let arguments: SmallVec<[(Place, usize); 3]> =
                value.arguments.iter().map(|(source, size)| (argument_place(*source), *size)).collect();
            let result = places.get(number).copied().flatten().unwrap_or_else(|| {
                // The register used last is the one most likely still in the cache.
                let register = free.pop().unwrap_or_else(|| {
                    registers.push(0);
                    registers.len() - 1
                });
                if let Some(size) = registers.get_mut(register) {
                    *size = value.size.max(*size);
                }
                Place::Register(register)
            });
            if let Some(place) = places.get_mut(number) {
                *place = Some(result);
            }
            for (source, _) in &value.arguments {
                if let Source::Lowered(argument) = *source
                    && last_use.get(argument) == Some(&number)
                    && let Some(Some(Place::Register(register))) = places.get(argument)
                    && !free.contains(register)
                {
                    free.push(*register);
                }
            }
            steps.push(Step { action: value.action, arguments, result, result_size: value.size });
        }
        Code { steps, constants: self.constants, registers, copies }
    }
}

const fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}
