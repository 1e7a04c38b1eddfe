//! An array of a Zarr store, open.
//!
//! Called by the conversion code through [`StoredArray`].

use super::meta::ArrayMeta;
use super::source::{Shared, ZarrSource};
use super::{json, texts};
use crate::container::{ArrayInfo, ElementType, NodePath, StoredArray, TextArray};
use crate::error::{Error, Result};
use crate::store::{ByteStore, walk};
use blockwise_core::Source;
use std::sync::Arc;

/// An open array.
pub(crate) struct ZarrArray {
    shared: Arc<Shared>,
    meta: ArrayMeta,
    info: ArrayInfo,
    key: String,
    label: String,
}

impl ZarrArray {
    /// The array at `node`, as `meta` describes it.
    pub(crate) fn new(shared: Arc<Shared>, node: NodePath, meta: ArrayMeta) -> Self {
        let key = node.to_string();
        let store = shared.store.label();
        let label = if key.is_empty() { store.to_owned() } else { format!("{store}::{key}") };
        Self { info: meta.info(node), shared, meta, key, label }
    }

    /// Calls `visit` with the key and, where it is known for free, the length of every stored chunk.
    fn each_object(&self, visit: &mut dyn FnMut(&str, Option<u64>) -> Result<()>) -> Result<()> {
        let counts = self.meta.object_grid()?.counts();
        walk(&*self.shared.store, &self.key, &mut |key, len| {
            let below = if self.key.is_empty() { Some(key) } else { key.get(self.key.len() + 1..) };
            let is_chunk = below.is_some_and(|below| self.meta.keys.index_of(below, &counts).is_some());
            if is_chunk { visit(key, len) } else { Ok(()) }
        })
    }
}

impl StoredArray for ZarrArray {
    fn info(&self) -> &ArrayInfo {
        &self.info
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        let pipeline = self.meta.streaming()?;
        let shared = Arc::clone(&self.shared);
        let source = ZarrSource::new(shared, self.label.clone(), self.key.clone(), &self.meta, pipeline)?;
        Ok(Arc::new(source))
    }

    /// Stored objects (shards, where there are any) and those that the grid has.
    fn stored_chunks(&self) -> Result<(u64, u64)> {
        let mut stored = 0;
        self.each_object(&mut |_, _| {
            stored += 1;
            Ok(())
        })?;
        Ok((stored, self.meta.object_grid()?.chunk_count()))
    }

    fn stored_bytes(&self) -> Result<u64> {
        let mut bytes = 0_u64;
        let store: &dyn ByteStore = &*self.shared.store;
        self.each_object(&mut |key, len| {
            let len = match len {
                Some(len) => len,
                None => store.len(key)?.unwrap_or(0), // gone since it was listed
            };
            bytes = bytes.saturating_add(len);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn read_texts(&self, limit_bytes: u64) -> Result<TextArray> {
        if self.meta.stored.element != ElementType::Text {
            let what = format!("reading elements of type {} as texts", self.meta.stored.element);
            return Err(Error::Unsupported {
                path: json::path_of(&*self.shared.store, &self.key),
                what,
                remedy: "",
            });
        }
        texts::read(&self.shared, &self.key, &self.meta, limit_bytes)
    }
}
