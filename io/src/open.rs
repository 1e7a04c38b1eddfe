//! Opening by content and creating by format: the one place that knows every format.
//!
//! Invariants: what a file is called means nothing, what it begins with does; nothing but a regular file or a folder
//! is ever opened. Called by the facade.

use crate::container::{Container, ContainerWriter, Format, OpenOptions};
use crate::error::{Error, Result};
use crate::publish::PartialFolder;
use crate::store::url::{shown, url_of};
use crate::store::{RegularFile, Root};
use crate::{hdf5, netcdf, npy, raw, tiff, zarr};
use std::path::Path;
use std::sync::Arc;

/// Opens the file, folder or URL at `path` in whatever format its content is. Where the options give dtype and shape of a
/// raw file, it is one. From servers only Zarr is read, and only by builds with the feature `s3`.
///
/// ```
/// use blockwise_io::{Format, OpenOptions, open};
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("misnamed.nc");
/// let header = b"\x93NUMPY\x01\0\x3e\0{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }    \n";
/// std::fs::write(&path, [&header[..], &[1, 2, 3]].concat()).unwrap();
/// let container = open::open(&path, &OpenOptions::default())?;
/// assert_eq!(container.format(), Format::Npy);
/// assert_eq!(container.nodes()?.1[0].shape, [3]);
/// # Ok::<(), blockwise_io::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFound`]; [`Error::UnsafePath`] for pipes and devices; [`Error::Unsupported`] if the content is of no
/// format that is read here; else what the format finds wrong.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Arc<dyn Container>> {
    if let Some(url) = url_of(path) {
        return open_url(url, options);
    }
    if let (Some(dtype), Some(shape)) = (options.raw_dtype, &options.raw_shape) {
        return raw::open(path, dtype, shape);
    }
    if path.is_dir() {
        return zarr::open(Arc::new(Root::open(path, options.follow_symlinks)?), options);
    }
    let file = RegularFile::open(path)?;
    match detect(&file)? {
        Some(Format::Npy) => npy::open(path),
        Some(Format::Hdf5) => Ok(Arc::new(hdf5::open_file(Arc::new(file), options)?)),
        Some(Format::NetCdfClassic) => Ok(Arc::new(netcdf::open_file(Arc::new(file), options)?)),
        Some(Format::Tiff) => Ok(Arc::new(tiff::open_file(&Arc::new(file), options)?)),
        _ => Err(unknown(&file)),
    }
}

/// Opens the Zarr store at `url`.
#[cfg(feature = "s3")]
fn open_url(url: &str, options: &OpenOptions) -> Result<Arc<dyn Container>> {
    if options.raw_dtype.is_some() || options.raw_shape.is_some() {
        let what = "raw bytes are not read from servers; download the file first".to_owned();
        return Err(Error::Refused { path: shown(url), what });
    }
    let store = crate::store::RemoteStore::open(url, &options.cancellation)?;
    match zarr::open(Arc::new(store), options) {
        Err(Error::NotFound { path, hint }) => {
            let hint =
                format!("{hint}, and of servers only Zarr is read; download files of other formats first");
            Err(Error::NotFound { path, hint })
        }
        other => other,
    }
}

#[cfg(not(feature = "s3"))]
fn open_url(url: &str, _options: &OpenOptions) -> Result<Arc<dyn Container>> {
    let what = "reading from servers by this build".to_owned();
    Err(Error::Unsupported { path: shown(url), what, remedy: "; build it with `--features s3`" })
}

/// The format of a file by what it begins with. HDF5's signature may also stand at 512, 1024, 2048 …
fn detect(file: &RegularFile) -> Result<Option<Format>> {
    let start = bytes_at(file, 0)?;
    if start.starts_with(&npy::SIGNATURE) {
        return Ok(Some(Format::Npy));
    }
    if start.starts_with(b"CDF") {
        return Ok(Some(Format::NetCdfClassic));
    }
    if tiff::is_tiff(&start) {
        return Ok(Some(Format::Tiff));
    }
    let mut offset = 0;
    while offset < file.len_bytes() {
        if bytes_at(file, offset)? == hdf5::SIGNATURE {
            return Ok(Some(Format::Hdf5));
        }
        offset = (offset * 2).max(512);
    }
    Ok(None)
}

/// The eight bytes at `offset`; zeros where the file ends before.
fn bytes_at(file: &RegularFile, offset: u64) -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    let len = file.len_bytes().saturating_sub(offset).min(8);
    let place = bytes.get_mut(..usize::try_from(len).unwrap_or(8)).unwrap_or_default();
    file.read_exact_at(offset, place)?;
    Ok(bytes)
}

/// The error for a file of no format that is read here, with a hint where it is another known one.
fn unknown(file: &RegularFile) -> Error {
    let path = file.label().to_owned();
    let start = bytes_at(file, 0).unwrap_or_default();
    let (what, remedy) = match &start {
        _ if file.len_bytes() == 0 => ("an empty file", "; it was never written, or cut short"),
        [b'P', b'K', 3 | 5, ..] => ("a zip archive", "; unpack it first"),
        [0x1f, 0x8b, ..] => ("a gzip file", "; unpack it first (gunzip)"),
        [b'G', b'R', b'I', b'B', ..] => {
            ("GRIB", "; convert it to NetCDF first, with eccodes' grib_to_netcdf or cdo")
        }
        [b'{', ..] => ("a JSON file", "; for a Zarr store name the folder that holds it"),
        _ => ("the format of this file", "; to read it as raw bytes give --dtype and --shape"),
    };
    Error::Unsupported { path, what: what.to_owned(), remedy }
}

/// Starts a container of `format` in the partial folder of a publication.
///
/// # Errors
/// [`Error::Refused`] for formats that are not written; else if it cannot be created.
pub fn create(partial: &PartialFolder, format: Format) -> Result<Box<dyn ContainerWriter>> {
    let (path, label) = (partial.payload_path(), partial.label());
    match format {
        Format::Zarr2 | Format::Zarr3 => {
            Ok(Box::new(zarr::ZarrWriter::create(partial.clone(), label, format)?))
        }
        #[cfg(feature = "hdf5-write")]
        Format::Hdf5 | Format::NetCdf4 => {
            remove_leftover(path)?;
            Ok(Box::new(crate::hdf5_write::Hdf5Writer::create(path, label, format)?))
        }
        Format::Npy => Ok(Box::new(npy::NpyWriter::new(path, label))),
        Format::Tiff => Ok(Box::new(tiff::TiffWriter::new(path, label))),
        other => Err(Error::Refused {
            path: label.to_owned(),
            what: format!("{other} is not written; use .zarr, .nc, .h5, .npy or .tif"),
        }),
    }
}

/// Removes the file that an interrupted run left: formats of one file start afresh.
#[cfg(feature = "hdf5-write")]
fn remove_leftover(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::publish::disk::io_error(path, "remove", error, 0))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_says_what_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mut late = vec![0; 2048];
        late.extend(hdf5::SIGNATURE);
        let cases: [(&[u8], Option<Format>); 8] = [
            (b"", None),
            (b"\x93NUM", None),
            (b"\x93NUMPY\x01\0", Some(Format::Npy)),
            (b"CDF\x01\0\0\0\0", Some(Format::NetCdfClassic)),
            (b"II*\0\x08\0\0\0", Some(Format::Tiff)),
            (b"MM\0+\0\x08\0\0", Some(Format::Tiff)),
            (&hdf5::SIGNATURE, Some(Format::Hdf5)),
            (&late, Some(Format::Hdf5)),
        ];
        for (bytes, format) in cases {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(detect(&RegularFile::open(&path).unwrap()).unwrap(), format, "{bytes:?}");
        }
        for bytes in [&b""[..], b"x", b"PK\x03\x04", b"GRIB", b"{\"zarr_format\": 3}"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(
                matches!(open(&path, &OpenOptions::default()), Err(Error::Unsupported { .. })),
                "{bytes:?}"
            );
        }
        let missing = open(&folder.path().join("none"), &OpenOptions::default());
        assert!(matches!(missing, Err(Error::NotFound { .. })));
    }
}
