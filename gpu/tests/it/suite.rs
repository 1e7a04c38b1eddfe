//! All kernels that the tests generate, each once, and the calls they are compared by.

use crate::random::{Lie, OTHER_DIGITS, Random, TYPES, elements, operand, program};
use blockwise_gpu::jit::reduction::{self, Cells};
use blockwise_gpu::jit::{Argument, Form, Kernel, Launch, Operand, elementwise};
use blockwise_kernels::function::{Function, TABLE};
use blockwise_kernels::program::{Builder, Input, Program, Scratch};
use blockwise_kernels::promote::Operand as Promoted;
use blockwise_kernels::reduce::{Geometry, Reducer, Reduction, Statistic};
use blockwise_kernels::{Buffer, DType, cast};
use std::collections::HashMap;

/// Random programs.
pub(crate) const PROGRAMS: u64 = 300;

/// A kernel, and what kind it is.
pub(crate) struct Generated {
    pub(crate) kernel: Kernel,
    pub(crate) barriers: bool,
}

/// Memory of a call.
pub(crate) struct Memory {
    /// What it holds beforehand; `None` for what is written.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) len: usize,
    /// Bytes from a multiple of 16 to its beginning.
    pub(crate) shift: usize,
    pub(crate) wanted: bool,
}

/// One launch: the kernel, blocks, and arguments by place in a buffer or by value.
pub(crate) struct Step {
    pub(crate) kernel: usize,
    pub(crate) blocks: (u32, u32),
    pub(crate) arguments: Vec<Result<(usize, usize), Vec<u8>>>,
}

type Check = Box<dyn Fn(&[Vec<u8>]) -> Result<(), String>>;

/// A call of kernels, and what must come out.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) memory: Vec<Memory>,
    pub(crate) steps: Vec<Step>,
    pub(crate) check: Check,
}

#[derive(Default)]
pub(crate) struct Suite {
    pub(crate) kernels: Vec<Generated>,
    known: HashMap<String, usize>,
    pub(crate) cases: Vec<Case>,
}

/// The operands of a call: how they lie, and what they hold.
struct Given {
    shape: Vec<usize>,
    operands: Vec<Operand>,
    content: Vec<Vec<u8>>,
    aligned: bool,
}

impl Given {
    fn new(
        random: &mut Random,
        program: &Program,
        shape: &[usize],
        lie: Lie,
        aligned: bool,
        odd: bool,
    ) -> Self {
        let mut given = Self { shape: shape.to_vec(), operands: Vec::new(), content: Vec::new(), aligned };
        for dtype in program.inputs() {
            let (operand, reach) = operand(random, shape, lie);
            given.operands.push(operand);
            given.content.push(elements(random, *dtype, reach, odd));
        }
        given
    }

    fn inputs(&self, program: &Program) -> Vec<Input<'_>> {
        let each = self.operands.iter().zip(&self.content).zip(program.inputs());
        each.map(|((operand, bytes), dtype)| Input { bytes, dtype: *dtype, layout: operand.layout.clone() })
            .collect()
    }

    fn memory(&self, program: &Program) -> Vec<Memory> {
        let each = self.content.iter().zip(program.inputs());
        each.map(|(bytes, dtype)| Memory {
            content: Some(bytes.clone()),
            len: bytes.len(),
            shift: if self.aligned { 0 } else { dtype.size() },
            wanted: false,
        })
        .collect()
    }
}

impl Suite {
    /// Everything.
    pub(crate) fn new() -> Self {
        let mut suite = Self::default();
        suite.functions();
        suite.casts();
        for seed in 0..PROGRAMS {
            suite.random_program(seed);
        }
        suite.reductions();
        suite.filters();
        suite
    }

    pub(crate) fn add(&mut self, kernel: Kernel, barriers: bool) -> usize {
        let text = kernel.named("kernel");
        *self.known.entry(text).or_insert_with(|| {
            self.kernels.push(Generated { kernel, barriers });
            self.kernels.len() - 1
        })
    }

    fn step(
        &mut self,
        (kernel, launch): (Kernel, Launch),
        sizes: &[usize],
        places: impl Fn(bool, usize) -> usize,
        barriers: bool,
    ) -> Step {
        let kernel = self.add(kernel, barriers);
        let arguments = launch.arguments.into_iter().map(|argument| match argument {
            Argument::Input { index, offset } => {
                Ok((places(false, index), offset * sizes.get(index).copied().unwrap_or(1)))
            }
            Argument::Output { index } => Ok((places(true, index), 0)),
            Argument::Value(bytes) => Err(bytes),
        });
        Step { kernel, blocks: launch.blocks, arguments: arguments.collect() }
    }

    fn elementwise(
        &mut self,
        name: String,
        program: &Program,
        given: &Given,
        fewer_blocks: bool,
        tolerance: f64,
    ) {
        let mut form = Form::new(&given.shape, &given.operands, given.aligned).unwrap();
        if fewer_blocks {
            form = form.with_wide_indices();
        }
        let (kernel, mut launch) = elementwise::generate(program, &form).unwrap();
        if fewer_blocks {
            launch.blocks = (launch.blocks.0.div_ceil(3), launch.blocks.1.div_ceil(2));
        }
        let total: usize = given.shape.iter().product();
        let mut expected: Vec<Buffer> =
            program.output_dtypes().map(|dtype| Buffer::zeroed(total * dtype.size())).collect();
        let mut slices: Vec<&mut [u8]> = expected.iter_mut().map(|buffer| &mut buffer[..]).collect();
        program.evaluate(&given.inputs(program), &given.shape, &mut slices, &mut Scratch::default()).unwrap();
        let mut memory = given.memory(program);
        let first_output = memory.len();
        memory.extend(expected.iter().zip(program.output_dtypes()).map(|(buffer, dtype)| Memory {
            content: None,
            len: buffer.len(),
            shift: if given.aligned { 0 } else { dtype.size() },
            wanted: true,
        }));
        let sizes: Vec<usize> = program.inputs().iter().map(|dtype| dtype.size()).collect();
        let place = |output: bool, index: usize| if output { first_output + index } else { index };
        let step = self.step((kernel, launch), &sizes, place, false);
        let steps = if step.blocks.0 == 0 { Vec::new() } else { vec![step] };
        let outputs: Vec<(DType, Vec<u8>)> =
            program.output_dtypes().zip(expected.iter().map(|buffer| buffer.to_vec())).collect();
        let text = program.to_string();
        let check = move |results: &[Vec<u8>]| {
            for (number, ((dtype, expected), result)) in outputs.iter().zip(results).enumerate() {
                same(*dtype, expected, result, tolerance)
                    .map_err(|why| format!("output {number}: {why}\n{text}"))?;
            }
            Ok(())
        };
        self.cases.push(Case { name, memory, steps, check: Box::new(check) });
    }

    /// Every function for every list of dtypes that it has a text for.
    fn functions(&mut self) {
        let mut random = Random(1);
        for function in TABLE {
            let mut builder = Builder::new();
            let mut seen: Vec<Vec<DType>> = Vec::new();
            let mut outputs = Vec::new();
            for a in TYPES {
                for b in TYPES {
                    let all = [Promoted::Typed(a), Promoted::Typed(b), Promoted::Typed(b)];
                    let Some(signature) = all.get(..function.arity).and_then(|some| function.signature(some))
                    else {
                        continue;
                    };
                    let inputs = signature.inputs.to_vec();
                    if function.cuda_text(&inputs).is_none() || seen.contains(&inputs) {
                        continue;
                    }
                    let arguments: Vec<_> = inputs.iter().map(|dtype| builder.input(*dtype).into()).collect();
                    outputs.push(builder.call(function, &arguments).unwrap());
                    seen.push(inputs);
                }
            }
            if outputs.is_empty() {
                continue;
            }
            let program = builder.finish(&outputs).unwrap();
            let tolerance = if OTHER_DIGITS.contains(&function.name) { 4.0 } else { 0.0 };
            let given = Given::new(&mut random, &program, &[300], Lie::Flat, false, true);
            self.elementwise(function.name.to_owned(), &program, &given, false, tolerance);
        }
    }

    /// Every dtype to every other.
    fn casts(&mut self) {
        let mut random = Random(2);
        for from in TYPES {
            let mut builder = Builder::new();
            let x = builder.input(from);
            let others = TYPES.iter().filter(|to| **to != from);
            let outputs: Vec<_> = others.map(|to| builder.cast(x, *to).unwrap()).collect();
            let program = builder.finish(&outputs).unwrap();
            let given = Given::new(&mut random, &program, &[777], Lie::Flat, false, true);
            self.elementwise(format!("casts of {from}"), &program, &given, false, 0.0);
        }
    }

    fn random_program(&mut self, seed: u64) {
        let mut random = Random(1000 + seed);
        let program = program(&mut random);
        let lie = random.of(&[Lie::Flat, Lie::Flat, Lie::Rows, Lie::Steps]);
        let shapes: Vec<Vec<usize>> = match lie {
            Lie::Flat => [0, 1, 7, 33, 1003].iter().map(|len| vec![*len]).collect(),
            Lie::Rows => vec![vec![random.below(4) + 1, random.below(5) + 1, 64 + random.below(40)]],
            Lie::Steps => vec![(0..random.below(5)).map(|_| 1 + random.below(9)).collect()],
        };
        let aligned = lie != Lie::Flat || random.below(5) > 0;
        // Operands of one program lie the same in every call, so that the calls share a kernel.
        let repeated: Vec<bool> = program.inputs().iter().map(|_| random.below(5) == 0).collect();
        for shape in shapes {
            let mut given = Given::new(&mut random, &program, &shape, lie, aligned, true);
            if lie == Lie::Flat {
                let total: usize = shape.iter().product();
                for (number, dtype) in program.inputs().iter().enumerate() {
                    let one = repeated[number] && total > 0;
                    let layout =
                        one.then(|| blockwise_kernels::strided::Layout { offset: 0, strides: vec![0] });
                    given.operands[number] = Operand { layout };
                    given.content[number] = elements(&mut random, *dtype, if one { 1 } else { total }, true);
                }
            }
            let fewer = random.below(3) == 0;
            self.elementwise(
                format!("program {seed}, shape {shape:?}, {lie:?}"),
                &program,
                &given,
                fewer,
                0.0,
            );
        }
    }

    fn reductions(&mut self) {
        let groups: [&[Reducer]; 3] = [
            &[Reducer::Sum, Reducer::Mean, Reducer::Min, Reducer::Max],
            &[Reducer::Any, Reducer::All, Reducer::CountNonzero, Reducer::Variance],
            &[Reducer::Moments],
        ];
        let shapes: [(&[usize], &[usize]); 8] = [
            (&[20_003], &[0]),
            (&[9_000, 1], &[0, 1]),
            (&[7, 96], &[1]),
            (&[3, 9, 10], &[1, 2]),
            (&[2_500, 5], &[0]),
            (&[40, 300], &[0]),
            (&[3, 50, 7], &[1]),
            (&[4, 0], &[1]),
        ];
        let mut random = Random(3);
        let mut turn = 0;
        for dtype in
            [DType::Bool, DType::I8, DType::I32, DType::U64, DType::F16, DType::BF16, DType::F32, DType::F64]
        {
            for skip in [false, true] {
                if skip && dtype.kind() != 'f' {
                    continue;
                }
                for group in groups {
                    for round in 0..3 {
                        let (shape, axes) = shapes[(turn + 3 * round) % shapes.len()];
                        let lie = [Lie::Flat, Lie::Flat, Lie::Steps][(turn + round) % 3];
                        self.reduction(&mut random, dtype, skip, group, shape, axes, lie);
                    }
                    turn += 1;
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one of many combinations")]
    fn reduction(
        &mut self,
        random: &mut Random,
        dtype: DType,
        skip: bool,
        group: &[Reducer],
        shape: &[usize],
        axes: &[usize],
        lie: Lie,
    ) {
        let reductions: Vec<Reduction> =
            group.iter().map(|reducer| Reduction::new(*reducer, dtype, skip).unwrap()).collect();
        let mut builder = Builder::new();
        let (x, y) = (builder.input(dtype), builder.input(dtype));
        let name = if dtype == DType::Bool { "logical_xor" } else { "add" };
        let both = builder.call(Function::named(name).unwrap(), &[x.into(), y.into()]).unwrap();
        let outputs: Vec<_> =
            reductions.iter().map(|reduction| builder.cast(both, reduction.tile_dtype()).unwrap()).collect();
        let program = builder.finish(&outputs).unwrap();
        let aligned = random.below(4) > 0;
        let mut given = Given::new(random, &program, shape, lie, aligned, false);
        if skip {
            for content in &mut given.content {
                let mut nan = vec![0; dtype.size()];
                cast(&mut nan, dtype, &f64::NAN.to_ne_bytes(), DType::F64).unwrap();
                content
                    .chunks_mut(dtype.size())
                    .filter(|_| random.below(6) == 0)
                    .for_each(|x| x.copy_from_slice(&nan));
            }
        }
        let mut form = Form::new(shape, &given.operands, given.aligned).unwrap();
        if random.below(3) == 0 {
            form = form.with_wide_indices();
        }
        let cells = Cells::new(shape, axes).unwrap();
        let reducing = reduction::generate(&program, &form, &cells, &reductions).unwrap();
        let geometry = Geometry::new(shape, axes).unwrap();
        let bytes: Vec<usize> =
            reductions.iter().map(|reduction| reduction.state_bytes(geometry.cells()).unwrap()).collect();
        let mut memory = given.memory(&program);
        let parts = usize::try_from(reducing.parts).unwrap();
        let state = |len: usize, wanted: bool| Memory { content: None, len, shift: 0, wanted };
        let sizes = vec![dtype.size(); 2];
        let mut steps = Vec::new();
        // Once with the blocks that were asked for, and once with fewer: the same bits.
        for blocks in [u32::MAX, 2] {
            let limited = |(kernel, mut launch): (Kernel, Launch)| {
                launch.blocks.0 = launch.blocks.0.min(blocks);
                (kernel, launch)
            };
            let first = memory.len();
            memory.extend(bytes.iter().map(|len| state(len * parts, parts == 1)));
            let place = |output: bool, index: usize| if output { first + index } else { index };
            steps.push(self.step(limited(reducing.reduce.clone()), &sizes, place, true));
            if let Some(merge) = reducing.merge.clone() {
                memory.extend(bytes.iter().map(|len| state(*len, true)));
                let count = reductions.len();
                let place = |output: bool, index: usize| first + index + if output { count } else { 0 };
                steps.push(self.step(limited(merge), &[], place, true));
            }
        }
        let states = cpu_states(&program, &given, &geometry, &reductions);
        let name = format!(
            "{group:?} of {dtype}, skip {skip}, shape {shape:?} over {axes:?}, {lie:?}, {parts} parts"
        );
        let check = move |results: &[Vec<u8>]| {
            let (whole, fewer) = results.split_at(reductions.len());
            if whole != fewer {
                return Err("other bits with fewer blocks".to_owned());
            }
            for ((reduction, expected), result) in reductions.iter().zip(&states).zip(results) {
                statistics_agree(reduction, expected, result)?;
            }
            Ok(())
        };
        self.cases.push(Case { name, memory, steps, check: Box::new(check) });
    }
}

/// The states that the CPU makes.
fn cpu_states(
    program: &Program,
    given: &Given,
    geometry: &Geometry,
    reductions: &[Reduction],
) -> Vec<Buffer> {
    let mut states: Vec<Buffer> = reductions
        .iter()
        .map(|reduction| Buffer::zeroed(reduction.state_bytes(geometry.cells()).unwrap()))
        .collect();
    let inputs = given.inputs(program);
    for (number, (reduction, state)) in reductions.iter().zip(&mut states).enumerate() {
        let mut pass = reduction.begin(geometry, state).unwrap();
        let ranges = reduction.walk(geometry).ranges();
        program
            .for_each_tile(&inputs, &given.shape, ranges, &mut Scratch::default(), |first, tiles| {
                pass.tile(first, tiles[number]);
            })
            .unwrap();
        pass.end();
    }
    states
}

/// Every statistic of a state is that of the CPU's, and so it is after both were combined.
fn statistics_agree(reduction: &Reduction, expected: &Buffer, result: &[u8]) -> Result<(), String> {
    let statistics = match reduction.reducer() {
        Reducer::Mean => vec![Statistic::Value, Statistic::Count],
        Reducer::Variance => vec![Statistic::Value, Statistic::Count, Statistic::Variance { ddof: 1.0 }],
        Reducer::Moments => vec![
            Statistic::Count,
            Statistic::Variance { ddof: 0.0 },
            Statistic::Skewness,
            Statistic::Kurtosis,
        ],
        _ => vec![Statistic::Value],
    };
    let mut given = Buffer::zeroed(result.len());
    given.copy_from_slice(result);
    let (mut both, mut twice) = (Buffer::zeroed(result.len()), Buffer::zeroed(result.len()));
    both.copy_from_slice(expected);
    twice.copy_from_slice(expected);
    reduction.combine(&mut both, &given).unwrap();
    reduction.combine(&mut twice, expected).unwrap();
    let cells = cells_of(reduction, result.len());
    for statistic in statistics {
        let dtype = reduction.output_dtype(statistic);
        for (expected, state) in [(expected, &given), (&twice, &both)] {
            let finish = |state: &Buffer| {
                let mut out = vec![0; cells * dtype.size()];
                reduction.finish(state, statistic, &mut out).map(|()| out).map_err(|error| error.to_string())
            };
            same(dtype, &finish(expected)?, &finish(state)?, 8.0)
                .map_err(|why| format!("{:?} {statistic:?}: {why}", reduction.reducer()))?;
        }
    }
    Ok(())
}

fn cells_of(reduction: &Reduction, state_len: usize) -> usize {
    (0..=state_len).find(|cells| reduction.state_bytes(*cells) == Ok(state_len)).unwrap()
}

/// Whether two arrays hold the same: integers and bools exactly; floats, but for the payload of NaN, to the bit, or within so
/// many units of rounding (of float64, in a sum of numbers up to 20).
pub(crate) fn same(dtype: DType, expected: &[u8], result: &[u8], tolerance: f64) -> Result<(), String> {
    if expected.len() != result.len() {
        return Err(format!("{} bytes, not {}", result.len(), expected.len()));
    }
    let size = dtype.size();
    let doubles = |bytes: &[u8]| {
        let mut wide = vec![0; bytes.len() / size * 8];
        cast(&mut wide, DType::F64, bytes, dtype).unwrap();
        wide.chunks(8).map(|word| f64::from_ne_bytes(word.try_into().unwrap())).collect::<Vec<f64>>()
    };
    let (a, b) = (doubles(expected), doubles(result));
    let epsilon = match dtype {
        DType::F16 => 9.8e-4,
        DType::BF16 => 7.9e-3,
        DType::F32 => 1.2e-7,
        _ => 2.3e-16,
    };
    for (at, (x, y)) in expected.chunks(size).zip(result.chunks(size)).enumerate() {
        let close = || {
            (a[at] - b[at]).abs()
                <= tolerance * epsilon * a[at].abs().max(if dtype == DType::F64 { 1.0 } else { 1e-3 })
        };
        let both_nan = a[at].is_nan() && b[at].is_nan();
        if x != y && !(dtype.kind() == 'f' && (both_nan || (tolerance > 0.0 && close()))) {
            return Err(format!("element {at} is {:?}, not {:?}", b[at], a[at]));
        }
    }
    Ok(())
}
