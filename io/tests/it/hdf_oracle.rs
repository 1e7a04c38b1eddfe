//! Random HDF5 and NetCDF files written by h5py and netCDF4: everything they see in them is seen here too.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use crate::corpus::{read_all, sha256};
use crate::oracle;
use blockwise_io::{
    AttributeValue, Attributes, Container, ElementType, Format, NodePath, OpenOptions, hdf5, netcdf,
};
use blockwise_kernels::Scalar;
use serde_json::{Value, json};
use std::path::Path;

const TEXT_LIMIT_BYTES: u64 = 1 << 20;

/// What Python wrote about the files in `folder`.
fn seen(folder: &Path) -> Vec<Value> {
    let text = std::fs::read(folder.join("seen.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap().as_array().unwrap().clone()
}

fn open(file: &Value) -> Box<dyn Container> {
    let path = Path::new(file["path"].as_str().unwrap());
    match file["format"].as_str().unwrap() {
        "NetCDF classic" => Box::new(netcdf::open(path, &OpenOptions::default()).unwrap()),
        _ => Box::new(hdf5::open(path, &OpenOptions::default()).unwrap()),
    }
}

fn hex(values: &[Scalar]) -> String {
    values.iter().flat_map(Scalar::bytes).map(|byte| format!("{byte:02x}")).collect()
}

fn attribute_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => json!({ "texts": [text] }),
        AttributeValue::Texts(list) => json!({ "texts": list }),
        AttributeValue::Number(one) => json!({ "dtype": one.dtype().name(), "hex": hex(&[*one]) }),
        AttributeValue::Numbers(dtype, list) => json!({ "dtype": dtype.name(), "hex": hex(list) }),
        other => json!(format!("{other:?}")),
    }
}

fn assert_attributes(found: &Attributes, expected: &Value, at: &str) {
    let found: serde_json::Map<String, Value> =
        found.iter().map(|(name, value)| (name.to_owned(), attribute_json(value))).collect();
    assert_eq!(&Value::Object(found), expected, "{at}: attributes");
}

fn assert_array(container: &dyn Container, name: &str, expected: &Value, at: &str) {
    let array = container.array(&name.parse::<NodePath>().unwrap()).unwrap();
    let info = array.info();
    assert_eq!(json!(info.shape), expected["shape"], "{at}: shape");
    assert_eq!(json!(info.chunk_shape), expected["chunks"], "{at}: chunks");
    assert_eq!(info.element_type.to_string(), expected["type"].as_str().unwrap(), "{at}: type");
    assert_attributes(&info.attributes, &expected["attributes"], at);
    if let Some(dimensions) = expected.get("dimensions") {
        assert_eq!(json!(info.dimension_names), *dimensions, "{at}: dimensions");
        let is_coordinate = info.shape.len() == 1 && dimensions[0] == name.rsplit('/').next().unwrap();
        assert_eq!(info.is_coordinate, is_coordinate, "{at}: coordinate");
    }
    if let Some(unlimited) = expected.get("unlimited") {
        assert_eq!(json!(info.unlimited), *unlimited, "{at}: unlimited");
    }
    if let Some(fill) = expected.get("fill").filter(|fill| !fill.is_null()) {
        let found = info.fill_value.map(|fill| attribute_json(&AttributeValue::Number(fill)));
        assert_eq!(found.as_ref(), Some(fill), "{at}: fill value");
    }
    if info.element_type == ElementType::Text {
        let texts = array.read_texts(TEXT_LIMIT_BYTES).unwrap();
        assert_eq!(
            (json!(texts.shape), json!(texts.texts)),
            (expected["shape"].clone(), expected["texts"].clone())
        );
        assert!(array.read_texts(10).is_err() || texts.texts.is_empty(), "{at}: the limit is ignored");
        assert!(array.source().is_err());
    } else {
        let values = read_all(&*array.source().unwrap()).unwrap();
        assert_eq!(
            sha256(&values),
            expected["sha256"].as_str().unwrap(),
            "{at}: values, {}",
            info.codec_text
        );
        let (stored, all) = array.stored_chunks().unwrap();
        assert!(stored <= all, "{at}: {stored} chunks of {all}");
    }
}

/// Compares a file with what Python saw in it; gives the number of arrays.
fn assert_same(file: &Value) -> usize {
    let container = open(file);
    let format = match file["format"].as_str().unwrap() {
        "NetCDF classic" => Format::NetCdfClassic,
        "NetCDF-4" => Format::NetCdf4,
        _ => Format::Hdf5,
    };
    assert_eq!(container.format(), format, "{}", container.label());
    let (groups, arrays) = container.nodes().unwrap();
    let expected = file["groups"].as_object().unwrap();
    assert_eq!(groups.len(), expected.len(), "{}: groups", container.label());
    for group in &groups {
        let (expected, at) =
            (&expected[&group.path.to_string()], format!("{}::{}", container.label(), group.path));
        assert_attributes(&group.attributes, &expected["attributes"], &at);
        if let Some(dimensions) = expected.get("dimensions") {
            assert_eq!(json!(group.dimensions), *dimensions, "{at}: dimensions");
        }
    }
    let expected = file["arrays"].as_object().unwrap();
    let mut names: Vec<String> = arrays.iter().map(|array| array.path.to_string()).collect();
    names.sort_unstable();
    let mut expected_names: Vec<String> = expected.keys().cloned().collect();
    expected_names.sort_unstable();
    assert_eq!(names, expected_names, "{}: arrays", container.label());
    for (name, expected) in expected {
        assert_array(&*container, name, expected, &format!("{}::{name}", container.label()));
    }
    expected.len()
}

#[test]
fn random_files_read_as_python_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var("BLOCKWISE_SEED").unwrap_or_else(|_| "1".to_owned());
    let arguments = [Path::new("random"), folder.path(), Path::new(&seed)];
    if oracle::agrees("hdf_reading.py", &arguments) {
        let arrays: usize = seen(folder.path()).iter().map(assert_same).sum();
        assert!(arrays > 500, "{arrays} arrays");
    }
}

#[test]
fn coads_reads_as_netcdf_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/coads_climatology.cdf");
    if oracle::agrees("hdf_reading.py", &[Path::new("describe"), &file, folder.path()]) {
        assert_eq!(seen(folder.path()).iter().map(assert_same).sum::<usize>(), 10);
    }
}
