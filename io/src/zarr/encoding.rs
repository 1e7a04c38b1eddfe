//! Codec chains of new arrays: from the words of `--codec` to codecs, and from codecs to metadata.
//!
//! Invariant: parsing what [`v2_codecs`] and [`v3_codecs`] say gives the same chain back, so that encoded chunks pass
//! between arrays of equal codecs. Called by the writer.

use crate::codec::{Blosc, BloscCompressor, Chain, Checksum, ChecksumKind, Codec};
use crate::container::{BloscShuffle, CodecSpec, Compressor, Format};
use serde_json::{Value, json};

/// The largest input of a Blosc frame, as C-Blosc has it.
const BLOSC_LIMIT_BYTES: usize = (1 << 31) - 1 - 16;

/// The chain that `spec` asks for, for chunks of `chunk_bytes` made of elements of `element_bytes`.
///
/// # Errors
/// A sentence that says why `format` cannot have it.
pub(crate) fn chain(
    format: Format,
    spec: &CodecSpec,
    element_bytes: usize,
    chunk_bytes: usize,
) -> Result<Chain, String> {
    let mut codecs = Vec::new();
    if spec.shuffle {
        if element_bytes > 255 {
            return Err(format!(
                "a shuffle of elements of {element_bytes} bytes is pointless; leave out +shuffle"
            ));
        }
        codecs.push(Codec::Shuffle { item_bytes: element_bytes });
    }
    let mut own_checksum = false;
    match &spec.compressor {
        Compressor::None => {}
        Compressor::Zstd { level } => {
            own_checksum = spec.checksum && format == Format::Zarr2;
            codecs
                .push(Codec::Zstd { level: in_range("zstd", *level, -131_072, 22)?, checksum: own_checksum });
        }
        Compressor::Gzip { level } => codecs.push(Codec::Gzip { level: in_range("gzip", *level, 0, 9)? }),
        Compressor::Deflate { level } => {
            codecs.push(Codec::Zlib { level: in_range("deflate", *level, 0, 9)? });
        }
        Compressor::Blosc { cname, level, shuffle } => {
            let compressor = BloscCompressor::from_name(cname).ok_or_else(|| {
                format!("blosc has no compressor '{cname}'; use lz4, lz4hc, blosclz, zstd or zlib")
            })?;
            if chunk_bytes > BLOSC_LIMIT_BYTES {
                return Err(format!(
                    "blosc takes at most {BLOSC_LIMIT_BYTES} bytes, a chunk has {chunk_bytes}; use zstd or smaller chunks"
                ));
            }
            codecs.push(Codec::Blosc(Blosc {
                compressor,
                level: u8::try_from(in_range("blosc", *level, 0, 9)?).unwrap_or_default(), // at most 9
                shuffle: *shuffle,
                item_bytes: u8::try_from(element_bytes).unwrap_or(1),
                block_bytes: 0,
            }));
        }
    }
    if spec.checksum && !own_checksum {
        if format == Format::Zarr2 {
            return Err(
                "Zarr v2 has a checksum only within zstd; use zstd+crc32c, or --zarr-format 3".to_owned()
            );
        }
        codecs.push(Codec::Checksum(Checksum { kind: ChecksumKind::Crc32c, at_start: false }));
    }
    Ok(Chain::new(codecs))
}

fn in_range<T: PartialOrd + Copy + std::fmt::Display>(
    codec: &str,
    level: T,
    least: T,
    most: T,
) -> Result<T, String> {
    if level >= least && level <= most {
        return Ok(level);
    }
    Err(format!("{codec} has no level {level}; use {least} to {most}"))
}

/// `filters` and `compressor` of version 2: the last codec is the compressor, those before are filters.
pub(crate) fn v2_codecs(chain: &Chain) -> (Vec<Value>, Option<Value>) {
    let mut all: Vec<Value> = chain.codecs().iter().map(v2_codec).collect();
    // Readers look for a compressor in its place; a lone shuffle is a filter.
    let last_is_filter =
        matches!(chain.codecs().last(), None | Some(Codec::Shuffle { .. } | Codec::Checksum(_)));
    let compressor = if last_is_filter { None } else { all.pop() };
    (all, compressor)
}

fn v2_codec(codec: &Codec) -> Value {
    match codec {
        Codec::Blosc(blosc) => json!({
            "id": "blosc",
            "cname": blosc.compressor.name(),
            "clevel": blosc.level,
            "shuffle": match blosc.shuffle {
                BloscShuffle::None => 0,
                BloscShuffle::Byte => 1,
                BloscShuffle::Bit => 2,
            },
            "blocksize": blosc.block_bytes,
        }),
        Codec::Zstd { level, checksum: false } => json!({"id": "zstd", "level": level}),
        Codec::Zstd { level, checksum: true } => json!({"id": "zstd", "level": level, "checksum": true}),
        Codec::Gzip { level } => json!({"id": "gzip", "level": level}),
        Codec::Zlib { level } => json!({"id": "zlib", "level": level}),
        Codec::Shuffle { item_bytes } => json!({"id": "shuffle", "elementsize": item_bytes}),
        other => json!({"id": other.name()}),
    }
}

/// The codecs from bytes to bytes of version 3.
pub(crate) fn v3_codecs(chain: &Chain) -> Vec<Value> {
    chain.codecs().iter().map(v3_codec).collect()
}

fn v3_codec(codec: &Codec) -> Value {
    let (name, configuration) = match codec {
        Codec::Blosc(blosc) => (
            "blosc",
            json!({
                "cname": blosc.compressor.name(),
                "clevel": blosc.level,
                "shuffle": match blosc.shuffle {
                    BloscShuffle::None => "noshuffle",
                    BloscShuffle::Byte => "shuffle",
                    BloscShuffle::Bit => "bitshuffle",
                },
                "typesize": blosc.item_bytes,
                "blocksize": blosc.block_bytes,
            }),
        ),
        Codec::Zstd { level, checksum } => ("zstd", json!({"level": level, "checksum": checksum})),
        Codec::Gzip { level } => ("gzip", json!({"level": level})),
        Codec::Zlib { level } => ("numcodecs.zlib", json!({"level": level})),
        Codec::Shuffle { item_bytes } => ("numcodecs.shuffle", json!({"elementsize": item_bytes})),
        other => return json!({"name": other.name()}),
    };
    json!({"name": name, "configuration": configuration})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zarr::pipeline::configuration::{Settings, byte_codec};

    /// Every codec that can be asked for.
    fn specs() -> Vec<CodecSpec> {
        let mut compressors = vec![
            Compressor::None,
            Compressor::Zstd { level: 3 },
            Compressor::Gzip { level: 5 },
            Compressor::Deflate { level: 4 },
        ];
        for (cname, shuffle) in
            [("lz4", BloscShuffle::Byte), ("zstd", BloscShuffle::Bit), ("zlib", BloscShuffle::None)]
        {
            compressors.push(Compressor::Blosc { cname: cname.to_owned(), level: 5, shuffle });
        }
        let spec = |(compressor, shuffle, checksum)| CodecSpec { compressor, shuffle, checksum };
        let all = compressors.into_iter().flat_map(|c| {
            [(c.clone(), false, false), (c.clone(), true, false), (c.clone(), false, true), (c, true, true)]
        });
        all.map(spec).collect()
    }

    #[test]
    fn metadata_says_the_same_chain() {
        for spec in specs() {
            for (format, v3) in [(Format::Zarr2, false), (Format::Zarr3, true)] {
                let Ok(chain) = chain(format, &spec, 4, 1000) else {
                    assert!(!v3 && spec.checksum, "{spec:?}");
                    continue;
                };
                let documents = if v3 {
                    v3_codecs(&chain)
                } else {
                    let (filters, compressor) = v2_codecs(&chain);
                    filters.into_iter().chain(compressor).collect()
                };
                let parsed = documents.iter().map(|document| {
                    let map = document.as_object().unwrap();
                    let name = map[if v3 { "name" } else { "id" }].as_str().unwrap();
                    let map =
                        if v3 { map.get("configuration").and_then(Value::as_object) } else { Some(map) };
                    byte_codec(&Settings { path: "p", name, map }, 4, v3).unwrap().unwrap()
                });
                assert_eq!(Chain::new(parsed.collect()), chain, "{spec:?}");
            }
        }
    }

    #[test]
    fn levels_are_checked() {
        let spec = |compressor| CodecSpec { compressor, shuffle: false, checksum: false };
        assert!(chain(Format::Zarr3, &spec(Compressor::Gzip { level: 10 }), 4, 8).is_err());
        assert!(chain(Format::Zarr3, &spec(Compressor::Zstd { level: 23 }), 4, 8).is_err());
        let blosc = Compressor::Blosc { cname: "lz4".to_owned(), level: 5, shuffle: BloscShuffle::None };
        assert!(chain(Format::Zarr3, &spec(blosc), 4, 1 << 31).is_err());
    }
}
