//! Filters as kernels, and the calls they are compared by: windows of every kind, dtypes, edges, boxes within arrays.

use crate::random::{Random, TYPES, elements};
use crate::suite::{Case, Memory, Step as Call, Suite, same};
use blockwise_gpu::jit::filter::{self, ELEMENTS};
use blockwise_gpu::jit::{Argument, Kernel, Launch};
use blockwise_kernels::filter::{Edge, Filter, Rolling, Step, Terms, gaussian_weights};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{BufferPool, DType};
use std::ops::Range;

/// Random filters.
const FILTERS: u64 = 160;

/// All but the one for which an array is padded.
const EDGES: [Edge; 5] =
    [Edge::Reflect, Edge::Mirror, Edge::Nearest, Edge::Constant(2.5), Edge::Constant(f64::NAN)];

/// What a filter is run on.
struct Given {
    dtype: DType,
    held: Vec<Range<i64>>,
    content: Vec<u8>,
    wanted: Vec<Range<i64>>,
    extents: Vec<Option<i64>>,
}

fn lengths(ranges: &[Range<i64>]) -> Vec<usize> {
    ranges.iter().map(|range| usize::try_from(range.end - range.start).unwrap()).collect()
}

/// The part `wanted` of a box.
pub(crate) fn cut(bytes: &[u8], held: &[Range<i64>], wanted: &[Range<i64>], size: usize) -> Vec<u8> {
    let (from, to) = (lengths(held), lengths(wanted));
    let origin = wanted.iter().zip(held).map(|(own, held)| usize::try_from(own.start - held.start).unwrap());
    let mut out = vec![0; to.iter().product::<usize>() * size];
    let (origin, zeros) = (origin.collect::<Vec<_>>(), vec![0; to.len()]);
    copy_region(&mut out, &to, &zeros, bytes, &from, &origin, &to, size).unwrap();
    out
}

impl Suite {
    /// Filters of all kinds.
    pub(crate) fn filters(&mut self) {
        for seed in 0..FILTERS {
            self.random_filter(seed);
        }
        // Of every dtype, and made to every dtype.
        for (n, dtype) in TYPES.into_iter().enumerate() {
            let mut random = Random(9000 + n as u64);
            let other = TYPES[(n * 5 + 3) % TYPES.len()];
            let mean = Step::uniform(0, 4, 0, Edge::Nearest).unwrap();
            let rank = Step::rank(&[3, 2], &[true; 6], 2, &[0, 0], &[Edge::Nearest; 2]).unwrap();
            for (step, output) in [(mean, other), (rank.clone(), dtype), (rank, other)] {
                let given = given(&mut random, dtype, 2, false, false);
                let filter = Filter::chain(vec![step], output);
                self.filter(format!("{dtype} to {output}"), &filter, &given, false);
            }
        }
        // Windows as long as a block's memory allows, and lines that are longer than what it takes of them.
        let mut random = Random(8000);
        for (shape, axis, size) in
            [([1_usize, 9000], 1, 4097), ([2500, 3], 0, 1501), ([700, 40], 0, 90), ([3, 2100], 1, 31)]
        {
            let weights: Vec<f64> = (0..size).map(|_| random.number()).collect();
            let steps = [
                Step::correlate1d(axis, &weights, 0, Edge::Mirror),
                Step::maximum(axis, size, 0, Edge::Mirror),
            ];
            for step in steps {
                let held: Vec<Range<i64>> = shape.iter().map(|n| 0..*n as i64).collect();
                let content = elements(&mut random, DType::F32, shape.iter().product(), false);
                let extents = shape.iter().map(|n| Some(*n as i64)).collect();
                let given = Given { dtype: DType::F32, wanted: held.clone(), held, content, extents };
                let filter = Filter::chain(vec![step.unwrap()], DType::F32);
                self.filter(format!("window of {size}"), &filter, &given, true);
            }
        }
    }

    fn random_filter(&mut self, seed: u64) {
        let mut random = Random(7000 + seed);
        let rank = 1 + random.below(4);
        let kind = random.below(9);
        // The order of what is no number, and of zeros of both signs, is another's affair.
        let odd = kind != 4;
        let dtype = random.of(&[DType::U8, DType::I16, DType::U64, DType::F16, DType::F32, DType::F64]);
        let is_endless = random.below(5) == 0;
        let odd = odd && random.below(3) == 0;
        let given = given(&mut random, dtype, rank, odd, is_endless);
        let output = if random.below(3) == 0 { random.of(&TYPES) } else { dtype };
        let (filter, name) = match kind {
            0 => (several(&mut random, rank, output), "several chains"),
            1 | 2 => {
                let mut axes: Vec<usize> = (0..rank).collect();
                axes.rotate_left(random.below(rank));
                let mut steps: Vec<Step> = axes.iter().map(|axis| line(&mut random, *axis)).collect();
                let last = steps.pop().unwrap();
                let stores = random.below(3) == 0;
                let inner = steps.into_iter();
                let mut steps: Vec<Step> =
                    inner.map(|step| if stores { step.storing(random.of(&TYPES)) } else { step }).collect();
                steps.push(last);
                (Filter::chain(steps, output), "lines")
            }
            _ => {
                let first = window(&mut random, rank, kind);
                let mut steps = vec![first];
                // Binary windows make truth values, whatever follows.
                if kind == 7 || random.below(4) == 0 {
                    steps.push(line(&mut random, 0));
                }
                (Filter::chain(steps, output), "window")
            }
        };
        let name = format!("filter {seed}, {name} of {dtype}, kind {kind}");
        let fewer_blocks = random.below(2) == 0;
        self.filter(name, &filter, &given, fewer_blocks);
    }

    /// A filter as calls of kernels, beside the CPU's.
    fn filter(&mut self, name: String, filter: &Filter, given: &Given, fewer_blocks: bool) {
        let Given { dtype, held, content, wanted, extents } = given;
        let shape = lengths(wanted);
        let result_bytes = shape.iter().product::<usize>() * filter.dtype().size();
        let mut expected = vec![0; result_bytes];
        let pool = BufferPool::new(64 << 20);
        filter.run(content, *dtype, held, wanted, extents, &mut expected, &pool).unwrap();

        let (mut memory, mut steps) = (Vec::new(), Vec::new());
        let buffer = |len: usize, content: Option<Vec<u8>>| Memory { content, len, shift: 0, wanted: false };
        let chains = filter.passes(*dtype, wanted, extents).unwrap();
        let count = chains.len();
        memory.push(buffer(result_bytes * count, None));
        for (number, chain) in chains.into_iter().enumerate() {
            let own = cut(content, held, &chain.reads, dtype.size());
            memory.push(buffer(own.len(), Some(own)));
            let mut elements = (memory.len() - 1, 0);
            let last = chain.passes.len() - 1;
            for (at, pass) in chain.passes.iter().enumerate() {
                let passing = filter::generate(pass).unwrap();
                memory.push(buffer(passing.tables.len(), Some(passing.tables)));
                let tables = memory.len() - 1;
                let made = pass.to.iter().product::<usize>() * pass.output.size();
                let to = if at == last {
                    (0, number * result_bytes)
                } else {
                    memory.push(buffer(made, None));
                    (memory.len() - 1, 0)
                };
                let place = |argument: &Argument| match argument {
                    Argument::Input { index: ELEMENTS, .. } => Ok(elements),
                    Argument::Input { offset, .. } => Ok((tables, *offset)),
                    Argument::Output { .. } => Ok(to),
                    Argument::Value(bytes) => Err(bytes.clone()),
                };
                self.pass(&mut steps, passing.step, place, passing.has_barriers, fewer_blocks);
                elements = to;
            }
        }
        let result = if count > 1 {
            memory.push(buffer(result_bytes, None));
            let result = memory.len() - 1;
            let terms = filter::generate_terms(filter.dtype(), filter.combination(), count, &shape).unwrap();
            let place = |argument: &Argument| match argument {
                Argument::Input { .. } => Ok((0, 0)),
                Argument::Output { .. } => Ok((result, 0)),
                Argument::Value(bytes) => Err(bytes.clone()),
            };
            self.pass(&mut steps, terms, place, false, fewer_blocks);
            result
        } else {
            0
        };
        memory[result].wanted = true;
        let output = filter.dtype();
        let text = format!("{filter:?} on {wanted:?} of {held:?}, {extents:?}");
        let check = move |results: &[Vec<u8>]| {
            same(output, &expected, &results[0], 0.0).map_err(|why| format!("{why}\n{text}"))
        };
        self.cases.push(Case { name, memory, steps, check: Box::new(check) });
    }

    fn pass(
        &mut self,
        steps: &mut Vec<Call>,
        (kernel, launch): (Kernel, Launch),
        place: impl Fn(&Argument) -> Result<(usize, usize), Vec<u8>>,
        barriers: bool,
        fewer_blocks: bool,
    ) {
        let kernel = self.add(kernel, barriers);
        let (x, y) = launch.blocks;
        if x > 0 && y > 0 {
            let blocks = if fewer_blocks { (x.div_ceil(3), y) } else { (x, y) };
            steps.push(Call { kernel, blocks, arguments: launch.arguments.iter().map(place).collect() });
        }
    }
}

/// A box within an array, or one that goes on as its other end, and what of it is wanted.
fn given(random: &mut Random, dtype: DType, rank: usize, odd: bool, is_endless: bool) -> Given {
    let most = [90, 24, 12, 7][rank - 1];
    let held: Vec<Range<i64>> = (0..rank).map(|_| 0..1 + random.below(most) as i64).collect();
    let wanted = held.iter().map(|range| {
        if random.below(2) == 0 || is_endless {
            return range.clone();
        }
        let start = random.below(range.end as usize) as i64;
        start..start + 1 + random.below((range.end - start) as usize) as i64
    });
    let wanted: Vec<Range<i64>> = wanted.collect();
    let extents = held.iter().map(|range| (!is_endless).then_some(range.end)).collect();
    // More than any window here sees beside what is wanted.
    let around = |range: &Range<i64>| range.start - 24..range.end + 24;
    let held: Vec<Range<i64>> = if is_endless && rank < 3 {
        held.iter().map(around).collect()
    } else if is_endless {
        return given(random, dtype, rank, odd, false);
    } else {
        held
    };
    let content = elements(random, dtype, lengths(&held).iter().product(), odd);
    // The CPU has one bit pattern of zero where the order of both is nobody's.
    let content = if odd { content } else { positive_zeros(content, dtype) };
    Given { dtype, held, content, wanted, extents }
}

/// The same elements without negative zeros.
fn positive_zeros(mut content: Vec<u8>, dtype: DType) -> Vec<u8> {
    if dtype.kind() == 'f' {
        let size = dtype.size();
        for element in content.chunks_mut(size) {
            if element[..size - 1].iter().all(|byte| *byte == 0) && element[size - 1] == 0x80 {
                element[size - 1] = 0;
            }
        }
    }
    content
}

/// A window of some elements around a result.
fn reach(random: &mut Random, most: usize) -> (usize, i64) {
    let size = 1 + random.below(most);
    let before = random.below(size) as i64;
    (size, before - (size / 2) as i64)
}

fn line(random: &mut Random, axis: usize) -> Step {
    let (size, origin) = reach(random, 9);
    let edge = random.of(&EDGES);
    let step = match random.below(6) {
        0 => Step::uniform(axis, size, origin, edge),
        1 => Step::minimum(axis, size, origin, edge),
        2 => Step::maximum(axis, size, origin, edge),
        3 => Step::convolve1d(axis, &gaussian_weights(1.0, 0, 3).unwrap(), 0, edge),
        4 => Step::correlate1d(axis, &gaussian_weights(0.8, 1, 2).unwrap(), 0, edge),
        _ => {
            let weights: Vec<f64> = (0..size).map(|_| random.number()).collect();
            Step::correlate1d(axis, &weights, origin, edge)
        }
    };
    step.unwrap()
}

fn window(random: &mut Random, rank: usize, kind: usize) -> Step {
    let most = [7, 4, 3, 2][rank - 1];
    let (shape, origins): (Vec<usize>, Vec<i64>) = (0..rank).map(|_| reach(random, most)).unzip();
    let edges: Vec<Edge> = (0..rank).map(|_| random.of(&EDGES)).collect();
    let points: usize = shape.iter().product();
    let mut footprint: Vec<bool> = (0..points).map(|_| random.below(3) > 0).collect();
    footprint[random.below(points)] = true;
    let chosen = footprint.iter().filter(|inside| **inside).count();
    let heights: Vec<f64> = (0..points).map(|_| (random.number() * 8.0).round()).collect();
    let heights = (random.below(2) == 0).then_some(heights.as_slice());
    let step = match kind {
        3 => {
            let weights: Vec<f64> =
                footprint.iter().map(|inside| if *inside { random.number() } else { 0.0 }).collect();
            Step::correlate(&shape, &weights, &origins, &edges)
        }
        4 => {
            let edges: Vec<Edge> =
                edges.iter().map(|edge| if edge.value().is_nan() { Edge::Nearest } else { *edge }).collect();
            Step::rank(&shape, &footprint, random.below(chosen), &origins, &edges)
        }
        5 => Step::erosion(&shape, &footprint, heights, &origins, &edges),
        6 => Step::dilation(&shape, &footprint, heights, &origins, &edges),
        7 if random.below(2) == 0 => Step::binary_erosion(&shape, &footprint, &origins, random.below(2) == 0),
        7 => Step::binary_dilation(&shape, &footprint, &origins, random.below(2) == 0),
        _ => {
            let before: Vec<usize> = shape.iter().map(|size| random.below(*size)).collect();
            let of = [
                Rolling::Count,
                Rolling::Sum,
                Rolling::Mean,
                Rolling::Min,
                Rolling::Max,
                Rolling::Std(1.0),
                Rolling::Median,
            ];
            Step::rolling(&shape, &before, random.of(&of), 1 + random.below(points))
        }
    };
    step.unwrap()
}

/// Derivatives along each axis, added or as the length of a gradient.
fn several(random: &mut Random, rank: usize, output: DType) -> Filter {
    let edge = random.of(&EDGES);
    let order = 1 + random.below(2);
    let chain = |own: usize| -> Vec<Step> {
        let step = |axis: usize| {
            let weights = gaussian_weights(0.7, if axis == own { order } else { 0 }, 2).unwrap();
            Step::correlate1d(axis, &weights, 0, edge).unwrap()
        };
        (0..rank).map(step).collect()
    };
    let terms = random.of(&[Terms::Sum, Terms::Norm]);
    Filter::terms((0..rank).map(chain).collect(), terms, output)
}
