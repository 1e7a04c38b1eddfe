//! Generated kernels built by the system's C++ compiler for the CPU, with address and undefined-behaviour sanitizers.

use crate::suite::{Case, Generated, Memory};
use blockwise_gpu::jit::{BLOCK_THREADS, headers};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kernels of one source: so many that the compilers of all cores have something to do.
const KERNELS_A_SOURCE: usize = 60;

/// The C++ compiler, or a loud line.
pub(crate) fn compiler() -> Option<String> {
    let name = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if Command::new(&name).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(name);
    }
    eprintln!("SKIPPED: there is no C++ compiler '{name}'; set CXX to one: generated kernels were not run");
    None
}

/// One source: kernels under their numbers, and a function that calls each with addresses of its arguments. `edit` may
/// change the text: for tests of the tests.
fn source(kernels: &[Generated], first: usize, edit: impl Fn(String) -> String) -> String {
    let mut text = headers();
    for (number, generated) in (first..).zip(kernels) {
        text += &generated.kernel.named(&format!("k{number}"));
    }
    let mut text = format!("#include \"device.h\"\n{}", edit(text));
    for (number, generated) in (first..).zip(kernels) {
        let arguments: Vec<String> = generated
            .kernel
            .parameter_types()
            .enumerate()
            .map(|(at, c_type)| format!("*({c_type} *)a[{at}]"))
            .collect();
        let _ = writeln!(
            text,
            "void call{number}(void **a) {{ using namespace k{number}_of; k{number}({}); }}",
            arguments.join(", ")
        );
    }
    text
}

/// Builds a program of kernels in `folder`.
pub(crate) fn build(
    compiler: &str,
    folder: &Path,
    kernels: &[Generated],
    edit: impl Fn(String) -> String,
) -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host");
    let mut sources = vec![host.join("device.cpp"), host.join("cases.cpp")];
    for (number, some) in kernels.chunks(KERNELS_A_SOURCE).enumerate() {
        let path = folder.join(format!("kernels{number}.cpp"));
        std::fs::write(&path, source(some, number * KERNELS_A_SOURCE, &edit)).unwrap();
        sources.push(path);
    }
    let mut table = "#include \"device.h\"\n".to_owned();
    for number in 0..kernels.len() {
        let _ = writeln!(table, "void call{number}(void **);");
    }
    let names: Vec<String> = (0..kernels.len()).map(|number| format!("call{number}")).collect();
    let _ = writeln!(
        table,
        "static const Call all[] = {{{}}};\nextern const Call *const CALLS = all;\nextern const uint64_t CALL_COUNT = {};",
        names.join(", "),
        names.len()
    );
    sources.push(folder.join("table.cpp"));
    std::fs::write(sources.last().unwrap(), table).unwrap();
    let flags = ["-std=c++17", "-O0", "-w", "-fno-strict-aliasing", "-ffp-contract=off"];
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let objects: Vec<PathBuf> = (0..sources.len()).map(|number| folder.join(format!("{number}.o"))).collect();
    let queue = std::sync::Mutex::new(sources.iter().zip(&objects));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some((source, object)) = queue.lock().unwrap().next() else { return };
                    let mut command = Command::new(compiler);
                    command.args(flags).args(sanitizers).arg("-I").arg(&host).arg("-c").arg(source);
                    let output = command.arg("-o").arg(object).output().unwrap();
                    assert!(
                        output.status.success(),
                        "{source:?}: {}",
                        String::from_utf8_lossy(&output.stderr)
                    );
                }
            });
        }
    });
    let program = folder.join("kernels");
    let output =
        Command::new(compiler).args(sanitizers).args(&objects).arg("-o").arg(&program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// Runs cases; the wanted buffers of each, or what the program said when it stopped.
pub(crate) fn run(
    program: &Path,
    kernels: &[Generated],
    cases: &[Case],
) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let folder = tempfile::tempdir().unwrap();
    let (calls, results) = (folder.path().join("cases"), folder.path().join("results"));
    std::fs::write(&calls, encoded(kernels, cases)).unwrap();
    let mut command = Command::new(program);
    // Leaks: stacks of fibers are not understood, and the program ends anyway.
    command.env("ASAN_OPTIONS", "detect_leaks=0").arg(&calls).arg(&results);
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let bytes = std::fs::read(&results).unwrap();
    let mut rest = bytes.as_slice();
    let mut take = |memory: &Memory| {
        let (own, after) = rest.split_at(memory.len);
        rest = after;
        own.to_vec()
    };
    let wanted = |case: &Case| case.memory.iter().filter(|memory| memory.wanted).map(&mut take).collect();
    let all = cases.iter().map(wanted).collect();
    assert!(rest.is_empty());
    Ok(all)
}

/// The file that the program reads.
fn encoded(kernels: &[Generated], cases: &[Case]) -> Vec<u8> {
    let mut file: Vec<u8> = Vec::new();
    let word = |file: &mut Vec<u8>, value: usize| file.extend((value as u64).to_ne_bytes());
    word(&mut file, cases.len());
    for case in cases {
        word(&mut file, case.memory.len());
        for memory in &case.memory {
            word(&mut file, memory.len);
            word(&mut file, memory.shift);
            word(&mut file, usize::from(memory.content.is_some()));
            word(&mut file, usize::from(memory.wanted));
            file.extend(memory.content.iter().flatten());
        }
        word(&mut file, case.steps.len());
        for step in &case.steps {
            word(&mut file, step.kernel);
            word(&mut file, step.blocks.0 as usize);
            word(&mut file, step.blocks.1 as usize);
            word(&mut file, BLOCK_THREADS as usize);
            word(&mut file, usize::from(kernels[step.kernel].barriers));
            word(&mut file, step.arguments.len());
            for argument in &step.arguments {
                match argument {
                    Ok((buffer, offset)) => {
                        word(&mut file, 1);
                        word(&mut file, *buffer);
                        word(&mut file, *offset);
                    }
                    Err(bytes) => {
                        word(&mut file, 0);
                        word(&mut file, bytes.len());
                        file.extend(bytes);
                    }
                }
            }
        }
    }
    file
}
