//! Choosing arrays, dimensions and element types.

use crate::run::{coads, json, refuse, succeed, write_npy};
use serde_json::{Value, json};
use std::path::Path;

fn array<'a>(tree: &'a Value, name: &str) -> &'a Value {
    tree["arrays"].as_array().unwrap().iter().find(|array| array["path"] == name).unwrap()
}

fn paths(at: &Path, store: &str) -> Vec<String> {
    let tree = json(at, &["ls", store]);
    let mut paths: Vec<String> =
        tree["arrays"].as_array().unwrap().iter().map(|a| a["path"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

#[test]
fn dimensions_by_name_reach_every_array_that_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let original = coads().display().to_string();
    succeed(at, &["rechunk", &original, "o.zarr", "--chunks", "TIME=3,COADSX=-1"]);
    let tree = json(at, &["ls", "o.zarr"]);
    for name in ["SST", "SLP"] {
        let chunks = &array(&tree, name)["chunks"];
        assert_eq!((&chunks[0], &chunks[2]), (&json!(3), &json!(180)), "{name}");
    }
    assert_eq!(array(&tree, "TIME")["shape"], json!([12]));
    let message = refuse(at, &["rechunk", &original, "p.zarr", "--chunks", "DEPTH=3"], 2);
    assert!(message.contains("TIME") && message.contains("DEPTH"), "{message}");
    let message = refuse(at, &["rechunk", &original, "p.zarr", "--chunks", "3,90,180"], 2);
    assert!(message.contains("name one"), "{message}");
}

#[test]
fn globs_choose_and_coordinates_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let original = coads().display().to_string();
    succeed(at, &["convert", &original, "some.zarr", "--include", "S*", "--exclude", "SLP"]);
    assert_eq!(paths(at, "some.zarr"), ["COADSX", "COADSY", "SPEH", "SST", "TIME"]);
    succeed(at, &["convert", &original, "wind.zarr", "--include", "?WND", "--exclude", "COADS?"]);
    assert_eq!(paths(at, "wind.zarr"), ["TIME", "UWND", "VWND"]);
    assert!(refuse(at, &["convert", &original, "none.zarr", "--include", "xyz"], 2).contains("ls"));
}

#[test]
fn element_types_are_converted_and_raw_files_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[6, 10]);
    succeed(at, &["convert", "a.npy", "d.zarr", "--dtype", "float64"]);
    assert_eq!(json(at, &["info", "d.zarr"])["dtype"], "float64");
    succeed(at, &["verify", "a.npy", "d.zarr", "--atol", "1e-9"]);
    let bytes: Vec<u8> = (0..60_i32).flat_map(i32::to_le_bytes).collect();
    std::fs::write(at.join("a.raw"), bytes).unwrap();
    succeed(at, &["convert", "a.raw", "r.zarr", "--dtype", "int32", "--shape", "6,10"]);
    succeed(at, &["verify", "a.npy", "r.zarr"]);
    let message = refuse(at, &["convert", "a.raw", "s.zarr", "--dtype", "int32", "--shape", "6,11"], 2);
    assert!(message.contains("a.raw"), "{message}");
}

#[test]
fn one_array_of_many_by_node() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sst = format!("{}::SST", coads().display());
    succeed(at, &["rechunk", &sst, "sst.zarr", "--chunks", "12,10,20"]);
    assert_eq!(paths(at, "sst.zarr"), ["SST"]);
    succeed(at, &["verify", &sst, "sst.zarr"]);
    succeed(at, &["convert", &sst, "sst.npy"]);
    succeed(at, &["verify", "sst.zarr::SST", "sst.npy"]);
}
