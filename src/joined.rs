//! Several files as one container: `era5_*.nc` is what all the files that match hold, one behind the other.
//!
//! Files are joined along the one dimension in which they differ, in the order of its coordinates, or stacked along a new one
//! where they differ in none. Invariants: nothing is joined that does not mean the same (see [`array`]); of however many files,
//! few are open at once; no element is held that is not asked for, but for coordinates that must be counted anew. Called by
//! [`Location::open`](crate::Location::open).

mod array;
mod axis;
mod files;
mod source;
mod spread;
mod summary;
mod times;
mod trees;

pub(crate) use files::matching;

use crate::error::Result;
use array::{Entry, Place, entries};
use axis::{Joint, joint};
use blockwise_core::Source;
use blockwise_io::{
    ArrayInfo, Container, ElementType, Format, GroupInfo, NodePath, OpenOptions, StoredArray, TextArray,
};
use files::Files;
use source::{JoinedSource, Way};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trees::{Trees, dimension_in};

/// Files that are one container.
pub(crate) struct JoinedFiles {
    label: String,
    format: Format,
    groups: Vec<GroupInfo>,
    files: Arc<Files>,
    entries: Vec<Arc<Entry>>,
}

/// Opens the files `paths`, which the pattern `label` named, as one; a single one as it is.
///
/// # Errors
/// If a file cannot be opened, they differ in more than one dimension, or overlap.
pub(crate) fn open(label: &Path, paths: Vec<PathBuf>, options: &OpenOptions) -> Result<Arc<dyn Container>> {
    if let [only] = paths.as_slice() {
        return Ok(blockwise_io::open::open(only, options)?);
    }
    let label = label.display().to_string();
    let files = Arc::new(Files::new(paths, options));
    let mut trees = Trees::read(&files)?;
    let (joint, order) = joint(&label, &trees, &files)?;
    tracing::debug!("{label}: {} files, {joint:?}", order.len());
    let entries: Vec<_> = entries(&trees, &files, &joint, &order)?.into_iter().map(Arc::new).collect();
    let extent = entries.iter().find_map(|entry| match entry.place {
        Place::Parts { way: Way::Along(axis), .. } => entry.info.shape.get(axis).copied(),
        _ => None,
    });
    let groups = declared(std::mem::take(&mut trees.groups), &joint, extent, order.len() as u64);
    let format = files.file(0)?.container.format();
    Ok(Arc::new(JoinedFiles { label, format, groups, files, entries }))
}

/// Groups whose dimensions have the lengths of the whole.
fn declared(mut groups: Vec<GroupInfo>, joint: &Joint, extent: Option<u64>, files: u64) -> Vec<GroupInfo> {
    match joint {
        Joint::Along(dimension) => {
            for group in &mut groups {
                let path = group.path.clone();
                for (name, length, _) in &mut group.dimensions {
                    if dimension_in(&path, name) == *dimension {
                        *length = extent.unwrap_or(*length);
                    }
                }
            }
        }
        Joint::Stacked(name) => {
            let root = groups.first_mut().filter(|root| !root.dimensions.is_empty());
            root.into_iter().for_each(|root| root.dimensions.push((name.clone(), files, false)));
        }
    }
    groups
}

impl Container for JoinedFiles {
    fn label(&self) -> &str {
        &self.label
    }

    fn format(&self) -> Format {
        self.format
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.files.paths().to_vec()
    }

    fn nodes(&self) -> blockwise_io::Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        Ok((self.groups.clone(), self.entries.iter().map(|entry| entry.info.clone()).collect()))
    }

    fn listed_path(&self, path: &NodePath) -> NodePath {
        self.files.file(0).map_or_else(|_| path.clone(), |file| file.container.listed_path(path))
    }

    fn array(&self, path: &NodePath) -> blockwise_io::Result<Arc<dyn StoredArray>> {
        let path = self.listed_path(path);
        let Some(entry) = self.entries.iter().find(|entry| entry.info.path == path) else {
            let path = crate::location::array_label(&self.label, &path);
            return Err(blockwise_io::Error::NotFound { path, hint: String::new() });
        };
        let (label, files) = (self.label.clone(), Arc::clone(&self.files));
        Ok(Arc::new(JoinedArray { label, files, entry: Arc::clone(entry) }))
    }
}

/// An array of joined files.
struct JoinedArray {
    label: String,
    files: Arc<Files>,
    entry: Arc<Entry>,
}

impl JoinedArray {
    fn refused(&self) -> blockwise_io::Error {
        let path = crate::location::array_label(&self.label, &self.entry.info.path);
        let what = format!("elements of type {} are not read", self.entry.info.element_type);
        blockwise_io::Error::Refused { path, what }
    }

    /// A figure of all parts together.
    fn sum(
        &self,
        of: impl Fn(&dyn StoredArray) -> blockwise_io::Result<(u64, u64)>,
    ) -> blockwise_io::Result<(u64, u64)> {
        let numbers: Vec<usize> = match &self.entry.place {
            Place::Parts { parts, .. } => parts.iter().map(|part| part.file).collect(),
            Place::First => vec![0],
            Place::Memory(_) | Place::Nowhere => Vec::new(),
        };
        numbers.into_iter().try_fold((0_u64, 0_u64), |(stored, all), number| {
            let (own, of_own) = of(&*self.files.file(number)?.container.array(&self.info().path)?)?;
            Ok((stored.saturating_add(own), all.saturating_add(of_own)))
        })
    }
}

impl StoredArray for JoinedArray {
    fn info(&self) -> &ArrayInfo {
        &self.entry.info
    }

    fn source(&self) -> blockwise_io::Result<Arc<dyn Source>> {
        let path = &self.info().path;
        match &self.entry.place {
            Place::First => self.files.source(0, path),
            Place::Memory(source) => Ok(Arc::clone(source)),
            Place::Nowhere => Err(self.refused()),
            Place::Parts { way, parts } => {
                let dtype = self.info().element_type.stream_dtype().ok_or_else(|| self.refused())?;
                let label = crate::location::array_label(&self.label, path);
                let files = Arc::clone(&self.files);
                Ok(Arc::new(JoinedSource::new(label, path.clone(), files, *way, parts.clone(), dtype)?))
            }
        }
    }

    fn stored_chunks(&self) -> blockwise_io::Result<(u64, u64)> {
        self.sum(|array| array.stored_chunks())
    }

    fn stored_bytes(&self) -> blockwise_io::Result<u64> {
        Ok(self.sum(|array| Ok((array.stored_bytes()?, 0)))?.0)
    }

    fn read_texts(&self, limit_bytes: u64) -> blockwise_io::Result<TextArray> {
        let read = |number: usize, limit_bytes: u64| {
            self.files.file(number)?.container.array(&self.info().path)?.read_texts(limit_bytes)
        };
        let (way, parts) = match &self.entry.place {
            Place::First => return read(0, limit_bytes),
            Place::Parts { way, parts } if self.info().element_type == ElementType::Text => (*way, parts),
            _ => return Err(self.refused()),
        };
        let axis = if let Way::Along(axis) = way { axis } else { 0 };
        let mut left = limit_bytes;
        let mut runs: Vec<std::vec::IntoIter<String>> = Vec::with_capacity(parts.len());
        let mut lengths: Vec<usize> = Vec::with_capacity(parts.len());
        let outer: u64 = self.info().shape.iter().take(axis).product();
        for part in parts {
            let texts = read(part.file, left)?.texts;
            left = left.saturating_sub(texts.iter().map(|text| text.len() as u64).sum());
            lengths.push(texts.len() / usize::try_from(outer.max(1)).unwrap_or(usize::MAX));
            runs.push(texts.into_iter());
        }
        let mut texts = Vec::new();
        for _ in 0..outer {
            for (run, length) in runs.iter_mut().zip(&lengths) {
                texts.extend(run.by_ref().take(*length));
            }
        }
        Ok(TextArray { shape: self.info().shape.clone(), texts })
    }
}

#[cfg(test)]
mod tests {
    use crate::location::{Location, StoredParts};
    use crate::machine;
    use crate::store::{StoreOptions, to_npy};
    use blockwise_core::{Array, Session};
    use blockwise_io::OpenOptions;
    use std::path::Path;

    fn plane(folder: &Path, number: i32, value: i32) {
        let plane = Array::from_fn(&[3, 2], move |_| value).unwrap();
        let path = folder.join(format!("p{number}.npy"));
        let options = StoreOptions { overwrite: true, ..StoreOptions::default() };
        to_npy(&Session::with_budget(64 << 20), &plane, path, &options).unwrap();
    }

    #[test]
    fn a_file_that_changed_came_or_went_shows() {
        let folder = tempfile::tempdir().unwrap();
        (9..12).for_each(|number| plane(folder.path(), number, number));
        let location = Location::container(folder.path().join("p*.npy"));
        let state = || {
            let opened = location.open(&OpenOptions::default()).unwrap();
            let parts = StoredParts::of(&opened, opened.arrays.iter().map(|info| &info.path));
            (opened.fingerprint(), parts.state(false, &machine::resources(1 << 30)))
        };
        let before = state();
        assert_eq!(before, state());
        plane(folder.path(), 10, 77);
        let changed = state();
        assert!(before.0 != changed.0 && before.1 != changed.1);
        plane(folder.path(), 12, 12);
        assert_ne!(changed, state());
    }

    #[test]
    fn what_changes_while_it_is_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        (0..100).for_each(|number| plane(folder.path(), number, number));
        let pattern = folder.path().join("p*.npy").display().to_string();
        let stack = crate::open(&pattern).unwrap();
        assert_eq!(stack.sum(..).unwrap().compute::<i64>().unwrap()[[]], 6 * 99 * 50);
        // More files than are open at once, so this one is opened again.
        std::fs::write(folder.path().join("p0.npy"), b"short").unwrap();
        let error = stack.sum(..).unwrap().compute::<i64>().unwrap_err().to_string();
        assert!(error.contains("p0.npy"), "{error}");
    }
}
