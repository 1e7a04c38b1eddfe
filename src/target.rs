//! Where output goes and what its format can say: the format by extension, codecs that survive, input against output.
//!
//! Invariant: nothing here touches a disk except to ask whether two paths are the same. Called by [`crate::convert`].

use crate::error::{Error, Result};
use crate::transfer::Destination;
use blockwise_io::container::{BloscShuffle, Compressor};
use blockwise_io::publish::{Overlap, overlap};
use blockwise_io::store::url::{shown, url_of};
use blockwise_io::{ArrayInfo, CodecSpec, Format, NodePath};
use std::path::{Path, PathBuf};

/// Format of a new output by its extension: `.zarr`, `.nc`, `.h5`, `.hdf5`, `.npy`, `.tif` or `.tiff`.
///
/// ```
/// use blockwise::{io::Format, target::format_of};
/// assert_eq!(format_of("out.zarr".as_ref(), Some(2))?, Format::Zarr2);
/// assert_eq!(format_of("out.nc".as_ref(), None)?, Format::NetCdf4);
/// assert!(format_of("out.csv".as_ref(), None).is_err());
/// # Ok::<(), blockwise::Error>(())
/// ```
///
/// # Errors
/// If the extension is none of these, or `zarr_version` is neither 2 nor 3 or is given for another format.
pub fn format_of(path: &Path, zarr_version: Option<u8>) -> Result<Format> {
    let usage = |what: &str| Error::Usage { path: path.display().to_string(), what: what.to_owned() };
    let extension =
        path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase();
    let format = match (extension.as_str(), zarr_version) {
        ("zarr", None | Some(3)) => return Ok(Format::Zarr3),
        ("zarr", Some(2)) => return Ok(Format::Zarr2),
        ("zarr", Some(_)) => return Err(usage("Zarr has the formats 2 and 3; use --zarr-format 2 or 3")),
        ("nc" | "nc4", _) => Format::NetCdf4,
        ("h5" | "hdf5", _) => Format::Hdf5,
        ("npy", _) => Format::Npy,
        ("tif" | "tiff", _) => Format::Tiff,
        _ => {
            return Err(usage(
                "the output's format follows its extension; use .zarr, .nc (NetCDF-4), .h5, .hdf5, .npy or .tif",
            ));
        }
    };
    if zarr_version.is_some() { Err(usage("--zarr-format is for outputs named .zarr")) } else { Ok(format) }
}

/// The codec of an output array that was given none: the source's, if it has one that every reader of the target
/// knows; else a fast compressor behind a byte shuffle.
///
/// Zarr gets Zstandard at level 1 with a byte shuffle, as blosc frames, which is the form of it that all Zarr
/// implementations read; HDF5 and NetCDF get `deflate:1+shuffle`, the one that needs no plugin.
#[must_use]
pub fn default_codec(format: Format, source: &ArrayInfo) -> CodecSpec {
    let kept = source.chunk_shape.as_ref().and(source.codec.as_ref());
    if let Some(codec) = kept.and_then(|codec| translated(format, codec)) {
        return codec;
    }
    let plain = CodecSpec { compressor: Compressor::None, shuffle: false, checksum: false };
    match format {
        Format::Zarr2 | Format::Zarr3 => {
            let compressor =
                Compressor::Blosc { cname: "zstd".to_owned(), level: 1, shuffle: BloscShuffle::Byte };
            CodecSpec { compressor, ..plain }
        }
        Format::Hdf5 | Format::NetCdf4 => {
            CodecSpec { compressor: Compressor::Deflate { level: 1 }, shuffle: true, checksum: false }
        }
        _ => plain,
    }
}

/// `codec` as `format` says it without extensions that readers may lack; `None` if it cannot.
fn translated(format: Format, codec: &CodecSpec) -> Option<CodecSpec> {
    let checksum = codec.checksum;
    match (format, &codec.compressor) {
        (
            Format::Zarr3,
            Compressor::None | Compressor::Zstd { .. } | Compressor::Gzip { .. } | Compressor::Blosc { .. },
        ) if !codec.shuffle => Some(codec.clone()),
        (Format::Zarr2, _) if !checksum => Some(codec.clone()),
        (Format::Hdf5 | Format::NetCdf4, Compressor::None) => Some(codec.clone()),
        (Format::Hdf5 | Format::NetCdf4, Compressor::Deflate { level } | Compressor::Gzip { level }) => {
            Some(CodecSpec {
                compressor: Compressor::Deflate { level: *level },
                shuffle: codec.shuffle,
                checksum,
            })
        }
        _ => None,
    }
}

/// Refuses an output that would be written inside the input, or that holds the input, or is a URL.
///
/// Input and output may be the same: the output is built beside it and replaces it, whole, at the end. That nothing of it
/// is lost then is for `check_keeps` to say.
///
/// # Errors
/// [`Error::Refused`] if one lies inside the other; links are followed.
pub fn check_apart(input: &Path, output: &Path) -> Result<()> {
    if let Some(url) = url_of(output) {
        let what = "outputs are not written to servers; write to a local path and upload it".to_owned();
        return Err(Error::Refused { path: shown(url), what });
    }
    if url_of(input).is_some() {
        return Ok(());
    }
    let (what, remedy) = match overlap(output, input)? {
        Overlap::None | Overlap::Same => return Ok(()),
        Overlap::FirstInSecond => ("lies inside the input", "choose a path outside of it"),
        Overlap::SecondInFirst => ("holds the input", "choose a new path, or one beside the input"),
    };
    let what = format!("the output {what} {}; {remedy}", input.display());
    Err(Error::Refused { path: output.display().to_string(), what })
}

/// [`check_apart`] from every file that is read as one input. None of several may be replaced: the others would stay, and the next
/// run would find them joined already.
///
/// # Errors
/// As [`check_apart`]; if the output is one of several inputs.
pub(crate) fn check_apart_from(inputs: &[PathBuf], output: &Path) -> Result<()> {
    for input in inputs {
        check_apart(input, output)?;
        if inputs.len() > 1 && overlap(output, input)? == Overlap::Same {
            let what = "the output is one of the files that are joined; choose a new path".to_owned();
            return Err(Error::Refused { path: output.display().to_string(), what });
        }
    }
    Ok(())
}

/// Arrays that a refusal names; the rest are counted.
const NAMED: usize = 4;

/// Refuses an output that would replace its own input, the container at `input`, and leave out some of the `arrays` there:
/// all that is not `kept`.
///
/// # Errors
/// [`Error::Refused`] with the names of arrays that would be gone.
pub(crate) fn check_keeps(
    input: &Path,
    arrays: &[ArrayInfo],
    destination: &Destination,
    kept: impl Fn(&NodePath) -> bool,
) -> Result<()> {
    // Without --overwrite nothing is replaced.
    if !destination.overwrite
        || url_of(input).is_some()
        || overlap(&destination.path, input)? != Overlap::Same
    {
        return Ok(());
    }
    let lost: Vec<String> =
        arrays.iter().filter(|array| !kept(&array.path)).map(|array| array.path.to_string()).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let named = lost.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = lost.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = format!(
        "the output would replace its own input, of which it leaves out {named}{more}; write to a new path, or take all of \
         the container along"
    );
    Err(Error::Refused { path: destination.path.display().to_string(), what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{ConvertOptions, convert};
    use crate::evaluate::{EvalInput, EvalOptions, Evaluation, OutputRequest};
    use crate::select::Selection;
    use crate::store::{StoreOptions, to_zarr};
    use blockwise_core::{Array, DType, Session};
    use std::fs;

    #[test]
    fn an_input_is_not_replaced_by_a_part_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two.zarr");
        let (session, ones) = (Session::with_budget(1 << 24), Array::ones(&[4], DType::F32).unwrap());
        to_zarr(&session, &[(&ones, "a"), (&ones, "b")], &path, &StoreOptions::default()).unwrap();
        let destination = Destination { overwrite: true, ..Destination::new(&path).unwrap() };
        let of = |location: &str, selection: Selection| {
            let options = ConvertOptions { selection, plan_only: true, ..ConvertOptions::default() };
            let source = format!("{}{location}", path.display()).parse().unwrap();
            convert(&source, &destination, &options, session.resources()).map(|_| ())
        };
        for refused in [of("::a", Selection::default()), of("", Selection::new(&["a"], &[]).unwrap())] {
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("leaves out b;"), "{text}");
        }
        of("", Selection::default()).unwrap();

        let input =
            EvalInput { name: "x".to_owned(), location: format!("{}::a", path.display()).parse().unwrap() };
        let options = EvalOptions { plan_only: true, ..EvalOptions::default() };
        let job = Evaluation::open("a = x * 2", &[input], &options).unwrap();
        let requests = [OutputRequest { name: None, destination: destination.clone() }];
        let text = job.store(&requests, session.resources()).map(|_| ()).unwrap_err().to_string();
        assert!(text.contains("leaves out b;"), "{text}");
    }

    #[test]
    fn formats_by_extension() {
        assert_eq!(format_of("a/B.ZARR".as_ref(), None).unwrap(), Format::Zarr3);
        assert_eq!(format_of("x.hdf5".as_ref(), None).unwrap(), Format::Hdf5);
        assert!(format_of("x.nc".as_ref(), Some(2)).unwrap_err().to_string().contains("--zarr-format"));
        assert!(format_of("x.zarr".as_ref(), Some(4)).is_err());
        assert!(format_of("x".as_ref(), None).unwrap_err().to_string().contains(".npy"));
    }

    #[test]
    fn outputs_inside_inputs_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.zarr");
        fs::create_dir_all(input.join("x")).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&input, &link).unwrap();
        assert!(check_apart(&input, &input).is_ok());
        assert!(check_apart(&input, &folder.path().join("out.zarr")).is_ok());
        assert!(check_apart(&input, &link).is_ok());
        assert!(check_apart(&input, &link.join("y/z.zarr")).unwrap_err().to_string().contains("lies inside"));
        assert!(check_apart(&input.join("x"), &link).unwrap_err().to_string().contains("holds the input"));
    }

    #[test]
    fn outputs_on_servers_are_refused() {
        for url in ["s3://bucket/out.zarr", "https://me:geheim@host/out.zarr"] {
            let text = check_apart("in.zarr".as_ref(), url.as_ref()).unwrap_err().to_string();
            assert!(text.contains("not written to servers") && !text.contains("geheim"), "{text}");
        }
        assert!(check_apart("s3://bucket/in.zarr".as_ref(), "out.zarr".as_ref()).is_ok());
    }

    #[test]
    fn codecs_that_survive() {
        let shuffled =
            CodecSpec { compressor: Compressor::Deflate { level: 6 }, shuffle: true, checksum: false };
        assert_eq!(translated(Format::NetCdf4, &shuffled), Some(shuffled.clone()));
        assert_eq!(translated(Format::Zarr3, &shuffled), None);
        assert_eq!(translated(Format::Zarr2, &shuffled), Some(shuffled));
        let zstd = CodecSpec { compressor: Compressor::Zstd { level: 3 }, shuffle: false, checksum: true };
        assert_eq!(translated(Format::Zarr3, &zstd), Some(zstd.clone()));
        assert_eq!(translated(Format::NetCdf4, &zstd), None);
    }
}
