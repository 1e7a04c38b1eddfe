//! Running the program, and small files for it to work on.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// COADS, NetCDF classic, as it is shipped.
pub(crate) fn coads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/coads_climatology.cdf")
}

/// Runs `arrayctl ARGUMENTS` in `folder`.
pub(crate) fn arrayctl(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arrayctl"));
    command.current_dir(folder).args(arguments).output().unwrap()
}

/// Runs it and demands success; standard output.
pub(crate) fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = arrayctl(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "arrayctl {arguments:?}: {:?}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs it and demands an exit code and one paragraph; that paragraph.
pub(crate) fn refuse(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = arrayctl(folder, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "arrayctl {arguments:?}\n{errors}");
    assert!(errors.starts_with("arrayctl: ") && !errors.trim().contains("\n\n"), "{errors}");
    assert!(!errors.contains("panicked") && !errors.contains("internal"), "{errors}");
    errors
}

/// Runs it with `--json` and parses what it prints.
pub(crate) fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let arguments = [arguments, &["--json"]].concat();
    serde_json::from_str(&succeed(folder, &arguments)).unwrap()
}

/// Writes an npy file of int32 counting from 0.
pub(crate) fn write_npy(path: &Path, shape: &[u64]) {
    let axes: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let header = format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({axes}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(118_u16.to_le_bytes());
    bytes.extend(format!("{header:<117}\n").bytes());
    let count = i32::try_from(shape.iter().product::<u64>()).unwrap();
    bytes.extend((0..count).flat_map(i32::to_le_bytes));
    std::fs::write(path, bytes).unwrap();
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
