//! What the file system is asked beside reading and writing: free space, syncing, renames, who is who.
//!
//! Invariant: a full disk is always [`Error::NoSpace`] with the bytes needed and free. Called by publishing, by
//! writers of single files, and by the command line (free space, overlap of input and output).

use crate::error::{Error, Result};
use crate::store::file::{os_error, retrying};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The error of a failed `action` on `path`; `needed_bytes` is what a full disk lacks.
pub(crate) fn io_error(path: &Path, action: &'static str, source: io::Error, needed_bytes: u64) -> Error {
    let path_text = path.display().to_string();
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => {
            let free_bytes = free_bytes(path).unwrap_or(0);
            Error::NoSpace { path: path_text, needed_bytes, free_bytes }
        }
        _ => Error::Os { path: path_text, action, source },
    }
}

/// Bytes that may still be written to the file system that `path`, or else the nearest folder above it, is on.
///
/// # Errors
/// If the system does not say.
pub fn free_bytes(path: &Path) -> Result<u64> {
    let mut at = path;
    loop {
        let asked = if at == Path::new("") { Path::new(".") } else { at };
        match rustix::fs::statvfs(asked) {
            Ok(stat) => return Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
            Err(Errno::NOENT | Errno::NOTDIR) if at.parent().is_some() => at = at.parent().unwrap_or(at),
            Err(errno) => return Err(os_error(asked.display().to_string(), "statvfs", errno)),
        }
    }
}

/// Whether something is at `path`, a broken link included.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error(path, "stat", error, 0)),
    }
}

/// Device and inode of `path`.
pub(super) fn identity(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).map_err(|error| io_error(path, "stat", error, 0))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Brings all that was written to the file system of `folder` to the disk.
pub(super) fn sync_filesystem(folder: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    let done = with_folder(folder, |fd| retrying(|| rustix::fs::syncfs(fd)));
    #[cfg(not(target_os = "linux"))]
    let done = {
        rustix::fs::sync();
        Ok(())
    };
    done.map_err(|errno| io_error(folder, "sync", errno.into(), 0))
}

/// Whether a sync of the file system that `folder` is on may hide that a file could not be written: systems before Linux 5.8
/// report nothing there, and network file systems only where a file itself is synced (or closed, which nobody can ask about).
pub(super) fn hides_write_errors(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        let is_old = is_before_5_8(&rustix::system::uname().release().to_string_lossy());
        // Magic numbers have 32 bits; some systems extend their sign.
        let kind = rustix::fs::statfs(folder).map(|stat| stat.f_type as u32);
        is_old || kind.is_ok_and(|kind| NETWORK_KINDS.contains(&kind))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        true
    }
}

/// Magic numbers of file systems whose disks are elsewhere: NFS, SMB, CIFS, SMB2, 9P, FUSE, Ceph, Lustre, GPFS, BeeGFS, AFS.
#[cfg(target_os = "linux")]
const NETWORK_KINDS: [u32; 11] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x6573_5546,
    0x00c3_6400,
    0x0bd0_0bd0,
    0x4750_4653,
    0x1983_0326,
    0x5346_414f,
];

/// Whether a release such as `5.4.0-42-generic` is older than 5.8; what cannot be read is.
#[cfg(target_os = "linux")]
fn is_before_5_8(release: &str) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < (5, 8),
        _ => true,
    }
}

/// Brings the file at `path` to the disk.
pub(super) fn sync_file(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| io_error(path, "sync", error, 0))
}

/// Has the system begin to bring bytes of `file` from `offset` on to the disk, and goes on: what is on its way while
/// others are still computed need not be waited for at the end, and its memory is free again sooner. A wish: a refusal is
/// no fault.
pub(super) fn start_writeback(file: &File, offset: u64) {
    // Pages that are still dirty are not dropped by this advice, as its name has it, but queued for writing.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, offset, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset);
}

/// Brings the entries of `folder` to the disk.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    match with_folder(folder, |fd| retrying(|| rustix::fs::fsync(fd))) {
        Ok(()) | Err(Errno::INVAL) => Ok(()), // some network file systems do not sync folders
        Err(errno) => Err(io_error(folder, "sync", errno.into(), 0)),
    }
}

fn with_folder(
    folder: &Path,
    call: impl FnOnce(&rustix::fd::OwnedFd) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    call(&retrying(|| open(folder, flags, Mode::empty()))?)
}

/// Renames `from` to `to` if nothing is there; `false` if something is.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<bool> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(CWD, from, CWD, to, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(true),
        Err(Errno::EXIST) => return Ok(false),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {} // a file system that cannot; below
        Err(errno) => return Err(io_error(from, "rename", errno.into(), 0)),
    }
    if exists(to)? {
        return Ok(false);
    }
    fs::rename(from, to).map_err(|error| io_error(from, "rename", error, 0))?;
    Ok(true)
}

/// Exchanges two paths in one step; `false` if the file system cannot.
pub(super) fn exchange(a: &Path, b: &Path) -> Result<bool> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(CWD, a, CWD, b, rustix::fs::RenameFlags::EXCHANGE) {
        Ok(()) => return Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        Err(errno) => return Err(io_error(b, "rename", errno.into(), 0)),
    }
    let _ = (a, b);
    Ok(false)
}

/// Removes a folder with all in it; one that is gone already is fine.
pub(super) fn remove_all(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(folder, "remove", error, 0)),
        _ => Ok(()),
    }
}

/// How two paths lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Neither holds the other.
    None,
    /// They are one file or folder, by whatever path.
    Same,
    /// The first lies in the second.
    FirstInSecond,
    /// The second lies in the first.
    SecondInFirst,
}

/// How `first` and `second` lie to each other, by device and inode, so through links and bind mounts too. Either may
/// not exist yet.
///
/// # Errors
/// If a path cannot be looked at.
pub fn overlap(first: &Path, second: &Path) -> Result<Overlap> {
    let (a, b) = (Lineage::of(first)?, Lineage::of(second)?);
    if a.missing == b.missing && a.folders.first() == b.folders.first() {
        return Ok(Overlap::Same);
    }
    if a.is_above(&b) {
        return Ok(Overlap::SecondInFirst);
    }
    Ok(if b.is_above(&a) { Overlap::FirstInSecond } else { Overlap::None })
}

/// A path as what exists of it and what does not.
struct Lineage {
    /// Device and inode of the part that exists and of all folders above it, innermost first.
    folders: Vec<(u64, u64)>,
    /// The rest.
    missing: PathBuf,
}

impl Lineage {
    fn of(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| io_error(path, "resolve", error, 0))?;
        for existing in path.ancestors() {
            match fs::canonicalize(existing) {
                Ok(real) => {
                    let folders = real.ancestors().map(identity).collect::<Result<_>>()?;
                    let missing = path.strip_prefix(existing).unwrap_or(Path::new("")).to_owned();
                    return Ok(Self { folders, missing });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io_error(existing, "resolve", error, 0)),
            }
        }
        Ok(Self { folders: Vec::new(), missing: path })
    }

    fn is_above(&self, other: &Self) -> bool {
        let Some(own) = self.folders.first() else { return false };
        if self.missing.as_os_str().is_empty() {
            return other.folders.contains(own);
        }
        other.folders.first() == Some(own) && other.missing.starts_with(&self.missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_seen_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        let of = |first: &str, second: &str| overlap(&at(first), &at(second)).unwrap();
        assert_eq!(of("a", "link"), Overlap::Same);
        assert_eq!(of("a/b", "link/b"), Overlap::Same);
        assert_eq!(of("a", "link/b/new"), Overlap::SecondInFirst);
        assert_eq!(of("link/b", "a"), Overlap::FirstInSecond);
        assert_eq!(of("a", "ab"), Overlap::None);
        assert_eq!(of("new", "new"), Overlap::Same);
        assert_eq!(of("new", "new/x"), Overlap::SecondInFirst);
        assert_eq!(of("new", "newer"), Overlap::None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn releases_are_told_apart() {
        let old = ["5.4.0-42-generic", "4.18.0-553.el8_10.x86_64", "5.7", "3.10.0", "custom"];
        let new = ["5.8.0", "5.15.167.4-microsoft-standard-WSL2", "6.1.0-rc3", "10.0"];
        assert!(old.into_iter().all(is_before_5_8));
        assert!(!new.into_iter().any(is_before_5_8));
    }

    #[test]
    fn a_full_disk_is_told_with_figures() {
        let error = io_error(Path::new("/tmp/x"), "write", Errno::NOSPC.into(), 77);
        assert!(matches!(error, Error::NoSpace { needed_bytes: 77, .. }), "{error}");
        let error = io_error(Path::new("/tmp/x"), "write", Errno::IO.into(), 77);
        assert!(matches!(error, Error::Os { action: "write", .. }), "{error}");
    }

    #[test]
    fn renames_tell_whether_something_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), b"a").unwrap();
        assert!(rename_new(&at("a"), &at("b")).unwrap());
        fs::write(at("a"), b"new").unwrap();
        assert!(!rename_new(&at("a"), &at("b")).unwrap());
        if exchange(&at("a"), &at("b")).unwrap() {
            assert_eq!(
                (fs::read(at("a")).unwrap(), fs::read(at("b")).unwrap()),
                (b"a".to_vec(), b"new".to_vec())
            );
        }
        assert!(free_bytes(&at("not/yet/there")).unwrap() > 0);
    }
}
