//! The file that is being written, shared by the writer and the sinks of its arrays.
//!
//! Invariants: every call into libhdf5 goes through [`SharedFile::call`], which first makes sure of disk space; after
//! a call has failed the library is never called again for this file and nothing of it is flushed, because its
//! caches can no longer be trusted to be writable. Called by the writer and its sinks.

use super::library::{Failure, Handle, Library, with_library};
use super::space::Reservation;
use crate::error::{Error, Result};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Position of a dataset among those created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DatasetId(usize);

/// The open file and its datasets.
#[derive(Debug)]
pub(super) struct OpenFile {
    // Declared, and so dropped, before the file: libhdf5 closes a file only when nothing in it is open.
    datasets: Vec<Handle>,
    /// The file, which also stands for its root group.
    pub(super) file: Handle,
    reservation: Reservation,
}

impl OpenFile {
    /// The handle of a dataset.
    pub(super) fn dataset(&self, id: DatasetId) -> Result<&Handle, Failure> {
        self.datasets
            .get(id.0)
            .ok_or(Failure { call: "dataset", message: "it is closed (a bug, please report it)".to_owned() })
    }

    /// Keeps a dataset open until the file is closed.
    pub(super) fn keep(&mut self, dataset: Handle) -> DatasetId {
        self.datasets.push(dataset);
        DatasetId(self.datasets.len() - 1)
    }
}

/// What has become of the file.
#[derive(Debug)]
enum State {
    Open(Box<OpenFile>),
    Failed,
    Closed,
}

/// A file that many threads write.
#[derive(Debug)]
pub(super) struct SharedFile {
    label: String,
    state: Mutex<State>,
}

impl SharedFile {
    /// Creates the file at `path`, called `label` in errors, in place of one that is there.
    pub(super) fn create(path: &Path, label: &str) -> Result<Self> {
        // Removed, not truncated: a link is not followed.
        if let Err(source) = std::fs::remove_file(path)
            && source.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::Os { path: label.to_owned(), action: "remove", source });
        }
        let failed = |what: String| Error::Hdf5Library { path: label.to_owned(), what };
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| failed("the path holds a NUL byte".to_owned()))?;
        let file =
            with_library(|library| library.create_file(&c_path)).map_err(|failure| failed(text(&failure)))?;
        let mut reservation = match Reservation::new(path, label) {
            Ok(reservation) => reservation,
            Err(error) => {
                file.abandon();
                return Err(error);
            }
        };
        if let Err(error) = reservation.cover(0) {
            file.abandon();
            return Err(error);
        }
        let open = OpenFile { datasets: Vec::new(), file, reservation };
        Ok(Self { label: label.to_owned(), state: Mutex::new(State::Open(Box::new(open))) })
    }

    /// What people call the file.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Runs `work` under the library's lock, with space for the file to grow by `growth_bytes`.
    pub(super) fn call<T>(
        &self,
        growth_bytes: u64,
        work: impl FnOnce(&Library, &mut OpenFile) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut state = self.lock();
        let State::Open(open) = &mut *state else {
            return Err(self.unusable());
        };
        let outcome = with_library(|library| {
            let end = library.file_end(&open.file).map_err(|failure| self.error(&failure))?;
            open.reservation.cover(end.saturating_add(growth_bytes)).map_err(Broken::No)?;
            work(library, open).map_err(|failure| {
                // Only where space cannot be reserved and another program took it since it was checked.
                if failure.message.contains(&format!("errno = {},", rustix::io::Errno::NOSPC.raw_os_error()))
                {
                    return Broken::Yes(open.reservation.no_space(end.saturating_add(growth_bytes)));
                }
                self.error(&failure)
            })
        });
        match outcome {
            Ok(value) => Ok(value),
            Err(Broken::No(error)) => Err(error),
            Err(Broken::Yes(error)) => {
                abandon(std::mem::replace(&mut *state, State::Failed));
                Err(error)
            }
        }
    }

    /// Writes what is cached, closes the file and makes it durable.
    pub(super) fn close(&self) -> Result<()> {
        self.call(0, |library, open| library.flush(&open.file))?;
        let mut state = self.lock();
        let State::Open(open) = std::mem::replace(&mut *state, State::Closed) else {
            return Err(self.unusable());
        };
        let OpenFile { datasets, file, reservation } = *open;
        drop(datasets);
        if let Err(failure) = with_library(|library| library.close_file(file)) {
            *state = State::Failed;
            return Err(Error::Hdf5Library { path: self.label.clone(), what: text(&failure) });
        }
        reservation.complete()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, failure: &Failure) -> Broken {
        Broken::Yes(Error::Hdf5Library { path: self.label.clone(), what: text(failure) })
    }

    fn unusable(&self) -> Error {
        let what = "an earlier write failed or the file is closed, so nothing more can be written".to_owned();
        Error::Hdf5Library { path: self.label.clone(), what }
    }
}

impl Drop for SharedFile {
    fn drop(&mut self) {
        // An unfinished file is going to be deleted, or written afresh: nothing of it needs flushing, but its
        // memory and descriptor are given back. The space for that is reserved.
        *self.lock() = State::Closed;
    }
}

/// Whether an error leaves the library's view of the file in doubt.
enum Broken {
    No(Error),
    Yes(Error),
}

fn abandon(state: State) {
    if let State::Open(open) = state {
        let OpenFile { datasets, file, .. } = *open;
        datasets.into_iter().for_each(Handle::abandon);
        file.abandon();
    }
}

fn text(failure: &Failure) -> String {
    format!("libhdf5's {} failed: {}", failure.call, failure.message)
}
