//! Programs: their text, shared and folded instructions, and evaluation of any layout beside a naive one.

use blockwise_kernels::function::TABLE;
use blockwise_kernels::program::{
    Argument, Builder, Input, Program, ProgramError, Scratch, TILE_ELEMENTS, whole_tiles,
};
use blockwise_kernels::promote::Operand;
use blockwise_kernels::simd::InstructionSet;
use blockwise_kernels::strided::Layout;
use blockwise_kernels::{Buffer, DType, Element, Scalar};
use proptest::prelude::*;

/// Mean square of wind, a mask, and a rounded temperature: shared, folded and half-width parts.
fn sample() -> Program {
    let mut b = Builder::new();
    let (u, v, t) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F16));
    let uu = b.call_named("power", &[u.into(), 2_i64.into()]).unwrap();
    let vv = b.call_named("multiply", &[v.into(), v.into()]).unwrap();
    let sum = b.call_named("add", &[uu.into(), vv.into()]).unwrap();
    let again = b.call_named("power", &[u.into(), 2.0.into()]).unwrap();
    let same = b.call_named("add", &[again.into(), vv.into()]).unwrap();
    let speed = b.call_named("sqrt", &[same.into()]).unwrap();
    let unused = b.call_named("exp", &[speed.into()]).unwrap();
    assert!(unused > speed);
    let limit = b.constant(Scalar::from(2.5_f32));
    let double = b.call_named("multiply", &[limit.into(), 2.0.into()]).unwrap();
    let strong = b.call_named("greater", &[sum.into(), double.into()]).unwrap();
    let warm = b.call_named("where", &[strong.into(), t.into(), 0.into()]).unwrap();
    b.finish(&[speed, warm]).unwrap()
}

#[test]
fn text_shows_shared_and_folded_instructions() {
    let expected = "\
%0: float32 = input 0
%1: float32 = input 1
%2: float16 = input 2
%3: float32 = square %0
%4: float32 = multiply %1 %1
%5: float32 = add %3 %4
%6: float32 = sqrt %5
%7: float32 = 5.0
%8: bool = greater %5 %7
%9: float16 = 0.0
%10: float16 = where %8 %2 %9
return %6 %10
";
    assert_eq!(sample().to_string(), expected);
    assert_eq!(sample().flops(), 1 + 1 + 1 + 4 + 1 + 1);
}

#[test]
fn inlining_shares_across_programs() {
    let mut b = Builder::new();
    let (x, y, t) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F16));
    let once = b.inline(&sample(), &[x, y, t]).unwrap();
    let twice = b.inline(&sample(), &[x, y, t]).unwrap();
    assert_eq!(once, twice);
    let program = b.finish(&once).unwrap();
    assert_eq!(program.to_string(), sample().to_string());
}

#[test]
fn mistakes_are_named() {
    let mut b = Builder::new();
    let (x, flag) = (b.input(DType::U8), b.input(DType::Bool));
    let error = b.call_named("subtract", &[flag.into(), flag.into()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "subtract is not defined for (bool, bool); convert an argument with astype first"
    );
    let error = b.call_named("add", &[x.into(), 300.into()]).unwrap_err();
    assert_eq!(error, ProgramError::IntegerRange { value: 300, dtype: DType::U8 });
    assert!(matches!(b.call_named("ad", &[]), Err(ProgramError::UnknownFunction { .. })));
    let always = b.call_named("less", &[x.into(), 300.into()]).unwrap();
    assert_eq!(b.constant_of(always), Some(true.into()));
    let never = b.call_named("greater_equal", &[(-1).into(), x.into()]).unwrap();
    assert_eq!(b.constant_of(never), Some(false.into()));

    let program = b.finish(&[x]).unwrap();
    let bytes = [0_u8; 4];
    let inputs = [Input::contiguous(&bytes, DType::U8), Input::contiguous(&bytes, DType::Bool)];
    let mut scratch = Scratch::default();
    let mut short = [0_u8; 3];
    let error = program.evaluate(&inputs, &[4], &mut [&mut short], &mut scratch).unwrap_err();
    assert_eq!(error, ProgramError::OutputLength { output: 0, expected_bytes: 4, given_bytes: 3 });
    let mut out = [0_u8; 6];
    let error = program.evaluate(&inputs, &[6], &mut [&mut out], &mut scratch).unwrap_err();
    assert!(matches!(error, ProgramError::InputLayout { input: 0, .. }), "{error}");
    let error = program.evaluate(&inputs[..1], &[4], &mut [&mut out], &mut scratch).unwrap_err();
    assert_eq!(error, ProgramError::Count { what: "inputs", expected: 2, given: 1 });
}

/// Whatever the rules accept can be computed.
#[test]
fn every_accepted_signature_has_a_loop() {
    let mut accepted = 0;
    for function in TABLE {
        let third: &[DType] = if function.arity == 3 { DType::ALL } else { &[DType::F64] };
        let second: &[DType] = if function.arity >= 2 { DType::ALL } else { &[DType::F64] };
        for &a in DType::ALL {
            for &b in second {
                for &c in third {
                    let dtypes = &[a, b, c][..function.arity];
                    let operands: Vec<Operand> = dtypes.iter().map(|dtype| (*dtype).into()).collect();
                    let Some(signature) = function.signature(&operands) else { continue };
                    let mut builder = Builder::new();
                    let mut arguments: Vec<Argument> =
                        dtypes.iter().map(|dtype| builder.input(*dtype).into()).collect();
                    if function.name == "round" {
                        arguments[1] = 1.into();
                    }
                    let value = builder.call(function, &arguments).unwrap();
                    let program = builder.finish(&[value]).unwrap();
                    assert_eq!(
                        program.output_dtypes().next(),
                        Some(signature.output),
                        "{function:?} {dtypes:?}"
                    );
                    accepted += 1;
                }
            }
        }
    }
    assert!(accepted > 5000, "{accepted}");
}

/// An operand of any layout: the shape's axes are sliced, stepped, flipped, permuted or repeated.
#[derive(Clone, Debug)]
struct Operand1 {
    layout: Option<Layout>,
    bytes: Vec<u8>,
}

fn operand(shape: Vec<usize>) -> impl Strategy<Value = Operand1> {
    let rank = shape.len();
    let modes = prop::collection::vec((0..4_usize, 0..rank.max(1)), rank);
    (modes, any::<bool>(), 0..2_usize).prop_map(move |(modes, plain, shift)| {
        let total: usize = shape.iter().product();
        let fill = |count: usize| (0..count * 4).map(|i| (i * 7 % 251) as u8 & 0x3f).collect::<Vec<u8>>();
        if plain {
            return Operand1 { layout: None, bytes: fill(total) };
        }
        // Axes are laid out in the order of their random keys, so the operand may be a transpose.
        let mut order: Vec<usize> = (0..rank).collect();
        order.sort_by_key(|&axis| modes[axis].1);
        let (mut strides, mut step, mut offset) = (vec![0_isize; rank], 1_isize, shift);
        for &axis in order.iter().rev() {
            let len = shape[axis].max(1) as isize;
            match modes[axis].0 {
                0 => {}
                1 => {
                    strides[axis] = -step;
                    offset += ((len - 1) * step) as usize;
                    step *= len;
                }
                2 => {
                    strides[axis] = 2 * step;
                    step *= 2 * len;
                }
                _ => {
                    strides[axis] = step;
                    step *= len;
                }
            }
        }
        Operand1 { layout: Some(Layout { offset, strides }), bytes: fill(step as usize + 2) }
    })
}

fn cases() -> impl Strategy<Value = (Vec<usize>, [Operand1; 3])> {
    let shapes = prop_oneof![
        prop::collection::vec(0..5_usize, 0..4),
        prop::collection::vec(1..60_usize, 2..4),
        (1..4_usize, 900..2200_usize).prop_map(|(a, b)| vec![a, b]),
        (900..2200_usize, 1..4_usize).prop_map(|(a, b)| vec![a, b]),
    ];
    shapes.prop_flat_map(|shape| {
        let operands = [operand(shape.clone()), operand(shape.clone()), operand(shape.clone())];
        (Just(shape), operands)
    })
}

/// The element of `operand` at the flat index `flat` of `shape`.
fn element(operand: &Operand1, shape: &[usize], mut flat: usize) -> f32 {
    let layout = operand.layout.clone().unwrap_or_else(|| Layout::c_order(shape).unwrap());
    let mut at = layout.offset as isize;
    for (len, stride) in shape.iter().zip(&layout.strides).rev() {
        at += (flat % len) as isize * stride;
        flat /= len;
    }
    let at = at as usize * 4;
    f32::from_le_bytes(operand.bytes[at..at + 4].try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn any_layout_gives_the_naive_values((shape, operands) in cases()) {
        let mut b = Builder::new();
        let (x, y, z) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F32));
        let sum = b.call_named("add", &[x.into(), y.into()]).unwrap();
        let product = b.call_named("multiply", &[sum.into(), z.into()]).unwrap();
        let less = b.call_named("less", &[product.into(), x.into()]).unwrap();
        let wide = b.cast(product, DType::F64).unwrap();
        let outputs = [product, less, wide, x, sum, sum];
        let program = b.finish(&outputs).unwrap();
        let total: usize = shape.iter().product();
        let expected: Vec<[f32; 3]> = (0..total)
            .map(|flat| [0, 1, 2].map(|n| element(&operands[n], &shape, flat)))
            .collect();
        let inputs: Vec<Input<'_>> = operands
            .iter()
            .map(|o| Input { bytes: &o.bytes, dtype: DType::F32, layout: o.layout.clone() })
            .collect();
        let mut first: Option<Vec<Vec<u8>>> = None;
        for set in InstructionSet::available() {
            let program = program.clone().with_instruction_set(set);
            let mut scratch = Scratch::default();
            let mut buffers: Vec<Buffer> =
                program.output_dtypes().map(|dtype| Buffer::zeroed(total * dtype.size())).collect();
            let mut slices: Vec<&mut [u8]> = buffers.iter_mut().map(|buffer| &mut **buffer).collect();
            program.evaluate(&inputs, &shape, &mut slices, &mut scratch).unwrap();
            prop_assert!(scratch.len_bytes() <= program.scratch_bytes());
            let sums: Vec<f32> = expected.iter().map(|[x, y, _]| x + y).collect();
            prop_assert_eq!(f32::cast_slice(&buffers[4]), Some(&sums[..]));
            prop_assert_eq!(f32::cast_slice(&buffers[5]), Some(&sums[..]));
            let products: Vec<f32> = expected.iter().map(|[x, y, z]| (x + y) * z).collect();
            prop_assert_eq!(f32::cast_slice(&buffers[0]), Some(&products[..]));
            let less: Vec<bool> = expected.iter().map(|[x, y, z]| (x + y) * z < *x).collect();
            prop_assert_eq!(bool::cast_slice(&buffers[1]), Some(&less[..]));
            let copies: Vec<f32> = expected.iter().map(|[x, ..]| *x).collect();
            prop_assert_eq!(f32::cast_slice(&buffers[3]), Some(&copies[..]));

            // Tiles are the same values, in order, whole but for the last.
            let mut tiled = vec![Vec::new(); outputs.len()];
            program.for_each_tile(&inputs, &shape, whole_tiles(total), &mut scratch, |start, tiles| {
                assert_eq!(start % TILE_ELEMENTS, 0);
                for (all, tile) in tiled.iter_mut().zip(tiles) {
                    all.extend_from_slice(tile);
                }
            }).unwrap();
            let whole: Vec<Vec<u8>> = buffers.iter().map(|buffer| buffer.to_vec()).collect();
            prop_assert_eq!(&tiled, &whole);
            if let Some(first) = &first {
                prop_assert_eq!(first, &whole);
            }
            first = Some(whole);
        }
    }
}

/// Every instruction set gives the same bits for every function.
#[test]
fn instruction_sets_agree_bit_for_bit() {
    let mut seed = 1_u64;
    let mut byte = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    for function in TABLE {
        for &dtype in DType::ALL {
            let operands = vec![Operand::Typed(dtype); function.arity];
            if function.signature(&operands).is_none() || function.name == "round" {
                continue;
            }
            let mut builder = Builder::new();
            let arguments: Vec<Argument> =
                operands.iter().map(|_| Argument::Value(builder.input(dtype))).collect();
            let value = builder.call(function, &arguments).unwrap();
            let program = builder.finish(&[value]).unwrap();
            let count = 301;
            let data: Vec<Vec<u8>> = operands
                .iter()
                .map(|_| {
                    (0..count * dtype.size())
                        .map(|_| if dtype == DType::Bool { byte() & 1 } else { byte() })
                        .collect()
                })
                .collect();
            let inputs: Vec<Input<'_>> = data.iter().map(|bytes| Input::contiguous(bytes, dtype)).collect();
            let size = program.output_dtypes().next().unwrap().size();
            let results: Vec<Vec<u8>> = InstructionSet::available()
                .into_iter()
                .map(|set| {
                    let mut out = Buffer::zeroed(count * size);
                    let program = program.clone().with_instruction_set(set);
                    program.evaluate(&inputs, &[count], &mut [&mut out], &mut Scratch::default()).unwrap();
                    out.to_vec()
                })
                .collect();
            for result in &results {
                // NaNs are alike: which operand's payload survives is the compiler's choice.
                let nan = |item: &[u8]| match program.output_dtypes().next().unwrap() {
                    DType::F32 => f32::from_le_bytes(item.try_into().unwrap()).is_nan(),
                    DType::F64 => f64::from_le_bytes(item.try_into().unwrap()).is_nan(),
                    DType::F16 => half::f16::from_le_bytes(item.try_into().unwrap()).is_nan(),
                    DType::BF16 => half::bf16::from_le_bytes(item.try_into().unwrap()).is_nan(),
                    DType::C64 => item.chunks(4).any(|b| f32::from_le_bytes(b.try_into().unwrap()).is_nan()),
                    DType::C128 => item.chunks(8).any(|b| f64::from_le_bytes(b.try_into().unwrap()).is_nan()),
                    _ => false,
                };
                let items = result.chunks_exact(size).zip(results[0].chunks_exact(size));
                for (a, b) in items {
                    assert!(a == b || (nan(a) && nan(b)), "{function:?} of {dtype}: {a:?} {b:?}");
                }
            }
        }
    }
}
