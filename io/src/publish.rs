//! Publishing: what is written appears under its name whole, or not at all, and an interrupted run can be resumed.
//!
//! All is written to `OUT.partial-<run>/` beside the destination: the payload under the destination's own name, and a
//! [`Journal`] of the objects in it that are finished. [`Publication::commit`] brings everything to the disk and
//! renames the payload to its place in one step; with `overwrite` the old one is exchanged for it. Invariants: no two
//! live runs write one destination; a destination is only ever replaced by a payload that is complete and on the disk;
//! after a crash at any point the destination is the old or the new one, and what the journal proves is not done
//! again. Called by the conversion code (begin, commit) and by the formats' writers (objects, journal).

mod direct;
pub mod disk;
mod journal;
mod lock;
mod object;
mod place;
mod resume;
mod same_store;
mod update;

pub use disk::{Overlap, free_bytes, overlap};
pub use journal::Journal;
pub use object::ObjectFile;
pub use update::Update;

use crate::error::{Error, Result};
use direct::Direct;
use disk::{exists, io_error, sync_filesystem, sync_folder};
use lock::RunLock;
use place::Stamp;
use resume::{Resumable, find_resumable, partial_folders, remove_partial};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a destination is published.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// Whether a destination that is there already is replaced.
    pub overwrite: bool,
    /// Whether to go on where an interrupted run with the same plan stopped, if there is one.
    pub resume: bool,
    /// Whether resuming reads every finished object and compares its checksum, not only its length.
    pub verify_resume: bool,
    /// What is written and how, as a text or hash: equal keys mean that runs write the same bytes.
    pub plan_key: String,
    /// What identifies the inputs, for people who look into the journal.
    pub inputs: Vec<String>,
    /// Whether other processes write chunks into the partial folder too, which they [`join`](Publication::join). The journal does not
    /// know of theirs, so that the folder stays when the run is given up.
    pub is_shared: bool,
    /// What plans and errors call the destination; `None`: its path. For one that stands in the place of another.
    pub label: Option<String>,
}

/// The folder in which a run writes. Cloning shares it.
#[derive(Clone, Debug)]
pub struct PartialFolder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the destination is called: as the user wrote it.
    label: String,
    folder: PathBuf,
    payload: PathBuf,
    /// In the names of temporaries, so that no two processes ever use one name.
    unique: String,
    next: AtomicU64,
    journal: Journal,
    direct: Direct,
    part: Part,
    /// Whether each object is synced by itself before it is renamed.
    syncs_objects: bool,
}

/// Which part a process has in writing an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It writes alone.
    Alone,
    /// It publishes what several write.
    Leads,
    /// It writes for another that publishes.
    Joins,
    /// It would, but all is published already.
    Late,
}

impl PartialFolder {
    /// What people call the output: the destination as it was given.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    /// Where the container is written: a path in the partial folder with the destination's file name. Nothing is there
    /// yet, unless the run is a resumed one.
    #[must_use]
    pub fn payload_path(&self) -> &Path {
        &self.shared.payload
    }

    /// Brings what was written here to the disk, if it is another process that publishes it.
    ///
    /// # Errors
    /// As the system says.
    pub fn sync(&self) -> Result<()> {
        match self.shared.part {
            Part::Joins => sync_filesystem(&self.shared.folder),
            Part::Alone | Part::Leads | Part::Late => Ok(()),
        }
    }

    /// Whether several processes write here.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.part != Part::Alone
    }

    /// The journal of finished objects.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Whether writing so many bytes at once waits for the disk.
    pub(crate) fn waits(&self, len_bytes: usize) -> bool {
        self.shared.direct.takes(len_bytes)
    }

    /// Whether each object is synced by itself before it is renamed, since a sync of the file system would hide a failure.
    fn syncs_objects(&self) -> bool {
        self.shared.syncs_objects
    }

    /// How large objects are written.
    fn direct(&self) -> &Direct {
        &self.shared.direct
    }

    /// Whether an earlier run has finished the object `key` (a path below the payload).
    #[must_use]
    pub fn is_committed(&self, key: &str) -> bool {
        self.shared.journal.is_committed(key)
    }

    /// A new object that will stand at `key` below the payload once it is committed.
    ///
    /// # Errors
    /// [`Error::UnsafePath`] for keys that lead elsewhere; if it cannot be created.
    pub fn object(&self, key: &str) -> Result<ObjectFile> {
        crate::store::check_key(&self.shared.payload.display().to_string(), key)?;
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        ObjectFile::create(self.clone(), key, &format!("{}.{number}", self.shared.unique))
    }

    /// Writes an object in one go, renames it to `key` and notes it in the journal. Says how many bytes it has.
    ///
    /// # Errors
    /// As [`object`](Self::object) and [`ObjectFile::append`].
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<u64> {
        if self.shared.part == Part::Late {
            return Ok(0);
        }
        let mut object = self.object(key)?;
        object.append(bytes)?;
        object.commit()
    }

    /// As [`put`](Self::put) for what every run writes again, such as metadata: not noted in the journal.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_unlisted(&self, key: &str, bytes: &[u8]) -> Result<u64> {
        if self.shared.part == Part::Late {
            return Ok(0);
        }
        let mut object = self.object(key)?;
        object.append(bytes)?;
        object.commit_unlisted()
    }
}

/// A destination that is being written.
///
/// ```
/// use blockwise_io::publish::{Publication, PublishOptions};
/// # let folder = tempfile::tempdir().unwrap();
/// let out = folder.path().join("out.zarr");
/// let run = Publication::begin(&out, &PublishOptions::default())?.expect("nothing was published yet");
/// run.partial().put("c/0", b"chunk")?;
/// assert!(!out.exists());
/// run.commit()?;
/// assert_eq!(std::fs::read(out.join("c/0")).unwrap(), b"chunk");
/// assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
/// # Ok::<(), blockwise_io::Error>(())
/// ```
#[derive(Debug)]
pub struct Publication {
    destination: PathBuf,
    /// Whether what is there is replaced.
    overwrite: bool,
    /// What stood at the destination when the run began: this alone is replaced.
    before: Option<Stamp>,
    partial: PartialFolder,
    /// None for who only joins.
    lock: Option<RunLock>,
}

const JOURNAL_NAME: &str = "journal.jsonl";
const SEPARATOR: &str = ".partial-";

impl Publication {
    /// Prepares to write `destination`. `None`: with `resume`, an earlier run had published everything already and
    /// was only stopped while it cleaned up; that is done now.
    ///
    /// # Errors
    /// [`Error::Exists`] if it is there and not to be replaced; [`Error::Refused`] if another live run writes it, if it
    /// is a folder that no store is in, or if `resume` finds only runs with other plans; [`Error::NotFound`] if
    /// the folder it is to stand in is not there; else if something cannot be written.
    pub fn begin(destination: &Path, options: &PublishOptions) -> Result<Option<Self>> {
        let label = options.label.clone().unwrap_or_else(|| destination.display().to_string());
        let destination = resolved(destination)?;
        let lock = RunLock::acquire(&destination)?;
        if update::settle_before_replacing(&destination)? {
            let what = "an interrupted update of this store was finished just now; repeat the command if the store is still to be replaced";
            return Err(Error::Refused { path: label, what: what.to_owned() });
        }
        resume::restore_replaced(&destination)?;
        let found = if options.resume { Some(find_resumable(&destination, options)?) } else { None };
        if let Some(Resumable::Published(folder)) = found {
            remove_partial(&folder)?;
            return Ok(None);
        }
        let before = Stamp::of(&destination)?;
        check_replaceable(&destination, options.overwrite)?;
        let (folder, is_resumed) = match found {
            Some(Resumable::Unfinished(folder)) => (folder, true),
            Some(Resumable::Published(_) | Resumable::Nothing) | None => {
                (create_partial(&destination)?, false)
            }
        };
        let payload = folder.join(file_name(&destination)?);
        let journal_path = folder.join(JOURNAL_NAME);
        let journal = if is_resumed {
            if !options.is_shared {
                object::remove_temporaries(&payload)?; // those of workers that still run must stay
            }
            Journal::resume(&journal_path, &payload, options)?
        } else {
            Journal::create(&journal_path, options)?
        };
        let part = if options.is_shared { Part::Leads } else { Part::Alone };
        if options.is_shared {
            fs::create_dir_all(&payload).map_err(|error| io_error(&payload, "create", error, 0))?;
        }
        let partial = PartialFolder::new(label, folder, payload, journal, part);
        let overwrite = options.overwrite;
        Ok(Some(Self { destination, overwrite, before, partial, lock: Some(lock) }))
    }

    /// The partial folder of another process's publication of `destination`, to write chunks into. Nothing is published by
    /// this one, and if that is over already, what is put here goes nowhere.
    ///
    /// # Errors
    /// If `destination` has no name.
    pub fn join(destination: &Path, folder: &Path) -> Result<Self> {
        let payload = folder.join(file_name(destination)?);
        let part = if payload.is_dir() { Part::Joins } else { Part::Late };
        let label = destination.display().to_string();
        let partial = PartialFolder::new(label, folder.to_owned(), payload, Journal::of_nobody()?, part);
        let destination = destination.to_owned();
        Ok(Self { destination, overwrite: false, before: None, partial, lock: None })
    }

    /// The folder beside the destination in which the payload grows.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.partial.shared.folder
    }

    /// Where to write.
    #[must_use]
    pub const fn partial(&self) -> &PartialFolder {
        &self.partial
    }

    /// Where it will appear.
    #[must_use]
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Brings everything to the disk, puts the payload in its place with one rename and removes the partial folder.
    ///
    /// # Errors
    /// If that fails; the partial folder then stays for a resumed run. [`Error::Exists`] if the destination appeared
    /// meanwhile and is not to be replaced; [`Error::Refused`] if it is to be, but is no longer what it was at the beginning.
    pub fn commit(self) -> Result<()> {
        let Shared { folder, payload, journal, part, .. } = &*self.partial.shared;
        match part {
            Part::Alone => {}
            // What workers left that were killed.
            Part::Leads => object::remove_temporaries(payload)?,
            Part::Joins | Part::Late => return Ok(()),
        }
        if payload.is_file() {
            disk::sync_file(payload)?;
        }
        sync_filesystem(folder)?;
        journal.finish(Stamp::of_present(payload)?)?;
        place::put(payload, &self.destination, folder, self.before, self.overwrite)?;
        if let Some(parent) = self.destination.parent() {
            sync_folder(parent)?;
        }
        // A worker that nobody knows of may have begun an object since; from here on it finds no folder to write to.
        if *part == Part::Leads
            && let Err(error) = object::remove_temporaries(&self.destination)
        {
            tracing::warn!("{} is published, but {error}", self.destination.display());
        }
        let tidied = Stamp::of_present(&self.destination)
            .and_then(|output| journal.published(output))
            .and_then(|()| remove_own(folder, journal));
        if let Err(error) = tidied {
            tracing::warn!("{} is published, but {error}; delete that folder", self.destination.display());
        }
        drop(self.lock);
        Ok(())
    }

    /// Gives up and leaves nothing.
    pub fn discard(self) {
        let Shared { folder, journal, part, .. } = &*self.partial.shared;
        if matches!(part, Part::Alone | Part::Leads)
            && let Err(error) = remove_own(folder, journal)
        {
            tracing::warn!("{error}; delete that folder");
        }
    }

    /// Gives up after an error or a cancellation: makes durable what is finished and says where it lies, to be resumed.
    /// `None`: nothing was finished, and the partial folder is gone.
    #[must_use]
    pub fn abandon(self) -> Option<PathBuf> {
        let Shared { folder, payload, journal, part, .. } = &*self.partial.shared;
        if matches!(part, Part::Joins | Part::Late) {
            return None;
        }
        let is_empty = match part {
            Part::Leads => fs::read_dir(payload).is_ok_and(|mut entries| entries.next().is_none()),
            _ => true,
        };
        if journal.is_empty() && is_empty {
            if let Err(error) = remove_own(folder, journal) {
                tracing::warn!("{error}; delete that folder");
            }
            return None;
        }
        if let Err(error) = journal.sync() {
            tracing::warn!("{error}; resuming will read what was finished last");
        }
        Some(folder.clone())
    }
}

impl PartialFolder {
    fn new(label: String, folder: PathBuf, payload: PathBuf, journal: Journal, part: Part) -> Self {
        let unique = format!("{}.{}", run_id(), std::process::id());
        let (next, direct) = (AtomicU64::new(0), Direct::default());
        let syncs_objects = disk::hides_write_errors(&folder);
        let shared = Shared { label, folder, payload, unique, next, journal, direct, part, syncs_objects };
        Self { shared: Arc::new(shared) }
    }

    /// Makes the folder of an object.
    fn create_folder(&self, folder: &Path) -> Result<()> {
        let failed = |folder: &Path, error| io_error(folder, "create", error, 0);
        if self.shared.part != Part::Joins {
            return fs::create_dir_all(folder).map_err(|error| failed(folder, error));
        }
        // Nothing above the payload, which may have been published or removed meanwhile, is brought back.
        let below = folder.strip_prefix(&self.shared.payload).unwrap_or(Path::new(""));
        let mut at = self.shared.payload.clone();
        for name in below {
            at.push(name);
            match fs::create_dir(&at) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(&at, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// `destination` with links resolved, so that the partial folder lies on the disk that it will be on.
fn resolved(destination: &Path) -> Result<PathBuf> {
    let failed = |path: &Path, error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path: path.display().to_string(),
            hint: "; create the folder that is to hold the output".to_owned(),
        },
        _ => io_error(path, "open", error, 0),
    };
    if destination.is_symlink() {
        return fs::canonicalize(destination).map_err(|error| failed(destination, error));
    }
    let name = file_name(destination)?;
    let parent = destination.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    Ok(fs::canonicalize(parent).map_err(|error| failed(parent, error))?.join(name))
}

fn file_name(destination: &Path) -> Result<OsString> {
    let name = destination.file_name().map(OsString::from);
    name.ok_or_else(|| Error::Usage {
        message: format!("'{}' names no file or store to write", destination.display()),
    })
}

/// Refuses to replace what was not asked for, and folders that are no stores.
fn check_replaceable(destination: &Path, overwrite: bool) -> Result<()> {
    if !exists(destination)? {
        return Ok(());
    }
    if !overwrite {
        return Err(Error::Exists { path: destination.display().to_string() });
    }
    if destination.is_dir() {
        let markers = ["zarr.json", ".zgroup", ".zarray", ".zmetadata"];
        let is_store = markers.iter().any(|marker| destination.join(marker).is_file());
        let mut entries =
            fs::read_dir(destination).map_err(|error| io_error(destination, "list", error, 0))?;
        if !is_store && entries.next().is_some() {
            let what = "this folder is no Zarr store and will not be replaced; move it away or choose another output";
            return Err(Error::Refused { path: destination.display().to_string(), what: what.to_owned() });
        }
    }
    Ok(())
}

fn create_partial(destination: &Path) -> Result<PathBuf> {
    for folder in partial_folders(destination)? {
        if update::is_of_update(&folder) {
            continue; // of which it was said what to do
        }
        tracing::warn!(
            "{} is left of an interrupted run; --resume goes on with it, or delete it",
            folder.display()
        );
    }
    let mut name = file_name(destination)?;
    name.push(SEPARATOR);
    name.push(run_id());
    let folder = destination.with_file_name(name);
    fs::create_dir(&folder).map_err(|error| io_error(&folder, "create", error, 0))?;
    Ok(folder)
}

/// Removes the folder of this run, whose journal is still open.
fn remove_own(folder: &Path, journal: &Journal) -> Result<()> {
    journal.close(); // a network file system keeps the name of an open file, and the folder with it
    remove_partial(folder)
}

/// Sixteen hexadecimal digits that no other run has: from the random keys that the system gives to hash maps.
fn run_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests;
