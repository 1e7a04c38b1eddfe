//! One live run per destination.
//!
//! A file `.NAME.lock` beside the destination is locked (`flock`) for as long as the run lives; the system frees it
//! when the process ends, however it ends. That is not at once: a killed process gives back its memory before its
//! locks, and may be gone for `wait` and `kill` by then, so a lock that is taken is asked for again for a while. The
//! host and process in the file are for the error, and for network file systems that have no locks. Invariant: only a
//! file that such a run has made is written or removed; a link of that name, or a file of someone else, is refused.
//! Called by [`super::Publication`] and [`super::Update`].

use super::disk::io_error;
use super::file_name;
use crate::error::{Error, Result};
use crate::store::file::retrying;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a run waits for the lock of another, which may be dying.
const PATIENCE: Duration = Duration::from_millis(1500);
/// More than any lock file has that a run has made.
const LONGEST_HOLDER_BYTES: u64 = 1000;
/// Between two looks at a lock that is taken.
const PAUSE: Duration = Duration::from_millis(20);

/// The right to write a destination; given back when dropped.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    file: File,
}

impl RunLock {
    /// Takes the right to write `destination`, waiting a moment for a run that is ending.
    ///
    /// # Errors
    /// [`Error::Refused`] if another run holds it all that time; else if the lock file cannot be written.
    pub(super) fn acquire(destination: &Path) -> Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(file_name(destination)?);
        name.push(".lock");
        let path = destination.with_file_name(name);
        let failed = |action, error| io_error(&path, action, error, 0);
        let asked_first = Instant::now();
        loop {
            let Some((mut file, is_new)) = opened(&path)? else { continue };
            // Bytes that are no text are not of our form either.
            let read_holder = |file: &mut File| {
                let mut holder = String::new();
                let read =
                    file.rewind().and_then(|()| file.take(LONGEST_HOLDER_BYTES).read_to_string(&mut holder));
                read.ok().map(|_| holder)
            };
            let metadata = file.metadata().map_err(|error| failed("stat", error))?;
            let is_plain =
                metadata.is_file() && metadata.nlink() <= 1 && metadata.len() < LONGEST_HOLDER_BYTES;
            if !is_plain || !read_holder(&mut file).is_some_and(|holder| is_own(&holder, &metadata, is_new)) {
                return Err(not_ours(&path, "no file that a run has made"));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if asked_first.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                    continue; // opened anew: the file may be removed by its holder
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(busy(destination, read_holder(&mut file).unwrap_or_default().trim()));
                }
                Err(TryLockError::Error(_)) => {
                    let holder = read_holder(&mut file).unwrap_or_default();
                    if is_alive(holder.trim()) {
                        return Err(busy(destination, holder.trim()));
                    }
                }
            }
            // The run before may have removed the file between our open and our lock.
            if !is_at(&path, &file) {
                continue;
            }
            let holder = format!("process {} on {}\n", std::process::id(), host());
            let noted =
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
            noted.map_err(|error| io_error(&path, "write", error, holder.len() as u64))?;
            return Ok(Self { path, file });
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if is_at(&self.path, &self.file) {
            let _ = fs::remove_file(&self.path); // while it is still locked; a leftover does no harm
        }
    }
}

/// Opens the lock file, and says whether it was made just now. `None`: it went away meanwhile.
fn opened(path: &Path) -> Result<Option<(File, bool)>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mode = Mode::from_raw_mode(0o666);
    match retrying(|| open(path, flags | OFlags::CREATE | OFlags::EXCL, mode)) {
        Ok(made) => return Ok(Some((made.into(), true))),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(io_error(path, "create", errno.into(), 0)),
    }
    match retrying(|| open(path, flags, mode)) {
        Ok(found) => Ok(Some((found.into(), false))),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP | Errno::MLINK | Errno::ISDIR | Errno::NXIO) => {
            Err(not_ours(path, "a link or no plain file"))
        }
        Err(Errno::ACCESS | Errno::PERM) => Err(not_ours(path, "of another user")),
        Err(errno) => Err(io_error(path, "open", errno.into(), 0)),
    }
}

/// Whether a run has made the file: by what it says, or, if it was killed before it had written that, by its owner. Where
/// owners are mapped, as for root on network file systems, a new file may look as another user's.
fn is_own(holder: &str, metadata: &Metadata, is_new: bool) -> bool {
    let names_process = || {
        let (process, on) = holder.strip_prefix("process ")?.split_once(" on ")?;
        let is_number = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
        Some(is_number && on.strip_suffix('\n').is_some_and(|on| !on.contains('\n')))
    };
    if holder.is_empty() {
        return is_new || metadata.uid() == rustix::process::geteuid().as_raw();
    }
    names_process().unwrap_or(false)
}

/// Whether `file` is what stands at `path`.
fn is_at(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(there), Ok(own)) => (there.dev(), there.ino()) == (own.dev(), own.ino()),
        _ => false,
    }
}

fn not_ours(path: &Path, what: &str) -> Error {
    let what = format!(
        "this is {what}, so it cannot be the lock of the output beside it; if no other run writes that output, move this away, else wait for the run"
    );
    Error::Refused { path: path.display().to_string(), what }
}

fn busy(destination: &Path, holder: &str) -> Error {
    let holder = if holder.is_empty() { "another run" } else { holder };
    let what = format!("{holder} is writing this output; wait for it or choose another output");
    Error::Refused { path: destination.display().to_string(), what }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether the process that a lock file names may still run. Asked only where the file system has no locks.
fn is_alive(holder: &str) -> bool {
    let Some((process, on)) = holder.strip_prefix("process ").and_then(|rest| rest.split_once(" on ")) else {
        return false;
    };
    on != host() || Path::new("/proc").join(process).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("out.zarr");
        let first = RunLock::acquire(&destination).unwrap();
        let error = RunLock::acquire(&destination).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        drop(RunLock::acquire(&destination).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_run_that_is_ending_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("out.zarr");
        let first = RunLock::acquire(&destination).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PAUSE * 5);
                drop(first);
            });
            drop(RunLock::acquire(&destination).unwrap());
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_and_files_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let refused = || {
            let error = RunLock::acquire(&at("out.zarr")).unwrap_err();
            assert!(matches!(error, Error::Refused { .. }), "{error}");
        };
        fs::write(at("thesis.tex"), b"text").unwrap();
        std::os::unix::fs::symlink(at("thesis.tex"), at(".out.zarr.lock")).unwrap();
        refused();
        fs::remove_file(at(".out.zarr.lock")).unwrap();
        fs::hard_link(at("thesis.tex"), at(".out.zarr.lock")).unwrap();
        refused();
        fs::remove_file(at(".out.zarr.lock")).unwrap();
        for text in ["text", "process 1", "process x on host\n", "process 1 on host\nand more\n"] {
            fs::write(at(".out.zarr.lock"), text).unwrap();
            refused();
            assert_eq!(fs::read_to_string(at(".out.zarr.lock")).unwrap(), text);
        }
        fs::remove_file(at(".out.zarr.lock")).unwrap();
        fs::create_dir(at(".out.zarr.lock")).unwrap();
        refused();
        assert_eq!(fs::read(at("thesis.tex")).unwrap(), b"text");
        fs::remove_dir(at(".out.zarr.lock")).unwrap();
        // What killed runs leave is taken over; what took the place of a lock is not removed with it.
        for text in ["", "process 999999999 on host\n"] {
            fs::write(at(".out.zarr.lock"), text).unwrap();
            drop(RunLock::acquire(&at("out.zarr")).unwrap());
            assert!(!at(".out.zarr.lock").exists());
        }
        let lock = RunLock::acquire(&at("out.zarr")).unwrap();
        fs::rename(at("thesis.tex"), at(".out.zarr.lock")).unwrap();
        drop(lock);
        assert_eq!(fs::read(at(".out.zarr.lock")).unwrap(), b"text");
    }

    #[test]
    fn a_dead_process_holds_nothing() {
        let own = format!("process {} on {}", std::process::id(), host());
        assert!(is_alive(&own));
        assert!(is_alive("process 1 on another-host"));
        assert!(!is_alive(&format!("process 999999999 on {}", host())));
        assert!(!is_alive(""));
    }
}
