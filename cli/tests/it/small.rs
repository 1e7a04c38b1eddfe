//! The commands that run no plan: help, info, ls, doctor, completions, man; and wrong usage.

use crate::run::{arrayctl, coads, json, refuse, succeed, write_npy};
use std::path::Path;

#[test]
fn every_command_has_examples() {
    let here = Path::new(".");
    let help = succeed(here, &["--help"]);
    let commands = [
        "info",
        "ls",
        "convert",
        "rechunk",
        "eval",
        "reduce",
        "stats",
        "functions",
        "verify",
        "doctor",
        "demo",
        "completions",
        "man",
    ];
    for command in commands {
        assert!(help.contains(command), "{command}");
        assert!(succeed(here, &[command, "--help"]).contains("EXAMPLES"), "{command}");
    }
    assert!(succeed(here, &["--version"]).starts_with("arrayctl "));
    assert!(succeed(here, &["completions", "bash"]).contains("rechunk"));
    assert!(succeed(here, &["man"]).contains(".TH"));
    assert!(succeed(here, &["man", "rechunk"]).contains("chunks"));
}

#[test]
fn wrong_usage_is_2() {
    let folder = tempfile::tempdir().unwrap();
    write_npy(&folder.path().join("a.npy"), &[6, 10]);
    let bare = arrayctl(folder.path(), &[]);
    assert_eq!(bare.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("EXAMPLES"));
    for arguments in [
        &["nonsense"][..],
        &["info"],
        &["rechunk", "a.npy", "b.zarr"],
        &["info", "a.npy", "--shape", "3"],
        &["rechunk", "a.npy", "b.zarr", "--chunks", "3"],
        &["rechunk", "a.npy", "b.zarr", "--chunks", "lat=3"],
        &["rechunk", "a.npy", "b.zarr", "--chunks", "0,4"],
        &["convert", "a.npy", "b.zarr", "--codec", "nosuch"],
        &["convert", "a.npy", "b.csv"],
        &["convert", "a.npy", "b.zarr", "--memory", "lots"],
        &["convert", "a.npy", "b.zarr", "--spill-dir", "nowhere"],
        &["verify", "a.npy", "a.npy", "--rtol", "-1"],
        &["convert", "a.npy", "b.zarr", "--exclude", "[a"],
    ] {
        refuse(folder.path(), arguments, 2);
    }
    assert!(!folder.path().join("b.zarr").exists());
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refuse(folder.path(), &["info", "absent.zarr"], 4).contains("absent.zarr"));
    let missing = format!("{}::NOSUCH", coads().display());
    let message = refuse(folder.path(), &["info", &missing], 4);
    assert!(message.contains("NOSUCH") && message.contains("SST"), "{message}");
}

#[test]
fn info_and_ls_say_what_a_file_holds() {
    let here = Path::new(".");
    let file = coads().display().to_string();
    let tree = succeed(here, &["ls", &file]);
    let info = succeed(here, &["info", &format!("{file}::SST")]);
    for word in ["SST", "COADSX", "AIRT", "float32", "TIME 12"] {
        assert!(tree.contains(word), "{word}\n{tree}");
    }
    for word in ["12 x 90 x 180", "SEA SURFACE TEMPERATURE", "Deg C", "TIME (unlimited)", "NetCDF classic"] {
        assert!(info.contains(word), "{word}\n{info}");
    }
    let object = json(here, &["info", &format!("{file}::SST")]);
    assert_eq!(object["shape"], serde_json::json!([12, 90, 180]));
    assert_eq!(object["bytes_logical"], 12 * 90 * 180 * 4);
    assert_eq!(json(here, &["ls", &file])["arrays"].as_array().unwrap().len(), 10);
    assert!(succeed(here, &["info", &file]).contains("dimensions of the root group"));
}

#[test]
fn doctor_reports_the_machine() {
    let object = json(Path::new("."), &["doctor"]);
    assert!(object["cores"].as_u64().unwrap() >= 1);
    assert!(object["default_budget_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(succeed(Path::new("."), &["doctor"]).contains("GPU"));
}
