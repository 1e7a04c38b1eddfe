//! [`Folder`]: where a run keeps what its processes tell each other.
//!
//! ```text
//!   WORK/run-ID/run.json          program, arguments, engine
//!              /driver.lock       locked by the driver while it lives
//!              /agreed/N          what the driver decided and workers repeat
//!              /seen/ORDER-SHARE-HOST-PID  a worker has started
//!              /orders/N.json     batches of one submission, by share; N.sh: its job script
//!              /logs/             what workers printed
//!              /plan-N/           one plan: plan.json, arrays and states (core's)
//!                     /stage-N/batches.json, done/BATCH, failed/BATCH-*, steps/BATCH, complete
//! ```
//!
//! Invariants: every file that is read by another process appears whole, by rename, and ends with its checksum; one that does not is as if
//! it were not there. Only the driver makes folders, so that a worker that is late cannot bring a run back. Called by all of
//! this crate.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    /// Its name.
    pub(crate) id: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// What they ask for, however it is carried out: what tells the run from others.
    pub(crate) request: Vec<String>,
    /// Where it was started.
    pub(crate) folder: String,
    /// Version of this library and length of the program: another one plans otherwise.
    pub(crate) program: String,
    /// The engine's name.
    pub(crate) engine: String,
    /// Seconds since 1970 when it began.
    pub(crate) started_secs: u64,
}

/// What a worker did with a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DoneMark {
    /// Of the plan.
    pub(crate) digest: String,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) peak_reserved_bytes: u64,
    pub(crate) secs: f64,
    pub(crate) host: String,
}

/// Why a worker could not do a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedMark {
    /// Of the plan that the worker was started for.
    pub(crate) digest: String,
    pub(crate) message: String,
    pub(crate) fault: String,
    pub(crate) host: String,
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
}

impl Folder {
    /// Removes the run: first what it is, so that nobody takes what is left for a run. Then the right to drive it is given up: NFS keeps
    /// files that are open under other names.
    pub(crate) fn remove(&self, lock: Option<File>) -> io::Result<()> {
        match fs::remove_file(self.facts()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => drop(lock),
        }
        remove(&self.root)
    }

    /// The file that tells the driver to stop and to remove the run.
    pub(crate) fn cancelled(&self) -> PathBuf {
        self.root.join("cancel")
    }

    pub(crate) fn plan(&self, number: u64) -> PathBuf {
        self.root.join(format!("plan-{number}"))
    }

    pub(crate) fn stage(&self, plan: u64, stage: usize) -> PathBuf {
        self.plan(plan).join(format!("stage-{stage}"))
    }

    /// The steps of a batch.
    pub(crate) fn steps(&self, plan: u64, stage: usize, batch: u64) -> PathBuf {
        self.stage(plan, stage).join("steps").join(batch.to_string())
    }

    pub(crate) fn order(&self, number: u64) -> PathBuf {
        self.root.join("orders").join(format!("{number}.json"))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.root.join("seen")
    }

    pub(crate) fn agreed(&self, number: u64) -> PathBuf {
        self.root.join("agreed").join(number.to_string())
    }

    pub(crate) fn facts(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Takes note that a worker is here, for a share of an order.
    pub(crate) fn sign_in(&self, order: u64, share: usize) -> Result<()> {
        let name = format!("{order}-{share}-{}-{}", host(), std::process::id());
        write(&self.seen().join(name), &host())
    }

    /// The shares whose workers have been here.
    pub(crate) fn signed_in(&self) -> impl Iterator<Item = (u64, usize)> + use<> {
        each_name(&self.seen()).filter_map(|name| {
            let mut fields = name.split('-');
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    }

    /// Whether any worker has been here.
    pub(crate) fn is_seen(&self) -> bool {
        fs::read_dir(self.seen()).is_ok_and(|mut entries| entries.next().is_some())
    }
}

/// Makes a folder and those above it.
pub(crate) fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::os(folder, "creating the folder", source))
}

/// Writes `value` as one line of JSON and its checksum, to a file that appears whole.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let failed = |source: io::Error| Error::os(path, "writing", source);
    let mut text = serde_json::to_string(value).map_err(|error| failed(error.into()))?;
    text.push_str(&format!("\n{:08x}\n", crc32c::crc32c(text.as_bytes())));
    let temporary = path.with_file_name(format!(".{}.tmp", unique()));
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary); // it may never have been there
        failed(source)
    })
}

/// What [`write`] wrote; `None` if it is not there, not whole, or something else.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = fs::read_to_string(path).ok()?;
    let (body, checksum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let expected = u32::from_str_radix(checksum, 16).ok()?;
    if crc32c::crc32c(body.as_bytes()) != expected {
        return None;
    }
    serde_json::from_str(body).ok()
}

/// As [`read`], of what must be there.
pub(crate) fn read_known<T: DeserializeOwned>(path: &Path) -> Result<T> {
    if let Err(source) = fs::metadata(path) {
        return Err(Error::os(path, "reading", source));
    }
    read(path).ok_or_else(|| Error::damaged(path))
}

/// The names in a folder, of files that are whole; none if it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    each_name(folder).collect()
}

/// As [`names`], one at a time.
pub(crate) fn each_name(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.'))
}

/// A name that no other process and no other call has.
pub(crate) fn unique() -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}-{}", hasher.finish(), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// This machine's name.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Removes a folder in which workers that are ending may still write.
pub(crate) fn remove(root: &Path) -> io::Result<()> {
    let mut last = Ok(());
    for _ in 0..50 {
        last = fs::remove_dir_all(root);
        match &last {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !root.exists() => return Ok(()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_or_changed_files_are_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mark = FailedMark {
            digest: "d".into(),
            message: "a\nb".into(),
            fault: "failed".into(),
            host: "n1".into(),
        };
        write(&path, &mark).unwrap();
        assert_eq!(read::<FailedMark>(&path), Some(mark));
        let text = fs::read_to_string(&path).unwrap();
        for changed in [text.replace("n1", "n2"), text[..text.len() - 2].to_owned(), String::new()] {
            fs::write(&path, changed).unwrap();
            assert_eq!(read::<FailedMark>(&path), None);
        }
        assert!(read_known::<FailedMark>(&path).unwrap_err().to_string().contains("damaged"));
        assert_eq!(names(folder.path()), ["mark"]);
        assert!(write(&folder.path().join("gone/mark"), &1).is_err());
    }
}
