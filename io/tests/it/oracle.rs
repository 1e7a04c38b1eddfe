//! Python's libraries as a second opinion on what was written.
//!
//! `BLOCKWISE_ORACLE_PYTHON` names an interpreter with the packages of `tests/oracle/requirements.txt`; `make test`
//! sets it. Without it, what only Python can judge is not judged, and the test says so; `BLOCKWISE_REQUIRE_ORACLES=1`
//! makes that a failure.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::path::Path;
use std::process::Command;

/// Runs the Python file `script` of this folder with `arguments`; panics with its output if it fails. `false` if there
/// is no interpreter.
pub(crate) fn agrees(script: &str, arguments: &[&Path]) -> bool {
    let Some(python) = std::env::var_os("BLOCKWISE_ORACLE_PYTHON") else {
        let required = std::env::var("BLOCKWISE_REQUIRE_ORACLES").is_ok_and(|value| value == "1");
        assert!(!required, "BLOCKWISE_REQUIRE_ORACLES is 1, but BLOCKWISE_ORACLE_PYTHON is not set");
        eprintln!("BLOCKWISE_ORACLE_PYTHON is not set: {script} was not run (make test sets it)");
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
    let output = Command::new(python).arg(&script).args(arguments).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
    true
}
