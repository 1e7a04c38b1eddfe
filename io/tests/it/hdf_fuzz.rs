//! Damaged HDF5 and NetCDF files: whatever is changed in them, reading ends soon, with values or an error.
//!
//! `BLOCKWISE_FUZZ_RUNS` sets the number of damaged files (200 by default), `BLOCKWISE_SEED` the first seed.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use crate::corpus::cases;
use blockwise_core::{Cancellation, TaskContext};
use blockwise_io::{Container, OpenOptions, Result, StoredArray, hdf5, netcdf};
use blockwise_kernels::BufferPool;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Chunks read of each array.
const CHUNKS_READ: usize = 50;
/// Arrays whose reading needs more are only listed, as a planner would refuse them.
const BUDGET_BYTES: u64 = 64 << 20;
/// No file may take longer.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// A small generator of random numbers (Marsaglia's xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }
}

/// Changes some bytes of `bytes`; structures stand at the beginning, so most changes go there.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(6) {
        let reach = if random.below(3) == 0 { bytes.len() } else { bytes.len().min(4096) };
        let at = random.below(reach);
        let rest = bytes.len() - at;
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = 0xff,
            2 => bytes[at] = 0,
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 if rest >= 8 => bytes[at..at + 8].copy_from_slice(&random.next().to_le_bytes()),
            5 if rest >= 8 => {
                let small = random.next() % (2 * bytes.len() as u64);
                bytes[at..at + 8].copy_from_slice(&small.to_le_bytes());
            }
            6 if rest >= 64 => {
                let from = random.below(bytes.len() - 64);
                bytes.copy_within(from..from + 64, at);
            }
            7 if random.below(8) == 0 => bytes.truncate(at.max(1)),
            _ => bytes[at] = random.next().to_le_bytes()[0],
        }
    }
}

fn read_array(array: &dyn StoredArray) -> Result<()> {
    array.stored_chunks()?;
    array.stored_bytes()?;
    if array.info().element_type.stream_dtype().is_none() {
        return array.read_texts(1 << 20).map(|_| ());
    }
    let source = array.source()?;
    let chunk_bytes =
        source.grid().largest_chunk().iter().fold(16_u64, |bytes, len| bytes.saturating_mul(*len));
    if chunk_bytes.saturating_add(source.read_scratch_bytes()) > BUDGET_BYTES {
        return Ok(());
    }
    let (pool, cancellation) = (BufferPool::new(0), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    for index in source.grid().indices().take(CHUNKS_READ) {
        source.read(&index, &cx)?;
    }
    Ok(())
}

/// Reads everything in the file at `path`; the errors met.
fn read_file(path: &Path) -> Vec<String> {
    let options = OpenOptions::default();
    let opened: Result<Box<dyn Container>> = match std::fs::read(path).unwrap().first() {
        Some(b'C') => netcdf::open(path, &options).map(|file| Box::new(file) as _),
        _ => hdf5::open(path, &options).map(|file| Box::new(file) as _),
    };
    let container = match opened {
        Ok(container) => container,
        Err(error) => return vec![error.to_string()],
    };
    let (_, arrays) = container.nodes().unwrap();
    let read =
        |info: &blockwise_io::ArrayInfo| container.array(&info.path).and_then(|array| read_array(&*array));
    arrays.iter().filter_map(|info| read(info).err()).map(|error| error.to_string()).collect()
}

#[test]
fn damaged_files_end_in_values_or_errors() {
    let Some(cases) = cases(&["hdf5", "netcdf4"]) else { return };
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, seed) = (number("BLOCKWISE_FUZZ_RUNS", 200), number("BLOCKWISE_SEED", 1));
    let files: Vec<_> = cases.iter().map(|case| &case.path).collect::<BTreeSet<_>>().into_iter().collect();
    let files: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let files: Vec<Vec<u8>> = files.into_iter().filter(|bytes| bytes.len() < 1 << 20).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let (mut clean, mut refused, mut fenced) = (0, 0, 0);
    for run in seed..seed + runs {
        let mut random = Random(run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bytes = files[random.below(files.len())].clone();
        if bytes.is_empty() {
            continue;
        }
        damage(&mut bytes, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let start = Instant::now();
        let errors = read_file(&path);
        assert!(start.elapsed() < TIME_LIMIT, "seed {run} took {:?}", start.elapsed());
        match errors.iter().find(|error| error.contains("contradict themselves")) {
            Some(error) => {
                fenced += 1;
                println!("seed {run}: {error}");
            }
            None if errors.is_empty() => clean += 1,
            None => refused += 1,
        }
    }
    println!("{runs} damaged files: {clean} read, {refused} refused in part or whole, {fenced} by the fence");
}
