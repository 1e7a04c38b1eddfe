//! Compiled kernels on disk, found by what they were made of.
//!
//! An entry's name is the SHA-256 of the source, the options, the architecture and the compiler's version; it holds a mark,
//! the SHA-256 of the machine code, and the machine code. Invariants: an entry appears whole, by a rename; one that is
//! not what was written is made anew; a folder that cannot be written costs time, not the result. Nothing removes old
//! entries: a few kilobytes each, the folder may be deleted at any time. Called by whoever compiles kernels.

use crate::device::{Architecture, Version};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

const MARK: &[u8; 8] = b"BWCUBIN1";
const DIGEST_BYTES: usize = 32;

/// What a compiled kernel is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of a source compiled with `options` for `architecture` by a compiler of `version`.
    #[must_use]
    pub fn new(source: &str, options: &[&str], architecture: Architecture, version: Version) -> Self {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        };
        part(&version.to_string());
        part(&architecture.to_string());
        options.iter().for_each(|option| part(option));
        part(source);
        Self(digest.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }
}

/// A folder of compiled kernels.
///
/// ```
/// use blockwise_gpu::cache::{Cubins, Key};
/// use blockwise_gpu::device::{Architecture, Version};
/// let folder = tempfile::tempdir()?;
/// let cubins = Cubins::new(folder.path())?;
/// let hopper = Architecture { major: 9, minor: 0 };
/// let key = Key::new("source", &[], hopper, Version { major: 13, minor: 0 });
/// let made = cubins.get_or_make(&key, || Ok(vec![1, 2, 3]))?;
/// let found = cubins.get_or_make(&key, || panic!("it is there"))?;
/// assert_eq!(made, found);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cubins {
    folder: PathBuf,
}

impl Cubins {
    /// The cache in a folder, which is made.
    ///
    /// # Errors
    /// [`Error::Cache`] if it cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        let fault = |source| Error::Cache { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(fault)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder of this user's kernels: `$XDG_CACHE_HOME/blockwise/cubin`, or `~/.cache/blockwise/cubin`; `None` without
    /// a home.
    #[must_use]
    pub fn default_folder() -> Option<PathBuf> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(base.join("blockwise").join("cubin"))
    }

    /// The machine code of a key: from the folder, or made by `make` and kept.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn get_or_make(&self, key: &Key, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let path = self.folder.join(format!("{}.cubin", key.0));
        match std::fs::read(&path) {
            Ok(entry) => match checked(&entry) {
                Some(code) => return Ok(code.to_vec()),
                None => tracing::warn!(path = %path.display(), "a damaged kernel in the cache is made anew"),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "the kernel cache cannot be read"),
        }
        let code = make()?;
        if let Err(error) = self.keep(&path, &code) {
            tracing::warn!(path = %path.display(), %error, "the kernel cache cannot be written");
        }
        Ok(code)
    }

    fn keep(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(MARK)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        file.persist(path)?;
        Ok(())
    }
}

/// The machine code of an entry, if it is what was written.
fn checked(entry: &[u8]) -> Option<&[u8]> {
    let (digest, code) = entry.strip_prefix(MARK)?.split_at_checked(DIGEST_BYTES)?;
    (Sha256::digest(code).as_slice() == digest).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOPPER: Architecture = Architecture { major: 9, minor: 0 };
    const AMPERE: Architecture = Architecture { major: 8, minor: 0 };
    const VERSION: Version = Version { major: 13, minor: 0 };

    #[test]
    fn keys_differ_where_anything_does() {
        let key = Key::new("a", &["-x"], HOPPER, VERSION);
        assert_eq!(key, Key::new("a", &["-x"], HOPPER, VERSION));
        for other in [
            Key::new("b", &["-x"], HOPPER, VERSION),
            Key::new("a", &["-y"], HOPPER, VERSION),
            Key::new("-xa", &[], HOPPER, VERSION),
            Key::new("a", &["-x"], AMPERE, VERSION),
            Key::new("a", &["-x"], HOPPER, Version { major: 13, minor: 1 }),
        ] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn every_damage_is_found_and_mended() {
        let folder = tempfile::tempdir().unwrap();
        let cubins = Cubins::new(folder.path()).unwrap();
        let key = Key::new("a", &[], HOPPER, VERSION);
        let code: Vec<u8> = (0..100).collect();
        assert_eq!(cubins.get_or_make(&key, || Ok(code.clone())).unwrap(), code);
        let path = folder.path().join(format!("{}.cubin", key.0));
        let entry = std::fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..entry.len())
            .map(|at| entry.iter().enumerate().map(|(i, byte)| if i == at { !byte } else { *byte }).collect())
            .collect();
        damaged.extend([
            vec![],
            entry[..20].to_vec(),
            entry[..entry.len() - 1].to_vec(),
            [&entry[..], &[0]].concat(),
        ]);
        for bytes in damaged {
            std::fs::write(&path, bytes).unwrap();
            let mut made = false;
            let again = cubins.get_or_make(&key, || {
                made = true;
                Ok(code.clone())
            });
            assert_eq!((again.unwrap(), made), (code.clone(), true));
            assert_eq!(std::fs::read(&path).unwrap(), entry);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_only_time() {
        let folder = tempfile::tempdir().unwrap();
        let cubins = Cubins::new(&folder.path().join("a")).unwrap();
        std::fs::remove_dir(folder.path().join("a")).unwrap();
        let key = Key::new("a", &[], HOPPER, VERSION);
        assert_eq!(cubins.get_or_make(&key, || Ok(vec![7])).unwrap(), [7]);
        assert!(Cubins::new(Path::new("/dev/null/a")).is_err());
    }
}
