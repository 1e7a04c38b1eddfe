//! Arrays between barriers as programs: operands are what is read, through which view, and what functions make of that.
//!
//! Invariants: the value of an array is built for the positions of the task array: every view on the way is folded into
//! the operands below; what a function is given stands before what it makes. Called by [`super::stage`].

use super::making::{CallKey, call_key};
use super::outputs::{BarrierKey, Outputs, barrier_key, is_stored, stored_key};
use crate::adapt::Reshaped;
use crate::array::{Array, BlockCall, BlockInput, Call, Kind, Operand};
use crate::error::{Error, Result};
use crate::memory::Filled;
use crate::plan::{AppliedInput, FunctionCall, Maker, Reach, Window};
use crate::source::Source;
use crate::temporary::Temporary;
use crate::view::{AxisView, View};
use blockwise_kernels::program::{Argument, Builder, Program, Value};
use blockwise_kernels::{DType, Scalar};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// A stored array through a view, in a window of the task array.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) source: Arc<dyn Source>,
    /// From positions of the window, or of the task array if there is none.
    pub(super) view: View,
    pub(super) window: Option<Window>,
    /// The temporary array that the source is, or is made of.
    pub(super) temporary: Option<Arc<Temporary>>,
}

impl Piece {
    fn is(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.source), Arc::as_ptr(&other.source))
            && self.view == other.view
            && self.window == other.window
    }
}

/// What a program reads: pieces that fill the task array together, and how far beyond the task's box.
#[derive(Clone)]
pub(super) struct Read {
    /// None of what is made by a function.
    pub(super) pieces: Vec<Piece>,
    /// The function of the stage that makes it, by its position, and which of its results it is.
    pub(super) made: Option<(usize, usize)>,
    pub(super) dtype: DType,
    pub(super) reach: Vec<Reach>,
    /// The array that is read, as it is seen: to make it anew, cut otherwise.
    pub(super) seen: Array,
}

impl Read {
    /// What is read, if tasks see one source whole, as it is.
    pub(super) fn as_it_is(&self) -> Option<&Piece> {
        match self.pieces.as_slice() {
            // A view that starts where the source does may still end before it.
            [piece]
                if piece.window.is_none()
                    && piece.view.is_identity()
                    && piece.source.grid().shape() == self.seen.shape() =>
            {
                Some(piece)
            }
            _ => None,
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.reach == other.reach
            && self.made == other.made
            && self.pieces.len() == other.pieces.len()
            && self.pieces.iter().zip(&other.pieces).all(|(a, b)| a.is(b))
    }
}

/// The reads of a stage and the functions that make some of them; each stands once.
#[derive(Default)]
pub(super) struct Reads {
    pub(super) all: Vec<Read>,
    pub(super) makers: Vec<(CallKey, Maker)>,
}

impl Reads {
    fn position(&mut self, read: Read) -> usize {
        let found = self.all.iter().position(|known| known.is(&read));
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
    reach: &'a [Reach],
    builder: Builder,
    /// Position in the stage's reads of every input of the program.
    operands: Vec<usize>,
    inputs: Vec<Value>,
    known: HashMap<(*const (), Vec<AxisView>), Value>,
}

impl<'a> Expression<'a> {
    pub(super) fn new(outputs: &'a Outputs, reads: &'a mut Reads, reach: &'a [Reach]) -> Self {
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

    /// What a function gets of `input`, in tasks of an array of `shape`: a length of 1 stands still where the tasks go on.
    pub(super) fn block(
        outputs: &Outputs,
        reads: &mut Reads,
        input: &BlockInput,
        shape: &[u64],
    ) -> Result<AppliedInput> {
        let own = input.array.shape();
        let mut reach: Vec<Reach> =
            input.reach.iter().map(|(before, after)| Reach::Around(*before, *after)).collect();
        let mut array = input.array.clone();
        if own != shape {
            reach.resize(shape.len(), Reach::Around(0, 0));
            for ((reach, own), extent) in reach.iter_mut().zip(&own).zip(shape) {
                if own != extent {
                    *reach = Reach::Still;
                }
            }
            array = array.broadcast_to(shape)?;
        }
        let mut expression = Expression::new(outputs, reads, &reach);
        let value = expression.add(&array, array.dtype())?;
        let (program, operands) = expression.finish(&[value])?;
        Ok(AppliedInput { program, operands, reach })
    }

    /// The value of `array` seen through `view`; `outer` is that array as the task array shows it.
    fn value(&mut self, array: &Array, view: &View, outer: &Array) -> Result<Value> {
        let key = (std::ptr::from_ref(array.node()).cast::<()>(), view.axes().to_vec());
        if let Some(value) = self.known.get(&key) {
            return Ok(*value);
        }
        let value = match &array.node().kind {
            Kind::Source(_) | Kind::Join(_) | Kind::Reshape(_) | Kind::Adapted(_) => {
                self.read(view, array, outer)?
            }
            Kind::Constant(scalar) => self.constant(*scalar),
            Kind::View { input, view: inner } => self.value(input, &inner.below(view), outer)?,
            Kind::Rechunk { input } => self.value(input, view, outer)?,
            Kind::Cast { input } => {
                let from = self.value(input, view, outer)?;
                self.builder.cast(from, array.dtype())?
            }
            Kind::Call(call) => self.call(call, view, outer)?,
            Kind::Block { call, output } if self.outputs.makes(call) => {
                self.made(call, *output, view, array, outer)?
            }
            Kind::Reduce(_) | Kind::Block { .. } => self.read(view, array, outer)?,
        };
        self.known.insert(key, value);
        Ok(value)
    }

    fn temporary(&self, key: BarrierKey, array: &Array) -> Result<Arc<Temporary>> {
        self.outputs.temporary(key).cloned().ok_or_else(|| absent(array))
    }

    /// Adds the pieces of what `array` shows through `view` in `window`, a box of the task array.
    fn pieces(
        &self,
        array: &Array,
        view: &View,
        window: &[Range<u64>],
        whole: &[u64],
        found: &mut Vec<Piece>,
    ) -> Result<()> {
        let mut temporary = None;
        let source: Arc<dyn Source> = match &array.node().kind {
            Kind::Source(source) => Arc::clone(source),
            Kind::Constant(value) => Arc::new(Filled::new(*value, array.grid().clone())),
            Kind::Reshape(reshape) => {
                let inner = if let Some(source) = reshape.stored() {
                    Arc::clone(source)
                } else {
                    let held = self.temporary(stored_key(&reshape.input), &reshape.input)?;
                    temporary = Some(Arc::clone(&held));
                    held
                };
                Arc::new(Reshaped::new(inner, array.grid().clone(), reshape.groups.clone()))
            }
            Kind::Adapted(adapted) => {
                let below = if let Some(source) = adapted.stored() {
                    Arc::clone(source)
                } else {
                    let key = barrier_key(&adapted.input).unwrap_or_else(|| stored_key(&adapted.input));
                    let held = self.temporary(key, &adapted.input)?;
                    temporary = Some(Arc::clone(&held));
                    held
                };
                adapted.adapter.over(below, array.grid().clone())
            }
            Kind::View { input, view: inner } if is_stored(input) => {
                return self.pieces(input, &inner.below(view), window, whole, found);
            }
            Kind::Rechunk { input } if is_stored(input) => {
                return self.pieces(input, view, window, whole, found);
            }
            Kind::Join(parts) => {
                for part in parts {
                    if let Some((view, window)) = part.within(view, window) {
                        self.pieces(&part.array, &view, &window, whole, found)?;
                    }
                }
                return Ok(());
            }
            _ => {
                let held = self.temporary(barrier_key(array).unwrap_or_else(|| stored_key(array)), array)?;
                temporary = Some(Arc::clone(&held));
                held
            }
        };
        let is_all = window.iter().zip(whole).all(|(range, extent)| *range == (0..*extent));
        let window = (!is_all).then(|| Window { ranges: window.to_vec() });
        found.push(Piece { source, view: view.clone(), window, temporary });
        Ok(())
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

    fn read(&mut self, view: &View, array: &Array, outer: &Array) -> Result<Value> {
        let dtype = array.dtype();
        let whole = outer.shape();
        let window: Vec<Range<u64>> = whole.iter().map(|extent| 0..*extent).collect();
        let mut pieces = Vec::new();
        self.pieces(array, view, &window, &whole, &mut pieces)?;
        let mut seen = array.seen_through(view, outer)?;
        for (axis, _) in self.reach.iter().enumerate().filter(|(_, reach)| **reach == Reach::Still) {
            seen = seen.slice(axis, 0..1)?;
        }
        self.input(Read { pieces, made: None, dtype, reach: self.reach.to_vec(), seen })
    }

    /// The value of a result that each task makes for itself.
    fn made(
        &mut self,
        call: &Arc<BlockCall>,
        output: usize,
        view: &View,
        array: &Array,
        outer: &Array,
    ) -> Result<Value> {
        let shape = outer.shape();
        if !view.is_identity() || array.shape() != shape || !self.reach.iter().all(is_own) {
            return Err(Error::Internal { message: format!("{array:?} is more than what a task makes") });
        }
        let key = call_key(call);
        let known = self.reads.makers.iter().position(|(known, _)| *known == key);
        let maker = if let Some(known) = known {
            known
        } else {
            let mut inputs = Vec::with_capacity(call.inputs.len());
            for input in &call.inputs {
                inputs.push(Self::block(self.outputs, self.reads, input, &shape)?);
            }
            let call_of = FunctionCall { function: Arc::clone(&call.function), inputs };
            let dtypes = call.outputs.iter().map(|(dtype, _)| *dtype).collect();
            self.reads.makers.push((key, Maker { call: call_of, dtypes }));
            self.reads.makers.len() - 1
        };
        let (dtype, made) = (array.dtype(), Some((maker, output)));
        self.input(Read { pieces: Vec::new(), made, dtype, reach: self.reach.to_vec(), seen: array.clone() })
    }

    /// The value of a read.
    fn input(&mut self, read: Read) -> Result<Value> {
        let dtype = read.dtype;
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

/// Whether tasks see their own box alone.
const fn is_own(reach: &Reach) -> bool {
    matches!(reach, Reach::Around(0, 0))
}

fn absent(array: &Array) -> Error {
    Error::Internal { message: format!("{array:?} was not made by an earlier stage") }
}
