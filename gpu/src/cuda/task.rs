//! What a device does for a task: operands in, kernels, results out.
//!
//! Invariants: of an operand, what lies between its first and its last element is copied, once if several are the same, and not at all if the
//! program does not look at it; a task that does not fit
//! is cut along its first axis that has several elements, if it is not reduced; all that was queued has ended when a task has. Called by
//! [`super::Cuda`].

#![expect(unsafe_code, reason = "kernels are launched with addresses")]

use super::driver::Address;
use super::memory::Lent;
use super::{Cuda, driver};
use crate::jit::{Argument, BLOCK_THREADS, Kernel, Launch, Operand};
use crate::{Error, Result};
use blockwise_core::TaskContext;
use blockwise_core::device::{Demand, Outcome};
use blockwise_kernels::program::{Input, Instruction, Program};
use blockwise_kernels::strided::Layout;
use std::sync::Arc;

/// Everything on the device begins at a multiple of this.
const ALIGNMENT_BYTES: usize = 256;
/// What kernels ask of operands for wide accesses.
const WIDE_BYTES: usize = 16;
/// A task is not cut further than to results of so many bytes.
pub(super) const LEAST_BYTES: usize = 64 << 10;
/// How many times as many bytes may lie between the first and the last element of an operand as the task has of it,
const MOST_SPREAD: usize = 4;
/// where they are more than this.
const SPREAD_FROM_BYTES: usize = 1 << 20;

/// Kernels, and how to launch them.
pub(super) struct Launches {
    pub(super) first: (Kernel, Launch),
    pub(super) merge: Option<(Kernel, Launch)>,
    /// How many states the first makes for each that the second leaves.
    pub(super) parts: u64,
}

impl Launches {
    pub(super) fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        std::iter::once(&self.first.0).chain(self.merge.as_ref().map(|(kernel, _)| kernel))
    }
}

/// Which inputs a program looks at: those of a stage share one list, whichever of them each needs.
fn used(program: &Program) -> Vec<bool> {
    let mut used = vec![false; program.inputs().len()];
    for instruction in program.instructions() {
        if let Instruction::Input { index, .. } = instruction
            && let Some(is_used) = used.get_mut(*index)
        {
            *is_used = true;
        }
    }
    used
}

/// The operands of a program on a shape of so many axes, each of which lies as said. What is not looked at is one element, repeated: then it
/// keeps no axes apart.
pub(super) fn operands(
    program: &Program,
    rank: usize,
    layout: impl Fn(usize) -> Option<Layout>,
) -> Vec<Operand> {
    let nowhere = || Some(Layout { offset: 0, strides: vec![0; rank] });
    let each = used(program).into_iter().enumerate();
    each.map(|(index, is_used)| Operand { layout: if is_used { layout(index) } else { nowhere() } }).collect()
}

/// A task under way.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) device: &'a Cuda,
    pub(super) cx: &'a TaskContext<'a>,
}

/// An operand's bytes as the device gets them.
struct Upload<'a> {
    bytes: &'a [u8],
    /// Where on the slab.
    offset: usize,
}

/// Where everything of a task lies on its slab.
#[derive(Default)]
pub(super) struct Places<'a> {
    uploads: Vec<Upload<'a>>,
    /// Of each operand: its upload, and how many elements before that its bytes begin; `None` if nobody looks at it.
    operands: Vec<Option<(usize, usize)>>,
    /// Of each result.
    results: Vec<usize>,
    /// Of the states of parts, for each result.
    parts: Vec<usize>,
    /// Bytes of all of it.
    pub(super) len_bytes: usize,
}

impl Places<'_> {
    /// Room for so many bytes: where it begins.
    pub(super) fn add(&mut self, len_bytes: usize) -> Result<usize> {
        let overflow = || Error::Overflow { shape: vec![len_bytes] };
        let offset = self.len_bytes;
        let end = offset.checked_add(len_bytes).and_then(|end| end.checked_next_multiple_of(ALIGNMENT_BYTES));
        self.len_bytes = end.ok_or_else(overflow)?;
        Ok(offset)
    }
}

impl Task<'_> {
    /// Does what a demand says.
    pub(super) fn run(
        self,
        demand: &Demand<'_>,
        inputs: &[Input<'_>],
        results: &mut [&mut [u8]],
    ) -> Result<Outcome> {
        let layout = |index: usize| inputs.get(index).and_then(|input| input.layout.clone());
        let operands = operands(demand.program, demand.shape.len(), layout);
        let mut places = Places::default();
        let mut is_aligned = true;
        for (input, is_used) in inputs.iter().zip(used(demand.program)) {
            if !is_used {
                places.operands.push(None);
                continue;
            }
            let size = input.dtype.size();
            let Some((first, count)) = reach(input, demand.shape) else {
                let what = "bytes of an operand";
                return Err(Error::Count { what, expected: usize::MAX, given: input.bytes.len() });
            };
            let bytes = input.bytes.get(first * size..(first + count) * size).unwrap_or_default();
            let wanted = demand.shape.iter().product::<usize>().saturating_mul(size);
            if bytes.len() > SPREAD_FROM_BYTES && bytes.len() / MOST_SPREAD > wanted {
                self.device.warn("inputs of some tasks lie too far apart");
                return Ok(Outcome::Left);
            }
            let same = |upload: &Upload<'_>| std::ptr::eq(upload.bytes, bytes);
            let number = match places.uploads.iter().position(same) {
                Some(number) => number,
                None => {
                    let offset = places.add(bytes.len())?;
                    places.uploads.push(Upload { bytes, offset });
                    places.uploads.len() - 1
                }
            };
            let offset = input.layout.as_ref().map_or(0, |layout| layout.offset);
            is_aligned &= (offset.saturating_sub(first) * size).is_multiple_of(WIDE_BYTES);
            places.operands.push(Some((number, first)));
        }
        let launches = Cuda::generate(demand, &operands, is_aligned)?;
        // Before any memory is taken: compiling may take as long as many tasks do.
        let found = launches.kernels().map(|kernel| self.device.kernels.get(kernel, Some(self.cx)));
        let modules: Vec<Arc<driver::Module>> = match found.collect() {
            Err(error) if driver::is_of_kernel(&error) => {
                self.device.warn_of_kernel(&error);
                return Ok(Outcome::Left);
            }
            found => found?,
        };
        for result in results.iter() {
            let offset = places.add(result.len())?;
            places.results.push(offset);
        }
        if launches.merge.is_some() {
            let parts = usize::try_from(launches.parts).unwrap_or(usize::MAX);
            for result in results.iter() {
                let offset = places.add(result.len().saturating_mul(parts))?;
                places.parts.push(offset);
            }
        }
        let Some(lent) = self.device.memory.take(places.len_bytes, Some(self.cx))? else {
            return self.in_halves(demand, inputs, results);
        };
        let sizes: Vec<usize> = inputs.iter().map(|input| input.dtype.size()).collect();
        self.carry_out(&launches, &modules, &places, &lent, &sizes, results)?;
        Ok(Outcome::Done)
    }

    fn carry_out(
        self,
        launches: &Launches,
        modules: &[Arc<driver::Module>],
        places: &Places<'_>,
        lent: &Lent<'_>,
        sizes: &[usize],
        results: &mut [&mut [u8]],
    ) -> Result<()> {
        let missing = || Error::Count { what: "slabs of a task", expected: 1, given: 0 };
        let slab = lent.slab().ok_or_else(missing)?;
        let mut stream = self.device.stream()?;
        let made = if launches.merge.is_some() { &places.parts } else { &places.results };
        // An address of an operand, counted from where its bytes begin on the host.
        let operand = |index: usize, offset: usize| -> Option<Address> {
            // The kernel has a parameter for it, whatever that is.
            let Some((upload, first)) = places.operands.get(index)? else { return Some(slab.at(0)) };
            let place = places.uploads.get(*upload)?.offset;
            Some(slab.at(place + offset.checked_sub(*first)? * sizes.get(index)?))
        };
        let address = |offset: &usize| slab.at(*offset);
        let of_first = arguments(&launches.first.1, operand, |index| made.get(index).map(address))?;
        let of_merge = match &launches.merge {
            Some((_, launch)) => Some(arguments(
                launch,
                |index, _| places.parts.get(index).map(address),
                |index| places.results.get(index).map(address),
            )?),
            None => None,
        };
        let steps = std::iter::once((&launches.first.1, of_first))
            .chain(launches.merge.as_ref().map(|(_, launch)| launch).zip(of_merge));
        let outcome = stream.carry_out(Some(self.cx), |work| {
            for upload in &places.uploads {
                work.copy_in(slab, upload.offset, upload.bytes)?;
            }
            for ((launch, mut arguments), module) in steps.zip(modules) {
                // SAFETY: the generator lists an argument for each parameter, and all addresses lie on the slab.
                unsafe { work.launch(module, launch.blocks, BLOCK_THREADS, &mut arguments) }?;
            }
            for (result, offset) in results.iter_mut().zip(&places.results) {
                work.copy_out(result, slab, *offset)?;
            }
            Ok(())
        });
        // A stream on which something failed is not used again.
        outcome.map(|()| self.device.hand_back(stream))
    }

    /// As [`Task::run`], in two halves of the first axis that has several elements.
    fn in_halves(
        self,
        demand: &Demand<'_>,
        inputs: &[Input<'_>],
        results: &mut [&mut [u8]],
    ) -> Result<Outcome> {
        let largest = results.iter().map(|result| result.len()).max().unwrap_or(0);
        let axis = demand.shape.iter().position(|len| *len > 1);
        let (Some(axis), None, true) = (axis, demand.reduced, largest > LEAST_BYTES) else {
            self.device.warn("its memory is too small for some tasks");
            return Ok(Outcome::Left);
        };
        let len = demand.shape.get(axis).copied().unwrap_or(1);
        let mut rest: Vec<&mut [u8]> = results.iter_mut().map(|result| &mut **result).collect();
        for part in [0..len / 2, len / 2..len] {
            let mut shape = demand.shape.to_vec();
            if let Some(own) = shape.get_mut(axis) {
                *own = part.len();
            }
            let mut own = Vec::with_capacity(rest.len());
            for rest in &mut rest {
                let before = std::mem::take(rest);
                // The second half takes what the first has left.
                let bytes = if part.end == len { before.len() } else { before.len() / len * part.len() };
                let (first, after) = before.split_at_mut(bytes);
                own.push(first);
                *rest = after;
            }
            let inputs = inputs.iter().map(|input| shifted(input, demand.shape, axis, part.start));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            if self.run(&Demand { shape: &shape, ..*demand }, &inputs, &mut own)? == Outcome::Left {
                return Ok(Outcome::Left);
            }
        }
        Ok(Outcome::Done)
    }
}

/// The first element that an operand shows of its bytes, and how many it and those up to the last are; `None` if they do not lie there.
fn reach(input: &Input<'_>, shape: &[usize]) -> Option<(usize, usize)> {
    let held = input.bytes.len() / input.dtype.size();
    let Some(layout) = &input.layout else {
        let count = shape.iter().try_fold(1_usize, |count, len| count.checked_mul(*len))?;
        return (count <= held).then_some((0, count));
    };
    let (mut first, mut last) = (isize::try_from(layout.offset).ok()?, isize::try_from(layout.offset).ok()?);
    for (stride, len) in layout.strides.iter().zip(shape) {
        let along = stride.checked_mul(isize::try_from(len.checked_sub(1)?).ok()?)?;
        let end = if along < 0 { &mut first } else { &mut last };
        *end = end.checked_add(along)?;
    }
    let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
    (last < held).then_some((first, last + 1 - first))
}

/// The same operand from the position `start` along an axis on.
fn shifted<'b>(input: &Input<'b>, shape: &[usize], axis: usize, start: usize) -> Result<Input<'b>> {
    let overflow = || Error::Overflow { shape: shape.to_vec() };
    let layout = match &input.layout {
        Some(layout) => layout.clone(),
        None => Layout::c_order(shape).map_err(|_| overflow())?,
    };
    let stride = layout.strides.get(axis).copied().unwrap_or(0);
    let along = isize::try_from(start).ok().and_then(|start| stride.checked_mul(start));
    let offset = along.and_then(|along| layout.offset.checked_add_signed(along)).ok_or_else(overflow)?;
    Ok(Input { layout: Some(Layout { offset, ..layout }), ..input.clone() })
}

/// The arguments of a launch, each in words of its own.
pub(super) fn arguments(
    launch: &Launch,
    input: impl Fn(usize, usize) -> Option<Address>,
    output: impl Fn(usize) -> Option<Address>,
) -> Result<Vec<Vec<u64>>> {
    let missing =
        || Error::Count { what: "operands of a kernel", expected: launch.arguments.len(), given: 0 };
    let each = launch.arguments.iter().map(|argument| {
        Ok(match argument {
            Argument::Input { index, offset } => vec![input(*index, *offset).ok_or_else(missing)?],
            Argument::Output { index } => vec![output(*index).ok_or_else(missing)?],
            Argument::Value(bytes) => words(bytes),
        })
    });
    each.collect()
}

/// A value in words, from its first byte on.
pub(super) fn words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.chunks(size_of::<u64>()).map(|some| {
        let mut word = [0; size_of::<u64>()];
        word.iter_mut().zip(some).for_each(|(to, from)| *to = *from);
        u64::from_ne_bytes(word)
    });
    words.collect()
}
