//! Regions and appended arrays beside ndarray, over random shapes, chunks and shards; what fails changes nothing.

use super::*;
use crate::spec::ArrayOptions;
use crate::store::{StoreOptions, open_as_stored, to_zarr};
use ndarray::{Array2, ArrayD, Axis as NdAxis, Slice, concatenate};
use proptest::prelude::*;

fn session() -> Session {
    Session::with_budget(16 << 20)
}

fn numbers(shape: [usize; 2], seed: i32) -> ArrayD<i32> {
    Array2::from_shape_fn(shape, |(i, j)| seed + (i * 1000 + j) as i32).into_dyn()
}

fn lazy(values: &ArrayD<i32>) -> Array {
    Array::from_ndarray(values).unwrap().with_names(&["y", "x"]).unwrap()
}

fn stored(path: &Path) -> ArrayD<i32> {
    open_as_stored(&format!("{}::a", path.display())).unwrap().compute::<i32>().unwrap()
}

fn options(chunks: [u64; 2], shards: Option<[u64; 2]>) -> StoreOptions {
    let text = |lengths: [u64; 2]| format!("{},{}", lengths[0], lengths[1]).parse().unwrap();
    let arrays =
        ArrayOptions { chunks: Some(text(chunks)), shards: shards.map(text), ..ArrayOptions::default() };
    StoreOptions { arrays, ..StoreOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn regions_and_appended_arrays_are_numpys(
        shape in (1_usize..20, 1_usize..20), chunk in (1_u64..8, 1_u64..8), per_shard in (1_u64..4, 1_u64..4),
        is_sharded in any::<bool>(), from in (0.0..1.0_f64, 0.0..1.0_f64), to in (0.0..1.0_f64, 0.0..1.0_f64),
        added in (1_usize..15, 1_usize..15),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.zarr");
        let mut expected = numbers([shape.0, shape.1], 7);
        let shards = is_sharded.then_some([chunk.0 * per_shard.0, chunk.1 * per_shard.1]);
        to_zarr(&session(), &[(&lazy(&expected), "a")], &path, &options([chunk.0, chunk.1], shards)).unwrap();

        let range = |extent: usize, from: f64, to: f64| {
            let (a, b) = ((from * extent as f64) as usize, (to * extent as f64) as usize);
            a.min(b)..a.max(b) + 1
        };
        let (rows, columns) = (range(shape.0, from.0, to.0), range(shape.1, from.1, to.1));
        let part = numbers([rows.len(), columns.len()], -5000);
        let region = |range: &Range<usize>| range.start as u64..range.end as u64;
        let places = [("x".into(), region(&columns)), (0.into(), region(&rows))];
        to_zarr_region(&session(), &[(&lazy(&part), "a")], &path, &places).unwrap();
        expected.slice_each_axis_mut(|axis| {
            let range = if axis.axis == NdAxis(0) { &rows } else { &columns };
            Slice::from(range.clone())
        }).assign(&part);
        prop_assert_eq!(&stored(&path), &expected);

        for (axis, count) in [(0, added.0), (1, added.1), (0, 1)] {
            let mut shape = [expected.shape()[0], expected.shape()[1]];
            shape[axis] = count;
            let more = numbers(shape, 90_000);
            append_to_zarr(&session(), &[(&lazy(&more), "a")], &path, axis).unwrap();
            expected = concatenate(NdAxis(axis), &[expected.view(), more.view()]).unwrap();
            prop_assert_eq!(&stored(&path), &expected);
        }
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.zarr");
    let old = numbers([6, 6], 0);
    to_zarr(&session(), &[(&lazy(&old), "a")], &path, &options([4, 4], None)).unwrap();
    let fails = lazy(&old)
        .rechunk([2, 6])
        .unwrap()
        .map_blocks_with_info(|info, block: ndarray::ArrayViewD<'_, i32>| {
            assert!(info.index[0] < 2, "no more");
            block.to_owned()
        })
        .unwrap();
    assert!(append_to_zarr(&session(), &[(&fails, "a")], &path, "y").is_err());
    assert_eq!(stored(&path), old);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["s.zarr"]);

    let (x, y) = (lazy(&old), Array::arange_i64(0, 6, 1).unwrap());
    let says = |result: Result<RunReport>, text: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let append = |array: &Array, name: &str| append_to_zarr(&session(), &[(array, name)], &path, "y");
    says(append(&x, "b"), "there is no array 'b'; there are: a");
    says(append(&y, "a"), "does not fit");
    says(append(&x.astype(blockwise_core::DType::F32), "a"), "int32 elements are stored, float32 ones given");
    says(append(&x.transpose([1, 0]).unwrap(), "a"), "the stored dimension 'y' is called 'x' here");
    says(append_to_zarr(&session(), &[(&x, "a"), (&x, "/a")], &path, "y"), "two arrays are called 'a'");
    says(append_to_zarr(&session(), &[], &path, "y"), "no array is given");
    let outside = to_zarr_region(&session(), &[(&x, "a")], &path, &[("y".into(), 1..7)]);
    says(outside, "append to it instead");
    let file = folder.path().join("a.npy");
    crate::store::to_npy(&session(), &x, &file, &StoreOptions::default()).unwrap();
    says(append_to_zarr(&session(), &[(&x, "")], &file, 0), "one file; write a new one");
    assert_eq!(stored(&path), old);
}

#[test]
fn arrays_that_go_together_grow_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.zarr");
    let values = numbers([6, 4], 0);
    let (x, y) = (lazy(&values), Array::arange_i64(0, 6, 1).unwrap().with_names(&["y"]).unwrap());
    to_zarr(&session(), &[(&x, "a"), (&y, "y")], &path, &options([5, 2], None)).unwrap();
    let alone = append_to_zarr(&session(), &[(&x, "a")], &path, "y").unwrap_err().to_string();
    assert!(alone.contains("::y: goes along 'y' too"), "{alone}");
    // What is appended may be made of what is stored.
    let before = open_as_stored(&format!("{}::a", path.display())).unwrap();
    let report = append_to_zarr(&session(), &[(&(&before * 2), "a"), (&(&y + 6), "y")], &path, "y").unwrap();
    assert!(report.bytes_written > 0);
    assert_eq!(stored(&path), concatenate(NdAxis(0), &[values.view(), (&values * 2).view()]).unwrap());
    // Documents of the group follow.
    let root = std::fs::read_to_string(path.join("zarr.json")).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    let arrays = &root["consolidated_metadata"]["metadata"];
    assert_eq!(
        (&arrays["a"]["shape"], &arrays["y"]["shape"]),
        (&serde_json::json!([12, 4]), &serde_json::json!([12]))
    );
}

#[test]
fn a_group_is_changed_as_part_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.zarr");
    let (old, new) = (numbers([4, 3], 0), numbers([2, 3], 100));
    to_zarr(&session(), &[(&lazy(&old), "g/a")], &path, &options([2, 3], None)).unwrap();
    // As zarr-python consolidates.
    let read = |key: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(path.join(key)).unwrap()).unwrap()
    };
    let mut root = read("zarr.json");
    root["consolidated_metadata"] = serde_json::json!({
        "kind": "inline", "must_understand": false, "metadata": {"g": read("g/zarr.json"), "g/a": read("g/a/zarr.json")}
    });
    std::fs::write(path.join("zarr.json"), root.to_string()).unwrap();

    append_to_zarr(&session(), &[(&lazy(&new), "a")], path.join("g"), "y").unwrap();
    assert_eq!(
        read("zarr.json")["consolidated_metadata"]["metadata"]["g/a"]["shape"],
        serde_json::json!([6, 3])
    );
    let found = open_as_stored(&format!("{}::g/a", path.display())).unwrap().compute::<i32>().unwrap();
    assert_eq!(found, concatenate(NdAxis(0), &[old.view(), new.view()]).unwrap());
    // A run on the group waits for one on the store.
    let held = Update::begin(&path).unwrap();
    let error = append_to_zarr(&session(), &[(&lazy(&new), "a")], path.join("g"), "y").unwrap_err();
    assert!(error.to_string().contains("is writing this output"), "{error}");
    held.abandon();
}
