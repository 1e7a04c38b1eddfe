//! [`SideFile`]: what a run writes beside its output, where `--report` and `--trace` say.
//!
//! Invariants: a file that is no report or trace of ours is never replaced, neither at the start nor by a run that made it; until
//! its text is whole it has another name. Called by [`crate::progress`].

use blockwise::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How reports and traces of ours begin.
const OURS: [&str; 3] = [
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>arrayctl ",
    "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[",
    "{\"traceEvents\":[",
];

/// Files that make a folder a Zarr store, or a part of one.
const STORE_FILES: [&str; 5] = ["zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"];

/// A file that will be there once the run is over.
pub(crate) struct SideFile {
    path: PathBuf,
    /// What takes the text; renamed at the end, unless the path is a device or a pipe.
    partial: Option<NamedTempFile>,
}

impl SideFile {
    /// A file beside `path`, which becomes that when it is [`finished`](Self::finish).
    ///
    /// # Errors
    /// If a file of others is there, `path` lies in a store, or nothing can be written there.
    pub(crate) fn beside(path: &Path) -> Result<Self> {
        if is_device(path) {
            return Ok(Self { path: path.to_owned(), partial: None });
        }
        may_replace(path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if let Some(store) = store_above(folder) {
            let what = format!("lies in the store {}; give a file outside of it", store.display());
            return Err(refused(path, what));
        }
        // As any new file: for all whom the umask leaves.
        let permissions = fs::Permissions::from_mode(0o666);
        let partial =
            tempfile::Builder::new().prefix(".blockwise-").permissions(permissions).tempfile_in(folder);
        Ok(Self { path: path.to_owned(), partial: Some(partial.map_err(|why| unwritable(path, &why))?) })
    }

    /// Writes the text and gives the file its name.
    ///
    /// # Errors
    /// If that fails, or another file took its place meanwhile.
    pub(crate) fn finish(self, text: &str) -> Result<()> {
        let Self { path, partial } = self;
        let failed = |why: io::Error| unwritable(&path, &why);
        let Some(mut partial) = partial else {
            let mut device = File::options().write(true).open(&path).map_err(failed)?;
            return device.write_all(text.as_bytes()).map_err(failed);
        };
        partial.write_all(text.as_bytes()).map_err(failed)?;
        may_replace(&path)?;
        partial.persist(&path).map(drop).map_err(|error| failed(error.error))
    }
}

/// Whether `path` is there and is neither a file nor a folder.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Refuses a path where something of others is.
fn may_replace(path: &Path) -> Result<()> {
    let longest = OURS.iter().map(|text| text.len()).max().unwrap_or(0);
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(longest as u64).read_to_end(&mut start)) {
        Ok(_) if start.is_empty() || OURS.iter().any(|ours| start.starts_with(ours.as_bytes())) => Ok(()),
        Ok(_) => {
            let what = "exists and is no report or trace of arrayctl, so it is not replaced; give another file, or delete it";
            Err(refused(path, what.to_owned()))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(unwritable(path, &why)),
    }
}

/// The innermost store that `folder` is or lies in.
fn store_above(folder: &Path) -> Option<PathBuf> {
    let folder = fs::canonicalize(folder).ok()?;
    let is_store = |folder: &&Path| STORE_FILES.iter().any(|name| folder.join(name).is_file());
    folder.ancestors().find(is_store).map(Path::to_owned)
}

fn refused(path: &Path, what: String) -> Error {
    Error::Refused { path: path.display().to_string(), what }
}

fn unwritable(path: &Path, why: &io::Error) -> Error {
    let what = format!("cannot be written: {why}; give another file");
    Error::Usage { path: path.display().to_string(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("era.nc"), b"CDF\x01 data").unwrap();
        let text = SideFile::beside(&path("era.nc")).map(drop).unwrap_err().to_string();
        assert!(text.contains("is not replaced"), "{text}");

        // What the run itself puts there stays too.
        let late = SideFile::beside(&path("out.npy")).unwrap();
        fs::write(path("out.npy"), b"\x93NUMPY").unwrap();
        assert!(late.finish("{\"traceEvents\":[").is_err());
        assert_eq!(fs::read(path("out.npy")).unwrap(), b"\x93NUMPY");

        fs::create_dir_all(path("in.zarr/x")).unwrap();
        fs::write(path("in.zarr/zarr.json"), b"{}").unwrap();
        let text = SideFile::beside(&path("in.zarr/x/report.html")).map(drop).unwrap_err().to_string();
        assert!(text.contains("lies in the store"), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no partial file is left");
    }

    #[test]
    fn own_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        for text in OURS {
            SideFile::beside(&path).unwrap().finish(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let recorder = blockwise::record::Recorder::new();
        for text in [recorder.report_html("arrayctl convert"), recorder.trace_json()] {
            assert!(OURS.iter().any(|ours| text.starts_with(ours)), "{text:.100}");
        }
    }
}
