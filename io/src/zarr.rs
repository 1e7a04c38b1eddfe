//! Zarr, versions 2 and 3: reading and writing.
//!
//! Metadata is parsed into one form for both versions (`meta.rs`); chunks go through a `pipeline` whose codecs are
//! [`crate::codec`]'s; reads go through a [`ByteStore`]. Invariants: nothing that a store says is trusted (see each
//! module); a chunk is absent only if the store positively has no such object, or a checked shard index says so.
//!
//! Called by the facade, which opens a container by [`open`], writes one by [`ZarrWriter`] and changes one by
//! [`ZarrUpdate`].

mod array;
mod attributes;
mod banded;
mod cache;
mod documents;
mod element;
mod encoding;
mod fill;
mod hierarchy;
mod json;
mod keys;
mod meta;
mod pipeline;
mod sink;
mod source;
mod texts;
mod update;
mod writer;

pub use hierarchy::detect;
pub use update::{ZarrUpdate, outermost};
pub use writer::ZarrWriter;

use crate::container::{Container, OpenOptions};
use crate::error::Result;
use crate::store::ByteStore;
use std::sync::Arc;

/// Opens a Zarr store: a group with what is below it, or a single array.
///
/// ```
/// use blockwise_io::{NodePath, OpenOptions, store::Root, zarr};
/// use std::sync::Arc;
/// # let folder = tempfile::tempdir().unwrap();
/// # std::fs::write(folder.path().join(".zarray"), br#"{"zarr_format": 2, "shape": [4], "chunks": [2],
/// #    "dtype": "<f4", "compressor": null, "fill_value": 0, "order": "C", "filters": null}"#).unwrap();
/// let store = Arc::new(Root::open(folder.path(), false)?);
/// let container = zarr::open(store, &OpenOptions::default())?;
/// let array = container.array(&NodePath::root())?;
/// assert_eq!(array.info().shape, [4]);
/// assert_eq!(array.source()?.grid().counts(), [2]);
/// # Ok::<(), blockwise_io::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFound`](crate::Error::NotFound) if there is no Zarr in `store`; else if it cannot be read.
pub fn open(store: Arc<dyn ByteStore>, options: &OpenOptions) -> Result<Arc<dyn Container>> {
    Ok(Arc::new(hierarchy::ZarrContainer::open(store, options)?))
}
