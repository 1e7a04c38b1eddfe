//! The error type of io: what is wrong with which file, node, chunk or codec, and what to do.
//!
//! Invariant: every variant that stems from a file names it. Called by all of io; core carries these errors
//! through its traits as [`StoreFault`]s.

use blockwise_core::error::human_bytes;
use blockwise_core::{Fault, StoreFault};

/// What io returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with files and stores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{path}: {action} failed: {source}")]
    Os {
        /// The file or folder.
        path: String,
        /// What was tried: `open`, `read`, `rename` …
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A disk is full.
    #[error(
        "{path}: the disk is full: {} ({needed_bytes} bytes) more were needed, {} ({free_bytes} bytes) are free; free some space and run again with --resume",
        human_bytes(*.needed_bytes), human_bytes(*.free_bytes)
    )]
    NoSpace {
        /// The file that was being written.
        path: String,
        /// Bytes that the failed write needed.
        needed_bytes: u64,
        /// Bytes free on that disk.
        free_bytes: u64,
    },
    /// Nothing there.
    #[error("{path}: no such file, folder or node{hint}")]
    NotFound {
        /// The path, with its node.
        path: String,
        /// What there is instead, with a leading `; `, or nothing.
        hint: String,
    },
    /// A server could not be reached, or did not do what was asked.
    #[error("{url}: {why}{remedy}")]
    Remote {
        /// The object or folder, without secrets.
        url: String,
        /// What the server answered, or what went wrong on the way to it.
        why: String,
        /// What to do, with a leading `; `, or nothing.
        remedy: &'static str,
    },
    /// Content that is corrupt, hostile or contradicts itself.
    #[error("{path}: {what}{remedy}")]
    Corrupt {
        /// The file, with node or key.
        path: String,
        /// What is wrong: the field, object, chunk or codec, with the values found and expected.
        what: String,
        /// What to do, with a leading `; `, or nothing.
        remedy: &'static str,
    },
    /// Content that is valid but not supported.
    #[error("{path}: {what} is not supported{remedy}")]
    Unsupported {
        /// The file, with node or key.
        path: String,
        /// The feature, by its name in the file.
        what: String,
        /// What to do, with a leading `; `, or nothing.
        remedy: &'static str,
    },
    /// A size that exceeds a limit or 64 bits.
    #[error("{path}: {what} of {size} exceeds the limit of {limit}")]
    Limit {
        /// The file, with node or key.
        path: String,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: String,
        /// What is allowed.
        limit: u64,
    },
    /// A chunk that the policy says must be there is not.
    #[error("{path}: the chunk is missing; use --missing-chunk fill to read it as fill values")]
    MissingChunk {
        /// The file or key.
        path: String,
    },
    /// A path or link that leaves the store, or something that is no plain file or folder.
    #[error("{path}: refused: {why}")]
    UnsafePath {
        /// The path.
        path: String,
        /// Why it is refused and what would allow it.
        why: &'static str,
    },
    /// The destination is there already.
    #[error(
        "{path}: exists already; use --overwrite to replace it, or --resume to finish an interrupted run"
    )]
    Exists {
        /// The destination.
        path: String,
    },
    /// The request cannot be carried out by this format, or makes no sense.
    #[error("{path}: {what}")]
    Refused {
        /// The destination or source.
        path: String,
        /// Why, and what to give instead.
        what: String,
    },
    /// A wrong argument.
    #[error("{message}")]
    Usage {
        /// What is wrong and what to give instead.
        message: String,
    },
    /// libhdf5, which writes HDF5 and NetCDF-4 files, failed.
    #[error("{path}: {what}")]
    Hdf5Library {
        /// The file that was being written.
        path: String,
        /// The call that failed and the library's reason.
        what: String,
    },
    /// A failure in core, such as an impossible grid or a cancellation.
    #[error(transparent)]
    Core(Box<blockwise_core::Error>),
}

impl StoreFault for Error {
    fn fault(&self) -> Fault {
        match self {
            // A folder where a file must be is damage of the store, not trouble of the system.
            Self::Os { source, .. } if source.kind() == std::io::ErrorKind::IsADirectory => Fault::BadInput,
            Self::Os { .. } | Self::NoSpace { .. } | Self::Hdf5Library { .. } | Self::Remote { .. } => {
                Fault::Failed
            }
            Self::Usage { .. } => Fault::Usage,
            Self::NotFound { .. }
            | Self::Corrupt { .. }
            | Self::Unsupported { .. }
            | Self::MissingChunk { .. }
            | Self::UnsafePath { .. } => Fault::BadInput,
            Self::Limit { .. } | Self::Exists { .. } | Self::Refused { .. } => Fault::Refused,
            Self::Core(error) => error.fault(),
        }
    }
}

impl From<blockwise_core::Error> for Error {
    fn from(error: blockwise_core::Error) -> Self {
        Self::Core(Box::new(error))
    }
}
