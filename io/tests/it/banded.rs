//! Zarr chunks read in bands: the same elements as whole chunks give, in any order, from sound files; never a panic from
//! damaged ones.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use blockwise_core::{AxisGrid, Cancellation, Chunk, ChunkGrid, Source, TaskContext};
use blockwise_io::codec::{Blosc, BloscCompressor, Chain, Codec};
use blockwise_io::store::Root;
use blockwise_io::{BloscShuffle, NodePath, OpenOptions, zarr};
use blockwise_kernels::strided::copy_region;
use blockwise_kernels::{BufferPool, DType};
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const POOL_BYTES: usize = 64 << 20;

/// An array of a store.
#[derive(Clone, Debug)]
struct Stored {
    dtype: DType,
    shape: Vec<u64>,
    chunk: Vec<u64>,
    /// Bytes of a Blosc block; `None`: no codec.
    block_bytes: Option<u32>,
    shuffle: BloscShuffle,
    is_big_endian: bool,
    /// Chunks that are left out: every n-th.
    absent_every: usize,
    /// Noise does not shrink: such frames are stored.
    is_noise: bool,
}

fn stored() -> impl Strategy<Value = Stored> {
    let axes = prop::collection::vec((1_u64..40, 1_u64..12), 2..4);
    let dtypes = prop::sample::select(vec![DType::U8, DType::I16, DType::F32, DType::F64, DType::Bool]);
    let blocks = prop_oneof![1 => Just(None), 4 => (128_u32..300).prop_map(Some)];
    (axes, dtypes, blocks, 0_usize..3, any::<bool>(), 2_usize..9, prop::bool::weighted(0.1)).prop_map(
        |(axes, dtype, block_bytes, shuffle, is_big_endian, absent_every, is_noise)| {
            let shape: Vec<u64> = axes.iter().map(|(extent, _)| *extent).collect();
            // Most of the last axes are whole, so that there is something to read in bands.
            let chunk = axes.iter().enumerate().map(|(k, (extent, chunk))| {
                if k > 0 && chunk % 6 > 0 { *extent } else { *chunk.min(extent) }
            });
            let shuffle = [BloscShuffle::None, BloscShuffle::Byte, BloscShuffle::Bit][shuffle];
            let chunk = chunk.collect();
            Stored { dtype, shape, chunk, block_bytes, shuffle, is_big_endian, absent_every, is_noise }
        },
    )
}

/// Writes the store by the format's description, with blocks as small as asked for.
fn write(stored: &Stored, folder: &Path) {
    let item_bytes = stored.dtype.size();
    let endian = if stored.is_big_endian { "big" } else { "little" };
    let mut codecs = vec![serde_json::json!({"name": "bytes", "configuration": {"endian": endian}})];
    let mut chain = Chain::default();
    if let Some(block_bytes) = stored.block_bytes {
        let shuffle = match stored.shuffle {
            BloscShuffle::None => "noshuffle",
            BloscShuffle::Byte => "shuffle",
            BloscShuffle::Bit => "bitshuffle",
        };
        codecs.push(serde_json::json!({"name": "blosc", "configuration": {
            "cname": "zstd", "clevel": 1, "shuffle": shuffle, "typesize": item_bytes, "blocksize": block_bytes}}));
        let (compressor, level) = (BloscCompressor::Zstd, 1);
        let item_bytes = u8::try_from(item_bytes).unwrap();
        let blosc = Blosc { compressor, level, shuffle: stored.shuffle, item_bytes, block_bytes };
        chain = Chain::new(vec![Codec::Blosc(blosc)]);
    }
    let name = stored.dtype.to_string();
    let fill = if stored.dtype == DType::Bool { serde_json::json!(true) } else { serde_json::json!(3) };
    let meta = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": stored.shape, "data_type": name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored.chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": fill, "codecs": codecs, "attributes": {}});
    std::fs::write(folder.join("zarr.json"), meta.to_string()).unwrap();
    let grid = ChunkGrid::regular(&stored.shape, &stored.chunk).unwrap();
    let len = usize::try_from(stored.chunk.iter().product::<u64>()).unwrap() * item_bytes;
    let pool = BufferPool::new(POOL_BYTES);
    for (n, index) in grid.indices().enumerate().filter(|(n, _)| (n + 1) % stored.absent_every > 0) {
        let seed = n as u64 + 1;
        let content: Vec<u8> = (0..len as u64)
            .map(|at| {
                let noise = (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7];
                let byte = if stored.is_noise || at / 64 % 3 == 0 { noise } else { (at / 16 + seed) as u8 };
                if stored.dtype == DType::Bool { byte & 1 } else { byte }
            })
            .collect();
        let encoded = chain.encode(&content, &pool).unwrap();
        let key: Vec<String> = index.iter().map(ToString::to_string).collect();
        std::fs::write(folder.join(format!("c.{}", key.join("."))), &*encoded).unwrap();
    }
}

fn open(folder: &Path) -> Arc<dyn Source> {
    let store = Arc::new(Root::open(folder, false).unwrap());
    zarr::open(store, &OpenOptions::default()).unwrap().array(&NodePath::root()).unwrap().source().unwrap()
}

/// The elements of all chunks at `indices`, put where they belong; others stay zero.
fn read(source: &dyn Source, indices: &[Vec<u64>]) -> Vec<u8> {
    let (pool, cancellation) = (BufferPool::new(POOL_BYTES), Cancellation::new());
    let cx = TaskContext::new(&pool, &cancellation);
    let usizes = |values: &[u64]| values.iter().map(|v| usize::try_from(*v).unwrap()).collect::<Vec<_>>();
    let (shape, item_bytes) = (usizes(&source.grid().shape()), source.dtype().size());
    let mut whole = vec![0; shape.iter().product::<usize>() * item_bytes];
    for index in indices {
        let chunk: Chunk = source.read(index, &cx).unwrap();
        let region = source.grid().region(index).unwrap();
        let (origin, part) = (usizes(region.origin()), usizes(region.shape()));
        let zeros = vec![0; part.len()];
        copy_region(&mut whole, &shape, &origin, chunk.bytes(), &part, &zeros, &part, item_bytes).unwrap();
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn bands_are_the_array(
        stored in stored(), axis in prop::sample::select(vec![0_usize, 0, 1, 1, 1, 2]), band in 1_u64..7, turns in 0_usize..50,
        at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(&stored, folder.path());
        let source = open(folder.path());
        let expected = read(&*source, &source.grid().indices().collect::<Vec<_>>());
        let axis = axis.min(stored.shape.len() - 1);
        let bands = AxisGrid::regular(stored.shape[axis], band).unwrap();
        let Some(banded) = source.banded(axis, &bands) else { return Ok(()) };
        prop_assert!(banded.grid().axes()[axis].longest() <= band);
        let mut order: Vec<Vec<u64>> = banded.grid().indices().collect();
        order.sort_by_key(|index| index[axis]); // the order that is promised to be cheap
        prop_assert!(read(&*banded, &order) == expected, "in order");
        let turns = turns % order.len();
        order.rotate_left(turns);
        prop_assert!(read(&*banded, &order) == expected, "begun in the middle, with what the last pass left");
        order.reverse();
        prop_assert!(read(&*banded, &order) == expected, "backwards");
        // Damage: an error or other values, but no panic, and the array goes on to be read.
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("c."));
        if let Some(path) = files.first() {
            let mut bytes = std::fs::read(path).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = to;
            std::fs::write(path, &bytes).unwrap();
            let (pool, cancellation) = (BufferPool::new(POOL_BYTES), Cancellation::new());
            for index in &order {
                let _ = banded.read(index, &TaskContext::new(&pool, &cancellation));
            }
            std::fs::write(path, &bytes[..at]).unwrap();
            for index in &order {
                let _ = banded.read(index, &TaskContext::new(&pool, &cancellation));
            }
        }
    }
}

#[test]
fn long_chunks_are_read_in_bands_and_small_ones_are_not() {
    let stored = |chunk: [u64; 3], block_bytes| Stored {
        dtype: DType::F32,
        shape: vec![12, 60, 30],
        chunk: chunk.to_vec(),
        block_bytes,
        shuffle: BloscShuffle::Byte,
        is_big_endian: false,
        absent_every: 100,
        is_noise: false,
    };
    let bands = AxisGrid::regular(60, 10).unwrap();
    for (chunk, block_bytes, expected) in [
        ([4, 60, 30], Some(1024), true),
        ([4, 60, 30], None, true),
        ([4, 60, 30], Some(8192), false), // a block has parts of two slices
        ([4, 60, 8], Some(1024), false),  // the last axis ends within a chunk
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(&stored(chunk, block_bytes), folder.path());
        let banded = open(folder.path()).banded(1, &bands);
        assert_eq!(banded.is_some(), expected, "{chunk:?} {block_bytes:?}");
        if let Some(banded) = banded {
            assert_eq!(banded.grid().counts(), [3, 6, 1]);
            // No more than a block of each slice.
            assert!(
                banded.held_bytes() <= 12 * u64::from(block_bytes.unwrap_or(0)),
                "{}",
                banded.held_bytes()
            );
        }
    }
}
