//! A program's instructions as one C function of an element's values.
//!
//! Invariant: a function of the table becomes one C function a list of dtypes, in the order of first use, and a constant
//! becomes a parameter, so that programs that differ in numbers alone have one text. Called by
//! [`super::elementwise`] and [`super::reduction`].

use super::form::Access;
use super::text::{aliases, converted, loaded, memory_type, register_type, rounded};
use super::{Argument, Form};
use crate::{Error, Result};
use blockwise_kernels::function::Function;
use blockwise_kernels::program::{Instruction, Program};
use blockwise_kernels::{DType, Scalar};
use std::collections::HashSet;
use std::fmt::Write as _;

/// The text of a program, and what kernels must know of it.
pub(super) struct Body {
    /// C functions: those of the table, and `evaluate`.
    pub(super) definitions: String,
    /// The dtype of every input, `None` if it is not used.
    pub(super) inputs: Vec<Option<DType>>,
    /// The dtypes of the outputs.
    pub(super) outputs: Vec<DType>,
    /// The constants: the numbers of their instructions, and what they are.
    constants: Vec<(usize, Scalar)>,
}

impl Body {
    pub(super) fn new(program: &Program) -> Result<Self> {
        let mut body = Self {
            definitions: String::new(),
            inputs: vec![None; program.inputs().len()],
            outputs: program.output_dtypes().collect(),
            constants: Vec::new(),
        };
        for dtype in program.inputs() {
            register_type(*dtype)?;
        }
        let mut known = HashSet::new();
        let mut statements = String::new();
        let instructions = program.instructions();
        let dtype_of = |at: usize| instructions.get(at).map_or(DType::Bool, Instruction::dtype);
        for (number, instruction) in instructions.iter().enumerate() {
            let dtype = instruction.dtype();
            let value = match instruction {
                Instruction::Input { index, .. } => {
                    if let Some(place) = body.inputs.get_mut(*index) {
                        *place = Some(dtype);
                    }
                    format!("x{index}")
                }
                Instruction::Constant(scalar) => {
                    body.constants.push((number, *scalar));
                    format!("c{number}")
                }
                Instruction::Cast { from, dtype } => {
                    converted(dtype_of(from.index()), *dtype, &format!("v{}", from.index()))?
                }
                Instruction::Call { function, arguments, dtype } => {
                    let dtypes: Vec<DType> = arguments.iter().map(|value| dtype_of(value.index())).collect();
                    let name = body.function(function, &dtypes, *dtype, &mut known)?;
                    let values: Vec<String> =
                        arguments.iter().map(|value| format!("v{}", value.index())).collect();
                    rounded(*dtype, &format!("{name}({})", values.join(", ")))
                }
            };
            let _ = writeln!(statements, "  const {} v{number} = {value};", register_type(dtype)?);
        }
        for (output, value) in program.outputs().iter().enumerate() {
            let _ = writeln!(statements, "  y{output} = v{};", value.index());
        }
        let mut parameters =
            body.values(|dtype, name| Ok(format!("const {} {name}", register_type(dtype)?)))?;
        for (output, dtype) in body.outputs.iter().enumerate() {
            parameters.push(format!("{} &y{output}", register_type(*dtype)?));
        }
        let _ = write!(body.definitions, "FN void evaluate({}) {{\n{statements}}}\n", parameters.join(", "));
        Ok(body)
    }

    /// Defines the function for these dtypes, once; its name.
    fn function(
        &mut self,
        function: &Function,
        dtypes: &[DType],
        output: DType,
        known: &mut HashSet<String>,
    ) -> Result<String> {
        let listed =
            |separator: &str| dtypes.iter().map(|dtype| dtype.name()).collect::<Vec<_>>().join(separator);
        let name = format!("{}_{}", function.name, listed("_"));
        if known.contains(&name) {
            return Ok(name);
        }
        let missing = || Error::Function { function: function.name, dtypes: listed(", ") };
        let text = function.cuda_text(dtypes).ok_or_else(missing)?;
        let first = *dtypes.first().ok_or_else(missing)?;
        let mut parameters = Vec::new();
        for (dtype, argument) in dtypes.iter().zip(["a", "b", "c"]) {
            parameters.push(format!("const {} {argument}", register_type(*dtype)?));
        }
        let _ = writeln!(
            self.definitions,
            "FN {} {name}({}) {{ {}return {text}; }}",
            register_type(output)?,
            parameters.join(", "),
            aliases(first)?,
        );
        known.insert(name.clone());
        Ok(name)
    }

    /// Something for every input that is used, `x0` and so on, and for every constant.
    fn values(&self, each: impl Fn(DType, &str) -> Result<String>) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (index, dtype) in self.used() {
            all.push(each(dtype, &format!("x{index}"))?);
        }
        for (number, scalar) in &self.constants {
            all.push(each(scalar.dtype(), &format!("c{number}"))?);
        }
        Ok(all)
    }

    /// The inputs that are used, with their dtypes.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, DType)> + '_ {
        self.inputs.iter().enumerate().filter_map(|(index, dtype)| dtype.map(|dtype| (index, dtype)))
    }

    /// The parameters `p0` and so on for inputs, `k0` and so on for constants.
    pub(super) fn parameters(&self, program: &Program) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for (index, dtype) in program.inputs().iter().enumerate() {
            all.push((format!("const {} *__restrict__", memory_type(*dtype)?), format!("p{index}")));
        }
        for (number, scalar) in &self.constants {
            all.push((format!("const {}", memory_type(scalar.dtype())?), format!("k{number}")));
        }
        Ok(all)
    }

    /// The arguments for [`Body::parameters`].
    pub(super) fn arguments(&self, form: &Form) -> Vec<Argument> {
        let inputs =
            (0..self.inputs.len()).map(|index| Argument::Input { index, offset: form.offset(index) });
        let constants = self.constants.iter().map(|(_, scalar)| Argument::Value(scalar.bytes().to_vec()));
        inputs.chain(constants).collect()
    }

    /// The values of the constants, and of what is the same for every element.
    pub(super) fn once(&self, form: &Form) -> Result<String> {
        let mut text = String::new();
        for (number, scalar) in &self.constants {
            let value = loaded(scalar.dtype(), &format!("k{number}"));
            let _ = writeln!(text, "  const {} c{number} = {value};", register_type(scalar.dtype())?);
        }
        for (index, dtype) in self.used().filter(|(index, _)| form.access(*index) == Access::Repeated) {
            let value = loaded(dtype, &format!("p{index}[0]"));
            let _ = writeln!(text, "  const {} x{index} = {value};", register_type(dtype)?);
        }
        Ok(text)
    }

    /// The values of the inputs that differ from element to element, each at what `place` names; `place` is not asked
    /// for those that repeat.
    pub(super) fn loads(&self, form: &Form, indent: &str, place: impl Fn(usize) -> String) -> Result<String> {
        let mut text = String::new();
        for (index, dtype) in self.used().filter(|(index, _)| form.access(*index) != Access::Repeated) {
            let value = loaded(dtype, &place(index));
            let _ = writeln!(text, "{indent}const {} x{index} = {value};", register_type(dtype)?);
        }
        Ok(text)
    }

    /// The declaration of the outputs' values, and the call that makes them.
    pub(super) fn evaluation(&self, indent: &str) -> Result<String> {
        let mut text = String::new();
        for (output, dtype) in self.outputs.iter().enumerate() {
            let _ = writeln!(text, "{indent}{} y{output};", register_type(*dtype)?);
        }
        let mut arguments = self.values(|_, name| Ok(name.to_owned()))?;
        arguments.extend((0..self.outputs.len()).map(|output| format!("y{output}")));
        let _ = writeln!(text, "{indent}evaluate({});", arguments.join(", "));
        Ok(text)
    }
}
