//! Fourier transforms against the sum that defines them, along every axis, for many lengths.

use blockwise_kernels::fourier::{Fourier, Norm, Transform};
use blockwise_kernels::{BufferPool, DType, Element, KernelError};
use num_complex::Complex;

type C = Complex<f64>;

/// The transform of the definition, of a line that has `len` values once zeros follow.
fn defined(transform: Transform, line: &[C], len: usize, norm: Norm) -> Vec<C> {
    let at = |n: usize| line.get(n).copied().unwrap_or_default();
    let half = |conjugate: bool| -> Vec<C> {
        (0..len)
            .map(|n| {
                let (own, mirrored) = (if n <= len / 2 { n } else { len - n }, n > len / 2);
                let item = if conjugate { at(own).conj() } else { at(own) };
                let item = if mirrored { item.conj() } else { item };
                if n == 0 || 2 * n == len { C::new(item.re, 0.0) } else { item }
            })
            .collect()
    };
    let whole: Vec<C> = match transform {
        Transform::RealInverse => half(false),
        Transform::HermitianForward => half(true),
        _ => (0..len).map(at).collect(),
    };
    let is_inverse =
        matches!(transform, Transform::Inverse | Transform::RealInverse | Transform::HermitianInverse);
    // `hfft` is what comes of the conjugate by an inverse, without its scale.
    let sign = if is_inverse || transform == Transform::HermitianForward { 1.0 } else { -1.0 };
    let scale = match (norm, is_inverse) {
        (Norm::Backward, false) | (Norm::Forward, true) => 1.0,
        (Norm::Ortho, _) => 1.0 / (len as f64).sqrt(),
        _ => 1.0 / len as f64,
    };
    let sum = |k: usize| -> C {
        let turn = |n: usize| sign * std::f64::consts::TAU * ((n * k) % len) as f64 / len as f64;
        whole.iter().enumerate().map(|(n, item)| item * C::from_polar(1.0, turn(n))).sum::<C>() * scale
    };
    (0..transform.output_len(len)).map(sum).collect()
}

/// Numbers without a pattern.
fn noise(count: usize) -> Vec<f64> {
    let next = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 40) as f64 / f64::from(1 << 24) - 0.5)
    };
    std::iter::repeat_with(|| 0).scan(7_u64, |state, _: i32| next(state)).take(count).collect()
}

fn check(transform: Transform, held: usize, len: usize, norm: Norm, is_real: bool) {
    let shape = [3, held, 11];
    let count = 33 * held;
    let reals = noise(2 * count);
    let items: Vec<C> =
        (0..count).map(|n| C::new(reals[2 * n], if is_real { 0.0 } else { reals[2 * n + 1] })).collect();
    for axis in [1, 2] {
        // The same elements, with the axis where it is, and last.
        let shape = if axis == 1 { shape } else { [3, 11, held] };
        let (outer, inner) = if axis == 1 { (3, 11) } else { (33, 1) };
        for single in [false, true] {
            let dtype = match (single, is_real) {
                (false, true) => DType::F64,
                (false, false) => DType::C128,
                (true, true) => DType::F32,
                (true, false) => DType::C64,
            };
            let input: Vec<u8> = items
                .iter()
                .flat_map(|item| {
                    let parts: &[f64] = if is_real { &[item.re] } else { &[item.re, item.im] };
                    parts
                        .iter()
                        .flat_map(|part| match single {
                            true => (*part as f32).to_ne_bytes().to_vec(),
                            false => part.to_ne_bytes().to_vec(),
                        })
                        .collect::<Vec<u8>>()
                })
                .collect();
            let fourier = Fourier::new(transform, dtype, len, norm).unwrap();
            let gives_complex = fourier.output_dtype().kind() == 'c';
            let mut bytes = vec![0_u64; 33 * fourier.output_len() * 2];
            let out: &mut [u8] = bytemuck::cast_slice_mut(&mut bytes);
            let out = &mut out[..33 * fourier.output_len() * fourier.output_dtype().size()];
            fourier.run(&input, &shape, axis, out, &BufferPool::new(1 << 20)).unwrap();
            let parts: Vec<f64> = match single {
                true => f32::cast_slice(out).unwrap().iter().map(|part| f64::from(*part)).collect(),
                false => f64::cast_slice(out).unwrap().to_vec(),
            };
            let got = |n: usize| match gives_complex {
                true => C::new(parts[2 * n], parts[2 * n + 1]),
                false => C::new(parts[n], 0.0),
            };
            for (i, j) in (0..outer).flat_map(|i| (0..inner).map(move |j| (i, j))) {
                let line: Vec<C> = (0..held).map(|k| items[(i * held + k) * inner + j]).collect();
                for (k, wanted) in defined(transform, &line, len, norm).into_iter().enumerate() {
                    let found = got((i * fourier.output_len() + k) * inner + j);
                    let close = if single { 2e-6 } else { 2e-15 } * len as f64;
                    let what = format!("{transform:?} of {held} to {len} {norm:?} {dtype} axis {axis}: {k}");
                    assert!((found - wanted).norm() < close, "{what}: {found} for {wanted}");
                }
            }
            if fourier.is_in_place(held) {
                let mut own = vec![0_u64; input.len() / 8];
                let own: &mut [u8] = bytemuck::cast_slice_mut(&mut own);
                own.copy_from_slice(&input);
                fourier.run_in_place(own, &shape, axis, &BufferPool::new(1 << 20)).unwrap();
                assert!(*own == *out, "{transform:?} of {len} in place");
            }
        }
    }
}

#[test]
fn transforms_are_the_sums_that_define_them() {
    let all = [
        (Transform::Forward, [false, true].as_slice()),
        (Transform::Inverse, &[false, true]),
        (Transform::RealForward, &[true]),
        (Transform::RealInverse, &[false]),
        (Transform::HermitianForward, &[false]),
        (Transform::HermitianInverse, &[true]),
    ];
    let norms = [Norm::Backward, Norm::Ortho, Norm::Forward];
    for (n, len) in [1, 2, 3, 4, 5, 6, 7, 8, 12, 15, 17, 30, 37, 64].into_iter().enumerate() {
        for (transform, reals) in all {
            for is_real in reals {
                let whole = transform.input_len(len);
                check(transform, whole, len, norms[n % 3], *is_real);
                // Cut, and gone on with zeros.
                check(transform, whole + 2, len, norms[(n + 1) % 3], *is_real);
                check(transform, whole.div_ceil(2), len, norms[(n + 2) % 3], *is_real);
            }
        }
    }
}

#[test]
fn what_has_no_transform_is_refused() {
    let refused = |transform, dtype| Fourier::new(transform, dtype, 4, Norm::Backward).unwrap_err();
    assert!(matches!(refused(Transform::RealForward, DType::C64), KernelError::Refused { .. }));
    assert!(matches!(refused(Transform::RealInverse, DType::F64), KernelError::Refused { .. }));
    assert!(matches!(refused(Transform::Forward, DType::I32), KernelError::Refused { .. }));
    let none = Fourier::new(Transform::Forward, DType::C64, 0, Norm::Backward).unwrap_err();
    assert!(matches!(none, KernelError::Parameter { .. }));
    let fourier = Fourier::new(Transform::Forward, DType::C64, 4, Norm::Backward).unwrap();
    let pool = BufferPool::new(1 << 20);
    assert!(matches!(fourier.run(&[0; 31], &[4], 0, &mut [0; 32], &pool), Err(KernelError::Length { .. })));
    assert!(matches!(fourier.run(&[0; 32], &[4], 1, &mut [0; 32], &pool), Err(KernelError::Axis { .. })));
    assert!("both".parse::<Norm>().unwrap_err().to_string().contains("backward, ortho, forward"));
}
