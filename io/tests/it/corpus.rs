//! The corpus of good and bad files (`tests/corpus`): its manifest, and whole arrays to compare with it.
//!
//! The folder that `make_corpus.py` wrote is named by `BLOCKWISE_CORPUS`. Without it tests that need it say so and
//! pass, unless `BLOCKWISE_REQUIRE_ORACLES` is 1.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use blockwise_core::{Cancellation, Source, TaskContext};
use blockwise_kernels::BufferPool;
use blockwise_kernels::strided::copy_region;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Bytes that a whole array or the reading of a chunk may take; what needs more is refused as a planner would.
const BUDGET_BYTES: u64 = 256 << 20;
/// Chunks that a plan may have.
const CHUNK_LIMIT: u64 = 10_000_000;

/// One case of the manifest.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) path: PathBuf,
    pub(crate) node: String,
    pub(crate) record: Value,
}

impl Case {
    /// The text in field `key`.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.record[key].as_str().unwrap_or_default()
    }

    /// The list of lengths in field `key`.
    pub(crate) fn lengths(&self, key: &str) -> Option<Vec<u64>> {
        self.record[key].as_array().map(|list| list.iter().filter_map(Value::as_u64).collect())
    }

    pub(crate) fn is_good(&self) -> bool {
        self.text("expect") == "ok"
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.record.get(key).is_some_and(|value| *value != Value::Bool(false))
    }
}

/// The cases of the given kinds; `None` if the corpus is not at hand and need not be.
pub(crate) fn cases(kinds: &[&str]) -> Option<Vec<Case>> {
    let Some(root) = std::env::var_os("BLOCKWISE_CORPUS").map(PathBuf::from) else {
        assert_ne!(
            std::env::var("BLOCKWISE_REQUIRE_ORACLES").as_deref(),
            Ok("1"),
            "BLOCKWISE_CORPUS does not name the corpus"
        );
        eprintln!("skipped: BLOCKWISE_CORPUS does not name the corpus (see tests/corpus/README.md)");
        return None;
    };
    let manifest = std::fs::read(root.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let cases = manifest["cases"].as_array().unwrap().iter().map(|record| Case {
        id: text(record, "id"),
        path: root.join(text(record, "path")),
        node: text(record, "node"),
        record: record.clone(),
    });
    Some(cases.filter(|case| kinds.contains(&case.text("kind"))).collect())
}

/// All elements of `source`, C order.
pub(crate) fn read_all(source: &dyn Source) -> Result<Vec<u8>, String> {
    let (pool, cancellation) = (BufferPool::new(64 << 20), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    let (grid, item_bytes) = (source.grid(), source.dtype().size());
    let chunk_bytes = grid.largest_chunk().iter().product::<u64>().saturating_mul(item_bytes as u64);
    if grid.chunk_count() > CHUNK_LIMIT
        || chunk_bytes.saturating_add(source.read_scratch_bytes()) > BUDGET_BYTES
    {
        return Err("over the plan's limits".to_owned());
    }
    let shape: Vec<usize> = grid.shape().iter().map(|&len| usize::try_from(len).unwrap()).collect();
    let len = shape.iter().product::<usize>() * item_bytes;
    assert!(len as u64 <= BUDGET_BYTES, "too large for this test");
    let mut whole = vec![0; len];
    for index in grid.indices() {
        let region = grid.region(&index).unwrap();
        let chunk = source.read(&index, &cx).map_err(|error| error.to_string())?;
        assert_eq!(chunk.shape(), region.shape());
        let to_usize =
            |values: &[u64]| values.iter().map(|&v| usize::try_from(v).unwrap()).collect::<Vec<_>>();
        let (origin, part) = (to_usize(region.origin()), to_usize(region.shape()));
        let zeros = vec![0; part.len()];
        copy_region(&mut whole, &shape, &origin, chunk.bytes(), &part, &zeros, &part, item_bytes).unwrap();
    }
    Ok(whole)
}

/// The checksum that the manifest has: of little-endian elements.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
