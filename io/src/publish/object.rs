//! One object (chunk, shard, metadata file) of a payload while it is written.
//!
//! Invariants: it is written under a name that no other run, process or object has (`.<name>.<run>.<pid>.<n>.tmp`, in
//! the same folder, created exclusively and through no link) and renamed when it is whole; a writer that is dropped
//! leaves nothing. Called by the Zarr writer through [`PartialFolder`].

use super::PartialFolder;
use super::disk::{io_error, start_writeback};
use crate::error::Result;
use crate::store::file::retrying;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// So many bytes are sent on their way to the disk at once; smaller objects are left for the system to gather.
const WRITEBACK_BYTES: u64 = 256 << 10;

/// An object that is being written, front to back, but for a space that may be kept at its start.
#[derive(Debug)]
pub struct ObjectFile {
    partial: PartialFolder,
    key: String,
    file: File,
    temporary: PathBuf,
    len_bytes: u64,
    /// Bytes that are on their way to the disk.
    sent_bytes: u64,
    /// Checksum of what was appended.
    crc32c: u32,
    reserved: Option<Reserved>,
    is_committed: bool,
}

#[derive(Debug)]
struct Reserved {
    len_bytes: u64,
    crc32c: Option<u32>,
}

impl ObjectFile {
    pub(super) fn create(partial: PartialFolder, key: &str, unique: &str) -> Result<Self> {
        let path = partial.payload_path().join(key);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.{unique}.tmp"));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || retrying(|| open(&temporary, flags, Mode::from_raw_mode(0o666)));
        let fd = match (create(), temporary.parent()) {
            (Err(Errno::NOENT), Some(folder)) => {
                partial.create_folder(folder)?;
                create()
            }
            (created, _) => created,
        };
        let file = File::from(fd.map_err(|errno| io_error(&temporary, "create", errno.into(), 0))?);
        let key = key.to_owned();
        Ok(Self {
            partial,
            key,
            file,
            temporary,
            len_bytes: 0,
            sent_bytes: 0,
            crc32c: 0,
            reserved: None,
            is_committed: false,
        })
    }

    /// Keeps `len_bytes` at the start, to be filled by [`fill_reserved`](Self::fill_reserved) at the end: a shard's
    /// index. Call it before anything is appended.
    ///
    /// # Errors
    /// [`Error::NoSpace`](crate::Error::NoSpace), or as the system says.
    pub fn reserve(&mut self, len_bytes: usize) -> Result<()> {
        self.write_bytes(&vec![0; len_bytes])?;
        self.reserved = Some(Reserved { len_bytes: len_bytes as u64, crc32c: None });
        Ok(())
    }

    /// Writes `bytes` at the end.
    ///
    /// # Errors
    /// [`Error::NoSpace`](crate::Error::NoSpace), or as the system says.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_bytes(bytes)?;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        Ok(())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let needed = bytes.len() as u64;
        let failed = |error| io_error(&self.temporary, "write", error, needed);
        let direct = self.partial.direct().write(&mut self.file, self.len_bytes, bytes).map_err(failed)?;
        self.file.write_all(bytes.get(direct..).unwrap_or_default()).map_err(failed)?;
        self.len_bytes += needed;
        if self.len_bytes - self.sent_bytes >= WRITEBACK_BYTES {
            start_writeback(&self.file, self.sent_bytes);
            self.sent_bytes = self.len_bytes;
        }
        Ok(())
    }

    /// Bytes so far, the reserved ones included: where the next ones will stand.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Fills the space kept at the start. `bytes` must be as long as it.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) with an internal error if they are not; else as the system says.
    pub fn fill_reserved(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.reserved {
            Some(reserved) if reserved.len_bytes == bytes.len() as u64 => {
                let needed = reserved.len_bytes;
                let written = self.file.write_all_at(bytes, 0);
                written.map_err(|error| io_error(&self.temporary, "write", error, needed))?;
                reserved.crc32c = Some(crc32c::crc32c(bytes));
                Ok(())
            }
            _ => {
                let message = format!("{}: {} bytes for another space at the start", self.key, bytes.len());
                Err(blockwise_core::Error::Internal { message }.into())
            }
        }
    }

    /// Renames the object to its key and notes it in the journal. Says how many bytes it has.
    ///
    /// # Errors
    /// If that fails.
    pub fn commit(mut self) -> Result<u64> {
        let crc = self.whole_crc32c();
        self.rename()?;
        self.partial.journal().record(&self.key, self.len_bytes, crc)?;
        Ok(self.len_bytes)
    }

    /// As [`commit`](Self::commit), but every run writes it again: it is not noted in the journal.
    ///
    /// # Errors
    /// If that fails.
    pub fn commit_unlisted(mut self) -> Result<u64> {
        self.rename()?;
        Ok(self.len_bytes)
    }

    fn rename(&mut self) -> Result<()> {
        if self.partial.syncs_objects() {
            self.file
                .sync_data()
                .map_err(|error| io_error(&self.temporary, "sync", error, self.len_bytes))?;
        }
        let path = self.partial.payload_path().join(&self.key);
        fs::rename(&self.temporary, &path).map_err(|error| io_error(&self.temporary, "rename", error, 0))?;
        self.is_committed = true;
        Ok(())
    }

    fn whole_crc32c(&self) -> u32 {
        let Some(reserved) = &self.reserved else { return self.crc32c };
        let appended_bytes = usize::try_from(self.len_bytes - reserved.len_bytes).unwrap_or(usize::MAX);
        let start = reserved.crc32c.unwrap_or_else(|| {
            let zeros = vec![0; usize::try_from(reserved.len_bytes).unwrap_or(0)];
            crc32c::crc32c(&zeros)
        });
        crc32c::crc32c_combine(start, self.crc32c, appended_bytes)
    }
}

impl Drop for ObjectFile {
    fn drop(&mut self) {
        if !self.is_committed {
            let _ = fs::remove_file(&self.temporary); // a leftover is removed when the run is resumed
        }
    }
}

/// Removes what killed writers left below `payload`.
pub(super) fn remove_temporaries(payload: &Path) -> Result<()> {
    let mut folders = vec![payload.to_owned()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        let failed = |error| io_error(&folder, "list", error, 0);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if name.starts_with(b".") && name.ends_with(b".tmp") {
                let path = entry.path();
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(io_error(&path, "remove", error, 0));
                    }
                    _ => {} // a writer that is still there has done with it
                }
            }
        }
    }
    Ok(())
}
