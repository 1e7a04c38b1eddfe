//! Which outputs of a stage a device computes, and what plans say of it.
//!
//! Invariant: it follows from the stage and the device alone, so that what a plan says is what its run does. Called by the summaries of
//! plans, and by [`crate::exec`] when a stage begins.

use super::{Demand, Device, FilterDemand, Outcome};
use crate::block::{Block, BlockInfo};
use crate::context::TaskContext;
use crate::error::Result;
use crate::plan::{Compute, FunctionCall, Output, Stage, StageWork, seen};
use crate::region::{Region, byte_count, small};
use blockwise_kernels::program::{Input, Program};
use blockwise_kernels::reduce::Reduction;

/// Bytes that a stage moves for which a device is not woken: its start and a kernel's compilation take as long as a processor takes for
/// all of it.
const LEAST_BYTES: u64 = 64 << 20;
/// What a device must gain, of the time without it, to be used: a fifth.
const LEAST_GAIN: f64 = 1.2;
/// What passes between host and device in a second, both ways together: a PCIe 4 slot's half. An estimate; no device was measured.
const BUS_BYTES_PER_SEC: f64 = 20e9;
/// What a thread reads and decodes in a second; codecs differ.
const DECODED_BYTES_PER_SEC: f64 = 1.5e9;
/// Operations of a program that a thread carries out in a second, as [`Program::flops`] counts them.
const OPERATIONS_PER_SEC: f64 = 2e9;
/// Operations of a filter that a thread carries out in a second, as [`Filter::operations`](blockwise_kernels::filter::Filter::operations)
/// counts them: of Gaussians, on a processor with registers of 512 bits.
const FILTER_OPERATIONS_PER_SEC: f64 = 6e9;
/// Operations of adding an element to a state.
const REDUCING_OPERATIONS: u64 = 2;

/// An output of a stage that a device computes.
pub(crate) struct Placed<'a> {
    pub(crate) device: &'a dyn Device,
    /// Its programs; none of what a function of whole blocks makes.
    pub(crate) jobs: Vec<Job>,
}

impl Placed<'_> {
    /// Has the device compute the results of a task of `shape`; whether it has.
    pub(crate) fn compute(
        &self,
        inputs: &[Input<'_>],
        shape: &[usize],
        results: &mut [&mut [u8]],
        cx: &TaskContext<'_>,
    ) -> Result<bool> {
        if shape.contains(&0) {
            return Ok(false);
        }
        let mut rest = results;
        for job in &self.jobs {
            let count = job.program.outputs().len().min(rest.len());
            let (own, others) = rest.split_at_mut(count);
            if self.device.compute(&job.demand(shape), inputs, own, cx)? == Outcome::Left {
                return Ok(false);
            }
            rest = others;
        }
        Ok(true)
    }
}

/// What is asked of a device for one output: its program or, where outputs are reduced over several sets of axes, one for each.
pub(crate) struct Job {
    pub(crate) program: Program,
    pub(crate) reduced: Option<(Vec<usize>, Vec<Reduction>)>,
}

impl Job {
    /// What it asks for in a task of `shape`.
    pub(crate) fn demand<'a>(&'a self, shape: &'a [usize]) -> Demand<'a> {
        let reduced =
            self.reduced.as_ref().map(|(axes, reductions)| (axes.as_slice(), reductions.as_slice()));
        Demand { program: &self.program, shape, reduced }
    }
}

/// The part of output number `output` in a stage that `device` takes; otherwise why not.
pub(crate) fn place_output<'a>(
    stage: &Stage,
    output: &Output,
    device: &'a dyn Device,
    threads: usize,
) -> std::result::Result<Placed<'a>, String> {
    let jobs = match output {
        Output::Written { program, .. } => vec![Job { program: program.clone(), reduced: None }],
        Output::Reduced(reductions) => {
            let mut jobs = Vec::new();
            let mut first = 0;
            for part in &reductions.parts {
                let last = first + part.folds.len();
                let program = reductions.program.part(first..last).map_err(|error| error.to_string())?;
                let folds = part.folds.iter().map(|fold| fold.reduction).collect();
                jobs.push(Job { program, reduced: Some((part.axes.clone(), folds)) });
                first = last;
            }
            jobs
        }
        Output::Grouped(_) => return Err("it has no kernels for groups".to_owned()),
        Output::Applied(applied) => {
            place_call(stage, &applied.call, device, threads)?;
            return Ok(Placed { device, jobs: Vec::new() });
        }
    };
    let shape = small(&stage.tasks.largest_chunk()).map_err(|error| error.to_string())?;
    jobs.iter().try_for_each(|job| device.check(&job.demand(&shape)))?;
    if !device.is_insisted_on() {
        let (mut operations, mut output_bytes) = (0, 0);
        for job in &jobs {
            operations += job.program.flops();
            match &job.reduced {
                Some((_, reductions)) => operations += REDUCING_OPERATIONS * reductions.len() as u64,
                None => {
                    output_bytes += job.program.output_dtypes().map(|dtype| dtype.size() as u64).sum::<u64>();
                }
            }
        }
        worth(stage, operations as f64 / OPERATIONS_PER_SEC, output_bytes, threads)?;
    }
    Ok(Placed { device, jobs })
}

/// `device`, if it does what a function that a stage calls does; otherwise why not.
pub(crate) fn place_call<'a>(
    stage: &Stage,
    call: &FunctionCall,
    device: &'a dyn Device,
    threads: usize,
) -> std::result::Result<&'a dyn Device, String> {
    on_first(stage, call, |demand| {
        device.check_filter(demand)?;
        if !device.is_insisted_on() {
            let secs = demand.filter.operations() as f64 / FILTER_OPERATIONS_PER_SEC;
            worth(stage, secs, demand.filter.dtype().size() as u64, threads)?;
        }
        Ok(device)
    })
    .map_err(|error| error.to_string())?
    .unwrap_or_else(|| Err("it has no kernels for functions of whole blocks but filters".to_owned()))
}

/// What `use_demand` makes of what the first task of a stage wants of a device for a call; `None` if that is nothing a device knows.
fn on_first<T>(
    stage: &Stage,
    call: &FunctionCall,
    use_demand: impl FnOnce(&FilterDemand<'_>) -> T,
) -> Result<Option<T>> {
    let (index, shape) = (vec![0; stage.tasks.rank()], stage.tasks.shape());
    let region = stage.tasks.region(&index)?;
    let ranges: Vec<_> = region.ranges().collect();
    let reached = call.inputs.iter().map(|input| Region::from_ranges(&seen(&input.reach, &ranges, &shape)));
    let reached = reached.collect::<Result<Vec<_>>>()?;
    let blocks = call.inputs.iter().zip(&reached).filter_map(|(input, region)| {
        Some(Block { bytes: &[], dtype: input.program.output_dtypes().next()?, region })
    });
    let blocks: Vec<_> = blocks.collect();
    let info = BlockInfo { index: &index, region: &region, shape: &shape };
    Ok(call.function.filter(&info, &blocks)?.as_ref().map(use_demand))
}

/// For each function of whole blocks whose results a stage computes with, the device that does it.
pub(crate) fn placed_calls<'a>(
    stage: &Stage,
    compute: &Compute,
    device: Option<&'a dyn Device>,
    threads: usize,
) -> Vec<Option<&'a dyn Device>> {
    let place = |call: &FunctionCall| place_call(stage, call, device?, threads).ok();
    compute.makers.iter().map(|maker| place(&maker.call)).collect()
}

/// Has devices get ready for the filters of a stage that were placed on them.
pub(crate) fn prepare_calls<'a>(
    stage: &Stage,
    calls: impl Iterator<Item = (&'a FunctionCall, Option<&'a dyn Device>)>,
) {
    for (call, device) in calls {
        if let Some(device) = device {
            // What is wrong with the first task its run will tell.
            let _ = on_first(stage, call, |demand| device.prepare_filter(demand));
        }
    }
}

/// Whether a device would gain something where a thread computes for so long for an element; if not, why.
fn worth(
    stage: &Stage,
    element_secs: f64,
    output_bytes: u64,
    threads: usize,
) -> std::result::Result<(), String> {
    let elements = byte_count(&stage.shape(), 1).unwrap_or(u64::MAX);
    let of_inputs = stage.leaves.iter().filter_map(|leaf| stage.inputs.get(leaf.input));
    let input_bytes: u64 = of_inputs.map(|input| input.source.dtype().size() as u64).sum();
    let moved_bytes = elements.saturating_mul(input_bytes + output_bytes);
    if moved_bytes < LEAST_BYTES {
        return Err("there is too little to do".to_owned());
    }
    let (elements, threads) = (elements as f64, threads as f64);
    let computing_secs = elements * element_secs / threads;
    let decoding_secs = elements * input_bytes as f64 / (threads * DECODED_BYTES_PER_SEC);
    let passing_secs = moved_bytes as f64 / BUS_BYTES_PER_SEC;
    if computing_secs + decoding_secs < LEAST_GAIN * decoding_secs.max(passing_secs) {
        let longest = if decoding_secs > passing_secs { "reading" } else { "passing over chunks" };
        return Err(format!("{longest} would take longer than computing here"));
    }
    Ok(())
}

/// What a plan says of where a stage computes; `None` where it does not compute.
pub(crate) fn placed_at(stage: &Stage, device: &dyn Device, threads: usize) -> Option<String> {
    let StageWork::Compute(compute) = &stage.work else { return None };
    let outputs = compute.outputs.iter().map(|output| place_output(stage, output, device, threads).err());
    let calls = compute.makers.iter().map(|maker| place_call(stage, &maker.call, device, threads).err());
    let reasons: Vec<String> = outputs.chain(calls).flatten().collect();
    let label = device.label();
    Some(match reasons.first() {
        None => format!("on {label}"),
        Some(why) if reasons.len() == compute.outputs.len() + compute.makers.len() => {
            format!("not on {label}: {why}")
        }
        Some(why) => format!("in part on {label}: {why}"),
    })
}
