//! HDF5 datatypes as element types, and how stored bytes become elements.
//!
//! Invariants: a type is taken for a number only if its stored description says exactly that (precision, exponent,
//! bias); everything else is `Other` by name, never a guess. Called by the tree walk, attributes and sources.

use crate::container::ElementType;
use crate::error::{Error, Result};
use blockwise_kernels::{DType, Scalar, byteswap};
use hdf5_reader::error::ByteOrder;
use hdf5_reader::messages::datatype::{Datatype, StringSize, VarLenKind};

/// How one stored element looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ItemType {
    /// What it is.
    pub(super) element: ElementType,
    /// Bytes of one element in the file.
    pub(super) item_bytes: u32,
    /// Bytes of each number in it whose order is to be reversed; 1 if none is.
    pub(super) swap_bytes: usize,
}

/// An enum of these over `int8` is what h5py writes for booleans.
const BOOL_MEMBERS: [(&str, u8); 2] = [("FALSE", 0), ("TRUE", 1)];

/// Properties of a float type as stored: bit offset, precision, exponent and mantissa place and size, bias.
const FLOATS: [(DType, [u8; 12]); 4] = [
    (DType::F16, [0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0]),
    (DType::BF16, [0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0]),
    (DType::F32, [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0]),
    (DType::F64, [0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0]),
];

impl ItemType {
    /// Translates `datatype`, whose elements take `item_bytes` in the file and whose stored description is `raw`.
    pub(super) fn new(datatype: &Datatype, raw: &[u8], item_bytes: u32) -> Self {
        let (element, swap_bytes) = number(datatype, raw)
            .map_or_else(|| (not_a_number(datatype), 1), |(d, s)| (ElementType::Number(d), s));
        Self { element, item_bytes, swap_bytes }
    }

    /// The dtype and the number of trailing bytes that one element streams as; `None` if it does not stream.
    pub(super) const fn stream_dtype(&self) -> Option<DType> {
        self.element.stream_dtype()
    }

    /// Brings stored bytes into machine order and checks booleans.
    ///
    /// # Errors
    /// If a boolean is neither 0 nor 1; `path` is named.
    pub(super) fn to_native(&self, bytes: &mut [u8], path: &str) -> Result<()> {
        swapped(bytes, self.swap_bytes, path)?;
        if self.element == ElementType::Number(DType::Bool)
            && let Some(bad) = bytes.iter().find(|byte| **byte > 1)
        {
            return Err(Error::Corrupt {
                path: path.to_owned(),
                what: format!("a boolean has the value {bad}, which its enum type does not name"),
                remedy: "",
            });
        }
        Ok(())
    }

    /// The scalar that `bytes` hold, stored as one element.
    pub(super) fn scalar(&self, bytes: &[u8]) -> Option<Scalar> {
        let ElementType::Number(dtype) = self.element else { return None };
        let mut native = bytes.get(..dtype.size())?.to_vec();
        byteswap::swap(&mut native, self.swap_bytes).ok()?;
        Scalar::from_bytes(dtype, &native)
    }
}

/// Reverses every number of `unit_bytes`.
fn swapped(bytes: &mut [u8], unit_bytes: usize, path: &str) -> Result<()> {
    byteswap::swap(bytes, unit_bytes).map_err(|error| Error::Corrupt {
        path: path.to_owned(),
        what: error.to_string(),
        remedy: "",
    })
}

/// dtype and bytes to swap at a time, if the type is a number.
fn number(datatype: &Datatype, raw: &[u8]) -> Option<(DType, usize)> {
    match datatype {
        Datatype::FixedPoint { size, signed, byte_order } => {
            let dtype = match (size, signed) {
                (1, true) => DType::I8,
                (2, true) => DType::I16,
                (4, true) => DType::I32,
                (8, true) => DType::I64,
                (1, false) => DType::U8,
                (2, false) => DType::U16,
                (4, false) => DType::U32,
                (8, false) => DType::U64,
                _ => return None,
            };
            // Bit offset 0 and all bits in use; anything else is a packed integer.
            (raw.get(8..12)? == [0, 0, size.checked_mul(8)?, 0]).then_some((dtype, swap(dtype, *byte_order)))
        }
        Datatype::FloatingPoint { size, byte_order } => {
            let is_vax = raw.get(1)? & 0x40 != 0;
            let has_hidden_bit = (raw.get(1)? >> 4) & 3 == 2;
            let (dtype, _) = FLOATS.iter().find(|(dtype, properties)| {
                dtype.size() == usize::from(*size) && raw.get(8..20) == Some(properties)
            })?;
            let sign_at_top = usize::from(*raw.get(2)?) + 1 == dtype.size() * 8;
            (!is_vax && has_hidden_bit && sign_at_top).then_some((*dtype, swap(*dtype, *byte_order)))
        }
        Datatype::Enum { base, members } => {
            let (dtype, width) = number(base, raw.get(8..)?)?;
            let is_bool = dtype == DType::I8
                && members.len() == BOOL_MEMBERS.len()
                && BOOL_MEMBERS.iter().all(|(name, value)| {
                    members.iter().any(|member| member.name == *name && member.value == [*value])
                });
            Some((if is_bool { DType::Bool } else { dtype }, width))
        }
        Datatype::Compound { size, fields } => {
            let [real, imaginary] = fields.as_slice() else { return None };
            let Datatype::FloatingPoint { size: part_bytes, byte_order } = &real.datatype else {
                return None;
            };
            let is_complex = real.name == "r"
                && imaginary.name == "i"
                && real.datatype == imaginary.datatype
                && real.byte_offset == 0
                && imaginary.byte_offset == u32::from(*part_bytes)
                && *size == 2 * u32::from(*part_bytes);
            let (part, dtype) = match part_bytes {
                4 => (DType::F32, DType::C64),
                8 => (DType::F64, DType::C128),
                _ => return None,
            };
            let (_, properties) = FLOATS.iter().find(|(dtype, _)| *dtype == part)?;
            let described = raw.windows(properties.len()).filter(|window| window == properties).count();
            (is_complex && described == 2).then_some((dtype, swap(part, *byte_order)))
        }
        _ => None,
    }
}

fn swap(part: DType, order: ByteOrder) -> usize {
    let is_native = (order == ByteOrder::LittleEndian) == cfg!(target_endian = "little");
    if is_native { 1 } else { part.size() }
}

/// The element type of what is no number.
fn not_a_number(datatype: &Datatype) -> ElementType {
    ElementType::Other(match datatype {
        Datatype::String { size: StringSize::Fixed(len_bytes), .. } => {
            return ElementType::FixedBytes { len_bytes: u64::from(*len_bytes) };
        }
        Datatype::VarLen { kind: VarLenKind::String, base, .. } if base.is_vlen_string_base() => {
            return ElementType::Text;
        }
        Datatype::FixedPoint { size, signed, .. } => {
            format!("{}-byte {} integer with unused bits", size, if *signed { "signed" } else { "unsigned" })
        }
        Datatype::FloatingPoint { size, .. } => format!("{size}-byte float of an unusual form"),
        Datatype::String { .. } => "string".to_owned(),
        Datatype::Compound { fields, .. } => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            format!("compound {{{}}}", names.join(", "))
        }
        Datatype::Array { base, dims } => format!("array {dims:?} of {}", not_a_number_name(base)),
        Datatype::Enum { base, .. } => format!("enum of {}", not_a_number_name(base)),
        Datatype::VarLen { base, .. } => format!("variable-length list of {}", not_a_number_name(base)),
        Datatype::Opaque { size, tag } if tag.is_empty() => format!("{size} opaque bytes"),
        Datatype::Opaque { size, tag } => format!("{size} opaque bytes ({tag})"),
        Datatype::Reference { .. } => "reference".to_owned(),
        Datatype::Bitfield { size, .. } => format!("{size}-byte bitfield"),
    })
}

fn not_a_number_name(datatype: &Datatype) -> String {
    match datatype {
        Datatype::FixedPoint { size, signed, .. } => {
            format!("{}int{}", if *signed { "" } else { "u" }, u32::from(*size) * 8)
        }
        Datatype::FloatingPoint { size, .. } => format!("float{}", u32::from(*size) * 8),
        other => not_a_number(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32_raw() -> Vec<u8> {
        let mut raw = vec![0x11, 0x20, 31, 0, 4, 0, 0, 0];
        raw.extend(FLOATS[2].1);
        raw
    }

    #[test]
    fn floats_are_told_apart_by_their_description() {
        let datatype = Datatype::FloatingPoint { size: 4, byte_order: ByteOrder::BigEndian };
        let item = ItemType::new(&datatype, &f32_raw(), 4);
        assert_eq!((item.element.clone(), item.swap_bytes), (ElementType::Number(DType::F32), 4));
        assert_eq!(item.scalar(&1.5_f32.to_be_bytes()), Some(Scalar::from(1.5_f32)));
        for (at, value) in [(9, 1), (12, 22), (16, 100), (1, 0x60), (1, 0), (2, 30)] {
            let mut raw = f32_raw();
            raw[at] = value;
            assert!(matches!(ItemType::new(&datatype, &raw, 4).element, ElementType::Other(_)), "{at}");
        }
    }

    #[test]
    fn integers_with_unused_bits_are_no_numbers() {
        let datatype = Datatype::FixedPoint { size: 2, signed: true, byte_order: ByteOrder::LittleEndian };
        let raw = [0x10, 8, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0];
        assert_eq!(ItemType::new(&datatype, &raw, 2).element, ElementType::Number(DType::I16));
        let raw = [0x10, 8, 0, 0, 2, 0, 0, 0, 0, 0, 12, 0];
        assert!(matches!(ItemType::new(&datatype, &raw, 2).element, ElementType::Other(_)));
    }

    #[test]
    fn odd_booleans_are_refused() {
        let item = ItemType { element: ElementType::Number(DType::Bool), item_bytes: 1, swap_bytes: 1 };
        assert!(item.to_native(&mut [0, 1, 1], "x").is_ok());
        assert!(item.to_native(&mut [0, 2], "x").unwrap_err().to_string().contains("value 2"));
    }
}
