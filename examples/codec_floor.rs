//! The floor under any rechunk: seconds to only decode a source and to only encode it in other chunks, with all
//! threads, from memory to memory. Prints one JSON line. `make bench` puts it beside the real thing.
//!
//!     cargo run --release --example codec_floor -- SOURCE --chunks 2920,19,36 --codec blosc:zstd:3:shuffle
//!     cargo run --release --example codec_floor -- SOURCE --decode-only
//!
//! `--decode-only` is the floor under a reduction: decoded chunks are dropped. Else it holds the decoded array in memory; gathering the output chunks is not timed, nor is memory that the system hands out
//! for the first time.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measuring program stops at the first surprise"
)]

use blockwise::codec_text::parse_codec;
use blockwise_core::memory::MemoryArray;
use blockwise_core::{Cancellation, Chunk, ChunkGrid, Sink, Source, TaskContext};
use blockwise_io::codec::{Blosc, BloscCompressor, Chain, Codec};
use blockwise_io::{CodecSpec, Compressor, OpenOptions};
use blockwise_kernels::BufferPool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        arguments
            .iter()
            .position(|a| a == name)
            .and_then(|at| arguments.get(at + 1))
            .ok_or(format!("{name} is missing"))
    };
    let threads = std::thread::available_parallelism()?.get();
    let pool = BufferPool::new(usize::MAX);
    if arguments.iter().any(|argument| argument == "--decode-only") {
        let source = open(&arguments[0])?;
        let read = |index: &[u64], cx: &TaskContext<'_>| source.read(index, cx);
        let secs = timed_batches(source.grid(), threads, &pool, read, |_, _, _| Ok(()))?;
        println!(r#"{{"secs": {secs:.3}, "threads": {threads}}}"#);
        return Ok(());
    }
    let chunk: Vec<u64> = option("--chunks")?.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let codec = parse_codec(option("--codec")?)?;
    let source = open(&arguments[0])?;
    let item_bytes = source.dtype().size();
    let chain = Chain::new(codecs(&codec, item_bytes));
    let output = ChunkGrid::regular(&source.grid().shape(), &chunk)?;

    let array = MemoryArray::zeros("decoded", source.dtype(), source.grid().clone())?;
    let decode_secs = timed_batches(
        source.grid(),
        threads,
        &pool,
        |index, cx| source.read(index, cx),
        |index, chunk, cx| array.write(index, &chunk, cx).map(drop),
    )?;
    let decoded = array.recut(&output).ok_or("memory is cut as asked")?;
    let encode_secs = timed_prepared(
        &output,
        threads,
        &pool,
        |index, cx| decoded.read(index, cx),
        |chunk| chain.encode(chunk.bytes(), &pool).map(|encoded| encoded.len()),
    )?;
    let secs = decode_secs + encode_secs;
    println!(
        r#"{{"secs": {secs:.3}, "decode_secs": {decode_secs:.3}, "encode_secs": {encode_secs:.3}, "threads": {threads}}}"#
    );
    Ok(())
}

/// Opens the only array of `path`, or the node after `::`.
fn open(path: &str) -> Outcome<Arc<dyn Source>> {
    let (path, node) = path.split_once("::").unwrap_or((path, ""));
    let container = blockwise_io::open::open(path.as_ref(), &OpenOptions::default())?;
    let (_, arrays) = container.nodes()?;
    let wanted = arrays
        .iter()
        .filter(|info| {
            if node.is_empty() {
                !info.is_coordinate && !info.shape.is_empty()
            } else {
                info.path.to_string() == node
            }
        })
        .max_by_key(|info| info.shape.iter().product::<u64>())
        .ok_or("no such array")?;
    Ok(container.array(&wanted.path)?.source()?)
}

fn codecs(spec: &CodecSpec, item_bytes: usize) -> Vec<Codec> {
    let shuffle = spec.shuffle.then_some(Codec::Shuffle { item_bytes });
    let compressor = match &spec.compressor {
        Compressor::Zstd { level } => Some(Codec::Zstd { level: *level, checksum: false }),
        Compressor::Gzip { level } => Some(Codec::Gzip { level: *level }),
        Compressor::Deflate { level } => Some(Codec::Zlib { level: *level }),
        Compressor::Blosc { cname, level, shuffle } => Some(Codec::Blosc(Blosc {
            compressor: BloscCompressor::from_name(cname).expect("a compressor of blosc"),
            level: u8::try_from(*level).expect("a level of blosc"),
            shuffle: *shuffle,
            item_bytes: u8::try_from(item_bytes).expect("an element size"),
            block_bytes: 0,
        })),
        _ => None,
    };
    shuffle.into_iter().chain(compressor).collect()
}

/// Runs `timed` on every chunk with all threads, a batch at a time, and `after` (not timed) on what it gave.
fn timed_batches(
    grid: &ChunkGrid,
    threads: usize,
    pool: &BufferPool,
    timed: impl Fn(&[u64], &TaskContext<'_>) -> blockwise_core::Result<Chunk> + Sync,
    after: impl Fn(&[u64], Chunk, &TaskContext<'_>) -> blockwise_core::Result<()>,
) -> Outcome<f64> {
    let cancellation = Cancellation::new();
    let cx = TaskContext::new(pool, &cancellation);
    let indices: Vec<Vec<u64>> = grid.indices().collect();
    let mut secs = 0.0;
    for batch in indices.chunks(16 * threads) {
        let chunks = Mutex::new(Vec::new());
        let run = || {
            on_all_threads(threads, batch.len(), |n| {
                let chunk = timed(&batch[n], &cx).expect("a sound source");
                chunks.lock().expect("no panics").push((n, chunk));
            })
        };
        // Buffers of the first batch are fresh from the system: it runs once more, in the pool's.
        if secs == 0.0 {
            run();
            chunks.lock().expect("no panics").clear();
        }
        secs += run();
        for (n, chunk) in chunks.into_inner().expect("no panics") {
            after(&batch[n], chunk, &cx)?;
        }
    }
    Ok(secs)
}

/// Runs `timed` on every chunk that `prepare` (not timed) gives, with all threads.
fn timed_prepared<E: std::fmt::Debug>(
    grid: &ChunkGrid,
    threads: usize,
    pool: &BufferPool,
    prepare: impl Fn(&[u64], &TaskContext<'_>) -> blockwise_core::Result<Chunk>,
    timed: impl Fn(&Chunk) -> Result<usize, E> + Sync,
) -> Outcome<f64> {
    let cancellation = Cancellation::new();
    let cx = TaskContext::new(pool, &cancellation);
    let indices: Vec<Vec<u64>> = grid.indices().collect();
    let mut secs = 0.0;
    for batch in indices.chunks(16 * threads) {
        let chunks = batch.iter().map(|index| prepare(index, &cx)).collect::<Result<Vec<_>, _>>()?;
        let run = || {
            on_all_threads(threads, chunks.len(), |n| {
                timed(&chunks[n]).expect("it encodes");
            })
        };
        if secs == 0.0 {
            run();
        }
        secs += run();
    }
    Ok(secs)
}

/// Seconds that `threads` threads take for tasks `0..count`.
fn on_all_threads(threads: usize, count: usize, task: impl Fn(usize) + Sync) -> f64 {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    task(n);
                }
            });
        }
    });
    started.elapsed().as_secs_f64()
}
