//! Evaluation of compiled programs, tile by tile.
//!
//! Invariants: everything is checked before the first tile, so a program fails without writing or completes; nothing
//! is allocated once a [`Scratch`] has served a program. Called by core's tasks, one thread each.

use super::compile::{Action, Place, Step};
use super::feed::{Feed, ensure};
use super::{Input, Program, ProgramError, TILE_ELEMENTS};
use crate::simd::InstructionSet;
use crate::strided::prefetch::prefetch;
use crate::{Buffer, cast};
use smallvec::SmallVec;

/// The registers of evaluations: one per thread, kept between them.
#[derive(Debug, Default)]
pub struct Scratch {
    registers: Vec<Buffer>,
    constants: Vec<Buffer>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

impl Scratch {
    /// Bytes held; at most [`Program::scratch_bytes`] of the programs it served, added up.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        let all = [&self.registers, &self.constants, &self.inputs, &self.outputs];
        all.into_iter().flatten().map(|buffer| buffer.len()).sum()
    }
}

/// Buffers, at least one of each of the sizes.
fn reserve(buffers: &mut Vec<Buffer>, sizes: impl ExactSizeIterator<Item = usize>) {
    if buffers.len() < sizes.len() {
        buffers.resize_with(sizes.len(), || Buffer::zeroed(0));
    }
    for (buffer, size) in buffers.iter_mut().zip(sizes) {
        ensure(buffer, size);
    }
}

/// Steps of a program from which on the cache is asked for the next tile (measured: hints before one step cost a tenth of
/// a plain mean, hints among ten save a fifth of the time).
const LONG_STEPS: usize = 4;

type Tiles<'a> = SmallVec<[&'a [u8]; 8]>;

impl Program {
    /// Computes every output for every index of `shape`, in C order.
    ///
    /// Inputs of any layout; contiguous ones are read in place. Reading a strided operand costs a copy into a register
    /// per tile: where the innermost axis has a large stride, transpose a chunk first.
    ///
    /// # Errors
    /// [`ProgramError`] if inputs or outputs are not what the program and the shape ask for. Nothing was written.
    pub fn evaluate(
        &self,
        inputs: &[Input<'_>],
        shape: &[usize],
        outputs: &mut [&mut [u8]],
        scratch: &mut Scratch,
    ) -> Result<(), ProgramError> {
        let total = self.check(inputs, shape)?;
        if outputs.len() != self.outputs().len() {
            let (expected, given) = (self.outputs().len(), outputs.len());
            return Err(ProgramError::Count { what: "outputs", expected, given });
        }
        for (number, (output, dtype)) in outputs.iter().zip(self.output_dtypes()).enumerate() {
            let expected_bytes = overflowing(total.checked_mul(dtype.size()), shape)?;
            if output.len() != expected_bytes {
                let given_bytes = output.len();
                return Err(ProgramError::OutputLength { output: number, expected_bytes, given_bytes });
            }
            if !output.as_ptr().addr().is_multiple_of(dtype.size().min(8)) {
                return Err(ProgramError::OutputAlignment { output: number, dtype });
            }
        }
        let (feeds, machine) = self.prepare(inputs, shape, total, scratch)?;
        let mut rest: SmallVec<[&mut [u8]; 4]> = outputs.iter_mut().map(|output| &mut **output).collect();
        for first in (0..total).step_by(TILE_ELEMENTS) {
            let count = TILE_ELEMENTS.min(total - first);
            let mut tiles: SmallVec<[&mut [u8]; 4]> = SmallVec::new();
            for (rest, dtype) in rest.iter_mut().zip(self.output_dtypes()) {
                let (tile, after) = std::mem::take(rest).split_at_mut(count * dtype.size());
                tiles.push(tile);
                *rest = after;
            }
            let inputs = load(&feeds, first, count, &mut *machine.inputs);
            let following = first + count;
            let next = TILE_ELEMENTS.min(total - following);
            let mut ahead: Tiles<'_> = feeds.iter().map(|feed| feed.ahead(following, next)).collect();
            ahead.extend(
                rest.iter()
                    .zip(self.output_dtypes())
                    .filter_map(|(rest, dtype)| rest.get(..next * dtype.size())),
            );
            let own = Registers { values: machine.registers, constants: machine.constants };
            run(&self.code.steps, self.set, own, &inputs, &mut tiles, count, &ahead);
            for (number, (place, dtype)) in self.code.copies.iter().zip(self.output_dtypes()).enumerate() {
                let bytes = count * dtype.size();
                let Some((before, after)) = tiles.split_at_mut_checked(number) else { continue };
                let source: Option<&[u8]> = match *place {
                    Some(Place::Input(input)) => inputs.get(input).copied(),
                    Some(Place::Constant(constant)) => {
                        machine.constants.get(constant).map(|buffer| &**buffer)
                    }
                    Some(Place::Output(earlier)) => before.get(earlier).map(|tile| &**tile),
                    Some(Place::Register(_)) | None => None,
                };
                if let (Some(source), Some(tile)) = (source.and_then(|s| s.get(..bytes)), after.first_mut()) {
                    tile.copy_from_slice(source);
                }
            }
        }
        Ok(())
    }

    /// Computes the outputs tile by tile and hands each to `consume` with the flat C-order index of its first element:
    /// one slice per output, aligned for its dtype, valid for the call. Nothing goes through memory.
    ///
    /// `ranges` are flat first indices and counts; what lies beyond the shape is left out, and longer ones than
    /// [`TILE_ELEMENTS`] come in pieces. [`super::whole_tiles`] are those of the shape in order.
    ///
    /// # Errors
    /// [`ProgramError`] if the inputs are not what the program and the shape ask for.
    pub fn for_each_tile(
        &self,
        inputs: &[Input<'_>],
        shape: &[usize],
        ranges: impl IntoIterator<Item = (usize, usize)>,
        scratch: &mut Scratch,
        mut consume: impl FnMut(usize, &[&[u8]]),
    ) -> Result<(), ProgramError> {
        let total = self.check(inputs, shape)?;
        let (feeds, machine) = self.prepare(inputs, shape, total, scratch)?;
        reserve(machine.outputs, self.output_dtypes().map(|dtype| dtype.size() * TILE_ELEMENTS));
        let mut pieces = ranges.into_iter().flat_map(|(first, count)| {
            let end = first.saturating_add(count).min(total);
            (first..end).step_by(TILE_ELEMENTS).map(move |first| (first, TILE_ELEMENTS.min(end - first)))
        });
        let mut piece = pieces.next();
        while let Some((first, count)) = piece {
            piece = pieces.next();
            let ahead: Tiles<'_> = match piece {
                Some((first, count)) => feeds.iter().map(|feed| feed.ahead(first, count)).collect(),
                None => SmallVec::new(),
            };
            let inputs = load(&feeds, first, count, &mut *machine.inputs);
            {
                let mut tiles: SmallVec<[&mut [u8]; 4]> = SmallVec::new();
                tiles.extend(machine.outputs.iter_mut().map(|buffer| &mut **buffer));
                let own = Registers { values: machine.registers, constants: machine.constants };
                run(&self.code.steps, self.set, own, &inputs, &mut tiles, count, &ahead);
                if self.code.steps.is_empty() {
                    // Nothing but reading: the next tile comes while this one is consumed.
                    ahead.iter().for_each(|bytes| prefetch(bytes, 0, bytes.len()));
                }
            }
            let mut results: Tiles<'_> = SmallVec::new();
            for (number, (place, dtype)) in self.code.copies.iter().zip(self.output_dtypes()).enumerate() {
                let source: Option<&[u8]> = match *place {
                    Some(Place::Input(input)) => inputs.get(input).copied(),
                    Some(Place::Constant(constant)) => {
                        machine.constants.get(constant).map(|buffer| &**buffer)
                    }
                    Some(Place::Output(earlier)) => machine.outputs.get(earlier).map(|buffer| &**buffer),
                    Some(Place::Register(_)) | None => machine.outputs.get(number).map(|buffer| &**buffer),
                };
                results.push(source.and_then(|bytes| bytes.get(..count * dtype.size())).unwrap_or_default());
            }
            consume(first, &results);
        }
        Ok(())
    }

    /// Checks the inputs' number and dtypes; the number of elements.
    fn check(&self, inputs: &[Input<'_>], shape: &[usize]) -> Result<usize, ProgramError> {
        let (expected, given) = (self.inputs().len(), inputs.len());
        if expected != given {
            return Err(ProgramError::Count { what: "inputs", expected, given });
        }
        for (input, (given, &expected)) in inputs.iter().zip(self.inputs()).enumerate() {
            if given.dtype != expected {
                return Err(ProgramError::InputType { input, expected, given: given.dtype });
            }
        }
        let total = shape.iter().try_fold(1_usize, |total, &len| total.checked_mul(len));
        overflowing(total, shape)
    }

    /// Feeds, registers and constants.
    fn prepare<'a, 's>(
        &self,
        inputs: &[Input<'a>],
        shape: &[usize],
        total: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(Vec<Feed<'a>>, Machine<'s>), ProgramError> {
        reserve(&mut scratch.registers, self.code.registers.iter().map(|size| size * TILE_ELEMENTS));
        let sizes = self.code.constants.iter().map(|scalar| scalar.dtype().size() * TILE_ELEMENTS);
        reserve(&mut scratch.constants, sizes);
        for (buffer, scalar) in scratch.constants.iter_mut().zip(&self.code.constants) {
            let count = TILE_ELEMENTS.min(total);
            for item in buffer.chunks_exact_mut(scalar.dtype().size()).take(count) {
                item.copy_from_slice(scalar.bytes());
            }
        }
        reserve(&mut scratch.inputs, inputs.iter().map(|_| 0));
        let mut feeds = Vec::with_capacity(inputs.len());
        for (number, (input, register)) in inputs.iter().zip(&mut scratch.inputs).enumerate() {
            feeds.push(Feed::new(number, input, shape, total, register)?);
        }
        let Scratch { registers, constants, inputs, outputs } = scratch;
        Ok((feeds, Machine { registers, constants, inputs, outputs }))
    }
}

/// A scratch ready for a program.
struct Machine<'s> {
    registers: &'s mut Vec<Buffer>,
    constants: &'s [Buffer],
    inputs: &'s mut [Buffer],
    outputs: &'s mut Vec<Buffer>,
}

fn overflowing(total: Option<usize>, shape: &[usize]) -> Result<usize, ProgramError> {
    total.ok_or_else(|| ProgramError::Overflow { shape: shape.to_vec() })
}

/// The tiles of the inputs.
fn load<'a: 'b, 'b>(
    feeds: &[Feed<'a>],
    first: usize,
    count: usize,
    registers: &'b mut [Buffer],
) -> Tiles<'b> {
    for (feed, register) in feeds.iter().zip(registers.iter_mut()) {
        feed.load(first, count, register);
    }
    let registers: &'b [Buffer] = registers;
    feeds.iter().zip(registers).map(|(feed, register)| feed.tile(first, count, register)).collect()
}

/// What steps compute with.
struct Registers<'m> {
    values: &'m mut [Buffer],
    constants: &'m [Buffer],
}

/// Runs the steps on one tile of `count` elements. Meanwhile the cache is asked for the bytes `ahead`, a share before
/// each step: a tile ends where a page does, and so do the machine's own prefetches.
fn run(
    steps: &[Step],
    set: InstructionSet,
    machine: Registers<'_>,
    inputs: &[&[u8]],
    outputs: &mut [&mut [u8]],
    count: usize,
    ahead: &[&[u8]],
) {
    let Registers { values: registers, constants } = machine;
    let shares = steps.len().max(1);
    // Between the tiles of short programs the machine's prefetches catch up by themselves.
    let ahead = if shares < LONG_STEPS { &[] } else { ahead };
    for (number, step) in steps.iter().enumerate() {
        for bytes in ahead {
            let (from, to) = (bytes.len() * number / shares, bytes.len() * (number + 1) / shares);
            prefetch(bytes, from, to - from);
        }
        // The result's place is split off, so that it is apart from the arguments.
        let (registers, outputs, result) = match step.result {
            Place::Register(number) => {
                let (registers, result) = Around::split(registers, number);
                (registers, Around::whole(outputs), result.map(|buffer| &mut **buffer))
            }
            Place::Output(number) => {
                let (outputs, result) = Around::split(outputs, number);
                (Around::whole(registers), outputs, result.map(|tile| &mut **tile))
            }
            Place::Input(_) | Place::Constant(_) => continue,
        };
        let Some(result) = result.and_then(|bytes| bytes.get_mut(..count * step.result_size)) else {
            continue;
        };
        let mut arguments: [&[u8]; 3] = [&[]; 3];
        // Beside other arguments a number is one element, which takes no room in the cache.
        let varies = step.arguments.len() > 1
            && step.arguments.iter().any(|(place, _)| !matches!(place, Place::Constant(_)));
        for (argument, (place, size)) in arguments.iter_mut().zip(&step.arguments) {
            let bytes: Option<&[u8]> = match *place {
                Place::Input(number) => inputs.get(number).copied(),
                Place::Constant(number) => constants.get(number).map(|buffer| &**buffer),
                Place::Register(number) => registers.get(number).map(|buffer| &**buffer),
                Place::Output(number) => outputs.get(number).map(|tile| &**tile),
            };
            let elements = if varies && matches!(place, Place::Constant(_)) { 1 } else { count };
            *argument = bytes.and_then(|bytes| bytes.get(..elements * size)).unwrap_or_default();
        }
        match step.action {
            Action::Loop(kernel) => kernel(set, result, arguments),
            Action::Cast { from, to } => {
                let [argument, ..] = arguments;
                // Both sides were cut to the same number of elements.
                let done = cast(result, to, argument, from);
                debug_assert!(done.is_ok(), "{done:?}");
            }
        }
    }
}

/// A slice without one of its items.
struct Around<'a, T> {
    before: &'a [T],
    after: &'a [T],
}

impl<'a, T> Around<'a, T> {
    fn whole(items: &'a [T]) -> Self {
        Self { before: items, after: &[] }
    }

    /// The item `number`, and what is around it.
    fn split(items: &'a mut [T], number: usize) -> (Self, Option<&'a mut T>) {
        match items.split_at_mut_checked(number) {
            Some((before, [item, after @ ..])) => (Self { before, after }, Some(item)),
            Some((before, [])) => (Self { before, after: &[] }, None),
            None => (Self { before: &[], after: &[] }, None),
        }
    }

    /// The item of this number, unless it is the one left out.
    fn get(&self, number: usize) -> Option<&'a T> {
        if number < self.before.len() {
            self.before.get(number)
        } else {
            self.after.get((number - self.before.len()).checked_sub(1)?)
        }
    }
}
