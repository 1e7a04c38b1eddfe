//! Putting a finished payload in its place.
//!
//! Invariants: what is replaced is what stood there when the run began, and nothing that appeared or changed since; what came
//! out of an exchange is looked at before anyone may remove it; whatever fails, the old output, the new one and what others put
//! there are kept. Called by [`super::Publication`].

use super::disk::{self, io_error};
use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What an output that is replaced is called in the partial folder, on file systems that cannot exchange two names.
pub(super) const REPLACED_NAME: &str = "replaced";

/// What tells a file or folder from others, also from those that have its inode after it is gone, and shows that entries of a
/// folder changed. The device is not part of it: it is the partial folder's, and numbers of devices change when they are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    inode: u64,
    modified_secs: i64,
    modified_nanos: i64,
}

impl Stamp {
    /// The stamp of `path` itself, not of what a link leads to; `None` if there is nothing.
    pub(super) fn of(path: &Path) -> Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(Self {
                inode: found.ino(),
                modified_secs: found.mtime(),
                modified_nanos: found.mtime_nsec(),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, "stat", error, 0)),
        }
    }

    /// The stamp of `path`, which must be there.
    pub(super) fn of_present(path: &Path) -> Result<Self> {
        let missing = || Error::NotFound { path: path.display().to_string(), hint: String::new() };
        Self::of(path)?.ok_or_else(missing)
    }

    /// Whether both are of one file or folder, changed or not. A rename may change times on some file systems.
    pub(super) const fn is_same(self, other: Self) -> bool {
        self.inode == other.inode
    }
}

/// Renames `payload` to `destination`, in one step; what stood there, `before`, is left in `folder`.
pub(super) fn put(
    payload: &Path,
    destination: &Path,
    folder: &Path,
    before: Option<Stamp>,
    overwrite: bool,
) -> Result<()> {
    if disk::rename_new(payload, destination)? {
        return Ok(());
    }
    if !overwrite {
        return Err(Error::Exists { path: destination.display().to_string() });
    }
    let changed = || changed(destination, folder);
    let before = before.ok_or_else(changed)?;
    if Stamp::of(destination)? != Some(before) {
        return Err(changed());
    }
    if disk::exchange(payload, destination)? {
        // Something else may have come between the look and the exchange.
        if Stamp::of(payload)?.is_some_and(|found| found.is_same(before)) {
            return Ok(());
        }
        return Err(if disk::exchange(payload, destination)? { changed() } else { stuck(payload) });
    }
    // No exchange on this file system: for a moment there is nothing at the destination.
    let replaced = folder.join(REPLACED_NAME);
    disk::remove_all(&replaced)?; // of an earlier attempt, which had looked at it
    fs::rename(destination, &replaced).map_err(|error| io_error(destination, "rename", error, 0))?;
    let outcome = match Stamp::of(&replaced)? {
        Some(found) if found.is_same(before) => disk::rename_new(payload, destination),
        _ => Ok(false),
    };
    if let Ok(true) = outcome {
        return Ok(());
    }
    if !disk::rename_new(&replaced, destination)? {
        return Err(stuck(&replaced));
    }
    outcome.and(Err(changed()))
}

fn changed(destination: &Path, folder: &Path) -> Error {
    let what = format!(
        "this appeared or changed after the run began, so it is not replaced; the finished output is kept in {}: move away what is here, or let it be replaced, and run the same command again with --resume",
        folder.display()
    );
    Error::Refused { path: destination.display().to_string(), what }
}

/// Several programs put something at the destination at once.
fn stuck(kept: &Path) -> Error {
    let what = "others changed the output while it was replaced; what stood there is kept here: move it to where it belongs";
    Error::Refused { path: kept.display().to_string(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_there_at_the_beginning_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let partial = at("partial");
        fs::create_dir(&partial).unwrap();
        let payload = partial.join("out");
        let publish = |before| put(&payload, &at("out"), &partial, before, true);
        fs::write(&payload, b"new").unwrap();
        fs::write(at("out"), b"theirs").unwrap();
        // It appeared, it is another one, it was changed.
        assert!(publish(None).unwrap_err().to_string().contains("--resume"));
        fs::write(at("old"), b"old").unwrap();
        assert!(publish(Stamp::of(&at("old")).unwrap()).is_err());
        let before = Stamp::of(&at("out")).unwrap();
        let file = fs::File::options().write(true).open(at("out")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert!(publish(before).is_err());
        assert_eq!(
            (fs::read(at("out")).unwrap(), fs::read(&payload).unwrap()),
            (b"theirs".into(), b"new".into())
        );
        publish(Stamp::of(&at("out")).unwrap()).unwrap();
        assert_eq!(
            (fs::read(at("out")).unwrap(), fs::read(&payload).unwrap()),
            (b"new".into(), b"theirs".into())
        );
        // What went away needs no replacing.
        fs::remove_file(at("out")).unwrap();
        publish(before).unwrap();
        assert_eq!(fs::read(at("out")).unwrap(), b"theirs");
    }
}
