//! [`StoredParts`]: where arrays that a run reads are stored, and a text that changes when something there does.
//!
//! Invariants: of every file below an array its name, inode, length and time of change are looked at, so that a chunk shows that is
//! renamed into place as well as one that is written over; a walk holds one entry at a time, however many there are. No file is read.
//! Arrays of very many chunks are looked at as wholes: a look at each would take longer than it is worth where files are far away.
//! Called by jobs that can be resumed, on the process that publishes.

use super::Opened;
use blockwise_core::digest::Digest;
use blockwise_core::plan::Resources;
use blockwise_io::{ArrayInfo, Format, NodePath};
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Chunks of an array that are looked at one by one: seconds on a local disk, minutes where every look goes to a server.
const MOST_CHUNKS: u64 = 250_000;

/// What stands beside the chunks of an array.
const DOCUMENTS: [&str; 3] = ["zarr.json", ".zarray", ".zattrs"];

/// Folders that may stand in one another below an array.
const DEPTH_LIMIT: usize = 64;

/// The files and folders of arrays.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredParts {
    label: String,
    /// What is looked at with all below it.
    whole: Vec<PathBuf>,
    /// What is looked at by itself.
    single: Vec<PathBuf>,
}

impl StoredParts {
    /// Where these arrays of a container are stored. Of what lies on a server nothing is known.
    pub(crate) fn of<'a>(opened: &Opened, arrays: impl IntoIterator<Item = &'a NodePath>) -> Self {
        let label = opened.container.label().to_owned();
        let is_zarr = matches!(opened.container.format(), Format::Zarr2 | Format::Zarr3);
        let mut parts = Self { label, ..Self::default() };
        let roots: Vec<PathBuf> = opened.container.paths().into_iter().filter(|root| root.exists()).collect();
        if !is_zarr {
            parts.whole = roots;
            return parts;
        }
        for array in arrays {
            let info = opened.arrays.iter().find(|info| info.path == *array);
            let has_few_chunks = info.and_then(chunk_count).is_some_and(|count| count <= MOST_CHUNKS);
            for root in &roots {
                let folder = array.components().iter().fold(root.to_owned(), |path, name| path.join(name));
                if has_few_chunks {
                    parts.whole.push(folder);
                } else {
                    parts.single.extend(DOCUMENTS.map(|name| folder.join(name)));
                    parts.single.push(folder);
                }
            }
        }
        parts
    }

    /// A text that changes when what is stored there does; without it where nothing is resumed: in plans and in workers.
    pub(crate) fn state(&self, plan_only: bool, resources: &Resources) -> String {
        if plan_only || resources.is_worker() { self.label.clone() } else { self.looked_at() }
    }

    fn looked_at(&self) -> String {
        let mut seen = Seen::default();
        for path in &self.whole {
            seen.look(path);
        }
        for path in &self.single {
            seen.add(path, &path.metadata());
        }
        format!("{}: {} files and folders, {:032x}", self.label, seen.count, seen.sum)
    }
}

/// Files that the chunks of an array are stored in; `None` if 64 bits cannot count them.
fn chunk_count(info: &ArrayInfo) -> Option<u64> {
    let file = info.shard_shape.as_ref().or(info.chunk_shape.as_ref())?;
    info.shape
        .iter()
        .zip(file)
        .try_fold(1_u64, |count, (length, own)| count.checked_mul(length.div_ceil((*own).max(1))))
}

/// What was seen, in whatever order it was found.
#[derive(Default)]
struct Seen {
    count: u64,
    sum: u128,
    /// Folders that were walked, so that links end.
    walked: HashSet<(u64, u64)>,
}

impl Seen {
    /// Takes in what is at `path`, and all below it.
    fn look(&mut self, path: &Path) {
        let mut folders = Vec::new();
        let found = path.metadata();
        self.add(path, &found);
        self.note(path.to_owned(), 0, &found, &mut folders);
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.add(&folder, &Err(error));
                    continue;
                }
            };
            for entry in entries {
                let Ok(entry) = entry else { continue };
                let path = entry.path();
                // Links are followed, as reading may follow them.
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                let found = if is_link { path.metadata() } else { entry.metadata() };
                self.add(&path, &found);
                self.note(path, depth + 1, &found, &mut folders);
            }
        }
    }

    fn note(
        &mut self,
        path: PathBuf,
        depth: usize,
        found: &io::Result<Metadata>,
        folders: &mut Vec<(PathBuf, usize)>,
    ) {
        if let Ok(found) = found
            && found.is_dir()
            && depth <= DEPTH_LIMIT
            && self.walked.insert((found.dev(), found.ino()))
        {
            folders.push((path, depth));
        }
    }

    /// Adds an entry. Numbers of devices are left out: they change when a disk is mounted again.
    fn add(&mut self, path: &Path, found: &io::Result<Metadata>) {
        let mut key = Digest::default();
        match found {
            Ok(found) if found.is_dir() => {
                key.add(&(path, found.ino(), found.mtime(), found.mtime_nsec()));
            }
            Ok(found) => key.add(&(path, found.ino(), found.len(), found.mtime(), found.mtime_nsec())),
            Err(error) => key.add(&(path, error.kind())),
        }
        // A sum, since listings have no order.
        let number = u128::from_str_radix(&key.to_string(), 16).unwrap_or_default();
        self.sum = self.sum.wrapping_add(number);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_that_are_renamed_written_over_added_or_gone_show() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("s/a/c/0")).unwrap();
        fs::create_dir_all(at("s/b")).unwrap();
        fs::write(at("s/a/c/0/0"), b"0").unwrap();
        std::os::unix::fs::symlink(at("s/a"), at("s/a/loop")).unwrap();
        let parts = StoredParts { label: "s".to_owned(), whole: vec![at("s/a")], single: Vec::new() };
        let mut states = vec![parts.looked_at()];
        fs::write(at("s/b/0"), b"another array").unwrap();
        assert_eq!(states, [parts.looked_at()]);
        let mut changed = || {
            let state = parts.looked_at();
            assert!(!states.contains(&state));
            states.push(state);
        };
        fs::write(at("s/a/c/0/0"), b"00").unwrap();
        changed();
        let chunk = fs::File::options().write(true).open(at("s/a/c/0/0")).unwrap();
        chunk.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        changed();
        fs::write(at("new"), b"11").unwrap();
        fs::File::options()
            .write(true)
            .open(at("new"))
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        fs::rename(at("new"), at("s/a/c/0/0")).unwrap();
        changed();
        fs::write(at("s/a/c/0/1"), b"1").unwrap();
        changed();
        fs::remove_file(at("s/a/c/0/0")).unwrap();
        changed();
    }

    #[test]
    fn arrays_of_very_many_chunks_are_looked_at_as_wholes() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("s.zarr");
        for (name, extent) in [("few", 250_000), ("many", 250_001)] {
            fs::create_dir_all(store.join(name)).unwrap();
            let array = format!(
                r#"{{"zarr_format":2,"shape":[{extent}],"chunks":[1],"dtype":"|u1","compressor":null,"fill_value":0,"order":"C","filters":null}}"#
            );
            fs::write(store.join(name).join(".zarray"), array).unwrap();
        }
        fs::write(store.join(".zgroup"), r#"{"zarr_format":2}"#).unwrap();
        let location: crate::Location = store.display().to_string().parse().unwrap();
        let opened = location.open(&blockwise_io::OpenOptions::default()).unwrap();
        let parts = StoredParts::of(&opened, opened.arrays.iter().map(|info| &info.path));
        assert_eq!(parts.whole, [store.join("few")]);
        assert_eq!(parts.single.len(), DOCUMENTS.len() + 1);
        let before = parts.looked_at();
        fs::write(store.join("many/.zattrs"), "{}").unwrap();
        assert_ne!(before, parts.looked_at());
    }
}
