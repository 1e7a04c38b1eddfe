//! The error type of core and of the traits that other crates implement.
//!
//! Invariants: every message says what failed and what to do; context (operation, chunk, region) is added once, by
//! the executor, through [`Error::in_task`]; [`Error::fault`] tells programs what sort of failure it was. Called by
//! every crate above core.

use std::fmt;

/// What core and the traits it defines return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an error is; the command line's exit codes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The run failed: an I/O error, a full disk, a panic in a closure.
    Failed,
    /// The request makes no sense: an unknown axis, a bad chunk shape.
    Usage,
    /// Refused before anything ran: memory, space, an existing output, two writers.
    Refused,
    /// The input is corrupt, hostile or of an unsupported kind.
    BadInput,
    /// Stopped by the user.
    Cancelled,
}

/// A failure of another crate, carried through core's traits without core knowing its type.
pub trait StoreFault: std::error::Error + Send + Sync + 'static {
    /// What sort of failure it is.
    fn fault(&self) -> Fault;
}

/// What can go wrong in planning and running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two things that must have the same number of axes do not.
    #[error("expected {expected} axes, found {found}; give one value per axis (at most 32 axes)")]
    Rank {
        /// Axes that were expected.
        expected: usize,
        /// Axes that were given.
        found: usize,
    },
    /// Two shapes that must agree do not.
    #[error("expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The shape that was expected.
        expected: Vec<u64>,
        /// The shape that was given.
        found: Vec<u64>,
    },
    /// A chunk length of 0 on an axis that has elements.
    #[error("a chunk length of 0 cannot cover an axis of {extent} elements; use -1 for the whole axis")]
    ChunkOfZero {
        /// Elements along the axis.
        extent: u64,
    },
    /// More elements or bytes than 64 bits count.
    #[error("the {what} of shape {shape:?} has more elements or bytes than 64 bits can count")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its shape.
        shape: Vec<u64>,
    },
    /// More chunks than a plan may have.
    #[error("{label} has {chunks} chunks, more than {}; choose larger chunks", crate::plan::MAX_CHUNKS)]
    TooManyChunks {
        /// The array.
        label: String,
        /// Its chunks.
        chunks: u64,
    },
    /// A chunk index outside the grid.
    #[error("no chunk {index:?} in a grid of {counts:?} chunks")]
    NoSuchChunk {
        /// The index that was asked for.
        index: Vec<u64>,
        /// Chunks per axis.
        counts: Vec<u64>,
    },
    /// Bytes or dtype of a chunk are not what its region needs. A bug in a source or closure, never bad input.
    #[error("a chunk of shape {shape:?} needs {expected_bytes} bytes of {dtype}, got {found_bytes}")]
    ChunkBytes {
        /// The chunk's shape.
        shape: Vec<u64>,
        /// Its dtype.
        dtype: blockwise_kernels::DType,
        /// Bytes that it needs.
        expected_bytes: u64,
        /// Bytes that were given.
        found_bytes: u64,
    },
    /// A plan that cannot run within the budget.
    #[error(
        "{operation} needs at least {} of memory, the budget is {}: {detail}; give --memory {} or more",
        human_bytes(*.needed_bytes), human_bytes(*.budget_bytes), mebibytes_up(*.needed_bytes)
    )]
    OverBudget {
        /// The operation and array that need the memory.
        operation: String,
        /// What takes the memory.
        detail: String,
        /// The smallest budget that works.
        needed_bytes: u64,
        /// The budget that was given.
        budget_bytes: u64,
    },
    /// The temporary or output disk cannot hold what the plan writes.
    #[error(
        "{what} needs {} in {folder}, which has {} free; free some space or choose another folder{remedy}",
        human_bytes(*.needed_bytes), human_bytes(*.free_bytes)
    )]
    NoSpace {
        /// What needs the space.
        what: &'static str,
        /// Where.
        folder: String,
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes free.
        free_bytes: u64,
        /// An option that helps, with a leading space, or nothing.
        remedy: &'static str,
    },
    /// A spill file could not be written or read.
    #[error(
        "spill file {path}: {action} of {len_bytes} bytes at {offset} failed: {source}; check the disk, or choose another with --spill-dir"
    )]
    Spill {
        /// The file.
        path: String,
        /// What was tried.
        action: &'static str,
        /// Where in the file.
        offset: u64,
        /// How much.
        len_bytes: u64,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A spilled chunk is not what was written.
    #[error(
        "spill file {path}: the piece at {offset} has checksum {found:08x}, written as {expected:08x}; the disk is damaged or another program wrote there: run again with another --spill-dir"
    )]
    SpillDamaged {
        /// The file.
        path: String,
        /// Where in the file.
        offset: u64,
        /// Checksum when it was written.
        expected: u32,
        /// Checksum when it was read.
        found: u32,
    },
    /// A panic inside a task.
    #[error("the task panicked: {message}; this is a bug in the closure or in Blockwise")]
    Panic {
        /// What the panic said.
        message: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A request that makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong and what to give instead.
        message: String,
    },
    /// An expression that makes no sense, or an operand that its program does not fit.
    #[error(transparent)]
    Program(#[from] blockwise_kernels::program::ProgramError),
    /// A reduction that makes no sense.
    #[error(transparent)]
    Reduce(#[from] blockwise_kernels::reduce::ReduceError),
    /// What a kernel that works along axes refuses.
    #[error(transparent)]
    Kernel(#[from] blockwise_kernels::KernelError),
    /// A matrix that must be positive definite is not.
    #[error(
        "the matrix is not positive definite: column {column} shows it; it must be Hermitian with positive eigenvalues and free of NaN: try lu or lstsq"
    )]
    NotPositiveDefinite {
        /// The first column at which the factorisation cannot go on, from 0.
        column: u64,
    },
    /// A matrix that must be invertible is not.
    #[error("the matrix is singular: column {column} depends on those before it; try lstsq")]
    Singular {
        /// The first such column, from 0.
        column: u64,
    },
    /// A matrix that must be of numbers is not.
    #[error(
        "the matrix has NaN or an infinity in row {row}, column {column}; leave such rows or columns out, or fill them"
    )]
    NotFinite {
        /// Row of the first that was found, from 0.
        row: u64,
        /// Its column, from 0.
        column: u64,
    },
    /// An iteration that does not come to an end.
    #[error("{operation} of a matrix of {rows} by {columns} did not converge; it may hold NaN or infinities")]
    NoConvergence {
        /// What was computed.
        operation: &'static str,
        /// Rows of the matrix.
        rows: u64,
        /// Columns of the matrix.
        columns: u64,
    },
    /// A layout fault in a kernel: a bug, never bad input.
    #[error("internal: {message}; please report this")]
    Internal {
        /// What happened.
        message: String,
    },
    /// A failure of a source or sink.
    #[error("{cause}")]
    Store {
        /// What the crate says went wrong, path and remedy included.
        cause: Box<dyn StoreFault>,
    },
    /// Another error, with the task in which it happened.
    #[error("{operation}, chunk {chunk:?} {region}: {source}")]
    InTask {
        /// The operation and array, such as `read of climate.zarr::t2m`.
        operation: String,
        /// Index of the chunk.
        chunk: Vec<u64>,
        /// The chunk's box, as a slice.
        region: String,
        /// What went wrong.
        source: Box<Self>,
    },
}

impl Error {
    /// What sort of failure this is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Rank { .. }
            | Self::Shape { .. }
            | Self::ChunkOfZero { .. }
            | Self::Usage { .. }
            | Self::Program(_)
            | Self::Reduce(_)
            | Self::Kernel(_) => Fault::Usage,
            Self::TooLarge { .. } | Self::TooManyChunks { .. } | Self::OverBudget { .. } => Fault::Refused,
            Self::NoSuchChunk { .. }
            | Self::ChunkBytes { .. }
            | Self::NoSpace { .. }
            | Self::Spill { .. }
            | Self::SpillDamaged { .. }
            | Self::Panic { .. }
            | Self::Internal { .. } => Fault::Failed,
            Self::NotPositiveDefinite { .. }
            | Self::NotFinite { .. }
            | Self::Singular { .. }
            | Self::NoConvergence { .. } => Fault::BadInput,
            Self::Cancelled => Fault::Cancelled,
            Self::Store { cause } => cause.fault(),
            Self::InTask { source, .. } => source.fault(),
        }
    }

    /// Whether a temporary file did not give back what was put there, so that it would help to compute that again.
    pub(crate) fn is_lost_spill(&self) -> bool {
        match self {
            Self::SpillDamaged { .. } | Self::Spill { action: "reading", .. } => true,
            Self::InTask { source, .. } => source.is_lost_spill(),
            _ => false,
        }
    }

    /// Whether the elements are what is wrong, so that the same computation of the same elements fails again.
    #[must_use]
    pub fn is_of_elements(&self) -> bool {
        match self {
            Self::NotPositiveDefinite { .. }
            | Self::NotFinite { .. }
            | Self::Singular { .. }
            | Self::NoConvergence { .. } => true,
            Self::InTask { source, .. } => source.is_of_elements(),
            _ => false,
        }
    }

    /// Whether it is that a matrix has NaN or an infinity.
    #[must_use]
    pub fn is_not_finite(&self) -> bool {
        match self {
            Self::NotFinite { .. } => true,
            Self::InTask { source, .. } => source.is_not_finite(),
            _ => false,
        }
    }

    /// This error with the task in which it happened; unchanged if it already has one or is a cancellation.
    #[must_use]
    pub fn in_task(self, operation: impl Into<String>, chunk: &[u64], region: &dyn fmt::Display) -> Self {
        match self {
            Self::InTask { .. } | Self::Cancelled => self,
            source => Self::InTask {
                operation: operation.into(),
                chunk: chunk.to_vec(),
                region: region.to_string(),
                source: Box::new(source),
            },
        }
    }
}

impl<F: StoreFault> From<F> for Error {
    fn from(cause: F) -> Self {
        Self::Store { cause: Box::new(cause) }
    }
}

/// Bytes for people: `1.2 GiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "KiB";
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 10.0 { format!("{value:.2} {unit}") } else { format!("{value:.1} {unit}") }
}

/// Whole mebibytes at least `bytes`, as the `--memory` option takes them.
fn mebibytes_up(bytes: u64) -> String {
    format!("{}MiB", bytes.div_ceil(1 << 20))
}
