//! eval, reduce, stats and functions: what is printed, what is stored, what is refused.

use crate::run::{arrayctl, coads, json, names, refuse, succeed, write_npy};
use std::path::Path;

#[test]
fn small_results_are_printed_as_numpy_would() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[3, 4]);
    assert_eq!(succeed(at, &["eval", "x / 4", "-i", "x=a.npy"]), {
        "[[0.   0.25 0.5  0.75]\n [1.   1.25 1.5  1.75]\n [2.   2.25 2.5  2.75]]\n"
    });
    assert_eq!(succeed(at, &["eval", "-x[1, ::-2]", "-i", "x=a.npy"]), "[-7 -5]\n");
    assert_eq!(succeed(at, &["eval", "s = x.sum(); m = x.mean()", "-i", "x=a.npy"]), "s = 66\nm = 5.5\n");
    assert_eq!(succeed(at, &["reduce", "max", "a.npy", "--axis", "-1"]), "[ 3  7 11]\n");
    let object = json(at, &["eval", "x[:2, :1] > 2", "-i", "x=a.npy"]);
    assert_eq!(object["results"][0]["values"], serde_json::json!([[false], [true]]));
    assert_eq!(object["results"][0]["dtype"], "bool");
}

#[test]
fn faults_point_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[200, 100]);
    let message = refuse(at, &["eval", "mean(x) + y", "-i", "x=a.npy"], 2);
    assert!(
        message.contains("column 11") && message.ends_with("  mean(x) + y\n            ^\n"),
        "{message}"
    );
    assert!(refuse(at, &["eval", "x", "-i", "x=a.npy"], 3).contains("-o"));
    assert!(refuse(at, &["eval", "1", "-i", "x=a.npy"], 2).contains("not used"));
    assert!(refuse(at, &["reduce", "nosuch", "a.npy"], 2).contains("median"));
    assert!(refuse(at, &["reduce", "mean", "a.npy", "--axis", "time"], 2).contains("'time'"));
    refuse(at, &["eval", "x", "-i", "x=absent.npy"], 4);
    refuse(at, &["eval", "x", "-i", "x=a.npy", "--chunks", "3,3"], 2);
    refuse(at, &["eval", "x * 2", "-i", "x=a.npy", "-o", "o.csv"], 2);
    refuse(at, &["eval", "a = x; b = x[1:]", "-i", "x=a.npy", "-o", "o.npy"], 2);
    assert_eq!(names(at), ["a.npy"]);
}

#[test]
fn results_keep_coordinates_and_units() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let sst = format!("t={}::SST", coads().display());
    succeed(
        at,
        &[
            "eval",
            "m = nanmean(t, 'TIME'); w = t[:, ::-2] > 25",
            "-i",
            &sst,
            "-o",
            "m=m.nc",
            "-o",
            "w=w.zarr",
        ],
    );
    let info = json(at, &["info", "m.nc::m"]);
    assert_eq!(info["dimensions"], serde_json::json!(["COADSY", "COADSX"]));
    assert_eq!(info["attributes"]["units"], "Deg C");
    let found = json(at, &["verify", &format!("{}::COADSX", coads().display()), "m.nc::COADSX"]);
    assert_eq!(found["equal"], true);
    assert_eq!(json(at, &["info", "w.zarr::COADSY"])["shape"], serde_json::json!([45]));
    assert_eq!(json(at, &["info", "w.zarr::w"])["dtype"], "bool");
    assert_eq!(names(at), ["m.nc", "w.zarr"]);
    assert!(refuse(at, &["eval", "nanmean(t, 'TIME')", "-i", &sst, "-o", "m.nc"], 3).contains("--overwrite"));
}

#[test]
fn plans_are_shown_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[60, 100]);
    let text = succeed(
        at,
        &["eval", "x - mean(x)", "-i", "x=a.npy", "-o", "o.zarr", "--dry-run", "--spill-dir", "."],
    );
    assert!(text.contains("passes over source") && text.contains("peak memory"), "{text}");
    assert_eq!(names(at), ["a.npy"]);
    let plan = json(at, &["stats", "a.npy", "--dry-run"]);
    assert_eq!(plan["plans"][0]["sources"][0]["passes"], 1);
}

#[test]
fn stats_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write_npy(&at.join("a.npy"), &[10, 10]);
    let found = &json(at, &["stats", "a.npy"])["arrays"][0];
    assert_eq!((found["count"].as_u64(), found["missing"].as_u64()), (Some(100), Some(0)));
    assert_eq!(
        (found["min"].as_f64(), found["max"].as_f64(), found["mean"].as_f64()),
        (Some(0.0), Some(99.0), Some(49.5))
    );
    assert_eq!(found["histogram"]["counts"], serde_json::json!(vec![2; 50]));
    let text = succeed(at, &["stats", &coads().display().to_string()]);
    assert!(text.contains("::SST") && text.contains("::AIRT") && text.contains("missing"), "{text}");
}

#[test]
fn the_page_of_functions_is_current() {
    let page = succeed(Path::new("."), &["functions", "--markdown"]);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions.md");
    assert_eq!(
        page,
        std::fs::read_to_string(kept).unwrap(),
        "run `arrayctl functions --markdown > docs/functions.md`"
    );
    let found = json(Path::new("."), &["functions", "arctan2"]);
    assert_eq!(found["functions"][0]["signature"], "arctan2(x1, x2)");
    assert_eq!(arrayctl(Path::new("."), &["functions", "nosuchword"]).status.code(), Some(2));
}
