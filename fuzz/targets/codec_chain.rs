//! Every codec on bytes that it did not make, for a decoded length that is known beforehand.
#![no_main]

use blockwise_io::BloscShuffle;
use blockwise_io::codec::bitshuffle::{Bitshuffle, BlockCompressor};
use blockwise_io::codec::{Blosc, BloscCompressor, Chain, Checksum, ChecksumKind, Codec};
use blockwise_kernels::BufferPool;
use libfuzzer_sys::fuzz_target;

fn codec(choice: u8, parameter: u8) -> Codec {
    // Decoding needs none of these: frames say all.
    let blosc = Blosc {
        compressor: BloscCompressor::Lz4,
        level: 1,
        shuffle: BloscShuffle::None,
        item_bytes: 1,
        block_bytes: 0,
    };
    match choice % 12 {
        0 => Codec::Blosc(blosc),
        1 => Codec::Zstd { level: 1, checksum: false },
        2 => Codec::Gzip { level: 1 },
        3 => Codec::Zlib { level: 1 },
        4 => Codec::Lz4,
        5 => Codec::Lz4Hdf5,
        6 => Codec::Lzf,
        7 => Codec::Bzip2 { level: 1 },
        8 => Codec::Shuffle { item_bytes: usize::from(parameter % 17) },
        9 => Codec::Bitshuffle(Bitshuffle {
            item_bytes: usize::from(parameter % 9),
            block_items: usize::from(parameter / 16) * 8,
            compressor: BlockCompressor::None,
        }),
        10 => Codec::Bitshuffle(Bitshuffle {
            item_bytes: usize::from(parameter % 9),
            block_items: 0,
            compressor: BlockCompressor::Lz4,
        }),
        _ => Codec::Checksum(Checksum { kind: ChecksumKind::Fletcher32, at_start: parameter % 2 == 0 }),
    }
}

fuzz_target!(init: blockwise_fuzz::unwind_as_usual(), |data: &[u8]| {
    let Some((&[first, second, parameter, high, low], encoded)) = data.split_first_chunk() else { return };
    // Encoding order: the last is decoded first. One codec in half of the cases.
    let mut codecs = vec![codec(first, parameter)];
    if second >= 128 {
        codecs.push(codec(second, parameter));
    }
    let chain = Chain::new(codecs);
    let pool = BufferPool::new(1 << 20);
    let mut input = pool.take(encoded.len());
    input.copy_from_slice(encoded);
    let _ = chain.decode(input, usize::from(high) << 8 | usize::from(low), &pool);
});
