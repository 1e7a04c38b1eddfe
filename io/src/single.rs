//! A file that is one uncompressed array: the container and stored array of npy and raw files.
//!
//! Invariant: the array stands at the root and is all there is. Called by [`crate::npy`] and [`crate::raw`].

use crate::container::{ArrayInfo, Container, Format, GroupInfo, NodePath, StoredArray, TextArray};
use crate::contiguous::{StridedArray, StridedSource};
use crate::error::{Error, Result};
use blockwise_core::Source;
use std::sync::Arc;

/// The container of one array.
#[derive(Debug)]
pub(crate) struct SingleFile {
    label: String,
    array: Arc<SingleArray>,
}

/// The array of such a file.
#[derive(Debug)]
struct SingleArray {
    info: ArrayInfo,
    /// The source; `None` for elements that do not stream.
    source: Option<Arc<StridedSource>>,
    label: String,
    stored_bytes: u64,
}

impl SingleFile {
    /// The container of the array that `info` describes. `strided` is `None` for elements that do not stream.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if elements lie outside of the file.
    pub(crate) fn new(
        label: String,
        info: ArrayInfo,
        strided: Option<StridedArray>,
        stored_bytes: u64,
    ) -> Result<Self> {
        let source = strided.map(StridedSource::new).transpose()?.map(Arc::new);
        let array = SingleArray { info, source, label: label.clone(), stored_bytes };
        Ok(Self { label, array: Arc::new(array) })
    }
}

impl Container for SingleFile {
    fn label(&self) -> &str {
        &self.label
    }

    fn format(&self) -> Format {
        self.array.info.format
    }

    fn nodes(&self) -> Result<(Vec<GroupInfo>, Vec<ArrayInfo>)> {
        Ok((Vec::new(), vec![self.array.info.clone()]))
    }

    fn array(&self, path: &NodePath) -> Result<Arc<dyn StoredArray>> {
        if path.is_root() {
            return Ok(Arc::clone(&self.array) as Arc<dyn StoredArray>);
        }
        let hint = format!("; a {} file is one array and has no nodes", self.format());
        Err(Error::NotFound { path: format!("{}::{path}", self.label), hint })
    }
}

impl StoredArray for SingleArray {
    fn info(&self) -> &ArrayInfo {
        &self.info
    }

    fn source(&self) -> Result<Arc<dyn Source>> {
        match &self.source {
            Some(source) => Ok(Arc::clone(source) as Arc<dyn Source>),
            None => Err(Error::Unsupported {
                path: self.label.clone(),
                what: format!("the element type {}", self.info.element_type),
                remedy: "; convert it to numbers first",
            }),
        }
    }

    fn stored_chunks(&self) -> Result<(u64, u64)> {
        Ok((1, 1))
    }

    fn stored_bytes(&self) -> Result<u64> {
        Ok(self.stored_bytes)
    }

    fn read_texts(&self, _limit_bytes: u64) -> Result<TextArray> {
        let what = format!("reading {} as texts", self.info.element_type);
        Err(Error::Unsupported { path: self.label.clone(), what, remedy: "" })
    }
}
