//! Generated kernels compiled by NVRTC for two generations of devices: no spills, wide accesses, and the cache.
#![expect(clippy::panic, reason = "tests stop at the first surprise")]

use crate::suite::{Generated, Suite};
use blockwise_gpu::Error;
use blockwise_gpu::cache::Cubins;
use blockwise_gpu::compile::{Compiler, Target};
use blockwise_gpu::device::Architecture;
use blockwise_gpu::jit::{ENTRY, headers};
use std::sync::Mutex;

const AMPERE: Architecture = Architecture { major: 8, minor: 0 };
const HOPPER: Architecture = Architecture { major: 9, minor: 0 };
/// Kernels that are compiled at once: the headers are read once for them.
const KERNELS_A_SOURCE: usize = 12;

/// NVRTC, or a loud line; `make test` brings it along, so there its absence is a failure.
fn compiler() -> Option<Compiler> {
    match Compiler::load() {
        Ok(compiler) => Some(compiler),
        Err(error) if std::env::var_os("BLOCKWISE_CUDA_LIBRARIES").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED: generated kernels were not compiled for devices: {error}");
            None
        }
    }
}

/// Sources of many kernels each, with the numbers of their kernels.
fn sources(kernels: &[Generated]) -> Vec<(Vec<usize>, String)> {
    let numbers: Vec<usize> = (0..kernels.len()).collect();
    let sources = numbers.chunks(KERNELS_A_SOURCE).map(|some| {
        let named = some.iter().map(|number| kernels[*number].kernel.named(&format!("k{number}")));
        (some.to_vec(), named.fold(headers(), |text, kernel| text + &kernel))
    });
    sources.collect()
}

#[test]
fn every_kernel_compiles_without_spills() {
    let Some(compiler) = compiler() else { return };
    let suite = Suite::new();
    let sources = sources(&suite.kernels);
    let work: Vec<_> =
        [AMPERE, HOPPER].iter().flat_map(|of| sources.iter().map(move |source| (*of, source))).collect();
    let (queue, most) = (Mutex::new(work.into_iter()), Mutex::new(0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some((architecture, (numbers, source))) = queue.lock().unwrap().next() else {
                        return;
                    };
                    let compiled =
                        compiler.compile(source, architecture).unwrap_or_else(|error| panic!("{error}"));
                    assert!(compiled.cubin.starts_with(b"\x7fELF"));
                    for number in numbers {
                        let name = format!("k{number}");
                        let usage = compiled.usage.iter().find(|usage| usage.kernel == name).unwrap();
                        let text = || suite.kernels[*number].kernel.named(&name);
                        assert_eq!(usage.spilled_bytes, 0, "{architecture} {usage:?}\n{}", text());
                        assert!(usage.registers > 0, "{usage:?}");
                        let mut most = most.lock().unwrap();
                        *most = usage.registers.max(*most);
                    }
                }
            });
        }
    });
    let (kernels, most) = (suite.kernels.len(), most.lock().unwrap());
    println!("{kernels} kernels for {AMPERE} and {HOPPER}: no spills, at most {most} registers");
}

#[test]
fn contiguous_kernels_access_16_bytes_at_once() {
    let Some(compiler) = compiler() else { return };
    let suite = Suite::new();
    let packed = suite.kernels.into_iter().filter(|generated| generated.kernel.named("k").contains("Pack<"));
    let (reductions, elementwise): (Vec<Generated>, Vec<Generated>) =
        packed.partition(|generated| generated.barriers);
    assert!(reductions.len() > 5 && elementwise.len() > 50);
    let contiguous: Vec<Generated> = elementwise.into_iter().take(80).chain(reductions).collect();
    for (numbers, source) in sources(&contiguous) {
        let ptx = compiler.ptx(&source, HOPPER).unwrap();
        for number in numbers {
            let text = contiguous[number].kernel.named("k");
            let body =
                ptx.split(&format!(".entry k{number}(")).nth(1).unwrap().split(".entry").next().unwrap();
            let wide = |access: &str| {
                let mut lines = body.lines().filter(|line| line.trim_start().starts_with(access));
                lines.any(|line| {
                    let four =
                        [".v4.f32", ".v4.u32", ".v4.s32", ".v4.b32"].iter().any(|kind| line.contains(kind));
                    four || [".v2.f64", ".v2.u64", ".v2.s64", ".v2.b64"]
                        .iter()
                        .any(|kind| line.contains(kind))
                })
            };
            // Where all that is read is one element, or all that is written is narrow, there is nothing wide.
            let reads = text.contains("const Pack<");
            if reads && widest(&text, "(const Pack<") {
                assert!(wide("ld.global"), "{text}\n{body}");
            }
            if widest(&text, "((Pack<") {
                assert!(wide("st.global"), "{text}\n{body}");
            }
        }
    }
}

/// Whether one of the packs that follow `mark` is of 16 bytes or more.
fn widest(text: &str, mark: &str) -> bool {
    text.split(mark).skip(1).any(|rest| {
        let (kind, rest) = rest.split_once(", ").unwrap();
        let count: usize = rest.split('>').next().unwrap().parse().unwrap();
        let bits: usize = kind[1..].parse().unwrap();
        bits / 8 * count >= 16
    })
}

#[test]
fn compiled_kernels_are_kept_and_faults_are_told() {
    let Some(compiler) = compiler() else { return };
    let suite = Suite::new();
    let source = suite.kernels[0].kernel.source();
    assert!(source.contains(ENTRY));
    let folder = tempfile::tempdir().unwrap();
    let cubins = Cubins::new(folder.path()).unwrap();
    let first = compiler.cached(&cubins, &source, Target::Machine(HOPPER)).unwrap();
    let entry = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let written = std::fs::metadata(&entry).unwrap().modified().unwrap();
    assert_eq!(compiler.cached(&cubins, &source, Target::Machine(HOPPER)).unwrap(), first);
    assert_eq!(std::fs::metadata(&entry).unwrap().modified().unwrap(), written);
    let mut damaged = std::fs::read(&entry).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    std::fs::write(&entry, damaged).unwrap();
    assert_eq!(compiler.cached(&cubins, &source, Target::Machine(HOPPER)).unwrap().len(), first.len());
    assert_ne!(compiler.cached(&cubins, &source, Target::Machine(AMPERE)).unwrap(), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let ptx = compiler.cached(&cubins, &source, Target::Assembly(AMPERE)).unwrap();
    assert!(ptx.last() == Some(&0) && String::from_utf8_lossy(&ptx).contains(".target sm_80"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    assert_eq!(compiler.target(HOPPER).unwrap(), Target::Machine(HOPPER));
    let newer = compiler.target(Architecture { major: 99, minor: 0 }).unwrap();
    assert!(matches!(newer, Target::Assembly(known) if known > HOPPER), "{newer:?}");
    let older = compiler.target(Architecture { major: 7, minor: 0 }).unwrap_err();
    assert!(matches!(older, Error::OldArchitecture { .. }), "{older}");

    let fault = compiler.compile("extern \"C\" __global__ void k() { nonsense; }", HOPPER).unwrap_err();
    assert!(matches!(&fault, Error::Compile { log, .. } if log.contains("nonsense")), "{fault}");
}
