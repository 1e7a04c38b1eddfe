//! The grammar of `--codec`, both ways: text to [`CodecSpec`] and back.
//!
//! `none`, `zstd[:LEVEL]`, `gzip[:LEVEL]`, `deflate[:LEVEL]`, `blosc[:CNAME[:LEVEL[:SHUFFLE]]]` with SHUFFLE one of
//! `none`, `shuffle`, `bitshuffle`; then `+shuffle`, `+crc32c` or `+fletcher32`. Invariant: parsing what
//! [`codec_text`] gives gives the same codec. Called by the command line and by `info`.

use crate::error::{Error, Result};
use blockwise_io::CodecSpec;
use blockwise_io::container::{BloscShuffle, Compressor};

/// The compressors blosc frames may name.
const BLOSC_NAMES: [&str; 5] = ["lz4", "lz4hc", "blosclz", "zstd", "zlib"];

/// The codec that `text` names.
///
/// ```
/// use blockwise::codec_text::{codec_text, parse_codec};
/// let codec = parse_codec("blosc:zstd:3:shuffle")?;
/// assert_eq!(codec_text(&codec), "blosc:zstd:3:shuffle");
/// assert_eq!(codec_text(&parse_codec("deflate+shuffle+fletcher32")?), "deflate:4+shuffle+crc32c");
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If it does not follow the grammar, or a level is out of its range.
pub fn parse_codec(text: &str) -> Result<CodecSpec> {
    let wrong = |why: String| Error::Argument { what: "codec", text: text.to_owned(), why };
    let mut stages = text.trim().split('+');
    let mut parts = stages.next().unwrap_or("").split(':');
    let name = parts.next().unwrap_or("").trim();
    let arguments: Vec<&str> = parts.map(str::trim).collect();
    let level = |at: usize, low: i32, high: i32, default: i32| match arguments.get(at) {
        None => Ok(default),
        Some(given) => given
            .parse::<i32>()
            .ok()
            .filter(|level| (low..=high).contains(level))
            .ok_or_else(|| wrong(format!("the level of {name} is {low} to {high}, not '{given}'"))),
    };
    let most = |count: usize| match arguments.get(count) {
        Some(extra) => Err(wrong(format!("'{extra}' is one argument too many for {name}"))),
        None => Ok(()),
    };
    let compressor = match name {
        "none" => {
            most(0)?;
            Compressor::None
        }
        "zstd" => {
            most(1)?;
            Compressor::Zstd { level: level(0, 1, 22, 1)? }
        }
        "gzip" => {
            most(1)?;
            Compressor::Gzip { level: level(0, 0, 9, 4)?.unsigned_abs() }
        }
        "deflate" => {
            most(1)?;
            Compressor::Deflate { level: level(0, 0, 9, 4)?.unsigned_abs() }
        }
        "blosc" => {
            most(3)?;
            let cname = arguments.first().copied().unwrap_or("lz4");
            if !BLOSC_NAMES.contains(&cname) {
                return Err(wrong(format!("blosc knows {}, not '{cname}'", BLOSC_NAMES.join(", "))));
            }
            let shuffle = match arguments.get(2).copied().unwrap_or("shuffle") {
                "none" | "noshuffle" => BloscShuffle::None,
                "shuffle" => BloscShuffle::Byte,
                "bitshuffle" => BloscShuffle::Bit,
                other => {
                    return Err(wrong(format!(
                        "blosc's shuffle is none, shuffle or bitshuffle, not '{other}'"
                    )));
                }
            };
            Compressor::Blosc { cname: cname.to_owned(), level: level(1, 0, 9, 5)?.unsigned_abs(), shuffle }
        }
        other => {
            return Err(wrong(format!(
                "there is no compressor '{other}'; use none, zstd[:LEVEL], gzip[:LEVEL], \
                 blosc[:CNAME[:LEVEL[:SHUFFLE]]] or deflate[:LEVEL]"
            )));
        }
    };
    let mut codec = CodecSpec { compressor, shuffle: false, checksum: false };
    for stage in stages {
        match stage.trim() {
            "shuffle" => codec.shuffle = true,
            "crc32c" | "fletcher32" => codec.checksum = true,
            other => {
                return Err(wrong(format!("'+{other}' is none of +shuffle, +crc32c and +fletcher32")));
            }
        }
    }
    Ok(codec)
}

/// `codec` in the words of `--codec`.
#[must_use]
pub fn codec_text(codec: &CodecSpec) -> String {
    let mut text = match &codec.compressor {
        Compressor::Zstd { level } => format!("zstd:{level}"),
        Compressor::Gzip { level } => format!("gzip:{level}"),
        Compressor::Deflate { level } => format!("deflate:{level}"),
        Compressor::Blosc { cname, level, shuffle } => {
            let shuffle = match shuffle {
                BloscShuffle::None => "none",
                BloscShuffle::Byte => "shuffle",
                BloscShuffle::Bit => "bitshuffle",
            };
            format!("blosc:{cname}:{level}:{shuffle}")
        }
        _ => "none".to_owned(),
    };
    if codec.shuffle {
        text.push_str("+shuffle");
    }
    if codec.checksum {
        text.push_str("+crc32c");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in [
            "none",
            "zstd:1",
            "zstd:22+crc32c",
            "gzip:9",
            "deflate:1+shuffle",
            "deflate:4+shuffle+crc32c",
            "blosc:lz4:5:shuffle",
            "blosc:zstd:3:bitshuffle",
            "blosc:zlib:0:none",
            "none+shuffle",
        ] {
            assert_eq!(codec_text(&parse_codec(text).unwrap()), text);
        }
        assert_eq!(codec_text(&parse_codec("zstd").unwrap()), "zstd:1");
        assert_eq!(codec_text(&parse_codec("blosc").unwrap()), "blosc:lz4:5:shuffle");
    }

    #[test]
    fn faults_say_what_is_right() {
        for (text, hint) in [
            ("", "there is no compressor ''"),
            ("lzma", "use none, zstd"),
            ("zstd:23", "1 to 22"),
            ("gzip:x", "0 to 9"),
            ("none:1", "one argument too many"),
            ("blosc:snappy", "blosclz"),
            ("blosc:lz4:5:byte", "bitshuffle"),
            ("zstd+md5", "+crc32c"),
        ] {
            let error = parse_codec(text).unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
