//! What a device does for a task of a filter: a box in, one kernel a pass, a box of results out.
//!
//! Invariants: what lies between passes never leaves the device; a box that does not fit is cut along its first axis that has several
//! elements, whose parts read what they need of the same input; results have the processors' bits. Called by [`super::Cuda`].

#![expect(unsafe_code, reason = "kernels are launched with addresses")]

use super::driver::{self, Address, Module};
use super::task::{LEAST_BYTES, Places, Task, arguments};
use crate::jit::filter::{ELEMENTS, Passing, generate, generate_terms};
use crate::jit::{BLOCK_THREADS, Kernel, Launch};
use crate::{Error, Result};
use blockwise_core::device::{FilterDemand, Outcome};
use blockwise_kernels::Buffer;
use blockwise_kernels::strided::copy_region;
use std::ops::Range;
use std::sync::Arc;

/// A chain's kernels.
struct Chain {
    /// The box that it reads.
    reads: Vec<Range<i64>>,
    /// Each with the bytes that it makes.
    passes: Vec<(Passing, usize)>,
}

/// A filter's kernels.
struct Kernels {
    chains: Vec<Chain>,
    /// What makes several chains one.
    terms: Option<(Kernel, Launch)>,
}

impl Kernels {
    fn new(demand: &FilterDemand<'_>) -> Result<Self> {
        let chains = demand.filter.passes(demand.dtype, &demand.wanted, &demand.extents)?;
        let terms = match chains.len() {
            0 | 1 => None,
            count => {
                let (filter, shape) = (demand.filter, shape(&demand.wanted));
                Some(generate_terms(filter.dtype(), filter.combination(), count, &shape)?)
            }
        };
        let chains = chains.iter().map(|chain| {
            if chain.passes.is_empty() {
                return Err(Error::Window { why: "filter without a window".to_owned() });
            }
            let passes = chain.passes.iter().map(|pass| {
                let made = pass.to.iter().fold(pass.output.size(), |bytes, n| bytes.saturating_mul(*n));
                Ok((generate(pass)?, made))
            });
            Ok(Chain { reads: chain.reads.clone(), passes: passes.collect::<Result<_>>()? })
        });
        Ok(Self { chains: chains.collect::<Result<_>>()?, terms })
    }

    /// All kernels, in the order in which they run.
    fn each(&self) -> impl Iterator<Item = &Kernel> {
        let passes = self.chains.iter().flat_map(|chain| &chain.passes).map(|(passing, _)| &passing.step.0);
        passes.chain(self.terms.as_ref().map(|(kernel, _)| kernel))
    }
}

/// The kernels of a demand, for whoever wants to know whether there are any, or to have them compiled.
pub(super) fn kernels(demand: &FilterDemand<'_>) -> Result<Vec<Kernel>> {
    Ok(Kernels::new(demand)?.each().cloned().collect())
}

/// A kernel on its way: where its elements, its tables and its results lie.
struct Step<'k> {
    launch: &'k Launch,
    elements: usize,
    tables: usize,
    results: usize,
}

/// A part of the held box on its way to the device.
struct Cut<'k> {
    reads: &'k [Range<i64>],
    /// Its elements; `None`: it is all of that box.
    bytes: Option<Buffer>,
    place: usize,
}

/// What is copied to the device, what runs there, and where everything lies.
struct Work<'k> {
    places: Places<'k>,
    cuts: Vec<Cut<'k>>,
    tables: Vec<(&'k [u8], usize)>,
    steps: Vec<Step<'k>>,
    results: usize,
}

impl Task<'_> {
    /// Does what a demand says.
    pub(super) fn filter(self, demand: &FilterDemand<'_>, held: &[u8], result: &mut [u8]) -> Result<Outcome> {
        let kernels = Kernels::new(demand)?;
        let modules = kernels.each().map(|kernel| self.device.kernels.get(kernel, Some(self.cx)));
        let modules: Vec<Arc<Module>> = match modules.collect() {
            Err(error) if driver::is_of_kernel(&error) => {
                self.device.warn_of_kernel(&error);
                return Ok(Outcome::Left);
            }
            found => found?,
        };
        let filtering = self.arranged(demand, &kernels, held, result.len())?;
        let Some(lent) = self.device.memory.take(filtering.places.len_bytes, Some(self.cx))? else {
            drop(filtering);
            return self.filter_in_halves(demand, held, result);
        };
        let missing = || Error::Count { what: "slabs of a task", expected: 1, given: 0 };
        let slab = lent.slab().ok_or_else(missing)?;
        let given = filtering.steps.iter().map(|step| {
            let input = |index: usize, offset: usize| -> Option<Address> {
                Some(slab.at(if index == ELEMENTS {
                    step.elements
                } else {
                    step.tables.checked_add(offset)?
                }))
            };
            arguments(step.launch, input, |_| Some(slab.at(step.results)))
        });
        let given = given.collect::<Result<Vec<_>>>()?;
        let mut stream = self.device.stream()?;
        let outcome = stream.carry_out(Some(self.cx), |work| {
            for cut in &filtering.cuts {
                work.copy_in(slab, cut.place, cut.bytes.as_deref().unwrap_or(held))?;
            }
            for (tables, place) in &filtering.tables {
                work.copy_in(slab, *place, tables)?;
            }
            for ((step, mut arguments), module) in filtering.steps.iter().zip(given).zip(&modules) {
                let (x, y) = step.launch.blocks;
                if x > 0 && y > 0 {
                    // SAFETY: the generator lists an argument for each parameter, and all addresses lie on the slab.
                    unsafe { work.launch(module, (x, y), BLOCK_THREADS, &mut arguments) }?;
                }
            }
            work.copy_out(result, slab, filtering.results)
        });
        // A stream on which something failed is not used again.
        outcome.map(|()| self.device.hand_back(stream))?;
        Ok(Outcome::Done)
    }

    /// Where everything lies on the device, and what has to be cut out for it.
    fn arranged<'k>(
        self,
        demand: &FilterDemand<'_>,
        kernels: &'k Kernels,
        held: &[u8],
        result_bytes: usize,
    ) -> Result<Work<'k>> {
        let mut places = Places::default();
        let results = places.add(result_bytes)?;
        // The results of several chains lie one behind another, without gaps.
        let made = match &kernels.terms {
            Some(_) => places.add(result_bytes.saturating_mul(kernels.chains.len()))?,
            None => results,
        };
        // Two rooms for what lies between passes: each makes the other's content.
        let between = kernels.chains.iter().filter_map(|chain| chain.passes.split_last());
        let most = between.flat_map(|(_, rest)| rest).map(|(_, made)| *made).max().unwrap_or(0);
        let rooms = [places.add(most)?, places.add(most)?];
        let (mut cuts, mut tables): (Vec<Cut<'k>>, _) = (Vec::new(), Vec::new());
        let mut steps = Vec::new();
        for (number, chain) in kernels.chains.iter().enumerate() {
            let mut elements = match cuts.iter().find(|cut| cut.reads == chain.reads) {
                Some(cut) => cut.place,
                None => {
                    let is_whole = chain.reads == demand.held;
                    let bytes = if is_whole { None } else { Some(self.cut(demand, &chain.reads, held)?) };
                    let place = places.add(bytes.as_deref().unwrap_or(held).len())?;
                    cuts.push(Cut { reads: &chain.reads, bytes, place });
                    place
                }
            };
            for (at, (passing, _)) in chain.passes.iter().enumerate() {
                let own = places.add(passing.tables.len())?;
                tables.push((passing.tables.as_slice(), own));
                let is_last = at + 1 == chain.passes.len();
                let results = if is_last { made + number * result_bytes } else { rooms[at % 2] };
                steps.push(Step { launch: &passing.step.1, elements, tables: own, results });
                elements = results;
            }
        }
        if let Some((_, launch)) = &kernels.terms {
            steps.push(Step { launch, elements: made, tables: made, results });
        }
        Ok(Work { places, cuts, tables, steps, results })
    }

    /// What of the held box lies in `reads`.
    fn cut(self, demand: &FilterDemand<'_>, reads: &[Range<i64>], held: &[u8]) -> Result<Buffer> {
        let (from, to) = (shape(&demand.held), shape(reads));
        let origin = reads.iter().zip(&demand.held);
        let origin: Option<Vec<usize>> =
            origin.map(|(own, held)| usize::try_from(own.start.checked_sub(held.start)?).ok()).collect();
        let overflow = || Error::Overflow { shape: to.clone() };
        let size = demand.dtype.size();
        let bytes = to.iter().try_fold(size, |bytes, n| bytes.checked_mul(*n)).ok_or_else(overflow)?;
        let mut cut = self.cx.pool().take(bytes);
        let (origin, zeros) = (origin.ok_or_else(overflow)?, vec![0; to.len()]);
        copy_region(&mut cut, &to, &zeros, held, &from, &origin, &to, size).map_err(|_| overflow())?;
        Ok(cut)
    }

    /// As [`Task::filter`], in two halves of the first axis that has several elements.
    fn filter_in_halves(self, demand: &FilterDemand<'_>, held: &[u8], result: &mut [u8]) -> Result<Outcome> {
        let axis = demand.wanted.iter().position(|range| range.end - range.start > 1);
        let (Some(axis), true) = (axis, result.len() > LEAST_BYTES) else {
            self.device.warn("its memory is too small for some tasks");
            return Ok(Outcome::Left);
        };
        let range = demand.wanted.get(axis).cloned().unwrap_or(0..0);
        let middle = range.start + (range.end - range.start) / 2;
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let row_bytes = result.len() / len.max(1);
        let first_bytes = row_bytes * usize::try_from(middle - range.start).unwrap_or(0);
        let (first, second) = result.split_at_mut(first_bytes);
        for (part, result) in [(range.start..middle, first), (middle..range.end, second)] {
            let mut own = demand.clone();
            if let Some(range) = own.wanted.get_mut(axis) {
                *range = part;
            }
            if self.filter(&own, held, result)? == Outcome::Left {
                return Ok(Outcome::Left);
            }
        }
        Ok(Outcome::Done)
    }
}

fn shape(ranges: &[Range<i64>]) -> Vec<usize> {
    ranges.iter().map(|range| usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)).collect()
}
