//! CUDA devices and drivers of every kind, as far as they can be had without one: what `doctor` says of them, and what is computed
//! on them. Drivers are small libraries, built here, that the program finds through `LD_LIBRARY_PATH`.

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
        // Where there is a real one, it is not found under its other name instead.
        std::fs::copy(folder.path().join("libcuda.so.1"), folder.path().join("libcuda.so")).unwrap();
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
    fn a_device_is_shown_but_half_a_driver_is_refused() {
        let driver = format!(
            "int cuDriverGetVersion(int *v) {{ *v = 13000; return 0; }} int cuInit(unsigned f) {{ return 0; }}
            int cuDeviceGetCount(int *n) {{ *n = 1; return 0; }}{WHOLE}"
        );
        doctor_says(&driver, &["Test device", "cuda:0", "sm_90", "80", "used with --device cuda"]);
        let Some(output) = beside(&driver, &["stats", "a.npy", "--device", "cuda:1"]) else { return };
        assert!(String::from_utf8_lossy(&output.stderr).contains("no device cuda:1, only 1"));
    }

    /// A driver and a compiler of kernels that compute on the CPU, as `blockwise-gpu` tests with.
    fn stand_ins(folder: &Path) -> bool {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gpu/tests/host/build.sh");
        let built = Command::new(script).arg(folder).output().unwrap();
        if built.status.code() == Some(77) {
            eprintln!("SKIPPED: there is no C++ compiler; set CXX to one: nothing ran on a device");
            return false;
        }
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        true
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn expressions_are_computed_on_a_device() {
        let (libraries, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if !stand_ins(libraries.path()) {
            return;
        }
        write_npy(&folder.path().join("a.npy"), &[60, 100]);
        let counts = folder.path().join("counts");
        let on = |device: &str, words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_arrayctl"));
            command.current_dir(folder.path()).args(words).args(["--device", device]);
            command.env("LD_LIBRARY_PATH", libraries.path()).env("BLOCKWISE_DEVICE_ALWAYS", "1");
            command.env_remove("BLOCKWISE_CUDA_LIBRARIES").env("XDG_CACHE_HOME", folder.path().join("cache"));
            command.env("FAKE_CUDA_COUNTS", &counts).env("FAKE_CUDA_DEVICES", "2");
            let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gpu/tests/host");
            let output = command.env("FAKE_CUDA_HEADERS", headers).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let expression = "sqrt(abs(a)) * 2 + a";
        let plan = on("cuda", &["eval", expression, "-i", "a=a.npy", "-o", "b.zarr", "--dry-run"]);
        assert!(plan.contains(", on cuda:0"), "{plan}");
        on("cpu", &["eval", expression, "-i", "a=a.npy", "-o", "here.zarr"]);
        for (device, out) in [("cuda", "one.zarr"), ("cuda:1", "other.zarr"), ("cuda:0,1", "both.zarr")] {
            let _ = std::fs::remove_file(&counts);
            on(device, &["eval", expression, "-i", "a=a.npy", "-o", out]);
            let counted = std::fs::read_to_string(&counts).unwrap();
            assert!(!counted.contains("launches 0\n") && counted.contains("slabs_left 0\n"), "{counted}");
            succeed(folder.path(), &["verify", "here.zarr", out]);
        }
        assert_eq!(on("cpu", &["stats", "a.npy"]), on("cuda", &["stats", "a.npy"]));
    }
}
