//! The error type of the facade: what a conversion, a check or an argument did wrong.
//!
//! Invariant: failures of the layers below pass through with their own text and [`Fault`]; only what the facade
//! itself decides has variants here. Called by every module of this crate; the command line turns
//! [`Error::fault`] into its exit code.

use blockwise_core::{Fault, StoreFault};
use std::path::PathBuf;

/// What the facade returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong above the formats and the executor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A failure of planning or running.
    #[error(transparent)]
    Core(#[from] blockwise_core::Error),
    /// A failure of a file or store.
    #[error(transparent)]
    Io(#[from] blockwise_io::Error),
    /// A text that is no size, chunk shape, codec, glob or element type.
    #[error("'{text}' is no {what}: {why}")]
    Argument {
        /// What it should have been: `chunk shape`, `codec`, `size` …
        what: &'static str,
        /// The text as it was given.
        text: String,
        /// What is wrong with it and what is right.
        why: String,
    },
    /// A fault in an expression.
    #[error(transparent)]
    Expression(#[from] crate::expression::ExpressionError),
    /// A request that makes no sense for this data.
    #[error("{path}: {what}")]
    Usage {
        /// The array or file.
        path: String,
        /// What is wrong and what to give instead.
        what: String,
    },
    /// A request that was understood and is refused before anything runs.
    #[error("{path}: {what}")]
    Refused {
        /// The array or file.
        path: String,
        /// Why, and what to give instead.
        what: String,
    },
    /// A failure while an array was worked on.
    #[error("{array}: {source}")]
    InArray {
        /// The array, as its path and node.
        array: String,
        /// What went wrong.
        source: Box<Self>,
    },
    /// A run that failed or was cancelled after it had finished a part.
    #[error("{source}; what is finished lies in {}: run again with --resume, or delete that folder", partial.display())]
    Unfinished {
        /// What went wrong.
        source: Box<Self>,
        /// The folder with the part that is finished.
        partial: PathBuf,
    },
    /// A failure for which a command has a remedy of its own.
    #[error("{source}; {advice}")]
    Advised {
        /// What went wrong.
        source: Box<Self>,
        /// What helps, by its options.
        advice: &'static str,
    },
    /// The operating system refused something outside of a store.
    #[error("{path}: {action} failed: {source}")]
    Os {
        /// The file or folder.
        path: String,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<blockwise_cluster::Error> for Error {
    fn from(error: blockwise_cluster::Error) -> Self {
        Self::Core(error.into())
    }
}

impl Error {
    /// What sort of failure this is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Core(error) => error.fault(),
            Self::Io(error) => error.fault(),
            Self::Expression(error) => error.fault,
            Self::Argument { .. } | Self::Usage { .. } => Fault::Usage,
            Self::Refused { .. } => Fault::Refused,
            Self::InArray { source, .. } | Self::Unfinished { source, .. } | Self::Advised { source, .. } => {
                source.fault()
            }
            Self::Os { .. } => Fault::Failed,
        }
    }

    /// What core says, below what was added to it.
    pub(crate) fn core(&self) -> Option<&blockwise_core::Error> {
        match self {
            Self::Core(error) => Some(error),
            Self::InArray { source, .. } | Self::Unfinished { source, .. } | Self::Advised { source, .. } => {
                source.core()
            }
            _ => None,
        }
    }

    /// This error with the array it concerns, unless its text names that already.
    #[must_use]
    pub(crate) fn in_array(self, array: &str) -> Self {
        if self.fault() == Fault::Cancelled || self.to_string().contains(array) {
            return self;
        }
        Self::InArray { array: array.to_owned(), source: Box::new(self) }
    }
}
