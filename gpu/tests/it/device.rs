//! Whole runs on devices: on stand-ins for the driver and its compiler that compute on the CPU, built here, and on a real one where there is
//! one.
//!
//! The libraries that a process finds are those of its start, so each test is a process of its own: this program again, with one of the
//! tests that are ignored otherwise, and an environment that says what goes wrong.

#![expect(clippy::panic, reason = "tests stop at the first surprise")]

use crate::arrays::{elementwise, filtered, reduced};
use crate::host::compiler;
use blockwise_core::array::MapBlocks;
use blockwise_core::device::{Demand, Device, Outcome};
use blockwise_core::memory::MemoryArray;
use blockwise_core::plan::{CopyOptions, Resources, plan_copy};
use blockwise_core::{Array, Cancellation, ChunkGrid, DType, Error, Session, Sink, TaskContext, machine};
use blockwise_gpu::cuda::{Cuda, Options, Parameter, Several, UserKernel};
use blockwise_gpu::device::detect;
use blockwise_kernels::BufferPool;
use blockwise_kernels::program::{Builder, Input};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

/// The folder of the stand-ins, or a loud line.
fn stand_ins() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        compiler()?;
        let folder = tempfile::tempdir().unwrap().keep();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/build.sh");
        let output = Command::new(script).arg(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(folder)
    };
    BUILT.get_or_init(build).as_deref()
}

/// Runs one of the tests below in a process of its own on stand-ins; what it printed, and what the driver counted.
fn beside_stand_ins(test: &str, environment: &[(&str, &str)]) -> Option<(Output, HashMap<String, u64>)> {
    let libraries = stand_ins()?;
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    // A run that stands still is a failure.
    let mut command = Command::new("timeout");
    command.arg("300").arg(std::env::current_exe().unwrap());
    command.args([&format!("device::{test}"), "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("LD_LIBRARY_PATH", libraries).env_remove("BLOCKWISE_CUDA_LIBRARIES").env_remove("CUDA_PATH");
    command.env("FAKE_CUDA_HEADERS", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host"));
    command.env("FAKE_CUDA_COUNTS", &counts).env("XDG_CACHE_HOME", cache());
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let counted = std::fs::read_to_string(&counts).unwrap_or_default();
    let pairs = counted.lines().filter_map(|line| line.split_once(' '));
    let counted = pairs.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{test}: {counted:?}");
    Some((output, counted))
}

/// Compiled kernels of all tests here, so that each is compiled once.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap().keep())
}

/// What stands behind a word that a test printed, up to the end of the line.
fn line<'a>(said: &'a str, word: &str) -> &'a str {
    let (_, rest) = said.split_once(word).unwrap_or_else(|| panic!("{said}"));
    rest.lines().next().unwrap_or_default()
}

/// Nothing of a device is left when it is closed.
fn assert_tidy(counted: &HashMap<String, u64>) {
    for what in ["slabs_left", "pinned_left", "streams_left", "retained"] {
        assert_eq!(counted.get(what), Some(&0), "{what}: {counted:?}");
    }
}

fn session(device: Option<Arc<dyn Device>>) -> Session {
    session_of(3, device)
}

fn session_of(threads: usize, device: Option<Arc<dyn Device>>) -> Session {
    Session::new(Resources { threads, device, ..machine::resources(256 << 20) })
}

/// The device, with a budget that the environment may say.
fn open() -> Arc<dyn Device> {
    let memory_bytes = std::env::var("BUDGET_BYTES").ok().map(|bytes| bytes.parse().unwrap());
    Arc::new(Cuda::open(0, Options { insists: true, memory_bytes }).unwrap())
}

fn floats(session: &Session, array: &Array) -> Vec<f64> {
    let array = array.astype(DType::F64);
    session.compute::<f64>(&array).unwrap().iter().copied().collect()
}

/// Arrays whose results on a device are the processors' bits.
fn compare_bits(arrays: Vec<(&'static str, Array)>, device: &Arc<dyn Device>) {
    let (here, there) = (session(None), session(Some(Arc::clone(device))));
    for (name, array) in arrays {
        let (expected, found) = (floats(&here, &array), floats(&there, &array));
        let is_same = expected.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(is_same && expected.len() == found.len(), "{name}");
    }
}

/// Programs and reductions, on the processors and on a device.
fn compare(device: &Arc<dyn Device>) {
    compare_bits(elementwise(), device);
    let (here, there) = (session(None), session(Some(Arc::clone(device))));
    for (name, array) in reduced() {
        let (expected, found) = (floats(&here, &array), floats(&there, &array));
        assert_eq!(expected.len(), found.len());
        for (a, b) in expected.iter().zip(&found) {
            assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{name}: {a} and {b}");
        }
        assert_eq!(floats(&there, &array), found, "{name}: another run, other bits");
    }
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_compares() {
    compare(&open());
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_filters() {
    compare_bits(filtered(), &open());
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_compares_on_two() {
    compare(
        &(Arc::new(Several::open(&[0, 1], Options { insists: true, ..Options::default() }).unwrap())
            as Arc<dyn Device>),
    );
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_fails() {
    let there = session(Some(open()));
    let (_, array) = elementwise().swap_remove(0);
    let error = there.compute::<f32>(&array).unwrap_err();
    println!("error: {error}");
    let after = there.compute::<f32>(&array).map(|_| ()).map_err(|error| error.to_string());
    println!("after: {after:?}");
    drop(there);
    println!(
        "opened: {:?}",
        Cuda::open(0, Options::default()).map(|_| ()).map_err(|error| error.to_string())
    );
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_waits_with_one_slot() {
    let x = Array::from_fn(&[64, 4000], |at| at[1] as f32).unwrap().rechunk([1, 4000]).unwrap();
    let sums = session_of(1, Some(open())).compute::<f32>(&x.sum(1).unwrap()).unwrap();
    assert!(sums.iter().all(|sum| *sum == 7_998_000.0));
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_computes_too_little() {
    let device: Arc<dyn Device> = Arc::new(Cuda::open(0, Options::default()).unwrap());
    let x = Array::from_fn(&[64, 100, 100], |at| at[1] as f32).unwrap().rechunk([16, 100, 100]).unwrap();
    let sum = session(Some(device)).compute::<f32>(&(&x + 1.0)).unwrap();
    assert_eq!(sum[[3, 4, 5]], 5.0);
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_is_refused() {
    println!("error: {}", Cuda::open(0, Options::default()).unwrap_err());
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_cannot_compile() {
    let there = session(Some(open()));
    let (_, array) = elementwise().swap_remove(0);
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stdout).init();
    let expected = session(None).compute::<f32>(&array).unwrap();
    assert!(there.compute::<f32>(&array).unwrap() == expected);
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_needs_one_of_two_inputs() {
    let mut builder = Builder::new();
    let (x, _) = (builder.input(DType::F32), builder.input(DType::F64));
    let twice = builder.call_named("add", &[x.into(), x.into()]).unwrap();
    let program = builder.finish(&[twice]).unwrap();
    let bytes: Vec<u8> = (0..4000_u32).flat_map(|n| (n as f32).to_ne_bytes()).collect();
    let inputs = [Input::contiguous(&bytes, DType::F32), Input::contiguous(&[7; 32_000], DType::F64)];
    let mut result = vec![0; 16_000];
    let (pool, cancellation) = (BufferPool::new(1 << 20), Cancellation::new());
    let demand = Demand { program: &program, shape: &[4000], reduced: None };
    let cx = TaskContext::new(&pool, &cancellation);
    assert_eq!(open().compute(&demand, &inputs, &mut [&mut result], &cx).unwrap(), Outcome::Done);
    let right = |(n, word): (usize, &[u8])| word == (2.0 * n as f32).to_ne_bytes();
    assert!(result.chunks(4).enumerate().all(right));
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_plans() {
    let device = Arc::new(Cuda::open(0, Options::default()).unwrap()) as Arc<dyn Device>;
    let there = session(Some(device));
    let shape = [4000, 1000, 100];
    let x = Array::from_fn(&shape, |at| at[0] as f32).unwrap().rechunk([40, 1000, 100]).unwrap();
    let heavy = (0..30).fold(x.clone(), |y, n| &(&y * 1.001) + f64::from(n));
    let small = x.slice(0, 0..40).unwrap();
    let filtered = x.filter().gaussian(&[1.0]).unwrap();
    let sums = x.cumsum(1).unwrap();
    let all = [
        ("heavy", heavy),
        ("light", &x + 1.0),
        ("small", &small * 2.0),
        ("filter", filtered),
        ("sums", sums),
    ];
    for (name, array) in all {
        let plan = there.explain(&[array]).unwrap();
        println!("{name}: {}", plan.summary().to_string().replace('\n', ";"));
    }
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_copies() {
    let device = open();
    let there = session(Some(Arc::clone(&device)));
    let grid = |lengths: &[u64]| ChunkGrid::regular(&[64, 100, 100], lengths).unwrap();
    let elements: Vec<f32> = (0..640_000_u32).map(|n| n as f32).collect();
    let x = Arc::new(MemoryArray::from_elements("x", grid(&[16, 100, 100]), &elements).unwrap());
    if std::env::var_os("COMPUTES").is_some() {
        let twice = there.compute::<f32>(&(&Array::from_source(x) * 2.0)).unwrap();
        assert!(twice.iter().zip(&elements).all(|(twice, x)| *twice == 2.0 * x));
        return;
    }
    let cut = Arc::new(MemoryArray::zeros("cut", DType::F32, grid(&[64, 50, 50])).unwrap());
    let resources = Resources { threads: 3, device: Some(device), ..machine::resources(256 << 20) };
    let options = CopyOptions::default();
    let plan = plan_copy(x, Arc::clone(&cut) as Arc<dyn Sink>, &resources, &options).unwrap();
    there.run(&plan).unwrap();
    assert!(cut.to_elements::<f32>().unwrap() == elements);
}

#[test]
#[ignore = "a process of its own: see below"]
#[expect(unsafe_code, reason = "kernels of users are trusted")]
fn child_runs_kernels_of_users() {
    let source = r#"
extern "C" __global__ void smooth(const float *x, float *y, unsigned long long n, unsigned long long wide, float by) {
  for (unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x; i < n; i += (unsigned long long)gridDim.x * blockDim.x)
    y[i] = by * x[i] + wide;
}"#;
    let device = Arc::new(Cuda::open(0, Options::default()).unwrap());
    let kernel = |name: &str, parameters: &[Parameter]| {
        // SAFETY: it keeps to its block.
        unsafe { UserKernel::new(&device, source, name, parameters) }
    };
    let value = Parameter::Value(0.5_f32.into());
    let all = [Parameter::Input(0), Parameter::Output(0), Parameter::Count, Parameter::Extent(1), value];
    let smooth = kernel("smooth", &all).unwrap().with_block_threads(64);
    let x = Array::from_fn(&[90, 70], |at| (at[0] * 100 + at[1]) as f32).unwrap().rechunk([40, 32]).unwrap();
    let run = |kernel: UserKernel| {
        MapBlocks::new([&x]).unwrap().apply_waiting(&[DType::F32], kernel.function()).unwrap().remove(0)
    };
    let smooth = if std::env::var_os("FAKE_CUDA_MOST_THREADS").is_some() {
        let error = session(None).compute::<f32>(&run(smooth)).unwrap_err().to_string();
        assert!(error.contains("smooth") && error.contains("at most 40 threads, not 64"), "{error}");
        kernel("smooth", &all).unwrap()
    } else {
        smooth
    };
    let found = session_of(1, None).compute::<f32>(&run(smooth)).unwrap();
    let is_right = |((row, column), value): ((usize, usize), f32)| {
        let wide = if column < 64 { 32 } else { 6 };
        value == 0.5 * (row * 100 + column) as f32 + wide as f32
    };
    let each = (0..90).flat_map(|row| (0..70).map(move |column| (row, column)));
    assert!(each.zip(found.iter().copied()).all(is_right));
    let unknown = [Parameter::Input(0), Parameter::Output(1), Parameter::Count, Parameter::Count, value];
    let error = session(None).compute::<f32>(&run(kernel("smooth", &unknown).unwrap())).unwrap_err();
    assert!(error.to_string().contains("takes Output(1)"), "{error}");
    let error = kernel("sharpen", &all).unwrap_err();
    assert!(error.to_string().contains("cuModuleGetFunction"), "{error}");
}

#[test]
#[ignore = "a process of its own: see below"]
fn child_is_cancelled() {
    let cancellation = Cancellation::new();
    let there = session(Some(open())).with_cancellation(cancellation.clone());
    cancellation.cancel();
    let (_, array) = elementwise().swap_remove(0);
    assert!(matches!(there.compute::<f32>(&array), Err(Error::Cancelled)));
}

#[test]
fn a_device_computes_what_processors_compute() {
    let Some((_, counted)) = beside_stand_ins("child_compares", &[]) else { return };
    assert!(counted["launches"] > 50 && counted["copied_in"] > 1_000_000, "{counted:?}");
    assert_eq!(counted["pageable"], 0, "a copy that the driver waits for");
    assert_tidy(&counted);
}

#[test]
fn filters_on_a_device_have_the_processors_bits() {
    let Some((_, counted)) = beside_stand_ins("child_filters", &[]) else { return };
    assert!(counted["launches"] > 200 && counted["pageable"] == 0, "{counted:?}");
    assert_tidy(&counted);
    let memory = |kibibytes: u64| (kibibytes << 10).to_string();
    let run = |environment: &[(&str, &str)]| {
        let (_, counted) = beside_stand_ins("child_filters", environment).unwrap();
        assert_tidy(&counted);
        counted
    };
    // Cut into parts, or left.
    let small = run(&[("FAKE_CUDA_MEMORY", &memory(600))]);
    assert!(small["launches"] > counted["launches"] && small["peak"] <= 600 << 10, "{small:?}");
    let tiny = run(&[("FAKE_CUDA_MEMORY", &memory(1))]);
    assert_eq!((tiny["launches"], tiny["copied_in"]), (0, 0), "{tiny:?}");
    // Tasks wait for what others hold, though the device has less than its budget.
    let shared = run(&[("FAKE_CUDA_MEMORY", &memory(3 << 10)), ("BUDGET_BYTES", "1000000000")]);
    assert_eq!(shared["launches"], counted["launches"], "a task was cut, or left");
    // What others took does no harm.
    let refused = run(&[("FAKE_CUDA_FAIL", "cuMemAlloc:2:2")]);
    assert_eq!(refused["launches"], counted["launches"], "{refused:?}");
}

#[test]
fn who_waits_for_a_device_lends_its_slot() {
    let Some((_, counted)) = beside_stand_ins("child_waits_with_one_slot", &[("FAKE_CUDA_SLOW_MS", "20")])
    else {
        return;
    };
    assert!(counted["waiting_for_streams"] > 1 && counted["pageable"] == 0, "{counted:?}");
    // Where nothing can be pinned, the driver waits in copies.
    let environment = [("FAKE_CUDA_SLOW_MS", "20"), ("FAKE_CUDA_FAIL", "cuMemHostAlloc:0:2")];
    let (_, counted) = beside_stand_ins("child_waits_with_one_slot", &environment).unwrap();
    assert!(counted["waiting_in_copies"] > 1, "{counted:?}");
    assert_tidy(&counted);
}

#[test]
fn a_compiler_and_a_driver_of_other_names_are_passed_over() {
    let Some(stand_ins) = stand_ins() else { return };
    let (folder, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = |name: &str, text: &str| {
        let path = source.path().join("other.cpp");
        std::fs::write(&path, format!("extern \"C\" {{ {text} }}\n")).unwrap();
        let mut command = Command::new(compiler().unwrap());
        command.args(["-shared", "-fPIC", "-o"]).arg(folder.path().join(name)).arg(&path);
        assert!(command.status().unwrap().success());
    };
    build("libcuda.so", "int cuInit(unsigned) { return 34; }");
    build("libnvrtc.so", "int nvrtcVersion(int *a, int *b) { *a = 12; *b = 4; return 0; }");
    for name in ["libcuda.so.1", "libnvrtc.so.13"] {
        std::os::unix::fs::symlink(stand_ins.join(name), folder.path().join(name)).unwrap();
    }
    let libraries = folder.path().to_str().unwrap();
    beside_stand_ins("child_compares", &[("LD_LIBRARY_PATH", libraries)]).unwrap();
    // A folder that is named goes before all that the system has.
    std::fs::remove_file(folder.path().join("libnvrtc.so.13")).unwrap();
    std::fs::rename(folder.path().join("libnvrtc.so"), folder.path().join("libnvrtc.so.13")).unwrap();
    let named = stand_ins.to_str().unwrap();
    let environment = [("LD_LIBRARY_PATH", libraries), ("BLOCKWISE_CUDA_LIBRARIES", named)];
    beside_stand_ins("child_compares", &environment).unwrap();
}

#[test]
fn devices_that_the_compiler_does_not_know_run_ptx_or_are_refused() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let of = |capability| [("FAKE_CUDA_CAPABILITY", capability), ("XDG_CACHE_HOME", cache)];
    let Some((_, counted)) = beside_stand_ins("child_compares", &of("130")) else { return };
    assert!(counted["launches"] > 50, "{counted:?}");
    let (output, _) = beside_stand_ins("child_is_refused", &of("70")).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line(&said, "error: ").contains("of sm_70, but NVRTC 13.99 compiles for sm_75"), "{said}");
}

#[test]
fn inputs_that_nobody_looks_at_stay_here() {
    let Some((_, counted)) = beside_stand_ins("child_needs_one_of_two_inputs", &[]) else { return };
    assert_eq!((counted["launches"], counted["copied_in"]), (1, 16_000));
    assert_tidy(&counted);
}

#[test]
fn copies_leave_a_device_alone() {
    let Some((_, counted)) = beside_stand_ins("child_copies", &[]) else { return };
    assert_eq!((counted["launches"], counted["copied_in"], counted["pinnings"]), (0, 0, 0));
    assert_tidy(&counted);
    // Nor do computations pin memory of which a device has no part.
    let (_, counted) = beside_stand_ins("child_computes_too_little", &[]).unwrap();
    assert_eq!((counted["launches"], counted["pinnings"]), (0, 0));
    let (_, counted) = beside_stand_ins("child_copies", &[("COMPUTES", "1")]).unwrap();
    assert!(counted["launches"] > 0 && counted["pinnings"] > 0, "{counted:?}");
    assert_tidy(&counted);
}

#[test]
fn several_devices_compute_what_processors_compute() {
    let Some((_, counted)) = beside_stand_ins("child_compares_on_two", &[("FAKE_CUDA_DEVICES", "2")]) else {
        return;
    };
    assert!(counted["launches"] > 50, "{counted:?}");
    assert_tidy(&counted);
}

#[test]
fn tasks_that_do_not_fit_are_cut_or_left() {
    let small = (256 << 10).to_string();
    let Some((_, counted)) = beside_stand_ins("child_compares", &[("FAKE_CUDA_MEMORY", &small)]) else {
        return;
    };
    assert!(counted["peak"] <= 256 << 10 && counted["launches"] > 50, "{counted:?}");
    assert_tidy(&counted);
    let tiny = (1 << 10).to_string();
    let Some((_, counted)) = beside_stand_ins("child_compares", &[("FAKE_CUDA_MEMORY", &tiny)]) else {
        return;
    };
    assert!(counted["peak"] <= 1 << 10 && counted["copied_in"] < 10_000, "{counted:?}");
    assert_tidy(&counted);
}

#[test]
fn memory_that_others_took_does_no_harm() {
    for call in ["cuMemAlloc:1:2", "cuMemAlloc:3:2", "cuMemHostAlloc:2:2", "cuModuleLoadData:1:2"] {
        let Some((_, counted)) = beside_stand_ins("child_compares", &[("FAKE_CUDA_FAIL", call)]) else {
            return;
        };
        assert!(counted["launches"] > 50, "{counted:?}");
        assert_tidy(&counted);
    }
}

#[test]
fn tasks_wait_for_memory_that_others_of_them_hold() {
    // The device has less than its budget, but room for one task or two.
    let less = (400 << 10).to_string();
    let slow = ("FAKE_CUDA_SLOW_MS", "2");
    let environment = [("FAKE_CUDA_MEMORY", less.as_str()), ("BUDGET_BYTES", "1000000000"), slow];
    let Some((_, counted)) = beside_stand_ins("child_compares", &environment) else { return };
    let (_, unhurried) = beside_stand_ins("child_compares", &[slow]).unwrap();
    assert_eq!(counted["launches"], unhurried["launches"], "a task was cut, or left");
    assert!(counted["peak"] <= 400 << 10, "{counted:?}");
    assert_tidy(&counted);
}

#[test]
fn failures_of_the_driver_are_errors_that_name_the_task() {
    for (call, code) in [
        ("cuLaunchKernel", 700),
        ("cuStreamSynchronize", 700),
        ("cuMemcpyHtoDAsync", 1),
        ("cuMemcpyDtoHAsync", 1),
        ("cuStreamCreate", 2),
        ("cuMemAlloc", 999),
    ] {
        let plan = format!("{call}:1:{code}");
        let Some((output, counted)) = beside_stand_ins("child_fails", &[("FAKE_CUDA_FAIL", &plan)]) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = line(&said, "error: ");
        // A lost device gives its error to every call of every thread, so that the first that is told of need not be the one that failed.
        let named = if code == 700 { "cu" } else { call };
        assert!(
            error.contains(&format!(": {named}")) && error.contains(&format!("gave error {code}")),
            "{error}"
        );
        assert!(error.contains("chunk ["), "{error}");
        let (after, opened) = (line(&said, "after: "), line(&said, "opened: "));
        if code == 700 {
            assert!(
                after.contains("restart the program") && opened.contains("restart the program"),
                "{said}"
            );
        } else {
            // The device is of use for what comes after.
            assert_eq!((after, opened), ("Ok(())", "Ok(())"), "{said}");
            assert_tidy(&counted);
        }
    }
}

#[test]
fn work_for_kernels_that_do_not_compile_is_left_to_processors() {
    let wrong = tempfile::tempdir().unwrap();
    std::fs::write(wrong.path().join("device.h"), "#error no such device\n").unwrap();
    let headers = wrong.path().to_str().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let environment = [("FAKE_CUDA_HEADERS", headers), ("XDG_CACHE_HOME", cache.path().to_str().unwrap())];
    let Some((output, counted)) = beside_stand_ins("child_cannot_compile", &environment) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let warnings: Vec<&str> = said.lines().filter(|line| line.contains("the processors compute")).collect();
    assert!(warnings.len() == 1 && said.contains("no such device"), "{said}");
    assert_eq!(counted["copied_in"], 0);
    assert_tidy(&counted);
}

#[test]
fn plans_say_what_runs_where() {
    let Some((output, _)) = beside_stand_ins("child_plans", &[]) else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| line(&said, name);
    assert!(line("heavy: ").contains(", on cuda:0"), "{said}");
    assert!(
        line("light: ").contains("not on cuda:0: ") && line("light: ").contains("would take longer"),
        "{said}"
    );
    assert!(line("small: ").contains("too little to do"), "{said}");
    assert!(line("filter: ").contains(", on cuda:0"), "{said}");
    assert!(line("sums: ").contains("no kernels for functions of whole blocks but filters"), "{said}");
}

#[test]
fn kernels_of_users_run_on_blocks() {
    let slow = [("FAKE_CUDA_SLOW_MS", "20")];
    let Some((_, counted)) = beside_stand_ins("child_runs_kernels_of_users", &slow) else { return };
    assert_eq!(counted["launches"], 9);
    assert!(counted["waiting_for_streams"] > 1, "slots are lent: {counted:?}");
    assert_tidy(&counted);
    let few = [("FAKE_CUDA_MOST_THREADS", "40")];
    let (_, counted) = beside_stand_ins("child_runs_kernels_of_users", &few).unwrap();
    assert_eq!(counted["launches"], 9);
}

#[test]
fn a_run_that_is_cancelled_ends() {
    let Some((_, counted)) = beside_stand_ins("child_is_cancelled", &[]) else { return };
    assert_tidy(&counted);
}

/// The same on a device of this machine. `BLOCKWISE_REQUIRE_GPU=1` makes its absence a failure.
#[test]
fn a_real_device_computes_what_processors_compute() {
    match detect() {
        Ok(_) => {
            compare(&open());
            compare_bits(filtered(), &open());
        }
        Err(why) if std::env::var_os("BLOCKWISE_REQUIRE_GPU").is_some() => panic!("{why}"),
        Err(why) => eprintln!("SKIPPED: runs on a real device: {why}"),
    }
}
