//! One open HDF5 file: the parsed superblock, cached metadata reads, and positional reads of chunk bytes.
//!
//! Invariants: the file is a regular file and at least as long as its superblock says; every address is relative to
//! the superblock (a user block moves it) and checked against the file's length before anything is read; reads
//! take no lock and may come from any thread. Called by the rest of `hdf5`.

use crate::container::NodePath;
use crate::error::{Error, Result};
use crate::store::RegularFile;
use hdf5_reader::Hdf5File;
use hdf5_reader::group::Group;
use hdf5_reader::storage::{BlockCacheStorage, Storage, StorageBuffer};
use std::sync::Arc;

/// Bytes of one block of the metadata cache.
const METADATA_BLOCK_BYTES: usize = 64 << 10;
/// The undefined address of HDF5, for any size of offsets, after widening.
const UNDEFINED: u64 = u64::MAX;
/// Object headers larger than this are refused.
const MAX_OBJECT_HEADER_BYTES: usize = 4 << 20;

/// One open file.
pub(super) struct H5File {
    parsed: Hdf5File,
    bytes: Arc<RegularFile>,
    /// Where address 0 lies in the file, in bytes.
    base: u64,
    /// Bytes of the file past `base`.
    len_bytes: u64,
}

/// The parser's reads, through the store's own file.
struct Metadata(Arc<RegularFile>);

impl Storage for Metadata {
    fn len(&self) -> u64 {
        self.0.len_bytes()
    }

    fn read_range(&self, offset: u64, len: usize) -> hdf5_reader::error::Result<StorageBuffer> {
        let available = self.len().saturating_sub(offset);
        if len as u64 > available {
            return Err(hdf5_reader::error::Error::UnexpectedEof { offset, needed: len as u64, available });
        }
        let mut bytes = vec![0; len];
        self.0.read_exact_at(offset, &mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(StorageBuffer::from_vec(bytes))
    }
}

impl H5File {
    /// Parses the superblock of `bytes`. About `cache_bytes / 4` may be held for metadata.
    pub(super) fn open(bytes: Arc<RegularFile>, cache_bytes: u64) -> Result<Self> {
        let label = bytes.label();
        let blocks = usize::try_from(cache_bytes / 4).unwrap_or(usize::MAX) / METADATA_BLOCK_BYTES;
        let storage = Arc::new(Metadata(Arc::clone(&bytes)));
        let cached = BlockCacheStorage::new(storage, METADATA_BLOCK_BYTES, blocks.clamp(4, 256));
        let options = hdf5_reader::OpenOptions {
            chunk_cache_bytes: 0,
            max_object_header_bytes: MAX_OBJECT_HEADER_BYTES,
            ..hdf5_reader::OpenOptions::default()
        };
        let parsed = Hdf5File::from_storage_with_options(Arc::new(cached), options)
            .map_err(|error| fault(label, "superblock", error))?;
        let base = parsed.superblock().base_address;
        let file = Self { parsed, base, len_bytes: bytes.len_bytes().saturating_sub(base), bytes };
        file.check_superblock()?;
        Ok(file)
    }

    /// A file that was cut short or is still being written is refused, as the library of the format does.
    fn check_superblock(&self) -> Result<()> {
        let superblock = self.parsed.superblock();
        let stored_base = self.stored_base().unwrap_or(self.base);
        let end = superblock.eof_address.checked_sub(stored_base).unwrap_or(superblock.eof_address);
        if superblock.eof_address != UNDEFINED && end > self.len_bytes {
            return Err(Error::Corrupt {
                path: self.label().to_owned(),
                what: format!(
                    "the file is cut short: its superblock says {end} bytes, there are {}",
                    self.len_bytes
                ),
                remedy: "; copy or download it again",
            });
        }
        if superblock.version >= 3 && superblock.consistency_flags & 1 != 0 {
            return Err(Error::Corrupt {
                path: self.label().to_owned(),
                what: "the file is marked as open for writing: its writer is still at work or was killed"
                    .to_owned(),
                remedy: "; if no program is writing it, clear the mark with `h5clear -s`",
            });
        }
        Ok(())
    }

    /// The base address as the superblock states it (the parser replaces it by where the superblock was found).
    fn stored_base(&self) -> Option<u64> {
        let superblock = self.parsed.superblock();
        let at = match superblock.version {
            0 => 24,
            1 => 28,
            _ => 12,
        };
        let mut bytes = [0_u8; 8];
        let width = usize::from(superblock.offset_size).min(8);
        self.bytes.read_exact_at(self.base.checked_add(at)?, bytes.get_mut(..width)?).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// What people call the file.
    pub(super) fn label(&self) -> &str {
        self.bytes.label()
    }

    /// The parser's view of the file.
    pub(super) const fn parsed(&self) -> &Hdf5File {
        &self.parsed
    }

    /// The root group.
    pub(super) fn root(&self) -> Result<Group> {
        self.parsed.root_group().map_err(|error| fault(self.label(), "root group", error))
    }

    /// Bytes of the file that addresses can reach.
    pub(super) const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Bytes of an address in this file.
    pub(super) fn offset_size(&self) -> u8 {
        self.parsed.superblock().offset_size
    }

    /// Bytes of a length in this file.
    pub(super) fn length_size(&self) -> u8 {
        self.parsed.superblock().length_size
    }

    /// Whether `address` is the undefined address: nothing was allocated.
    pub(super) fn is_undefined(&self, address: u64) -> bool {
        hdf5_reader::io::Cursor::is_undefined_offset(address, self.offset_size())
    }

    /// Whether `len_bytes` from `address` lie in the file.
    pub(super) fn holds(&self, address: u64, len_bytes: u64) -> bool {
        address.checked_add(len_bytes).is_some_and(|end| end <= self.len_bytes)
    }

    /// Position of `address` from the start of the file.
    pub(super) const fn position(&self, address: u64) -> u64 {
        self.base.saturating_add(address)
    }

    /// The open file, for positional reads.
    pub(super) const fn bytes(&self) -> &Arc<RegularFile> {
        &self.bytes
    }
}

/// What people call the node at `path` of `file`.
pub(super) fn node_label(file: &str, path: &NodePath) -> String {
    if path.is_root() { file.to_owned() } else { format!("{file}::{path}") }
}

/// What the parser said about `path`, as an error of this crate; `doing` names what was parsed.
pub(super) fn fault(path: &str, doing: &str, error: hdf5_reader::error::Error) -> Error {
    use hdf5_reader::error::Error as Parse;
    let path = path.to_owned();
    match error {
        Parse::Context { source, .. } => fault(&path, doing, *source),
        Parse::Io(source) => Error::Os { path, action: "read", source },
        Parse::InvalidMagic => Error::Corrupt {
            path,
            what: "this is no HDF5 file: the signature is missing".to_owned(),
            remedy: "; check that the file is the right one and was copied whole",
        },
        Parse::GroupNotFound(name) | Parse::DatasetNotFound(name) => {
            Error::NotFound { path: format!("{path}::{name}"), hint: String::new() }
        }
        Parse::UnsupportedLayoutClass(3) => {
            Error::Unsupported { path, what: "a virtual dataset (VDS)".to_owned(), remedy: VDS_REMEDY }
        }
        Parse::UnsupportedEncoding(what) => {
            Error::Unsupported { path, what: format!("{doing}: {what}"), remedy: "" }
        }
        other => {
            let text = other.to_string();
            match text.strip_prefix("unsupported ") {
                Some(what) => Error::Unsupported { path, what: format!("{doing}: {what}"), remedy: "" },
                None => Error::Corrupt { path, what: format!("{doing}: {text}"), remedy: "" },
            }
        }
    }
}

const VDS_REMEDY: &str =
    "; its data lies in other files: copy it into a plain dataset with h5repack or h5py first";
