//! Codecs by their names and configurations in metadata: Zarr v3's own, numcodecs' in both versions.
//!
//! Invariant: parameters are held against their ranges here, so that a codec of ours always has valid ones; a name
//! that is not known is refused by that name. Called by the pipeline parsers.

use super::ItemFilter;
use crate::codec::{Blosc, BloscCompressor, Checksum, ChecksumKind, Codec};
use crate::container::BloscShuffle;
use crate::error::Result;
use crate::zarr::element::StoredType;
use crate::zarr::json::{corrupt, excerpt, unsupported};
use blockwise_kernels::DType;
use serde_json::{Map, Value};

/// A codec's configuration with what messages need.
pub(crate) struct Settings<'a> {
    /// The document.
    pub(crate) path: &'a str,
    /// The codec's name there.
    pub(crate) name: &'a str,
    /// Its parameters.
    pub(crate) map: Option<&'a Map<String, Value>>,
}

impl Settings<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.map?.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, value: &Value) -> crate::Error {
        corrupt(self.path, format!("codec '{}': '{key}' is {}, out of range", self.name, excerpt(value)))
    }

    /// A whole number within `range`.
    fn integer(&self, key: &str, default: i64, range: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_i64().filter(|number| range.contains(number)).ok_or_else(|| self.wrong(key, value))
    }

    fn level(&self, key: &str, default: i64, most: i64) -> Result<u32> {
        let level = self.integer(key, default, 0..=most)?;
        Ok(u32::try_from(level).unwrap_or_default()) // within 0..=most
    }

    fn flag(&self, key: &str) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(key, value))
    }

    fn float(&self, key: &str) -> Result<f64> {
        let value = self.get(key).ok_or_else(|| {
            corrupt(self.path, format!("codec '{}': the parameter '{key}' is missing", self.name))
        })?;
        value.as_f64().ok_or_else(|| self.wrong(key, value))
    }

    /// A NumPy or Zarr type name; the byte order must be the machine's or none.
    fn dtype(&self, key: &str) -> Result<Option<DType>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let Some(dtype) = DType::ALL.iter().find(|dtype| value.as_str() == Some(dtype.name())) {
            return Ok(Some(*dtype));
        }
        let (stored, big) = StoredType::parse_v2(self.path, value, false)?;
        match stored.items {
            Some(items) if items.run.is_none() && !big => Ok(Some(items.dtype)),
            _ => {
                Err(unsupported(self.path, format!("codec '{}' with '{key}' {}", self.name, excerpt(value))))
            }
        }
    }
}

/// The codec from bytes to bytes that `settings` names; `None` if there is none of that name. `item_bytes` is the
/// size of an item where numcodecs takes it from the array.
///
/// # Errors
/// If a parameter is out of range.
pub(crate) fn byte_codec(settings: &Settings<'_>, item_bytes: usize, v3: bool) -> Result<Option<Codec>> {
    let (own, foreign) = match settings.name.strip_prefix("numcodecs.") {
        Some(id) if v3 => (id, true),
        _ => (settings.name, !v3),
    };
    let checksum = |kind, start_by_default: bool| {
        let at_start = match settings.get("location").and_then(Value::as_str) {
            Some("start") => true,
            Some("end") => false,
            _ => start_by_default && foreign,
        };
        Codec::Checksum(Checksum { kind, at_start })
    };
    Ok(Some(match own {
        "blosc" => Codec::Blosc(blosc(settings, item_bytes, v3 && !foreign)?),
        "zstd" => {
            let level = settings.integer("level", 0, -131_072..=22)?;
            Codec::Zstd {
                level: i32::try_from(level).unwrap_or_default(),
                checksum: settings.flag("checksum")?,
            }
        }
        "gzip" => Codec::Gzip { level: settings.level("level", 1, 9)? },
        "zlib" => Codec::Zlib { level: settings.level("level", 1, 9)? },
        "bz2" => Codec::Bzip2 { level: settings.level("level", 1, 9)?.max(1) },
        "lz4" => Codec::Lz4,
        "shuffle" => {
            let size = settings.integer("elementsize", 4, 1..=65_535)?;
            Codec::Shuffle { item_bytes: usize::try_from(size).unwrap_or(1) }
        }
        "crc32c" => checksum(ChecksumKind::Crc32c, false),
        "crc32" if foreign => checksum(ChecksumKind::Crc32, true),
        "adler32" if foreign => checksum(ChecksumKind::Adler32, true),
        "fletcher32" => checksum(ChecksumKind::Fletcher32, false),
        _ => return Ok(None),
    }))
}

fn blosc(settings: &Settings<'_>, item_bytes: usize, v3: bool) -> Result<Blosc> {
    let name = settings.get("cname").and_then(Value::as_str).unwrap_or("lz4");
    let compressor = BloscCompressor::from_name(name)
        .ok_or_else(|| unsupported(settings.path, format!("codec 'blosc' with the compressor '{name}'")))?;
    let level = settings.integer("clevel", 5, 0..=9)?;
    let level = u8::try_from(level).unwrap_or_default();
    // The frame has one byte for the size; larger items count as bytes, as in C-Blosc.
    let byte_size = |size: usize| u8::try_from(size).ok().filter(|size| *size > 0).unwrap_or(1);
    let item_bytes = if v3 {
        let size = settings.integer("typesize", 1, 1..=i64::from(i32::MAX))?;
        byte_size(usize::try_from(size).unwrap_or(1))
    } else {
        byte_size(item_bytes)
    };
    let shuffle = match settings.get("shuffle") {
        None => BloscShuffle::Byte,
        Some(Value::String(text)) if text == "noshuffle" => BloscShuffle::None,
        Some(Value::String(text)) if text == "shuffle" => BloscShuffle::Byte,
        Some(Value::String(text)) if text == "bitshuffle" => BloscShuffle::Bit,
        Some(value) => match value.as_i64() {
            Some(0) => BloscShuffle::None,
            Some(1) => BloscShuffle::Byte,
            Some(2) => BloscShuffle::Bit,
            Some(-1) if item_bytes == 1 => BloscShuffle::Bit,
            Some(-1) => BloscShuffle::Byte,
            _ => return Err(settings.wrong("shuffle", value)),
        },
    };
    let block_bytes = settings.integer("blocksize", 0, 0..=i64::from(i32::MAX))?;
    let block_bytes = u32::try_from(block_bytes).unwrap_or_default();
    Ok(Blosc { compressor, level, shuffle, item_bytes, block_bytes })
}

/// What a name that is no codec from bytes to bytes may be.
pub(crate) enum ItemStep {
    /// A filter.
    Filter(ItemFilter),
    /// A codec that decodes to what is there (`bitround`, which only rounds when encoding).
    Nothing,
}

/// The filter on items that `settings` names; `None` if there is none of that name. `dtype` is that of its input.
///
/// # Errors
/// If a parameter is missing or wrong.
pub(crate) fn item_filter(settings: &Settings<'_>, dtype: DType) -> Result<Option<ItemStep>> {
    let id = settings.name.strip_prefix("numcodecs.").unwrap_or(settings.name);
    let filter = match id {
        "bitround" => return Ok(Some(ItemStep::Nothing)),
        "delta" => ItemFilter::Delta { dtype, stored: settings.dtype("astype")?.unwrap_or(dtype) },
        "fixedscaleoffset" => ItemFilter::FixedScaleOffset {
            scale: settings.float("scale")?,
            offset: settings.float("offset")?,
            dtype,
            stored: settings.dtype("astype")?.unwrap_or(dtype),
        },
        "quantize" => ItemFilter::Cast { dtype, stored: settings.dtype("astype")?.unwrap_or(dtype) },
        "astype" => {
            let stored = settings.dtype("encode_dtype")?.unwrap_or(dtype);
            ItemFilter::Cast { dtype: settings.dtype("decode_dtype")?.unwrap_or(dtype), stored }
        }
        _ => return Ok(None),
    };
    let declared = settings.dtype("dtype")?.unwrap_or(dtype);
    if declared != dtype || filter.dtype() != dtype {
        let what = format!("codec '{}' on {dtype} declared as {declared}", settings.name);
        return Err(unsupported(settings.path, what));
    }
    Ok(Some(ItemStep::Filter(filter)))
}
