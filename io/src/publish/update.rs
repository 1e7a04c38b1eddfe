//! Changing a store that is there: everything is written beside it first, then renamed into it object by object.
//!
//! Invariants: nothing of the store is touched before all that will change is computed, written and on the disk; an
//! object is the old one or the new one, never a part; documents are replaced after the objects they speak of, the
//! deepest first, so that a store that grows is as it was until its documents say otherwise. A run that is killed while
//! it renames has left a journal that says that all is there: the next update of the store finishes it, if it is the store that
//! was updated (see [`StoreState`]); one that took its place is never touched. Called by formats of many objects (Zarr) and
//! by the facade.

use super::disk::{io_error, sync_filesystem};
use super::journal::{self, Journal};
use super::lock::RunLock;
use super::place::Stamp;
use super::resume::{partial_folders, remove_partial};
use super::same_store::StoreState;
use super::{
    JOURNAL_NAME, PartialFolder, PublishOptions, Shared, create_partial, file_name, remove_own, resolved,
};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the journals of updates name as their plan; no key of a publication looks so.
pub(super) const PLAN: &str = "update in place";
/// Names of documents.
pub(super) const DOCUMENTS: [&str; 5] = ["zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"];

/// A store that is being changed.
///
/// ```
/// use blockwise_io::publish::Update;
/// # let folder = tempfile::tempdir().unwrap();
/// let store = folder.path().join("store.zarr");
/// std::fs::create_dir(&store).unwrap();
/// std::fs::write(store.join("0"), b"old").unwrap();
/// let update = Update::begin(&store)?;
/// update.partial().put("0", b"new")?;
/// assert_eq!(std::fs::read(store.join("0")).unwrap(), b"old");
/// update.commit()?;
/// assert_eq!(std::fs::read(store.join("0")).unwrap(), b"new");
/// assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
/// # Ok::<(), blockwise_io::Error>(())
/// ```
#[derive(Debug)]
pub struct Update {
    destination: PathBuf,
    partial: PartialFolder,
    lock: RunLock,
}

impl Update {
    /// Prepares to change the store at `destination`, after it finished what a killed run had begun to put in place.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none; [`Error::Refused`] if it is no folder, or another live run writes it.
    pub fn begin(destination: &Path) -> Result<Self> {
        let label = destination.display().to_string();
        let destination = resolved(destination)?;
        match fs::metadata(&destination) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let what =
                    "only stores of many objects are changed in place, and this is one file; write a new one";
                return Err(Error::Refused { path: label, what: what.to_owned() });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let hint = "; write the store first, then change it".to_owned();
                return Err(Error::NotFound { path: label, hint });
            }
            Err(error) => return Err(io_error(&destination, "open", error, 0)),
        }
        let lock = RunLock::acquire(&destination)?;
        settle(&destination)?;
        let folder = create_partial(&destination)?;
        let payload = folder.join(file_name(&destination)?);
        fs::create_dir(&payload).map_err(|error| io_error(&payload, "create", error, 0))?;
        let options = PublishOptions { plan_key: PLAN.to_owned(), ..PublishOptions::default() };
        let journal = Journal::create(&folder.join(JOURNAL_NAME), &options)?;
        let partial = PartialFolder::new(label, folder, payload, journal, super::Part::Alone);
        Ok(Self { destination, partial, lock })
    }

    /// Where objects are written, under the keys that they have in the store.
    #[must_use]
    pub const fn partial(&self) -> &PartialFolder {
        &self.partial
    }

    /// Brings everything to the disk and puts it in its place. While that lasts, readers may meet old and new objects.
    ///
    /// # Errors
    /// If that fails; what is written then stays beside the store, and the next update of it finishes.
    pub fn commit(self) -> Result<()> {
        let Shared { folder, payload, journal, .. } = &*self.partial.shared;
        let prepared = written(payload).and_then(|written| {
            prepare(&written, &self.destination)?;
            StoreState::of(&self.destination, payload, &written)
        });
        let state = match prepared {
            Ok(state) => state,
            Err(error) => {
                self.abandon();
                return Err(error);
            }
        };
        sync_filesystem(folder)?;
        journal.store(&state)?;
        journal.finish(Stamp::of_present(payload)?)?;
        put_in_place(payload, &self.destination)?;
        remove_own(folder, journal)?;
        drop(self.lock);
        Ok(())
    }

    /// Gives up: the store stays as it was, and what was written is gone.
    pub fn abandon(self) {
        let Shared { folder, journal, .. } = &*self.partial.shared;
        if let Err(error) = remove_own(folder, journal) {
            tracing::warn!("{error}; delete that folder");
        }
    }
}

/// An interrupted update that a folder beside a store holds.
enum Left {
    /// It was not complete, so nothing of it is in the store.
    Unfinished,
    /// It was complete, and the store is the one it was made for.
    Complete,
    /// It was complete, but the store is another one, or was changed by others.
    Strange,
}

/// Updates that runs left for `destination`.
fn left(destination: &Path) -> Result<Vec<(PathBuf, Left)>> {
    let mut found = Vec::new();
    for folder in partial_folders(destination)? {
        let Some(summary) = journal::summary(&folder.join(JOURNAL_NAME))? else { continue };
        if summary.plan != PLAN {
            continue;
        }
        let payload = Stamp::of(&folder.join(file_name(destination)?))?;
        let is_complete = payload.zip(summary.done).is_some_and(|(found, done)| found.is_same(done));
        let left = match &summary.store {
            _ if !is_complete => Left::Unfinished,
            Some(store) if store.is_at(destination)? => Left::Complete,
            _ => Left::Strange,
        };
        found.push((folder, left));
    }
    Ok(found)
}

/// Whether a folder beside a store is that of an update.
pub(super) fn is_of_update(folder: &Path) -> bool {
    let summary = journal::summary(&folder.join(JOURNAL_NAME));
    summary.is_ok_and(|summary| summary.is_some_and(|summary| summary.plan == PLAN))
}

/// Finishes updates of the store that were complete when their run ended, and removes those that were not.
///
/// # Errors
/// [`Error::Refused`] if a complete one was made for a store that is no longer there: some of it may be in that store, and nobody
/// but the user knows where that is. If something cannot be renamed.
fn settle(destination: &Path) -> Result<()> {
    for (folder, left) in left(destination)? {
        match left {
            Left::Unfinished => remove_partial(&folder)?,
            Left::Complete => finish(&folder, destination)?,
            Left::Strange => {
                let what = format!(
                    "{} holds the rest of an interrupted update of a store that was replaced or changed by others since; it was not put into this one. Move that folder away (do not delete it before you know that nothing in it is needed), look whether the store holds what the update was to bring, and update again",
                    folder.display()
                );
                return Err(Error::Refused { path: destination.display().to_string(), what });
            }
        }
    }
    Ok(())
}

/// As [`settle`] for a run that will replace the store. Whether an update was finished: then the store is not what the run has
/// seen, and may be what it reads.
pub(super) fn settle_before_replacing(destination: &Path) -> Result<bool> {
    let mut is_changed = false;
    for (folder, left) in left(destination)? {
        match left {
            Left::Unfinished => remove_partial(&folder)?,
            Left::Complete => {
                finish(&folder, destination)?;
                is_changed = true;
            }
            Left::Strange => tracing::warn!(
                "{} holds the rest of an interrupted update of a store that is no longer there; move it away, or delete it if nothing in it is needed",
                folder.display()
            ),
        }
    }
    Ok(is_changed)
}

fn finish(folder: &Path, destination: &Path) -> Result<()> {
    tracing::warn!("{}: an interrupted update is finished", destination.display());
    put_in_place(&folder.join(file_name(destination)?), destination)?;
    remove_partial(folder)
}

/// Keys of the objects below `payload`, and of the documents, the deepest first.
fn written(payload: &Path) -> Result<[Vec<PathBuf>; 2]> {
    let (mut objects, mut documents, mut folders) = (Vec::new(), Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        let within = payload.join(&folder);
        let failed = |error| io_error(&within, "list", error, 0);
        for entry in fs::read_dir(&within).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let key = folder.join(entry.file_name());
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(key);
            } else if DOCUMENTS.iter().any(|name| entry.file_name() == *name) {
                documents.push(key);
            } else {
                objects.push(key);
            }
        }
    }
    documents.sort_by_key(|key| std::cmp::Reverse(key.components().count()));
    Ok([objects, documents])
}

/// Makes the folders that the objects will stand in.
fn prepare(written: &[Vec<PathBuf>; 2], destination: &Path) -> Result<()> {
    let mut ready = HashSet::new();
    let folders = written.iter().flatten().filter_map(|key| key.parent());
    folders.into_iter().try_for_each(|folder| make_folder(destination, folder, &mut ready))
}

/// Renames every file below `payload` to its place below `destination`. Doing so again does what is left.
fn put_in_place(payload: &Path, destination: &Path) -> Result<()> {
    let written = written(payload)?;
    prepare(&written, destination)?;
    for keys in written {
        for key in &keys {
            let (from, to) = (payload.join(key), destination.join(key));
            fs::rename(&from, &to).map_err(|error| io_error(&from, "rename", error, 0))?;
        }
        sync_filesystem(destination)?;
    }
    Ok(())
}

/// Makes `folder` below `destination`; links on the way are not followed, since they may lead out of the store.
fn make_folder(destination: &Path, folder: &Path, ready: &mut HashSet<PathBuf>) -> Result<()> {
    if folder.as_os_str().is_empty() || ready.contains(folder) {
        return Ok(());
    }
    make_folder(destination, folder.parent().unwrap_or(Path::new("")), ready)?;
    let path = destination.join(folder);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let why = "a folder of the store is a link or a file; only real folders are written to";
            return Err(Error::UnsafePath { path: path.display().to_string(), why });
        }
        Err(_) => fs::create_dir(&path).map_err(|error| io_error(&path, "create", error, 0))?,
    }
    ready.insert(folder.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Publication;

    fn store(folder: &Path) -> PathBuf {
        let store = folder.join("s.zarr");
        fs::create_dir_all(store.join("a/c")).unwrap();
        for (key, content) in [("zarr.json", "root"), ("a/zarr.json", "old"), ("a/c/0", "0")] {
            fs::write(store.join(key), content).unwrap();
        }
        store
    }

    fn text(store: &Path, key: &str) -> String {
        fs::read_to_string(store.join(key)).unwrap_or_default()
    }

    #[test]
    fn nothing_changes_before_the_commit_and_all_after() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let update = Update::begin(&store).unwrap();
        update.partial().put("a/c/1", b"1").unwrap();
        update.partial().put_unlisted("a/zarr.json", b"new").unwrap();
        assert!(Update::begin(&store).unwrap_err().to_string().contains("is writing this output"));
        assert_eq!((text(&store, "a/zarr.json"), text(&store, "a/c/1")), ("old".into(), String::new()));
        update.commit().unwrap();
        assert_eq!((text(&store, "a/zarr.json"), text(&store, "a/c/1")), ("new".into(), "1".into()));
        let update = Update::begin(&store).unwrap();
        update.partial().put("a/c/0", b"gone").unwrap();
        update.abandon();
        assert_eq!(text(&store, "a/c/0"), "0");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Brings an update to where it begins to rename.
    fn complete(update: &Update) {
        let Shared { payload, journal, .. } = &*update.partial.shared;
        let written = written(payload).unwrap();
        journal.store(&StoreState::of(&update.destination, payload, &written).unwrap()).unwrap();
        journal.finish(Stamp::of_present(payload).unwrap()).unwrap();
    }

    #[test]
    fn an_update_is_not_put_into_another_store() {
        let replacing = PublishOptions { overwrite: true, ..PublishOptions::default() };
        let killed = |store: &Path| {
            let update = Update::begin(store).unwrap();
            update.partial().put("a/c/1", b"1").unwrap();
            update.partial().put_unlisted("a/zarr.json", b"new").unwrap();
            complete(&update);
            update.partial().shared.folder.clone()
        };
        // A new store, and the old one with a document that someone else wrote.
        for is_new in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let store = store(folder.path());
            let left = killed(&store);
            if is_new {
                fs::rename(&store, folder.path().join("old.zarr")).unwrap();
                self::store(folder.path());
            } else {
                fs::write(store.join("a/zarr.json"), "theirs").unwrap();
            }
            let error = Update::begin(&store).unwrap_err();
            assert!(error.to_string().contains("do not delete it"), "{error}");
            assert_eq!((text(&store, "a/c/1"), text(&left, "s.zarr/a/c/1")), (String::new(), "1".to_owned()));
            // Replacing the store does no harm to what is left either.
            let run = Publication::begin(&store, &replacing).unwrap().unwrap();
            run.partial().put_unlisted("zarr.json", b"{}").unwrap();
            run.commit().unwrap();
            assert_eq!(text(&left, "s.zarr/a/c/1"), "1");
        }
        // Who replaces the store that was updated finishes the update first: it may be what is read.
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let left = killed(&store);
        let error = Publication::begin(&store, &replacing).unwrap_err();
        assert!(error.to_string().contains("finished just now"), "{error}");
        assert_eq!((text(&store, "a/c/1"), text(&store, "a/zarr.json")), ("1".to_owned(), "new".to_owned()));
        assert!(!left.exists());
        Publication::begin(&store, &replacing).unwrap().unwrap().discard();
    }

    #[test]
    fn what_a_killed_run_had_complete_is_finished_and_what_it_had_not_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        // Killed after one of two renames.
        let update = Update::begin(&store).unwrap();
        update.partial().put("a/c/0", b"zero").unwrap();
        update.partial().put("a/c/1", b"one").unwrap();
        update.partial().put_unlisted("a/zarr.json", b"new").unwrap();
        let shared = &*update.partial.shared;
        complete(&update);
        fs::rename(shared.payload.join("a/c/0"), store.join("a/c/0")).unwrap();
        drop(update);
        // Killed while it still wrote.
        fs::create_dir(folder.path().join("kept")).unwrap();
        let update = Update::begin(&store).unwrap();
        for (key, content) in [("a/c/0", "zero"), ("a/c/1", "one"), ("a/zarr.json", "new")] {
            assert_eq!(text(&store, key), content);
        }
        update.partial().put("a/c/0", b"half").unwrap();
        drop(update);
        Update::begin(&store).unwrap().abandon();
        assert_eq!(text(&store, "a/c/0"), "zero");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_and_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        std::os::unix::fs::symlink(folder.path(), store.join("link")).unwrap();
        let update = Update::begin(&store).unwrap();
        update.partial().put("link/x", b"out").unwrap();
        assert!(matches!(update.commit(), Err(Error::UnsafePath { .. })));
        assert!(!folder.path().join("x").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(Update::begin(&folder.path().join("none")), Err(Error::NotFound { .. })));
        fs::write(folder.path().join("a.npy"), b"").unwrap();
        assert!(matches!(Update::begin(&folder.path().join("a.npy")), Err(Error::Refused { .. })));
    }
}
