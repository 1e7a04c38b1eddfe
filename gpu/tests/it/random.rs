//! Random programs, numbers and layouts, the same ones in every run.

use blockwise_gpu::jit::Operand;
use blockwise_kernels::function::TABLE;
use blockwise_kernels::program::{Argument, Builder, Program, Value};
use blockwise_kernels::strided::Layout;
use blockwise_kernels::{DType, Element, cast};

/// What kernels compute with.
pub(crate) const TYPES: [DType; 13] = [
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F16,
    DType::BF16,
    DType::F32,
    DType::F64,
];

/// Functions that the CPU takes from libraries in Rust: other last digits than those of the system's C library,
/// which the host build has. Compared by themselves, with a tolerance.
pub(crate) const OTHER_DIGITS: [&str; 4] = ["cbrt", "arcsinh", "arccosh", "arctanh"];

/// A generator of numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// From -10 to 10.
    pub(crate) fn number(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 * 20.0 - 10.0
    }
}

/// A program of one to four inputs and up to twelve calls of any functions, with one to three outputs.
pub(crate) fn program(random: &mut Random) -> Program {
    let mut builder = Builder::new();
    let mut values: Vec<Value> = Vec::new();
    for _ in 0..1 + random.below(4) {
        values.push(builder.input(random.of(&TYPES)));
    }
    let inputs = values.len();
    let calls = inputs + 1 + random.below(12);
    for _ in 0..200 {
        if values.len() >= calls {
            break;
        }
        if random.below(8) == 0 {
            let value = random.of(&values);
            values.push(builder.cast(value, random.of(&TYPES)).unwrap());
            continue;
        }
        let function = &TABLE[random.below(TABLE.len())];
        if OTHER_DIGITS.contains(&function.name) {
            continue;
        }
        let arguments: Vec<Argument> = (0..function.arity)
            .map(|_| match random.below(6) {
                0 => Argument::Float((random.number() * 4.0).round() / 4.0),
                1 => Argument::Int(i128::from(random.next() % 8)),
                _ => random.of(&values).into(),
            })
            .collect();
        if let Ok(value) = builder.call(function, &arguments)
            && builder.dtype(value).unwrap().kind() != 'c'
        {
            values.push(value);
        }
    }
    let mut outputs = vec![*values.last().unwrap()];
    for _ in 0..random.below(3) {
        outputs.push(random.of(&values));
    }
    builder.finish(&outputs).unwrap()
}

/// Elements of a dtype: small numbers, whole ones, and where `odd` the ends of the range, infinities and NaN.
pub(crate) fn elements(random: &mut Random, dtype: DType, count: usize, odd: bool) -> Vec<u8> {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        1e-3,
        f64::NAN,
        f64::INFINITY,
        -f64::INFINITY,
        1e30,
        -1e9,
        65504.0,
        1e-42,
    ];
    if odd && matches!(dtype.kind(), 'i' | 'u') {
        let mut bytes: Vec<u8> = Vec::with_capacity(count * dtype.size());
        for _ in 0..count {
            let word = match random.below(4) {
                0 => random.next(),
                1 => random.of(&[
                    0,
                    1,
                    u64::MAX,
                    1 << 7,
                    1 << 15,
                    1 << 31,
                    1 << 63,
                    (1 << 31) - 1,
                    (1 << 63) - 1,
                ]),
                _ => (random.next() % 41).wrapping_sub(20),
            };
            bytes.extend(&word.to_le_bytes()[..dtype.size()]);
        }
        return bytes;
    }
    let doubles: Vec<f64> = (0..count)
        .map(|_| match random.below(8) {
            0 if odd => random.of(&special),
            1 | 2 => random.number().round(),
            _ => random.number(),
        })
        .collect();
    let mut bytes = vec![0; count * dtype.size()];
    cast(&mut bytes, dtype, f64::as_bytes(&doubles), DType::F64).unwrap();
    bytes
}

/// How an operand may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// In C order.
    Flat,
    /// With whole rows, some of them repeated.
    Rows,
    /// With any steps.
    Steps,
}

/// A layout of a shape, and how many elements it reaches over: exactly so many.
pub(crate) fn operand(random: &mut Random, shape: &[usize], lie: Lie) -> (Operand, usize) {
    let total: usize = shape.iter().product();
    if total == 0 || (lie == Lie::Flat && random.below(5) > 0) {
        return (Operand::default(), total);
    }
    if lie == Lie::Flat {
        // One element for all.
        return (Operand { layout: Some(Layout { offset: 0, strides: vec![0; shape.len()] }) }, 1);
    }
    let mut order: Vec<usize> = (0..shape.len()).collect();
    let last = shape.len().saturating_sub(1);
    if lie == Lie::Steps && shape.len() > 1 && random.below(3) > 0 {
        order.swap(last, random.below(shape.len()));
    }
    let mut strides = vec![0_isize; shape.len()];
    let (mut step, mut offset, mut reach) = (1_isize, 0_isize, 0_isize);
    for &axis in order.iter().rev() {
        let (len, inner) = (isize::try_from(shape[axis]).unwrap(), axis == last && lie == Lie::Rows);
        if random.below(4) == 0 {
            continue; // repeated along this axis
        }
        let apart = if inner || random.below(3) > 0 { 1 } else { 2 };
        let stride = step * apart;
        let turned = !inner && random.below(4) == 0;
        strides[axis] = if turned { -stride } else { stride };
        offset += if turned { stride * (len - 1) } else { 0 };
        reach += stride * (len - 1);
        step = stride * len;
    }
    let layout = Layout { offset: usize::try_from(offset).unwrap(), strides };
    (Operand { layout: Some(layout) }, usize::try_from(reach).unwrap() + 1)
}
