//! Arrays between barriers as programs: operands are what is read, through which view.
//!
//! Invariant: the value of an array is built for the positions of the task array: every view on the way is folded into
//! the operands below. Called by [`super::stage`].

use super::outputs::{BarrierKey, Outputs, barrier_key};
use crate::array::{Array, Call, Kind, Operand};
use crate::error::{Error, Result};
use crate::source::Source;
use crate::view::{AxisView, View};
use blockwise_kernels::program::{Argument, Builder, Program, Value};
use blockwise_kernels::{DType, Scalar};
use std::collections::HashMap;
use std::sync::Arc;

/// What a program reads: a stored array through a view, and how far beyond the task's box.
#[derive(Clone)]
pub(super) struct Read {
    pub(super) source: Arc<dyn Source>,
    pub(super) view: View,
    pub(super) reach: Vec<(u64, u64)>,
    /// The array that is read, as it is seen: to make it anew, cut otherwise.
    pub(super) seen: Array,
}

impl Read {
    fn is(&self, source: &Arc<dyn Source>, view: &View, reach: &[(u64, u64)]) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.source), Arc::as_ptr(source))
            && self.view == *view
            && self.reach == reach
    }
}

/// The reads of a stage; each stands once.
#[derive(Default)]
pub(super) struct Reads {
    pub(super) all: Vec<Read>,
}

impl Reads {
    fn position(&mut self, read: Read) -> usize {
        let found = self.all.iter().position(|known| known.is(&read.source, &read.view, &read.reach));
        found.unwrap_or_else(|| {
            self.all.push(read);
            self.all.len() - 1
        })
    }
}

/// A program under construction, with the reads that are its inputs.
pub(super) struct Expression<'a> {
    outputs: &'a Outputs,
    reads: &'a mut Reads,
    reach: &'a [(u64, u64)],
    builder: Builder,
    /// Position in the stage's reads of every input of the program.
    operands: Vec<usize>,
    inputs: Vec<Value>,
    known: HashMap<(*const (), Vec<AxisView>), Value>,
}

impl<'a> Expression<'a> {
    pub(super) fn new(outputs: &'a Outputs, reads: &'a mut Reads, reach: &'a [(u64, u64)]) -> Self {
        Self {
            outputs,
            reads,
            reach,
            builder: Builder::new(),
            operands: Vec::new(),
            inputs: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// The value of `array`, which has the shape of the task array, as `dtype`.
    pub(super) fn add(&mut self, array: &Array, dtype: DType) -> Result<Value> {
        let value = self.value(array, &View::identity(array.rank()), array)?;
        Ok(self.builder.cast(value, dtype)?)
    }

    /// The program of these values, and the positions of its inputs in the stage's reads.
    pub(super) fn finish(self, values: &[Value]) -> Result<(Program, Vec<usize>)> {
        Ok((self.builder.finish(values)?, self.operands))
    }

    /// The value of `array` seen through `view`; `outer` is that array as the task array shows it.
    fn value(&mut self, array: &Array, view: &View, outer: &Array) -> Result<Value> {
        let key = (std::ptr::from_ref(array.node()).cast::<()>(), view.axes().to_vec());
        if let Some(value) = self.known.get(&key) {
            return Ok(*value);
        }
        let value = match &array.node().kind {
            Kind::Source(source) => self.read(Arc::clone(source), view, array, outer)?,
            Kind::Constant(scalar) => self.constant(*scalar),
            Kind::View { input, view: inner } => self.value(input, &inner.below(view), outer)?,
            Kind::Rechunk { input } => self.value(input, view, outer)?,
            Kind::Cast { input } => {
                let from = self.value(input, view, outer)?;
                self.builder.cast(from, array.dtype())?
            }
            Kind::Call(call) => self.call(call, view, outer)?,
            Kind::Reduce(_) | Kind::Block { .. } => {
                let key = barrier_key(array).ok_or_else(|| absent(array))?;
                let temporary = self.temporary(key, array)?;
                self.read(temporary, view, array, outer)?
            }
        };
        self.known.insert(key, value);
        Ok(value)
    }

    fn temporary(&self, key: BarrierKey, array: &Array) -> Result<Arc<dyn Source>> {
        let temporary = self.outputs.temporary(key).ok_or_else(|| absent(array))?;
        Ok(Arc::clone(temporary) as Arc<dyn Source>)
    }

    fn call(&mut self, call: &Call, view: &View, outer: &Array) -> Result<Value> {
        let arguments = call
            .arguments
            .iter()
            .map(|argument| match argument {
                Operand::Array(array) => self.value(array, view, outer).map(Argument::Value),
                Operand::Number(number) => Ok(*number),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.builder.call(call.function, &arguments)?)
    }

    fn constant(&mut self, scalar: Scalar) -> Value {
        self.builder.constant(scalar)
    }

    fn read(&mut self, source: Arc<dyn Source>, view: &View, array: &Array, outer: &Array) -> Result<Value> {
        let dtype = source.dtype();
        let seen = array.seen_through(view, outer)?;
        let read = Read { source, view: view.clone(), reach: self.reach.to_vec(), seen };
        let position = self.reads.position(read);
        if let Some(at) = self.operands.iter().position(|known| *known == position)
            && let Some(value) = self.inputs.get(at)
        {
            return Ok(*value);
        }
        let value = self.builder.input(dtype);
        self.operands.push(position);
        self.inputs.push(value);
        Ok(value)
    }
}

fn absent(array: &Array) -> Error {
    Error::Internal { message: format!("{array:?} was not made by an earlier stage") }
}
