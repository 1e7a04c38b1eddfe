//! Attributes as h5py (HDF5) and netCDF4-python (NetCDF-4) write them.
//!
//! Invariants: numbers keep their dtype; what is encoded can be written without a further check. NetCDF: ASCII texts
//! are `char` (fixed-length strings), others `string`; numbers are lists of at least one; lists of none have no
//! extent. HDF5: texts are UTF-8 of any length, a number is a scalar. Called by the writer.

use super::elements::Stored;
use super::library::{Extent, Failure, Handle, Library};
use crate::attribute::AttributeValue;
use crate::container::Format;
use blockwise_kernels::{DType, Scalar};
use std::ffi::CString;

/// Names that NetCDF-4 keeps for itself.
const RESERVED: [&str; 7] = [
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
];

/// An attribute ready to be written.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    name: String,
    value: EncodedValue,
}

#[derive(Clone, Debug)]
enum EncodedValue {
    /// Elements of a fixed size.
    Numbers { stored: Stored, extent: Extent, bytes: Vec<u8> },
    /// One string of fixed length.
    FixedText { bytes: Vec<u8>, utf8: bool },
    /// The empty `char` attribute of NetCDF.
    NoText,
    /// Texts of any length.
    Texts { extent: Extent, texts: Vec<CString> },
}

impl Encoded {
    /// Encodes `value`; the refusal says why and what to do.
    pub(super) fn new(name: &str, value: &AttributeValue, format: Format) -> Result<Self, String> {
        if RESERVED.contains(&name) {
            return Err(format!(
                "the attribute {name} is one that {format} files keep for themselves; rename it"
            ));
        }
        if name.contains('\0') {
            return Err(format!("the attribute name {name:?} holds a NUL byte; rename it"));
        }
        let value = match value {
            AttributeValue::Text(text) => Self::text(text, format),
            AttributeValue::Texts(texts) => {
                let texts =
                    texts.iter().map(|text| CString::new(text.as_str())).collect::<Result<Vec<_>, _>>();
                let texts =
                    texts.map_err(|_| format!("a text of attribute {name} holds a NUL byte; remove it"))?;
                let extent = if texts.is_empty() && format == Format::NetCdf4 {
                    Extent::Null
                } else {
                    Extent::List(texts.len())
                };
                EncodedValue::Texts { extent, texts }
            }
            AttributeValue::Number(number) => {
                let extent = if format == Format::NetCdf4 { Extent::List(1) } else { Extent::Scalar };
                Self::numbers(name, number.dtype(), &[*number], extent, format)?
            }
            AttributeValue::Numbers(dtype, numbers) => {
                let none = numbers.is_empty() && format == Format::NetCdf4;
                let extent = if none { Extent::Null } else { Extent::List(numbers.len()) };
                Self::numbers(name, *dtype, numbers, extent, format)?
            }
            AttributeValue::Json(json) => {
                tracing::warn!(
                    attribute = name,
                    "{format} has no such attributes: it is kept as its JSON text"
                );
                Self::text(&json.to_string(), format)
            }
        };
        Ok(Self { name: name.to_owned(), value })
    }

    /// A scalar of the machine's `int`, for NetCDF's own attributes.
    pub(super) fn int(name: &str, value: i32) -> Self {
        Self::ints_with(name, Extent::Scalar, &[value])
    }

    /// A list of the machine's `int`, for NetCDF's own attributes.
    pub(super) fn ints(name: &str, values: &[i32]) -> Self {
        Self::ints_with(name, Extent::List(values.len()), values)
    }

    fn ints_with(name: &str, extent: Extent, values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let value = EncodedValue::Numbers { stored: Stored::Number(DType::I32), extent, bytes };
        Self { name: name.to_owned(), value }
    }

    /// A NUL-terminated ASCII string of fixed length, for the conventions' own attributes.
    pub(super) fn terminated(name: &str, text: &str) -> Self {
        let bytes = text.bytes().chain([0]).collect();
        Self { name: name.to_owned(), value: EncodedValue::FixedText { bytes, utf8: !text.is_ascii() } }
    }

    /// A string of fixed length without a terminator, as NetCDF's library writes them.
    pub(super) fn unterminated(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), value: Self::text(text, Format::NetCdf4) }
    }

    /// A list of texts.
    pub(super) fn texts(name: &str, texts: Vec<CString>) -> Self {
        let extent = Extent::List(texts.len());
        Self { name: name.to_owned(), value: EncodedValue::Texts { extent, texts } }
    }

    fn text(text: &str, format: Format) -> EncodedValue {
        if format == Format::NetCdf4 {
            if text.is_empty() {
                return EncodedValue::NoText;
            }
            if text.is_ascii() {
                return EncodedValue::FixedText { bytes: text.as_bytes().to_vec(), utf8: false };
            }
        }
        match CString::new(text) {
            Ok(c_text) => {
                let extent = if format == Format::NetCdf4 { Extent::List(1) } else { Extent::Scalar };
                EncodedValue::Texts { extent, texts: vec![c_text] }
            }
            // A NUL within: only strings of fixed length keep it.
            Err(_) => EncodedValue::FixedText { bytes: text.as_bytes().to_vec(), utf8: !text.is_ascii() },
        }
    }

    fn numbers(
        name: &str,
        dtype: DType,
        numbers: &[Scalar],
        extent: Extent,
        format: Format,
    ) -> Result<EncodedValue, String> {
        let single = dtype == DType::BF16 || (dtype == DType::F16 && format == Format::NetCdf4);
        // Every half is exactly a single.
        let target = if single { DType::F32 } else { dtype };
        let stored = Stored::number(target, format).map_err(|why| format!("attribute {name}: {why}"))?;
        let mut bytes = Vec::with_capacity(numbers.len() * target.size());
        for number in numbers {
            let number = super::elements::converted(number, target).ok_or_else(|| {
                format!("attribute {name} mixes {} with {dtype}; give it one type", number.dtype())
            })?;
            bytes.extend_from_slice(number.bytes());
        }
        Ok(EncodedValue::Numbers { stored, extent, bytes })
    }

    /// Bytes that the attribute may add to the file.
    pub(super) fn size_bytes(&self) -> u64 {
        let content = match &self.value {
            EncodedValue::Numbers { bytes, .. } | EncodedValue::FixedText { bytes, .. } => bytes.len(),
            EncodedValue::NoText => 0,
            EncodedValue::Texts { texts, .. } => texts.iter().map(|text| text.as_bytes().len() + 64).sum(),
        };
        (content + self.name.len() + 512) as u64 * 2
    }

    /// Writes the attribute to `object`.
    pub(super) fn write(&self, library: &Library, object: &Handle) -> Result<(), Failure> {
        match &self.value {
            EncodedValue::Numbers { stored, extent, bytes } => {
                library.write_attribute(object, &self.name, &stored.create(library)?, *extent, bytes)
            }
            EncodedValue::FixedText { bytes, utf8 } => {
                let element = library.fixed_text(bytes.len(), false, *utf8)?;
                library.write_attribute(object, &self.name, &element, Extent::Scalar, bytes)
            }
            EncodedValue::NoText => {
                let element = library.fixed_text(1, false, false)?;
                library.write_attribute(object, &self.name, &element, Extent::Scalar, &[0])
            }
            EncodedValue::Texts { extent, texts } => {
                library.write_text_attribute(object, &self.name, *extent, texts)
            }
        }
    }
}
