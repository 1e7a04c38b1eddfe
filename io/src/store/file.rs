//! A regular file that is read at any place, from many threads.
//!
//! Invariants: it is a regular file (a pipe, device or folder was refused when it was opened, without blocking);
//! interrupted calls go on, `EIO` is tried twice more, a file that ends early is an error. Called by the folder store
//! and by the formats that are one file.

use super::checked_len;
use crate::error::{Error, Result};
use blockwise_kernels::{Buffer, BufferPool};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How every file is opened for reading: without waiting for a pipe's writer, and not inherited by children.
pub(crate) const READ_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Waits between attempts while too many files are open: two seconds in all, for others to close theirs.
const OPEN_FILES_WAIT: Duration = Duration::from_millis(20);
const OPEN_FILES_ATTEMPTS: u32 = 100;

/// Waits before the second and third attempt after `EIO`.
const EIO_WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// Runs a system call again where that may help: interrupted, too many open files, `EIO` (twice).
pub(crate) fn retrying<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    let (mut full, mut broken) = (0, EIO_WAITS.iter());
    loop {
        match call() {
            Err(Errno::INTR) => {}
            Err(Errno::MFILE | Errno::NFILE) if full < OPEN_FILES_ATTEMPTS => {
                full += 1;
                sleep(OPEN_FILES_WAIT);
            }
            Err(Errno::IO) => match broken.next() {
                Some(wait) => sleep(*wait),
                None => return Err(Errno::IO),
            },
            other => return other,
        }
    }
}

/// The error of a system call on `path`.
pub(crate) fn os_error(path: impl Into<String>, action: &'static str, errno: Errno) -> Error {
    Error::Os { path: path.into(), action, source: errno.into() }
}

/// An open regular file.
#[derive(Debug)]
pub struct RegularFile {
    fd: OwnedFd,
    label: String,
    len_bytes: u64,
    identity: (u64, u64),
}

impl RegularFile {
    /// Opens `path`, which comes from the user: links are followed.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::UnsafePath`] for anything but a regular file, else [`Error::Os`].
    pub fn open(path: &Path) -> Result<Self> {
        let label = path.display().to_string();
        match retrying(|| rustix::fs::open(path, READ_FLAGS, Mode::empty())) {
            Ok(fd) => Self::from_fd(fd, || label),
            Err(Errno::NOENT) => Err(Error::NotFound { path: label, hint: String::new() }),
            Err(errno) => Err(refused(label, errno)),
        }
    }

    /// The file behind `fd`, which was opened for reading without blocking.
    pub(crate) fn from_fd(fd: OwnedFd, label: impl FnOnce() -> String) -> Result<Self> {
        let stat = match rustix::fs::fstat(&fd) {
            Ok(stat) => stat,
            Err(errno) => return Err(os_error(label(), "stat", errno)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(os_error(label(), "read", Errno::ISDIR)),
            _ => {
                return Err(Error::UnsafePath {
                    path: label(),
                    why: "this is a pipe, socket or device, not a file",
                });
            }
        }
        let len_bytes = u64::try_from(stat.st_size).unwrap_or(0); // never negative for a regular file
        #[expect(clippy::useless_conversion, reason = "st_dev is narrower on some systems")]
        let identity = (stat.st_dev.into(), stat.st_ino);
        Ok(Self { fd, label: label(), len_bytes, identity })
    }

    /// What errors call it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Bytes in the file when it was opened.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Device and inode: equal for two paths to one file.
    #[must_use]
    pub const fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Fills `output` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file ends before; [`Error::Os`].
    pub fn read_exact_at(&self, offset: u64, output: &mut [u8]) -> Result<()> {
        let wanted = output.len();
        let mut filled = 0;
        while let Some(rest) = output.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            match retrying(|| rustix::io::pread(&self.fd, &mut *rest, at)) {
                Ok(0) => {
                    let what =
                        format!("the file ends at byte {at}, {wanted} bytes were expected at {offset}");
                    let remedy = "; the file was cut short or never finished";
                    return Err(Error::Corrupt { path: self.label.clone(), what, remedy });
                }
                Ok(count) => filled += count,
                Err(errno) => return Err(os_error(&self.label, "read", errno)),
            }
        }
        Ok(())
    }

    /// `len_bytes` bytes from `offset` on, in a buffer of `pool`.
    ///
    /// # Errors
    /// As [`read_exact_at`](Self::read_exact_at); the range is held against the file's length before memory is taken.
    pub fn read_range(&self, offset: u64, len_bytes: usize, pool: &BufferPool) -> Result<Buffer> {
        let end = offset.checked_add(len_bytes as u64).filter(|end| *end <= self.len_bytes);
        if end.is_none() {
            let file = self.len_bytes;
            let what = format!("{len_bytes} bytes were expected at {offset}, the file has {file} bytes");
            let remedy = "; the file was cut short or an address in it is wrong";
            return Err(Error::Corrupt { path: self.label.clone(), what, remedy });
        }
        let mut buffer = pool.take(len_bytes);
        self.read_exact_at(offset, &mut buffer)?;
        Ok(buffer)
    }

    /// The whole file, in a buffer of `pool`.
    ///
    /// # Errors
    /// [`Error::Limit`] if it has more than `limit_bytes`; else as [`read_exact_at`](Self::read_exact_at).
    pub fn read_whole(&self, limit_bytes: u64, pool: &BufferPool) -> Result<Buffer> {
        let len = checked_len(|| self.label.clone(), self.len_bytes, limit_bytes)?;
        self.read_range(0, len, pool)
    }
}

/// The error of an open that failed for another reason than `ENOENT`.
pub(crate) fn refused(path: String, errno: Errno) -> Error {
    match errno {
        Errno::XDEV => Error::UnsafePath {
            path,
            why: "a link leads out of the store; allow it with --follow-symlinks if you trust it",
        },
        // A socket, or a device without a driver.
        Errno::NXIO | Errno::NODEV => {
            Error::UnsafePath { path, why: "this is a pipe, socket or device, not a file" }
        }
        _ => os_error(path, "open", errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn reads_ranges_and_notices_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"0123456789").unwrap();
        let (file, pool) = (RegularFile::open(&path).unwrap(), BufferPool::new(1 << 20));
        assert_eq!(&*file.read_range(3, 4, &pool).unwrap(), b"3456");
        assert_eq!(file.read_range(10, 0, &pool).unwrap().len(), 0);
        for (offset, len) in [(3, 8), (11, 0), (u64::MAX, 2)] {
            assert!(matches!(file.read_range(offset, len, &pool), Err(Error::Corrupt { .. })));
        }
        assert!(matches!(file.read_whole(9, &pool), Err(Error::Limit { limit: 9, .. })));
        std::fs::write(&path, b"012").unwrap(); // shrinks under us
        let error = file.read_whole(10, &pool).unwrap_err();
        assert!(error.to_string().contains("ends at byte 3"), "{error}");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(RegularFile::open(&pipe), Err(Error::UnsafePath { .. })));
        assert!(matches!(RegularFile::open(Path::new("/dev/null")), Err(Error::UnsafePath { .. })));
        let missing = RegularFile::open(&folder.path().join("none"));
        assert!(matches!(missing, Err(Error::NotFound { .. })));
        let error = RegularFile::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Os { action: "read", .. }), "{error}");
    }

    #[test]
    fn transient_errors_are_tried_again() {
        let script = |errors: &'static [Errno]| {
            let at = Cell::new(0);
            retrying(move || {
                let error = errors.get(at.replace(at.get() + 1));
                error.map_or(Ok(7), |error| Err(*error))
            })
        };
        assert_eq!(script(&[Errno::INTR, Errno::IO, Errno::MFILE, Errno::IO, Errno::INTR]), Ok(7));
        assert_eq!(script(&[Errno::IO, Errno::IO, Errno::IO]), Err(Errno::IO));
        assert_eq!(script(&[Errno::ACCESS]), Err(Errno::ACCESS));
    }
}
