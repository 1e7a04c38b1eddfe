//! Promotion beside the full table that NumPy printed (`numpy/promotion.txt`).

use blockwise_kernels::DType;
use blockwise_kernels::promote::{Operand, result_type};

const TABLE: &str = include_str!("numpy/promotion.txt");

fn dtype(name: &str) -> DType {
    if name == "?" { DType::Bool } else { name.parse().unwrap() }
}

#[test]
fn pairs_and_plain_numbers_are_numpys() {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("3 "));
    let heads: Vec<Operand> = lines
        .next()
        .unwrap()
        .split(' ')
        .skip(1)
        .map(|name| match name {
            "int" => Operand::WeakInt,
            "float" => Operand::WeakFloat,
            "complex" => Operand::WeakComplex,
            name => dtype(name).into(),
        })
        .collect();
    let mut compared = 0;
    for line in lines {
        let mut names = line.split(' ');
        let a = Operand::Typed(dtype(names.next().unwrap()));
        for (b, expected) in heads.iter().zip(names) {
            assert_eq!(result_type(&[a, *b]), Some(dtype(expected)), "{a:?} {b:?}");
            assert_eq!(result_type(&[*b, a]), Some(dtype(expected)), "{b:?} {a:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 14 * 17);
}

#[test]
fn triples_are_numpys() {
    let odd: Vec<Vec<DType>> = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("3 "))
        .map(|line| line.split(' ').map(dtype).collect())
        .collect();
    assert_eq!(odd.len(), 14);
    let numpy = DType::ALL.iter().filter(|dtype| **dtype != DType::BF16);
    for &a in numpy.clone() {
        for &b in numpy.clone() {
            for &c in numpy.clone() {
                let pair = result_type(&[a.into(), b.into()]).unwrap();
                let expected = match odd.iter().find(|row| row[..3] == [a, b, c]) {
                    Some(row) => row[3],
                    None => result_type(&[pair.into(), c.into()]).unwrap(),
                };
                assert_eq!(result_type(&[a.into(), b.into(), c.into()]), Some(expected), "{a} {b} {c}");
            }
        }
    }
}

#[test]
fn bfloat16_is_as_narrow_as_float16() {
    let with = |other: DType| result_type(&[DType::BF16.into(), other.into()]);
    for other in [DType::Bool, DType::I8, DType::U8, DType::BF16] {
        assert_eq!(with(other), Some(DType::BF16));
    }
    for other in [DType::I16, DType::U16, DType::F16, DType::F32] {
        assert_eq!(with(other), Some(DType::F32));
    }
    assert_eq!(with(DType::I32), Some(DType::F64));
    assert_eq!(with(DType::C64), Some(DType::C64));
    assert_eq!(result_type(&[DType::BF16.into(), Operand::WeakFloat]), Some(DType::BF16));
}

#[test]
fn plain_numbers_alone_have_pythons_types() {
    assert_eq!(result_type(&[]), None);
    assert_eq!(result_type(&[Operand::WeakInt, Operand::WeakInt]), Some(DType::I64));
    assert_eq!(result_type(&[Operand::WeakInt, Operand::WeakFloat]), Some(DType::F64));
    assert_eq!(result_type(&[Operand::WeakComplex, Operand::WeakInt]), Some(DType::C128));
}
