//! Opening paths below a folder such that no link leads out of it.
//!
//! Invariant: what is opened lies below the folder, however the tree is changed meanwhile: the kernel checks each
//! step (`openat2` with `RESOLVE_BENEATH`), or, where it cannot, each component is opened by itself and no link is
//! followed at all. Called by the folder store.

use super::file::retrying;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

/// Opens `key` below `root`. An empty key opens the root again.
///
/// # Errors
/// `EXDEV` (or, on systems without `openat2`, `ELOOP`) if a link leads out of the root, else what the system says.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    key: &str,
    flags: OFlags,
    follow_symlinks: bool,
) -> Result<OwnedFd, Errno> {
    let path = if key.is_empty() { "." } else { key };
    if follow_symlinks {
        return retrying(|| openat(root, path, flags, Mode::empty()));
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        use std::sync::atomic::{AtomicBool, Ordering};
        /// Set once the kernel (or a container's filter) has said that it has no `openat2`.
        static ABSENT: AtomicBool = AtomicBool::new(false);
        if !ABSENT.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            // EAGAIN: a rename raced with the resolution of `..` in a link.
            let opened = retrying(|| match openat2(root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => Err(Errno::INTR),
                other => other,
            });
            match opened {
                Err(Errno::NOSYS | Errno::PERM) => ABSENT.store(true, Ordering::Relaxed),
                other => return other,
            }
        }
    }
    open_by_component(root, path, flags)
}

/// Opens `path` below `root` one component after the other; links are refused with `ELOOP`.
fn open_by_component(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (folders, name) = path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
    let mut held: Option<OwnedFd> = None;
    for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
        let at = held.as_ref().map_or(root, AsFd::as_fd);
        held = Some(retrying(|| openat(at, folder, folder_flags, Mode::empty()))?);
    }
    let at = held.as_ref().map_or(root, AsFd::as_fd);
    retrying(|| openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::file::READ_FLAGS;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_inside_are_followed_and_links_out_are_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), b"s").unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/f"), b"f").unwrap();
        symlink("a/b/f", root.join("inside")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let fd = File::open(&root).unwrap();
        let open = |key: &str, follow| open_beneath(fd.as_fd(), key, READ_FLAGS, follow).err();
        assert_eq!(open("a/b/f", false), None);
        assert_eq!(open("inside", false), None);
        assert_eq!(open("", false), None);
        assert_eq!(open("out", false), Some(Errno::XDEV));
        assert_eq!(open("etc/passwd", false), Some(Errno::XDEV));
        assert_eq!(open("loop", false), Some(Errno::LOOP));
        assert_eq!(open("a/none", false), Some(Errno::NOENT));
        assert_eq!(open("a/b/f/g", false), Some(Errno::NOTDIR));
        assert_eq!(open("out", true), None);
        let slow = |key: &str| open_by_component(fd.as_fd(), key, READ_FLAGS).err();
        assert_eq!(slow("a/b/f"), None);
        assert_eq!(slow("inside"), Some(Errno::LOOP));
        assert!(matches!(slow("etc/passwd"), Some(Errno::LOOP | Errno::NOTDIR)));
        assert_eq!(slow("a/none"), Some(Errno::NOENT));
    }
}
