//! The files that a pattern names, in the order of their names, and those of them that are open.
//!
//! Invariants: of however many files there are, few are open at once; one that is opened again is the file that it was.
//! Called by [`super`] and by sources that lie in several files.

use crate::error::{Error, Result};
use blockwise_core::Source;
use blockwise_io::store::url::url_of;
use blockwise_io::{ArrayInfo, Container, GroupInfo, NodePath, OpenOptions};
use glob::{MatchOptions, glob_with};
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Files that a pattern may name.
const MOST_FILES: usize = 100_000;

/// Files that are open at once: few beside what a process may open, enough for those that run side by side.
const MOST_OPEN: usize = 64;

/// What an open file may hold of its indexes, at least.
const LEAST_CACHE_BYTES: u64 = 512 << 10;

/// The files that `path` names if it is a pattern; `None` if it names one file, folder or URL. What exists under the very name
/// is meant by it.
///
/// # Errors
/// If the text is no pattern, a folder cannot be read, or no file matches, or too many.
pub(crate) fn matching(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some(text) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else { return Ok(None) };
    if url_of(path).is_some() || path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let rules = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob_with(text, rules).map_err(|error| Error::Argument {
        what: "pattern of files",
        text: text.to_owned(),
        why: format!("{error}; use * for any text, ? for one character, [abc] for one of several"),
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| Error::Os {
            path: error.path().display().to_string(),
            action: "list",
            source: error.into(),
        })?;
        if paths.len() == MOST_FILES {
            let what = format!("more than {MOST_FILES} files match; join some of them at a time");
            return Err(Error::Refused { path: text.to_owned(), what });
        }
        paths.push(path);
    }
    if paths.is_empty() {
        let hint = ", and none that matches it as a pattern".to_owned();
        return Err(blockwise_io::Error::NotFound { path: text.to_owned(), hint }.into());
    }
    paths.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(Some(paths))
}

/// The order of names in which 2 stands before 10.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (own, own_rest) = first_run(left);
        let (other, other_rest) = first_run(right);
        let both_are_numbers = own.starts_with(is_digit) && other.starts_with(is_digit);
        let order = if both_are_numbers {
            let (own, other) = (own.trim_start_matches('0'), other.trim_start_matches('0'));
            own.len().cmp(&other.len()).then_with(|| own.cmp(other))
        } else {
            own.cmp(other)
        };
        if order != Ordering::Equal {
            return order;
        }
        if own.is_empty() {
            return a.cmp(b); // numbers with more zeros in front
        }
        (left, right) = (own_rest, other_rest);
    }
}

const fn is_digit(letter: char) -> bool {
    letter.is_ascii_digit()
}

/// The digits that `text` starts with, or what stands before the first digit; and the rest.
fn first_run(text: &str) -> (&str, &str) {
    let is_number = text.starts_with(is_digit);
    let end = text.find(|letter| is_digit(letter) != is_number).unwrap_or(text.len());
    text.split_at(end)
}

/// Files, of which those that were used last are open.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    options: OpenOptions,
    stamps: Vec<Option<Stamp>>,
    open: Mutex<VecDeque<(usize, Arc<OpenFile>)>>,
}

/// Length and time of change of a file; of a folder nothing is known so easily.
type Stamp = (u64, Option<SystemTime>);

/// One of them.
pub(super) struct OpenFile {
    pub(super) container: Arc<dyn Container>,
    sources: Mutex<HashMap<NodePath, Arc<dyn Source>>>,
}

impl Files {
    pub(super) fn new(paths: Vec<PathBuf>, options: &OpenOptions) -> Self {
        let open_at_once = paths.len().clamp(1, MOST_OPEN) as u64;
        let cache_bytes = (options.cache_bytes / open_at_once).max(LEAST_CACHE_BYTES);
        let options = OpenOptions { cache_bytes, ..options.clone() };
        let stamps = paths.iter().map(|path| stamp(path)).collect();
        Self { paths, options, stamps, open: Mutex::default() }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What people call a file: its name without the folders.
    pub(super) fn name(&self, number: usize) -> String {
        let name = self.paths.get(number).and_then(|path| path.file_name());
        name.unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The file `number`, open.
    pub(super) fn file(&self, number: usize) -> blockwise_io::Result<Arc<OpenFile>> {
        if let Some(found) = self.known(number) {
            return Ok(found);
        }
        if self.options.cancellation.is_cancelled() {
            return Err(blockwise_core::Error::Cancelled.into());
        }
        let path = self.paths.get(number).map(PathBuf::as_path).unwrap_or(Path::new(""));
        let container = blockwise_io::open::open(path, &self.options)?;
        if self.stamps.get(number).is_some_and(|known| *known != stamp(path)) {
            let what = "the file was changed while it was read".to_owned();
            let remedy = "; run again when nobody writes to it";
            return Err(blockwise_io::Error::Corrupt { path: path.display().to_string(), what, remedy });
        }
        let file = Arc::new(OpenFile { container, sources: Mutex::default() });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back((number, Arc::clone(&file)));
        if open.len() > MOST_OPEN {
            open.pop_front();
        }
        Ok(file)
    }

    fn known(&self, number: usize) -> Option<Arc<OpenFile>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|(other, _)| *other == number)?;
        let entry = open.remove(at)?;
        let file = Arc::clone(&entry.1);
        open.push_back(entry);
        Some(file)
    }

    /// Groups and arrays of the file `number`.
    pub(super) fn nodes(&self, number: usize) -> blockwise_io::Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        self.file(number)?.container.nodes()
    }

    /// The chunks of an array of the file `number`.
    pub(super) fn source(&self, number: usize, path: &NodePath) -> blockwise_io::Result<Arc<dyn Source>> {
        let file = self.file(number)?;
        let mut sources = file.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(path) {
            return Ok(Arc::clone(source));
        }
        let source = file.container.array(path)?.source()?;
        sources.insert(path.clone(), Arc::clone(&source));
        Ok(source)
    }

    /// Files that may be open at once.
    pub(super) fn open_at_once(&self) -> u64 {
        self.paths.len().min(MOST_OPEN) as u64
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((metadata.len(), metadata.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names =
            ["b", "a10", "a2", "a02", "a", "a2b10", "a2b9", "era5_1999_12.nc", "era5_1999_2.nc", "10", "9"];
        names.sort_by(|a, b| natural_order(a, b));
        let sorted =
            ["9", "10", "a", "a02", "a2", "a2b9", "a2b10", "a10", "b", "era5_1999_2.nc", "era5_1999_12.nc"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn patterns_name_what_matches_and_names_what_exists() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        for name in ["x_2.nc", "x_10.nc", ".x_3.nc", "sub/x_4.nc", "odd[1].nc"] {
            fs::write(at(name), b"").unwrap();
        }
        assert_eq!(matching(&at("x_*.nc")).unwrap().unwrap(), [at("x_2.nc"), at("x_10.nc")]);
        assert_eq!(matching(&at("*/x_?.nc")).unwrap().unwrap(), [at("sub/x_4.nc")]);
        assert_eq!(matching(&at("odd[1].nc")).unwrap(), None);
        assert_eq!(matching(&at("x_2.nc")).unwrap(), None);
        assert_eq!(matching(Path::new("s3://bucket/*.zarr")).unwrap(), None);
        let missing = matching(&at("y*.nc")).unwrap_err();
        assert!(missing.to_string().contains("none that matches"), "{missing}");
        assert!(matching(&at("[")).unwrap_err().to_string().contains("no pattern of files"));
    }
}
