//! Conversions against what NumPy printed (`tests/data/casts.txt`), and against each other.

use blockwise_kernels::cast::{CastError, cast};
use blockwise_kernels::{DType, Element};
use half::{bf16, f16};
use num_complex::Complex;
use proptest::prelude::*;

/// What `tests/data/casts.py` printed with NumPy 2.4 and ml_dtypes 0.6 on x86-64.
const TABLE: &str = include_str!("../data/casts.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits =
        |pair: &[u8]| pair.iter().fold(0, |byte, &c| byte * 16 + (c as char).to_digit(16).unwrap() as u8);
    hex.as_bytes().chunks(2).map(digits).collect()
}

/// Whether two elements are equal to the bit, or both NaN.
fn same(dtype: DType, a: &[u8], b: &[u8]) -> bool {
    let nan = |bytes: &[u8]| match dtype {
        DType::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::BF16 => bf16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F32 | DType::C64 => f32::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F64 | DType::C128 => f64::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        _ => false,
    };
    let unit = dtype.swap_unit();
    a.chunks(unit).zip(b.chunks(unit)).all(|(a, b)| a == b || (nan(a) && nan(b)))
}

#[test]
#[cfg(target_endian = "little")]
fn every_pair_is_what_numpy_printed() {
    let (mut source, mut pairs) = (None, 0);
    for line in TABLE.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let (role, dtype, hex) = (word(), word().parse::<DType>().unwrap(), bytes(word()));
        if role == "from" {
            source = Some((dtype, hex));
            continue;
        }
        let (from, values) = source.as_ref().unwrap();
        let mut result = vec![0xA5; hex.len()];
        cast(&mut result, dtype, values, *from).unwrap();
        let (n, m) = (dtype.size(), from.size());
        for (i, (got, want)) in result.chunks(n).zip(hex.chunks(n)).enumerate() {
            let value = &values[i * m..(i + 1) * m];
            assert!(same(dtype, got, want), "{from} {value:02x?} to {dtype}: {got:02x?}, NumPy {want:02x?}");
        }
        pairs += 1;
    }
    assert_eq!(pairs, DType::ALL.len() * DType::ALL.len());
}

fn converted<S: Element, D: Element>(values: &[S]) -> Vec<D> {
    let mut out = vec![D::default(); values.len()];
    let mut raw = vec![0; size_of_val(values) / size_of::<S>() * size_of::<D>()];
    cast(&mut raw, D::DTYPE, S::as_bytes(values), S::DTYPE).unwrap();
    for (to, from) in out.iter_mut().zip(raw.chunks(size_of::<D>())) {
        *to = bytemuck::checked::try_pod_read_unaligned(from).unwrap();
    }
    out
}

proptest! {
    #[test]
    fn widening_and_back_is_exact(bits in prop::collection::vec(any::<u32>(), 0..700)) {
        let ints: Vec<i32> = bits.iter().map(|&b| b.cast_signed()).collect();
        prop_assert_eq!(&converted::<f64, i32>(&converted(&ints)), &ints);
        prop_assert_eq!(&converted::<Complex<f64>, i32>(&converted(&ints)), &ints);
        let halves: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b as u16)).filter(|h| !h.is_nan()).collect();
        prop_assert_eq!(&converted::<f64, f16>(&converted(&halves)), &halves);
        prop_assert_eq!(&converted::<f32, f16>(&converted(&halves)), &halves);
    }

    #[test]
    fn float16_takes_the_nearest(value in -70000.0..70000.0_f64, scale in -30..1_i32) {
        let value = value * f64::from(scale).exp2();
        let got = converted::<f64, f16>(&[value])[0];
        let error = |h: f16| (h.to_f64() - value).abs();
        let neighbours = [got.to_bits().wrapping_add(1), got.to_bits().wrapping_sub(1)].map(f16::from_bits);
        for other in neighbours.into_iter().filter(|h| h.is_finite() && got.is_finite()) {
            let even = got.to_bits().is_multiple_of(2);
            prop_assert!(error(got) < error(other) || (error(got) == error(other) && even), "{value} {got} {other}");
        }
    }
}

#[test]
fn bytes_need_no_alignment() {
    let mut src = vec![0_u8];
    src.extend_from_slice(f64::as_bytes(&[1.0, -2.5, 1e9]));
    let mut dst = [0_u8; 13];
    cast(&mut dst[1..], DType::I32, &src[1..], DType::F64).unwrap();
    let ints: Vec<i32> = dst[1..].chunks(4).map(|c| i32::from_ne_bytes(c.try_into().unwrap())).collect();
    assert_eq!(ints, [1, -2, 1_000_000_000]);
}

#[test]
fn odd_bool_bytes_are_true() {
    for &dtype in &[DType::Bool, DType::U8] {
        let mut dst = [9; 3];
        cast(&mut dst, dtype, &[0, 1, 2], DType::Bool).unwrap();
        assert_eq!(dst, [0, 1, 1]);
    }
}

#[test]
fn lengths_must_agree() {
    let error = |dst_len_bytes, src_len_bytes| {
        let dtypes = (DType::F32, DType::I16);
        CastError { dst_len_bytes, dst_dtype: dtypes.0, src_len_bytes, src_dtype: dtypes.1 }
    };
    for (dst, src) in [(8, 6), (9, 4), (8, 5)] {
        let result = cast(&mut vec![0; dst], DType::F32, &vec![0; src], DType::I16);
        assert_eq!(result, Err(error(dst, src)));
    }
}
