//! One live run per destination.
//!
//! A file `.NAME.lock` beside the destination is locked (`flock`) for as long as the run lives; the system frees it
//! when the process ends, however it ends. That is not at once: a killed process gives back its memory before its
//! locks, and may be gone for `wait` and `kill` by then, so a lock that is taken is asked for again for a while. The
//! host and process in the file are for the error, and for network file systems that have no locks. Called by
//! [`super::Publication`].

use super::disk::{identity, io_error};
use super::file_name;
use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a run waits for the lock of another, which may be dying.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Between two looks at a lock that is taken.
const PAUSE: Duration = Duration::from_millis(20);

/// The right to write a destination; given back when dropped.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    _file: File,
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
            let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = opened.map_err(|error| failed("create", error))?;
            let mut holder = String::new();
            let mut read_holder = |file: &mut File| {
                let _ = file.take(1000).read_to_string(&mut holder); // only for the error
                holder.trim().to_owned()
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if asked_first.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                    continue; // opened anew: the file may be removed by its holder
                }
                Err(TryLockError::WouldBlock) => return Err(busy(destination, &read_holder(&mut file))),
                Err(TryLockError::Error(_)) => {
                    let holder = read_holder(&mut file);
                    if is_alive(&holder) {
                        return Err(busy(destination, &holder));
                    }
                }
            }
            // The run before may have removed the file between our open and our lock.
            let metadata = file.metadata().map_err(|error| failed("stat", error))?;
            if identity(&path).ok() != Some((metadata.dev(), metadata.ino())) {
                continue;
            }
            let holder = format!("process {} on {}\n", std::process::id(), host());
            let noted =
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
            noted.map_err(|error| io_error(&path, "write", error, holder.len() as u64))?;
            return Ok(Self { path, _file: file });
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // while it is still locked; a leftover does no harm
    }
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
    fn a_dead_process_holds_nothing() {
        let own = format!("process {} on {}", std::process::id(), host());
        assert!(is_alive(&own));
        assert!(is_alive("process 1 on another-host"));
        assert!(!is_alive(&format!("process 999999999 on {}", host())));
        assert!(!is_alive(""));
    }
}
