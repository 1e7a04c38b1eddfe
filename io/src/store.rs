//! Stores of bytes by key: the only way in which Zarr reads, be it from a folder or from a server.
//!
//! Invariants: a key is a list of checked components and never leads out of the store; `None` means that the store
//! says there is no such object, every other failure is an error that names it; nothing is allocated before its size
//! was held against a limit. Called by Zarr; [`file::RegularFile`] also by the formats that are one file.

pub mod beneath;
pub mod file;
pub mod folder;
#[cfg(feature = "s3")]
pub mod remote;
pub mod url;

pub use file::RegularFile;
pub use folder::Root;
#[cfg(feature = "s3")]
pub use remote::RemoteStore;

use crate::error::{Error, Result};
use blockwise_kernels::{Buffer, BufferPool};

/// What an entry of a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// An object with bytes.
    File,
    /// Something that has entries itself.
    Folder,
    /// A link to a folder that leaves the store, or to nothing: who looks for nodes would miss what is behind it.
    StrayLink,
    /// A pipe, a device, or a link to a file out of the store: never read.
    Other,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last component of its key.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its bytes, where the listing says so for free.
    pub len_bytes: Option<u64>,
}

/// Whether a listing goes on.
pub type Visit = std::ops::ControlFlow<()>;

/// Bytes by key. Keys are components joined by slashes, without a leading one; `""` is the root folder.
///
/// # Contract
/// All methods may be called from many threads at once. `Ok(None)` means that the store positively has no such object
/// (a file system's `ENOENT`, HTTP's 404); a folder where an object was asked for, missing rights, a broken
/// connection are errors, so that no lost chunk is taken for an absent one.
pub trait ByteStore: Send + Sync {
    /// What people call it: the path or URL it was opened by.
    fn label(&self) -> &str;

    /// The whole object.
    ///
    /// # Errors
    /// [`Error::Limit`] if it has more than `limit_bytes`; else as the contract says.
    fn get(&self, key: &str, limit_bytes: u64, pool: &BufferPool) -> Result<Option<Buffer>>;

    /// `len_bytes` bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the object ends before; else as the contract says.
    fn get_range(
        &self,
        key: &str,
        offset: u64,
        len_bytes: usize,
        pool: &BufferPool,
    ) -> Result<Option<Buffer>>;

    /// The folder whose files the objects are, if so: parts of one are then read at little cost.
    fn folder(&self) -> Option<&Root> {
        None
    }

    /// Bytes of the object.
    ///
    /// # Errors
    /// As the contract says.
    fn len(&self, key: &str) -> Result<Option<u64>>;

    /// Calls `visit` with each entry of `folder`, in no particular order, without holding them all. A folder that is
    /// not there has no entries.
    ///
    /// # Errors
    /// As the contract says, and what `visit` returns.
    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry) -> Result<Visit>) -> Result<()>;

    /// What tells `folder` from every other one, where the store has such a thing: device and inode. Walks use it to
    /// see that a link leads back.
    ///
    /// # Errors
    /// As the contract says.
    fn identity(&self, folder: &str) -> Result<Option<(u64, u64)>> {
        let _ = folder;
        Ok(None)
    }

    /// Whether there is such an object.
    ///
    /// # Errors
    /// As the contract says.
    fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.len(key)?.is_some())
    }
}

/// Folders that may stand in one another below a walked one.
const WALK_DEPTH: usize = 64;

/// Calls `visit` with the key and, where known, the length of every file below `folder`, at any depth.
///
/// # Errors
/// As [`ByteStore::list`]; [`Error::Limit`] for folders nested deeper than 64.
pub fn walk(
    store: &dyn ByteStore,
    folder: &str,
    visit: &mut dyn FnMut(&str, Option<u64>) -> Result<()>,
) -> Result<()> {
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > WALK_DEPTH {
            let path = format!("{}/{folder}", store.label());
            let size = depth.to_string();
            return Err(Error::Limit { path, what: "folder depth", size, limit: WALK_DEPTH as u64 });
        }
        store.list(&folder, &mut |entry| {
            let key = join(&folder, &entry.name);
            match entry.kind {
                EntryKind::File => visit(&key, entry.len_bytes)?,
                EntryKind::Folder => folders.push((key, depth + 1)),
                EntryKind::StrayLink | EntryKind::Other => {}
            }
            Ok(Visit::Continue(()))
        })?;
    }
    Ok(())
}

/// The key of `name` in `folder`.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Refuses keys that could lead out of a store.
///
/// # Errors
/// [`Error::UnsafePath`] if a component is empty, `.` or `..`, or a NUL is in it. `""` is fine: the root.
pub fn check_key(label: &str, key: &str) -> Result<()> {
    let safe = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if key.is_empty() || key.split('/').all(safe) {
        return Ok(());
    }
    Err(Error::UnsafePath { path: format!("{label}/{key}"), why: "this name could lead out of the store" })
}

/// `len_bytes` as a size in memory, at most `limit_bytes`.
pub(crate) fn checked_len(path: impl FnOnce() -> String, len_bytes: u64, limit_bytes: u64) -> Result<usize> {
    match usize::try_from(len_bytes) {
        Ok(len) if len_bytes <= limit_bytes => Ok(len),
        _ => {
            let size = format!("{len_bytes} bytes");
            Err(Error::Limit { path: path(), what: "object", size, limit: limit_bytes })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_climb_are_refused() {
        for key in ["", "a", "a/b.c/..d", "c/0/0", "..."] {
            assert!(check_key("s", key).is_ok(), "{key}");
        }
        for key in ["..", "a/../b", "/a", "a/", "a//b", "./a", "a\0b"] {
            assert!(matches!(check_key("s", key), Err(Error::UnsafePath { .. })), "{key}");
        }
    }
}
