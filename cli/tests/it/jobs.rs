//! convert, rechunk, verify and demo: results, refusals, and what a refused run leaves (nothing).

use crate::run::{arrayctl, coads, json, names, refuse, succeed, write_npy};

#[test]
fn npy_through_zarr_and_back_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[6, 10]);
    succeed(at, &["convert", "a.npy", "a.zarr", "--chunks", "4,3", "--codec", "zstd:1+crc32c"]);
    let info = json(at, &["info", "a.zarr"]);
    assert_eq!(info["chunks"], serde_json::json!([4, 3]));
    assert_eq!((info["chunks_stored"].as_u64(), info["chunks_total"].as_u64()), (Some(8), Some(8)));
    succeed(at, &["rechunk", "a.zarr", "b.zarr", "--chunks", "-1,1", "--zarr-format", "2"]);
    succeed(at, &["convert", "b.zarr", "b.npy"]);
    assert_eq!(
        std::fs::read(at.join("a.npy")).unwrap()[128..],
        std::fs::read(at.join("b.npy")).unwrap()[128..]
    );
    assert_eq!(names(at), ["a.npy", "a.zarr", "b.npy", "b.zarr"]);
}

#[test]
fn shards_are_whole_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[9, 10]);
    succeed(at, &["rechunk", "a.npy", "s.zarr", "--chunks", "2,5", "--shards", "4,-1"]);
    let info = json(at, &["info", "s.zarr"]);
    assert_eq!(info["chunks"], serde_json::json!([2, 5]));
    assert_eq!(info["shards"], serde_json::json!([4, 10]));
    succeed(at, &["verify", "a.npy", "s.zarr"]);
    let message = refuse(at, &["rechunk", "a.npy", "t.zarr", "--chunks", "2,5", "--shards", "3,5"], 2);
    assert!(message.contains("use 4"), "{message}");
}

#[test]
fn existing_output_is_kept_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[6, 10]);
    succeed(at, &["rechunk", "a.npy", "o.zarr", "--chunks", "2,2"]);
    let message = refuse(at, &["rechunk", "a.npy", "o.zarr", "--chunks", "3,5"], 3);
    assert!(message.contains("o.zarr") && message.contains("--overwrite"), "{message}");
    assert_eq!(json(at, &["info", "o.zarr"])["chunks"], serde_json::json!([2, 2]));
    succeed(at, &["rechunk", "a.npy", "o.zarr", "--chunks", "3,5", "--overwrite"]);
    assert_eq!(json(at, &["info", "o.zarr"])["chunks"], serde_json::json!([3, 5]));
    succeed(at, &["rechunk", "o.zarr", "o.zarr", "--chunks", "6,1", "--overwrite"]);
    succeed(at, &["verify", "a.npy", "o.zarr"]);
    refuse(at, &["rechunk", "o.zarr", "o.zarr/inside.zarr", "--chunks", "2,2"], 3);
    refuse(at, &["rechunk", "a.npy", "no/such/o.zarr", "--chunks", "2,2"], 3);
    assert_eq!(names(at), ["a.npy", "o.zarr"]);
}

#[test]
fn a_plan_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[60, 100]);
    let arguments = ["rechunk", "a.npy", "o.zarr", "--chunks", "1,100", "--dry-run", "--spill-dir", "."];
    let text = succeed(at, &arguments);
    for word in ["passes", "read", "written", "temporary disk", "peak memory"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
    let plan = json(at, &arguments);
    assert_eq!(plan["bytes_written"], 60 * 100 * 4);
    assert_eq!(names(at), ["a.npy"]);
}

#[test]
fn a_hopeless_budget_names_one_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[600, 1000]);
    succeed(at, &["convert", "a.npy", "a.zarr", "--chunks", "300,1000"]);
    let message = refuse(at, &["rechunk", "a.zarr", "o.zarr", "--chunks", "600,10", "--memory", "64KiB"], 3);
    assert!(message.contains("--memory"), "{message}");
    assert_eq!(names(at), ["a.npy", "a.zarr"]);
}

#[test]
fn verify_is_0_or_5_and_shows_where() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[6, 10]);
    std::fs::copy(at.join("a.npy"), at.join("b.npy")).unwrap();
    assert!(succeed(at, &["verify", "a.npy", "b.npy"]).contains("60 elements equal"));
    let mut bytes = std::fs::read(at.join("b.npy")).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 2; // element (5, 9): 59 becomes 57
    std::fs::write(at.join("b.npy"), bytes).unwrap();
    let output = arrayctl(at, &["verify", "a.npy", "b.npy"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(text.contains("at [5, 9]") && text.contains("59 is not 57"), "{text}");
    succeed(at, &["verify", "a.npy", "b.npy", "--atol", "2"]);
    write_npy(&at.join("c.npy"), &[10, 6]);
    assert_eq!(arrayctl(at, &["verify", "a.npy", "c.npy"]).status.code(), Some(5));
}

#[test]
fn a_real_file_survives_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let original = coads().display().to_string();
    succeed(at, &["convert", &original, "coads.zarr"]);
    succeed(at, &["convert", "coads.zarr", "coads.nc"]);
    succeed(at, &["convert", "coads.nc", "two.zarr", "--zarr-format", "2"]);
    for copy in ["coads.zarr", "coads.nc", "two.zarr"] {
        let report = json(at, &["verify", &original, copy, "--attributes"]);
        assert_eq!(
            (&report["equal"], report["arrays"].as_array().unwrap().len()),
            (&true.into(), 10),
            "{report}"
        );
    }
}

#[test]
fn progress_as_json_lines() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[60, 100]);
    let output = arrayctl(at, &["convert", "a.npy", "o.zarr", "--progress", "json", "-q"]);
    assert!(output.status.success() && output.stdout.is_empty());
    let lines = String::from_utf8(output.stderr).unwrap();
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], "array");
    assert_eq!(events.last().unwrap()["bytes_done"], 60 * 100 * 4);
    write_npy(&at.join("b.npy"), &[6, 10]);
    let quiet = arrayctl(at, &["convert", "b.npy", "p.zarr", "-q"]);
    assert!(quiet.status.success() && quiet.stdout.is_empty() && quiet.stderr.is_empty());
}

#[test]
fn the_demo_runs_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = succeed(at, &["demo", "--size", "45MiB", "--memory", "64MiB", "--dir", "."]);
    for word in ["COADS", "rechunk", "elements equal", "MiB/s", "resident"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
    assert!(names(at).is_empty());
}
