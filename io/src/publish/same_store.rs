//! [`StoreState`]: whether a store is still the one that an update was made for.
//!
//! Invariants: a store that took the place of another is told from it by its inode and the time it was made, and by the documents
//! on the way to what the update writes: each must be what it was, or, where the update replaces it, what it becomes. Called by
//! [`super::Update`].

use super::disk::io_error;
use super::update::DOCUMENTS;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Longest document that is read to know it again; of longer ones this much is.
const DOCUMENT_BYTES: u64 = 256 << 20;

/// A store as an update found it.
#[derive(Debug, Default)]
pub(super) struct StoreState {
    pub(super) inode: u64,
    /// When its folder was made, in nanoseconds since 1970, where the file system knows.
    pub(super) made_nanos: Option<u128>,
    /// Checksums of documents before and after the update, by key; `None`: there is none, or the update does not write it.
    pub(super) documents: BTreeMap<String, (Option<u32>, Option<u32>)>,
}

impl StoreState {
    /// The state of the store at `destination`, into which `written` (objects and documents) is about to be renamed from `payload`.
    pub(super) fn of(destination: &Path, payload: &Path, written: &[Vec<PathBuf>; 2]) -> Result<Self> {
        let (inode, made_nanos) = folder_identity(destination)?;
        let mut documents = BTreeMap::new();
        let mut seen = HashSet::new();
        let [_, new] = written;
        for key in written.iter().flatten() {
            let mut at = PathBuf::new();
            let mut names = key.parent().unwrap_or(Path::new("")).components();
            loop {
                if seen.insert(at.clone()) {
                    for name in DOCUMENTS {
                        let document = at.join(name);
                        if let Some(checksum) = checksum(&destination.join(&document))? {
                            documents.insert(text(&document)?, (Some(checksum), None));
                        }
                    }
                }
                match names.next() {
                    Some(name) => at.push(name),
                    None => break,
                }
            }
        }
        for key in new {
            let after = checksum(&payload.join(key))?;
            documents.entry(text(key)?).or_default().1 = after;
        }
        Ok(Self { inode, made_nanos, documents })
    }

    /// Whether it is this store that is at `destination`, with none, some or all of the update in it.
    pub(super) fn is_at(&self, destination: &Path) -> Result<bool> {
        if !destination.is_dir() || folder_identity(destination)? != (self.inode, self.made_nanos) {
            return Ok(false);
        }
        for (key, (before, after)) in &self.documents {
            crate::store::check_key(&destination.display().to_string(), key)?;
            let found = checksum(&destination.join(key))?;
            if found != *before && (after.is_none() || found != *after) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn folder_identity(folder: &Path) -> Result<(u64, Option<u128>)> {
    let found = fs::metadata(folder).map_err(|error| io_error(folder, "stat", error, 0))?;
    let made = found.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    Ok((found.ino(), made.map(|made| made.as_nanos())))
}

/// Checksum of a file; `None` if there is none.
fn checksum(path: &Path) -> Result<Option<u32>> {
    let failed = |error| io_error(path, "read", error, 0);
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(DOCUMENT_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(crc32c::crc32c(&bytes)))
}

/// A key as text, which all keys of a format are.
fn text(key: &Path) -> Result<String> {
    let text = key.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::UnsafePath { path: key.display().to_string(), why: "this name is no text" })
}
