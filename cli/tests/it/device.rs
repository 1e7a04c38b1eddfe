//! CUDA devices and drivers of every kind, as far as they can be had without one: what `doctor` says of them, and that
//! nothing computes on them. Drivers are small libraries, built here, that the program finds through `LD_LIBRARY_PATH`.

use crate::run::{refuse, succeed, write_npy};
use std::path::Path;

#[test]
fn the_cpu_computes_and_other_devices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_npy(&folder.path().join("a.npy"), &[6, 10]);
    let on = |device: &'static str| ["convert", "a.npy", "b.zarr", "--device", device];
    refuse(folder.path(), &on("gpu"), 2);
    refuse(folder.path(), &on("cuda:-1"), 2);
    let why = refuse(folder.path(), &on("cuda"), 3);
    assert!(why.contains("cuda:0") && why.contains("--device cpu"), "{why}");
    refuse(folder.path(), &["stats", "a.npy", "--device", "cuda:3"], 3);
    assert!(!Path::new(&folder.path().join("b.zarr")).exists());
    succeed(folder.path(), &on("cpu"));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_gpu_support_says_so() {
    assert!(succeed(Path::new("."), &["doctor"]).contains("none: this build has no GPU support"));
}

#[cfg(feature = "cuda")]
mod drivers {
    use super::*;
    use std::process::{Command, Output};

    /// Functions that every driver has, for whole ones.
    const WHOLE: &str = "
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int len, int device) { strncpy(name, \"Test device\", len); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 9 : 0; return 0; }";

    /// Builds `libcuda.so.1` of C text and runs the program beside it; `None` without a C compiler.
    fn beside(text: &str, arguments: &[&str]) -> Option<Output> {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("driver.c");
        std::fs::write(&source, format!("#include <stddef.h>\n#include <string.h>\n{text}\n")).unwrap();
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(&compiler);
        command.args(["-shared", "-fPIC", "-w", "-o"]).arg(folder.path().join("libcuda.so.1")).arg(&source);
        let Ok(built) = command.output() else {
            eprintln!("SKIPPED: there is no C compiler '{compiler}'; set CC to one: no drivers were tried");
            return None;
        };
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(run(arguments, folder.path()))
    }

    fn run(arguments: &[&str], libraries: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arrayctl"));
        command.args(arguments).env("LD_LIBRARY_PATH", libraries).output().unwrap()
    }

    /// What `doctor` says of a driver, in text and in JSON: no word of a panic, and `expected`.
    fn doctor_says(driver: &str, expected: &[&str]) {
        let Some(output) = beside(driver, &["doctor"]) else { return };
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && errors.is_empty(), "{errors}");
        let line = text.lines().find(|line| line.starts_with("GPU")).unwrap();
        for word in expected {
            assert!(line.contains(word), "{word}: {line}");
        }
        let output = beside(driver, &["doctor", "--json"]).unwrap();
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let has_device = object["gpu"]["devices"].as_array().unwrap().len();
        assert_eq!(object["gpu"]["reason"].is_null(), has_device > 0, "{object}");
        let refused = beside(driver, &["stats", "a.npy", "--device", "cuda"]).unwrap();
        let errors = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{errors}");
        assert!(errors.lines().count() == 1 && !errors.contains("panicked"), "{errors}");
    }

    #[test]
    fn no_driver() {
        let empty = tempfile::tempdir().unwrap();
        let output = run(&["doctor", "--json"], empty.path());
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.stderr.is_empty());
        // A machine that has a device has a driver besides.
        let reason = object["gpu"]["reason"].as_str();
        assert!(reason.is_none_or(|reason| reason.contains("driver")), "{object}");
    }

    #[test]
    fn a_library_that_is_no_driver() {
        doctor_says("int something_else;", &["none", "has no cuDriverGetVersion"]);
        let no_count =
            "int cuDriverGetVersion(int *v) { *v = 13000; return 0; } int cuInit(unsigned f) { return 0; }";
        doctor_says(no_count, &["none", "has no cuDeviceGetCount"]);
    }

    #[test]
    fn drivers_that_fail() {
        for (code, word) in
            [(100, "shows no device"), (999, "cuInit gave error 999"), (34, "stub"), (4242, "4242")]
        {
            let driver = format!(
                "int cuDriverGetVersion(int *v) {{ *v = 13010; return 0; }} int cuInit(unsigned f) {{ return {code}; }}"
            );
            doctor_says(&driver, &["none", word]);
        }
    }

    #[test]
    fn an_old_driver_and_one_without_devices() {
        let old =
            "int cuDriverGetVersion(int *v) { *v = 12040; return 0; } int cuInit(unsigned f) { return 999; }";
        doctor_says(old, &["none", "CUDA 12.4", "13.0 is needed"]);
        let empty =
            "int cuDriverGetVersion(int *v) { *v = 13000; return 0; } int cuInit(unsigned f) { return 0; }
            int cuDeviceGetCount(int *n) { *n = 0; return 0; }";
        doctor_says(empty, &["none", "shows no device"]);
    }

    #[test]
    fn a_device_is_shown_and_yet_refused() {
        let driver = format!(
            "int cuDriverGetVersion(int *v) {{ *v = 13000; return 0; }} int cuInit(unsigned f) {{ return 0; }}
            int cuDeviceGetCount(int *n) {{ *n = 1; return 0; }}{WHOLE}"
        );
        doctor_says(&driver, &["Test device", "cuda:0", "sm_90", "80", "not used yet"]);
        let Some(output) = beside(&driver, &["stats", "a.npy", "--device", "cuda"]) else { return };
        assert!(String::from_utf8_lossy(&output.stderr).contains("does not compute on devices yet"));
        let output = beside(&driver, &["stats", "a.npy", "--device", "cuda:1"]).unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("only 1 devices"));
    }
}
