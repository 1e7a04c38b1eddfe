//! What a device does for a task of a filter: a box in, one kernel a pass, a box of results out.
//!
//! Invariants: the host holds nothing besides the two boxes; what lies between passes never leaves the device; a box that does not fit is cut along its first axis that has several
//! elements, whose parts read what they need of the same input; results have the processors' bits. Called by [`super::Cuda`].

#![expect(unsafe_code, reason = "kernels are launched with addresses")]

use super::driver::{self, Address, Module};
use super::task::{LEAST_BYTES, Places, Task, arguments};
use crate::jit::filter::{ELEMENTS, Passing, generate, generate_terms};
use crate::jit::{BLOCK_THREADS, Form, Kernel, Launch, Operand, elementwise};
use crate::{Error, Result};
use blockwise_core::device::{FilterDemand, Outcome};
use blockwise_kernels::DType;
use blockwise_kernels::filter::pass;
use blockwise_kernels::program::Builder;
use blockwise_kernels::strided::Layout;
use std::ops::Range;
use std::sync::Arc;

/// A chain's kernels.
struct Chain {
    /// What copies the box that it reads out of the band, and the bytes of that box; `None` if it is the band.
    copy: Option<((Kernel, Launch), usize)>,
    /// Each with the bytes that it makes.
    passes: Vec<(Passing, usize)>,
}

/// A filter's kernels.
struct Kernels {
    /// The positions of the held box along the first axis that any chain reads: all of them together, a band, are one run of its bytes.
    band: Range<i64>,
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
        let first = |chain: &pass::Chain<'_>| chain.reads.first().cloned();
        let bands = chains.iter().filter_map(first);
        let band = bands.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..1);
        let mut held = demand.held.clone();
        held.first_mut().into_iter().for_each(|own| *own = band.clone());
        let chains = chains.iter().map(|chain| {
            if chain.passes.is_empty() {
                return Err(Error::Window { why: "filter without a window".to_owned() });
            }
            let passes = chain.passes.iter().map(|pass| {
                let made = pass.to.iter().fold(pass.output.size(), |bytes, n| bytes.saturating_mul(*n));
                Ok((generate(pass)?, made))
            });
            let copy = (chain.reads != held).then(|| copy(demand.dtype, &held, &chain.reads)).transpose()?;
            Ok(Chain { copy, passes: passes.collect::<Result<_>>()? })
        });
        let chains = chains.collect::<Result<_>>()?;
        Ok(Self { band, chains, terms })
    }

    /// All kernels, in the order in which they run.
    fn each(&self) -> impl Iterator<Item = &Kernel> {
        let passes = self.chains.iter().flat_map(|chain| {
            let copy = chain.copy.iter().map(|((kernel, _), _)| kernel);
            copy.chain(chain.passes.iter().map(|(passing, _)| &passing.step.0))
        });
        passes.chain(self.terms.as_ref().map(|(kernel, _)| kernel))
    }
}

/// What copies the box `reads` out of the box `held`, and its bytes.
fn copy(dtype: DType, held: &[Range<i64>], reads: &[Range<i64>]) -> Result<((Kernel, Launch), usize)> {
    let (from, to) = (shape(held), shape(reads));
    let overflow = || Error::Overflow { shape: from.clone() };
    let whole = Layout::c_order(&from).map_err(|_| overflow())?;
    let each = reads.iter().zip(held).zip(&whole.strides);
    let offset = each.map(|((own, held), stride)| {
        usize::try_from(own.start.checked_sub(held.start)?).ok()?.checked_mul(stride.unsigned_abs())
    });
    let offset = offset.sum::<Option<usize>>().ok_or_else(overflow)?;
    let mut builder = Builder::new();
    let x = builder.input(dtype);
    let program = builder.finish(&[x]).map_err(|_| overflow())?;
    let operand = Operand { layout: Some(Layout { offset, strides: whole.strides }) };
    let step = elementwise::generate(&program, &Form::new(&to, &[operand], false)?)?;
    let bytes = to.iter().try_fold(dtype.size(), |bytes, n| bytes.checked_mul(*n));
    Ok((step, bytes.ok_or_else(overflow)?))
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

/// What is copied to the device, what runs there, and where everything lies.
struct Work<'k> {
    places: Places<'k>,
    band: usize,
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
        let band = band(demand, &kernels.band, held)?;
        let filtering = arranged(&kernels, band.len(), result.len())?;
        let Some(lent) = self.device.memory.take(filtering.places.len_bytes, Some(self.cx))? else {
            return self.filter_in_halves(demand, held, result);
        };
        let missing = || Error::Count { what: "slabs of a task", expected: 1, given: 0 };
        let slab = lent.slab().ok_or_else(missing)?;
        let given = filtering.steps.iter().map(|step| {
            let input = |index: usize, offset: usize| -> Option<Address> {
                Some(slab.at(if index == ELEMENTS {
                    // Copies begin within the band; offsets count elements.
                    step.elements.checked_add(offset.checked_mul(demand.dtype.size())?)?
                } else {
                    step.tables.checked_add(offset)?
                }))
            };
            arguments(step.launch, input, |_| Some(slab.at(step.results)))
        });
        let given = given.collect::<Result<Vec<_>>>()?;
        let mut stream = self.device.stream()?;
        let outcome = stream.carry_out(Some(self.cx), |work| {
            work.copy_in(slab, filtering.band, band)?;
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

/// The bytes of the positions `band` of the first axis of the held box.
fn band<'h>(demand: &FilterDemand<'_>, band: &Range<i64>, held: &'h [u8]) -> Result<&'h [u8]> {
    let first = demand.held.first().cloned().unwrap_or(0..1);
    let rows = usize::try_from(first.end - first.start).unwrap_or(0).max(1);
    let row_bytes = held.len() / rows;
    let place = |at: i64| usize::try_from(at.checked_sub(first.start)?).ok()?.checked_mul(row_bytes);
    let bytes = place(band.start).zip(place(band.end)).and_then(|(start, end)| held.get(start..end));
    bytes.ok_or(Error::Count { what: "bytes of a held box", expected: held.len(), given: 0 })
}

/// Where everything lies on the device.
fn arranged(kernels: &Kernels, band_bytes: usize, result_bytes: usize) -> Result<Work<'_>> {
    let mut places = Places::default();
    let (results, band) = (places.add(result_bytes)?, places.add(band_bytes)?);
    // The results of several chains lie one behind another, without gaps.
    let made = match &kernels.terms {
        Some(_) => places.add(result_bytes.saturating_mul(kernels.chains.len()))?,
        None => results,
    };
    // Two rooms for what lies between passes: each makes the other's content.
    let between = kernels.chains.iter().filter_map(|chain| chain.passes.split_last());
    let most = between.flat_map(|(_, rest)| rest).map(|(_, made)| *made).max().unwrap_or(0);
    let rooms = [places.add(most)?, places.add(most)?];
    let copied = kernels.chains.iter().filter_map(|chain| chain.copy.as_ref()).map(|(_, bytes)| *bytes);
    let copied = places.add(copied.max().unwrap_or(0))?;
    let (mut tables, mut steps) = (Vec::new(), Vec::new());
    for (number, chain) in kernels.chains.iter().enumerate() {
        let mut elements = band;
        if let Some(((_, launch), _)) = &chain.copy {
            steps.push(Step { launch, elements, tables: band, results: copied });
            elements = copied;
        }
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
    Ok(Work { places, band, tables, steps, results })
}

fn shape(ranges: &[Range<i64>]) -> Vec<usize> {
    ranges.iter().map(|range| usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0)).collect()
}
