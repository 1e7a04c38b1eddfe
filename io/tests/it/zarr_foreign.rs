//! Zarr stores that zarr-python, tensorstore and xarray wrote, and hostile variations of small ones.

use crate::corpus::{read_all, sha256};
use crate::oracle;
use blockwise_io::store::Root;
use blockwise_io::{AttributeValue, Container, NodePath, OpenOptions, zarr};
use blockwise_kernels::Scalar;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

fn open(path: &Path) -> blockwise_io::Result<Arc<dyn Container>> {
    zarr::open(Arc::new(Root::open(path, false)?), &OpenOptions::default())
}

#[test]
fn what_others_write_is_read() {
    let folder = tempfile::tempdir().unwrap();
    if !oracle::agrees("zarr_foreign.py", &[folder.path()]) {
        return;
    }
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    assert!(cases.len() > 100);
    for case in cases {
        let container = open(&folder.path().join(case["path"].as_str().unwrap())).unwrap();
        let node: NodePath = case["node"].as_str().unwrap().parse().unwrap();
        let array = container.array(&node).unwrap();
        if let Some(expected) = case["texts"].as_array() {
            let texts = array.read_texts(1 << 20).unwrap().texts;
            assert_eq!(json!(texts), json!(expected), "{case}");
            continue;
        }
        let source = array.source().unwrap();
        assert_eq!(source.dtype().name(), case["dtype"], "{case}");
        assert_eq!(sha256(&read_all(&*source).unwrap()), case["sha256"], "{case} {:?}", array.info());
        if let Some(fill) = case["fill"].as_f64() {
            let found = array.info().attributes.get("_FillValue");
            let AttributeValue::Number(found) = found.unwrap() else { unreachable!() };
            assert_eq!((found.to_f64(), found.dtype()), (Some(fill), source.dtype()));
            let range = array.info().attributes.get("valid_range");
            let expected = [0.0_f32, 90.0].map(Scalar::from).to_vec();
            assert_eq!(range, Some(&AttributeValue::Numbers(source.dtype(), expected)));
        }
    }
}

/// A sharded array of four chunks in two shards, zstd inside.
fn document() -> Value {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": [4, 6], "data_type": "int16", "fill_value": 7,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [
            {"name": "transpose", "configuration": {"order": [1, 0]}},
            {"name": "sharding_indexed", "configuration": {
                "chunk_shape": [2, 4],
                "codecs": [{"name": "bytes", "configuration": {"endian": "big"}},
                           {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle",
                                                               "typesize": 2, "blocksize": 0}}],
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "index_location": "start"}}],
        "attributes": {"_FillValue": 3, "list": [1, 2.5]}, "dimension_names": ["y", null],
    })
}

/// Every place in a document, as the keys that lead there.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, entry)| places(entry, &format!("{at}/{key}"), found));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(k, entry)| places(entry, &format!("{at}/{k}"), found));
        }
        _ => {}
    }
}

/// Opens and reads all there is; how it ends does not matter, only that it does.
fn touch(path: &Path) {
    let Ok(container) = open(path) else { return };
    let _ = container.nodes();
    let Ok(array) = container.array(&NodePath::root()) else { return };
    let _ = (array.stored_chunks(), array.stored_bytes(), array.read_texts(1 << 20));
    if let Ok(source) = array.source()
        && source.grid().chunk_count() < 10_000
        && source.grid().shape().iter().product::<u64>() < 1 << 20
    {
        let _ = read_all(&*source);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_metadata_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..14_usize), 1..4),
        chunk in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut document = document();
        for (place, kind) in changes {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let values = [
                json!(null), json!(0), json!(1), json!(-1), json!(3.5), json!(u64::MAX), json!(1_u64 << 40),
                json!("x"), json!([]), json!({}), json!([0, 0]), json!(["a", {"name": "bytes"}]),
                json!({"name": "sharding_indexed"}), json!("float64"),
            ];
            if let Some(slot) = document.pointer_mut(place.get(&all).as_str()) {
                *slot = values[kind].clone();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("zarr.json"), document.to_string()).unwrap();
        std::fs::create_dir_all(folder.path().join("c/0")).unwrap();
        std::fs::write(folder.path().join("c/0/0"), &chunk).unwrap();
        touch(folder.path());
    }

    #[test]
    fn hostile_shards_never_panic(offset in any::<u64>(), len in 0..200_u64, tail in proptest::collection::vec(any::<u8>(), 0..80)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("zarr.json"), document().to_string()).unwrap();
        std::fs::create_dir_all(folder.path().join("c/0")).unwrap();
        for offset in [offset, 32, offset % 100] {
            let index = [offset, len, u64::MAX, u64::MAX].map(u64::to_le_bytes).concat();
            std::fs::write(folder.path().join("c/0/0"), [index, tail.clone()].concat()).unwrap();
            touch(folder.path());
        }
    }
}
