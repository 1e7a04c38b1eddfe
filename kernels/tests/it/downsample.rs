//! Downsampled boxes against plain loops over exact numbers, for every method and type, with boxes cut off at the ends.

use blockwise_kernels::downsample::{Downsampling, downsample};
use blockwise_kernels::{DType, Element, KernelError};
use half::f16;
use proptest::prelude::*;

fn run<T: Element>(method: Downsampling, x: &[T], shape: &[usize], factors: &[usize]) -> Vec<T> {
    let count: usize = shape.iter().zip(factors).map(|(n, f)| n.div_ceil(*f)).product();
    let mut out = vec![0_u64; (count * size_of::<T>()).div_ceil(8)];
    let out = &mut bytemuck::cast_slice_mut(&mut out)[..count * size_of::<T>()];
    downsample(method, T::DTYPE, T::as_bytes(x), shape, factors, out).unwrap();
    T::cast_slice(out).unwrap().to_vec()
}

/// The elements of every box, in C order.
fn boxes<T: Copy>(x: &[T], shape: [usize; 3], factors: [usize; 3]) -> Vec<Vec<T>> {
    let counts: Vec<usize> = (0..3).map(|axis| shape[axis].div_ceil(factors[axis])).collect();
    let mut all = Vec::new();
    for place in 0..counts.iter().product() {
        let at = [place / counts[2] / counts[1], place / counts[2] % counts[1], place % counts[2]];
        let range = |axis: usize| at[axis] * factors[axis]..((at[axis] + 1) * factors[axis]).min(shape[axis]);
        let mut seen = Vec::new();
        for i in range(0) {
            for j in range(1) {
                seen.extend(range(2).map(|k| x[(i * shape[1] + j) * shape[2] + k]));
            }
        }
        all.push(seen);
    }
    all
}

fn mean_of(seen: &[i128]) -> i128 {
    let (sum, n) = (seen.iter().sum::<i128>(), seen.len() as i128);
    let (whole, rest) = (sum.div_euclid(n), sum.rem_euclid(n));
    match (2 * rest).cmp(&n) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => whole + 1,
        std::cmp::Ordering::Equal => whole + whole.rem_euclid(2),
    }
}

fn mode_of(seen: &[i128]) -> i128 {
    let count = |x: &i128| seen.iter().filter(|other| *other == x).count();
    *seen.iter().max_by(|a, b| count(a).cmp(&count(b)).then(b.cmp(a))).unwrap()
}

fn check<T: Element + TryFrom<i128> + Into<i128> + Copy>(x: &[T], shape: [usize; 3], factors: [usize; 3]) {
    let wide: Vec<i128> = x.iter().map(|x| (*x).into()).collect();
    let expect = |method, of: fn(&[i128]) -> i128| {
        let wanted: Vec<i128> = boxes(&wide, shape, factors).iter().map(|seen| of(seen)).collect();
        let found: Vec<i128> = run(method, x, &shape, &factors).into_iter().map(Into::into).collect();
        assert_eq!(found, wanted, "{method} {} {shape:?} {factors:?}", T::DTYPE);
    };
    expect(Downsampling::Mean, mean_of);
    expect(Downsampling::Mode, mode_of);
    expect(Downsampling::Nearest, |seen| seen[0]);
    expect(Downsampling::Min, |seen| *seen.iter().min().unwrap());
    expect(Downsampling::Max, |seen| *seen.iter().max().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn integers_are_exact(
        shape in prop::array::uniform3(1_usize..9), factors in prop::array::uniform3(1_usize..5), seed: u64, few: bool,
    ) {
        let bits = |n: u64| (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let all: Vec<u64> = (0..shape.iter().product::<usize>() as u64)
            .map(|n| if few { bits(n) % 3 } else { bits(n) })
            .collect();
        macro_rules! each {
            ($($t:ty),*) => {$( check(&all.iter().map(|x| *x as $t).collect::<Vec<_>>(), shape, factors); )*};
        }
        each!(u8, u16, u32, u64, i8, i16, i32, i64);
    }

    #[test]
    fn floats_leave_out_what_is_missing(
        shape in prop::array::uniform3(1_usize..7), factors in prop::array::uniform3(1_usize..4), seed: u64,
    ) {
        let x: Vec<f32> = (0..shape.iter().product::<usize>() as u64)
            .map(|n| (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60)
            .map(|n| if n < 8 { f32::NAN } else { n as f32 / 4.0 })
            .collect();
        let all = boxes(&x, shape, factors);
        let present = |seen: &Vec<f32>| seen.iter().copied().filter(|x| !x.is_nan()).collect::<Vec<f32>>();
        let same = |found: Vec<f32>, wanted: Vec<f32>| {
            let text = |all: &[f32]| all.iter().map(|x| x.to_string()).collect::<Vec<_>>();
            prop_assert_eq!(text(&found), text(&wanted));
            Ok(())
        };
        let means = all.iter().map(present).map(|p| p.iter().sum::<f32>() / p.len() as f32);
        same(run(Downsampling::Mean, &x, &shape, &factors), means.collect())?;
        let least = all.iter().map(present).map(|p| p.iter().copied().fold(f32::NAN, f32::min));
        same(run(Downsampling::Min, &x, &shape, &factors), least.collect())?;
        let most = all.iter().map(present).map(|p| p.iter().copied().fold(f32::NAN, f32::max));
        same(run(Downsampling::Max, &x, &shape, &factors), most.collect())?;
    }
}

#[test]
fn means_are_rounded_to_even() {
    assert_eq!(run(Downsampling::Mean, &[0_u8, 1, 1, 2, 254, 255, 255, 255], &[8], &[2]), [0, 2, 254, 255]);
    assert_eq!(run(Downsampling::Mean, &[-1_i16, 0, -1, -2, -3, 0], &[6], &[2]), [0, -2, -2]);
    assert_eq!(run(Downsampling::Mean, &[u64::MAX, u64::MAX - 2], &[2], &[2]), [u64::MAX - 1]);
    assert_eq!(run(Downsampling::Mean, &[true, false, true, true, true], &[5], &[2]), [false, true, true]);
    assert_eq!(run(Downsampling::Mean, &[f16::MAX, f16::MAX], &[2], &[2]), [f16::MAX]);
    let wide = vec![u16::MAX; 1 << 17]; // sums past 32 bits
    assert_eq!(run(Downsampling::Mean, &wide, &[1 << 17], &[1 << 17]), [u16::MAX]);
}

#[test]
fn empty_arrays_and_single_elements() {
    assert_eq!(run(Downsampling::Mean, &[] as &[u8], &[0, 4], &[2, 2]), [0_u8; 0]);
    assert_eq!(run(Downsampling::Mode, &[7_i32], &[], &[]), [7]);
    assert!(run(Downsampling::Mode, &[f64::NAN, f64::NAN], &[2], &[2])[0].is_nan());
    let z = num_complex::Complex::new(1.0_f64, -2.0);
    assert_eq!(run(Downsampling::Nearest, &[z, z * 2.0, z * 3.0], &[3], &[2]), [z, z * 3.0]);
}

#[test]
fn nonsense_is_refused() {
    let mut out = [0; 8];
    let mut wrong = |dtype, input: &[u8], shape: &[usize], factors: &[usize]| {
        downsample(Downsampling::Mean, dtype, input, shape, factors, &mut out).unwrap_err()
    };
    assert!(matches!(wrong(DType::U8, &[0; 8], &[8], &[0]), KernelError::Parameter { .. }));
    assert!(matches!(wrong(DType::U8, &[0; 8], &[8], &[2, 2]), KernelError::Parameter { .. }));
    assert!(matches!(wrong(DType::U8, &[0; 7], &[8], &[1]), KernelError::Length { .. }));
    assert!(matches!(wrong(DType::C64, &[0; 8], &[1], &[1]), KernelError::Refused { .. }));
    assert!("box".parse::<Downsampling>().unwrap_err().to_string().contains("mean, nearest"));
}
