//! Arrays that are read through a source over another array's: nothing of them is stored, whatever the order in which they look at it.
//!
//! Invariant: what lies below is stored, in a file or by an earlier stage, when it is read. Called by the functions of arrays that no
//! view can say.

use super::{Array, Kind, Node};
use crate::grid::ChunkGrid;
use crate::source::Source;
use std::sync::Arc;

/// What stands over a source and shows it otherwise.
pub(crate) trait Adapter: Send + Sync {
    /// The source that shows `inner`, cut as `grid`.
    fn over(&self, inner: Arc<dyn Source>, grid: ChunkGrid) -> Arc<dyn Source>;
}

/// An array as an adapter shows it.
pub(crate) struct Adapted {
    pub(crate) input: Array,
    pub(crate) adapter: Arc<dyn Adapter>,
}

impl Adapted {
    /// The source that is read as it is.
    pub(crate) fn stored(&self) -> Option<&Arc<dyn Source>> {
        match &self.input.node().kind {
            Kind::Source(source) => Some(source),
            _ => None,
        }
    }
}

impl Array {
    /// This array as `adapter` shows it, cut as `grid`, without names.
    pub(super) fn adapted(&self, grid: ChunkGrid, adapter: Arc<dyn Adapter>) -> Self {
        let mut input = self.clone();
        // A view that shows an array as it is would be stored once more.
        while let Kind::View { input: below, view } = &input.node().kind
            && view.is_identity()
            && below.shape() == input.shape()
        {
            input = below.clone();
        }
        let (dtype, names) = (self.dtype(), vec![None; grid.rank()]);
        let kind = Kind::Adapted(Adapted { input, adapter });
        Self { node: Arc::new(Node { dtype, grid, names, kind }) }
    }
}
