//! A folder as a store.
//!
//! Invariants: every open starts at the folder's descriptor, so that renaming the path changes nothing and no link
//! leads out unless that was allowed; only `ENOENT` means absent. Called by Zarr through [`ByteStore`].

use super::beneath::open_beneath;
use super::file::{READ_FLAGS, RegularFile, os_error, refused, retrying};
use super::{ByteStore, Entry, EntryKind, Visit, check_key};
use crate::error::{Error, Result};
use blockwise_kernels::{Buffer, BufferPool};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// An open folder.
///
/// ```
/// use blockwise_io::store::{ByteStore, Root};
/// use blockwise_kernels::BufferPool;
/// # let folder = tempfile::tempdir().unwrap();
/// # std::fs::create_dir(folder.path().join("c")).unwrap();
/// # std::fs::write(folder.path().join("c/0"), b"chunk").unwrap();
/// let (root, pool) = (Root::open(folder.path(), false)?, BufferPool::new(1 << 20));
/// assert_eq!(root.get("c/0", 100, &pool)?.as_deref(), Some(&b"chunk"[..]));
/// assert!(root.get("c/1", 100, &pool)?.is_none());
/// assert!(root.get("c", 100, &pool).is_err());
/// assert!(root.get("../c/0", 100, &pool).is_err());
/// # Ok::<(), blockwise_io::Error>(())
/// ```
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    label: String,
    follow_symlinks: bool,
}

impl Root {
    /// Opens the folder `path`, which comes from the user: links in it are followed. Below it they may lead out only
    /// if `follow_symlinks`.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Os`] if it is no folder or cannot be opened.
    pub fn open(path: &Path, follow_symlinks: bool) -> Result<Self> {
        let label = path.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match retrying(|| rustix::fs::open(path, flags, Mode::empty())) {
            Ok(fd) => Ok(Self { fd, label, follow_symlinks }),
            Err(Errno::NOENT) => Err(Error::NotFound { path: label, hint: String::new() }),
            Err(errno) => Err(refused(label, errno)),
        }
    }

    fn path(&self, key: &str) -> String {
        if key.is_empty() { self.label.clone() } else { format!("{}/{key}", self.label) }
    }

    /// Opens `key` as it is; `None` if there is nothing.
    fn open_key(&self, key: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
        check_key(&self.label, key)?;
        match open_beneath(self.fd.as_fd(), key, flags, self.follow_symlinks) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused(self.path(key), errno)),
        }
    }

    /// Opens the file `key`; `None` if there is nothing.
    ///
    /// # Errors
    /// As [`ByteStore::get`].
    pub fn file(&self, key: &str) -> Result<Option<RegularFile>> {
        let Some(fd) = self.open_key(key, READ_FLAGS)? else { return Ok(None) };
        RegularFile::from_fd(fd, || self.path(key)).map(Some)
    }

    /// What an entry of unknown type or a link is, as far as reading goes.
    fn kind_behind(&self, key: &str, is_link: bool) -> Result<EntryKind> {
        let opened = open_beneath(self.fd.as_fd(), key, READ_FLAGS, self.follow_symlinks);
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::NOTDIR) if is_link => {
                // What it leads to is not opened, only looked at.
                let found = rustix::fs::statat(&self.fd, key, AtFlags::empty());
                let is_file =
                    found.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory);
                return Ok(if is_file { EntryKind::Other } else { EntryKind::StrayLink });
            }
            Err(Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::NOTDIR | Errno::NXIO) => {
                return Ok(EntryKind::Other);
            }
            Err(errno) => return Err(os_error(self.path(key), "list", errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| os_error(self.path(key), "stat", errno))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            _ => EntryKind::Other,
        })
    }
}

impl ByteStore for Root {
    fn label(&self) -> &str {
        &self.label
    }

    fn get(&self, key: &str, limit_bytes: u64, pool: &BufferPool) -> Result<Option<Buffer>> {
        let Some(file) = self.file(key)? else { return Ok(None) };
        file.read_whole(limit_bytes, pool).map(Some)
    }

    fn get_range(
        &self,
        key: &str,
        offset: u64,
        len_bytes: usize,
        pool: &BufferPool,
    ) -> Result<Option<Buffer>> {
        let Some(file) = self.file(key)? else { return Ok(None) };
        file.read_range(offset, len_bytes, pool).map(Some)
    }

    fn folder(&self) -> Option<&Root> {
        Some(self)
    }

    fn len(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.file(key)?.map(|file| file.len_bytes()))
    }

    fn identity(&self, folder: &str) -> Result<Option<(u64, u64)>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Some(fd) = self.open_key(folder, flags)? else { return Ok(None) };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| os_error(self.path(folder), "stat", errno))?;
        #[expect(clippy::useless_conversion, reason = "st_dev is narrower on some systems")]
        let identity = (stat.st_dev.into(), stat.st_ino);
        Ok(Some(identity))
    }

    fn list(&self, folder: &str, visit: &mut dyn FnMut(Entry) -> Result<Visit>) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Some(fd) = self.open_key(folder, flags)? else { return Ok(()) };
        let failed = |errno| os_error(self.path(folder), "list", errno);
        for entry in Dir::new(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            // No node or chunk has a name that is not UTF-8, so such an entry cannot be asked for.
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let kind = match entry.file_type() {
                FileType::RegularFile => EntryKind::File,
                FileType::Directory => EntryKind::Folder,
                kind @ (FileType::Symlink | FileType::Unknown) => {
                    self.kind_behind(&super::join(folder, name), kind == FileType::Symlink)?
                }
                _ => EntryKind::Other,
            };
            if visit(Entry { name: name.to_owned(), kind, len_bytes: None })?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::walk;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_absence_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("c/0")).unwrap();
        std::fs::write(at("c/0/0"), b"1234").unwrap();
        symlink("/etc/passwd", at("c/0/1")).unwrap();
        symlink("/etc", at("c/0/3")).unwrap();
        symlink("nowhere", at("c/0/4")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("c/0/2"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let (root, pool) = (Root::open(folder.path(), false).unwrap(), BufferPool::new(1 << 20));
        let get = |key: &str| root.get(key, 1 << 20, &pool).map(|found| found.map(|bytes| bytes.to_vec()));
        assert_eq!(get("c/0/0").unwrap().unwrap(), b"1234");
        assert_eq!(get("c/9/9").unwrap(), None);
        assert!(matches!(get("c/0"), Err(Error::Os { .. })), "a folder is no chunk");
        assert!(matches!(get("c/0/0/0"), Err(Error::Os { .. })), "a file is no folder");
        assert!(matches!(get("c/0/1"), Err(Error::UnsafePath { .. })), "a link out");
        assert!(matches!(get("c/0/2"), Err(Error::UnsafePath { .. })), "a pipe");
        assert_eq!(root.len("c/0/0").unwrap(), Some(4));
        assert!(!root.exists("x").unwrap());
        let range = root.get_range("c/0/0", 1, 2, &pool).unwrap().unwrap();
        assert_eq!(&*range, b"23");
        assert!(Root::open(folder.path(), true).unwrap().get("c/0/1", 1 << 20, &pool).unwrap().is_some());

        let mut entries = Vec::new();
        let mut note = |entry: Entry| {
            entries.push((entry.name, entry.kind));
            Ok(Visit::Continue(()))
        };
        root.list("c/0", &mut note).unwrap();
        root.list("nowhere", &mut note).unwrap();
        entries.sort();
        let expected = [
            ("0", EntryKind::File),
            ("1", EntryKind::Other),
            ("2", EntryKind::Other),
            ("3", EntryKind::StrayLink),
            ("4", EntryKind::StrayLink),
        ];
        assert_eq!(entries, expected.map(|(name, kind)| (name.to_owned(), kind)));

        let mut keys = Vec::new();
        let mut note = |key: &str, _: Option<u64>| {
            keys.push(key.to_owned());
            Ok(())
        };
        walk(&root, "", &mut note).unwrap();
        assert_eq!(keys, ["c/0/0"]);
    }
}
