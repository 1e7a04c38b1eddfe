//! Disk space set aside before libhdf5 needs it.
//!
//! libhdf5 cannot be told that a disk is full: a write that fails while it flushes its caches has been seen to crash
//! the process (2.0: SIGSEGV). So the writer asks the system for the blocks before each call that may grow the file,
//! and refuses there, with nothing broken. Invariant: after [`Reservation::cover`] up to `end`, writes below
//! `end + MARGIN_BYTES` find their blocks. Where a file system cannot reserve (NFS before 4.2, some FUSE ones), free
//! space is checked instead, which another program may take in between. Called by the HDF5 writer.

use crate::error::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Bytes kept reserved beyond what is asked for: what libhdf5 adds by itself (object headers, indexes, heaps) in one
/// call and when it closes the file.
const MARGIN_BYTES: u64 = 1 << 20;
/// The most that is reserved ahead in one step, so that the system is asked rarely.
const STEP_BYTES: u64 = 64 << 20;

/// The space of one growing file.
#[derive(Debug)]
pub(super) struct Reservation {
    file: File,
    label: String,
    reserved_end: u64,
    /// Whether the file system takes reservations.
    can_reserve: bool,
}

impl Reservation {
    /// The reservation of the file at `path`, which is called `label` in errors.
    pub(super) fn new(path: &Path, label: &str) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path).map_err(|source| Error::Os {
            path: label.to_owned(),
            action: "open",
            source,
        })?;
        Ok(Self { file, label: label.to_owned(), reserved_end: 0, can_reserve: true })
    }

    /// Makes sure of blocks for a file that will end at `end`.
    pub(super) fn cover(&mut self, end: u64) -> Result<()> {
        let wanted_end = end.saturating_add(MARGIN_BYTES);
        if wanted_end <= self.reserved_end {
            return Ok(());
        }
        let free_bytes = self.free_bytes()?;
        if self.can_reserve {
            let step = (self.reserved_end / 4).clamp(MARGIN_BYTES, STEP_BYTES);
            let ahead_end = wanted_end.saturating_add(step);
            // Far ahead only where that leaves others plenty.
            let ends = if ahead_end - self.reserved_end < free_bytes / 2 {
                [ahead_end, wanted_end]
            } else {
                [wanted_end; 2]
            };
            for end in ends {
                match self.reserve(end, free_bytes) {
                    Ok(()) => return Ok(()),
                    Err(Errno::NOSPC | Errno::DQUOT) => {}
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                        self.can_reserve = false;
                        break;
                    }
                    Err(errno) => return Err(self.failed("reserve space", errno)),
                }
            }
            if self.can_reserve {
                return Err(self.no_space(wanted_end));
            }
        }
        // Nothing is held for us, so half of what is free is left to others.
        if wanted_end.saturating_sub(self.len_bytes()?) > free_bytes / 2 {
            return Err(self.no_space(wanted_end));
        }
        Ok(())
    }

    /// Gives back what was reserved beyond the file's end and makes the file durable.
    pub(super) fn complete(&self) -> Result<()> {
        let os = |action| move |source| Error::Os { path: self.label.clone(), action, source };
        let len_bytes = self.len_bytes()?;
        if self.can_reserve {
            self.file.set_len(len_bytes).map_err(os("truncate"))?;
        }
        self.file.sync_all().map_err(os("fsync"))
    }

    /// Reserves up to `end` on a disk that has `free_bytes` free.
    fn reserve(&mut self, end: u64, free_bytes: u64) -> Result<(), Errno> {
        let (start, len) = (self.reserved_end, end - self.reserved_end);
        if len > free_bytes {
            // Not even tried: some file systems would take all that is left before they fail.
            return Err(Errno::NOSPC);
        }
        let outcome = loop {
            match fallocate(&self.file, FallocateFlags::KEEP_SIZE, start, len) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        if outcome.is_ok() {
            self.reserved_end = end;
        } else if self.len_bytes().is_ok_and(|len_bytes| start >= len_bytes) {
            // Gives back what a failed reservation took; if that fails too, the end of the run gives it back.
            let _ = fallocate(&self.file, FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE, start, len);
        }
        outcome
    }

    /// The error that there is no space for a file that would end at `end`.
    pub(super) fn no_space(&self, end: u64) -> Error {
        let needed_bytes = end.saturating_sub(self.reserved_end.max(self.len_bytes().unwrap_or(0)));
        let free_bytes = self.free_bytes().unwrap_or(0);
        Error::NoSpace { path: self.label.clone(), needed_bytes, free_bytes }
    }

    fn free_bytes(&self) -> Result<u64> {
        let stat = fstatvfs(&self.file).map_err(|errno| self.failed("statvfs", errno))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn len_bytes(&self) -> Result<u64> {
        let source = |source| Error::Os { path: self.label.clone(), action: "stat", source };
        Ok(self.file.metadata().map_err(source)?.len())
    }

    fn failed(&self, action: &'static str, errno: Errno) -> Error {
        Error::Os { path: self.label.clone(), action, source: errno.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn space_is_held_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"content").unwrap();
        let mut reservation = Reservation::new(&path, "file").unwrap();
        reservation.cover(3 << 20).unwrap();
        let metadata = || std::fs::metadata(&path).unwrap();
        if reservation.can_reserve {
            assert!(metadata().blocks() * 512 >= (3 << 20) + MARGIN_BYTES);
        }
        assert_eq!(metadata().len(), 7);
        reservation.complete().unwrap();
        assert!(metadata().blocks() * 512 < 1 << 20);
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }

    #[test]
    fn a_disk_that_is_too_small_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let mut reservation = Reservation::new(&path, "out.nc").unwrap();
        let free = reservation.free_bytes().unwrap();
        match reservation.cover(free.saturating_mul(2)).unwrap_err() {
            Error::NoSpace { path, needed_bytes, free_bytes } => {
                assert_eq!(path, "out.nc");
                assert!(needed_bytes > free_bytes && free_bytes > 0, "{needed_bytes} {free_bytes}");
            }
            other => panic!("{other}"),
        }
        reservation.cover(1000).unwrap();
    }
}
