//! One thread's codecs: sizes and MB/s of encoding and decoding raw files chunk by chunk, or a generated field without
//! any.
//!
//!     cargo bench -p blockwise-io --bench codecs -- [FILE ITEM_BYTES]...
//!
//! Times are the least of three rounds over all chunks, into buffers that a pool keeps, as tasks have them.
#![expect(clippy::expect_used, clippy::panic, reason = "a measuring program stops at the first surprise")]

use blockwise_io::codec::{Blosc, BloscCompressor, Chain, Codec};
use blockwise_io::container::BloscShuffle;
use blockwise_kernels::BufferPool;
use std::time::Instant;

/// Bytes of a chunk: a typical one.
const CHUNK_BYTES: usize = 8 << 20;
const ROUNDS: usize = 3;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() {
        measure("field", &field(), 4);
    }
    for pair in arguments.chunks(2) {
        let [path, item_bytes] = pair else { panic!("arguments come in pairs: FILE ITEM_BYTES") };
        let content = std::fs::read(path).expect("a readable file");
        measure(path, &content, item_bytes.parse().expect("the bytes of an item"));
    }
}

/// A smooth wave with noise in its low bits.
fn field() -> Vec<u8> {
    let noise = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 256;
    let value = |i: u64| 280.0 + (i as f32 / 900.0).sin() * 9.0 + noise(i) as f32 / 512.0;
    (0..16 << 20).flat_map(|i| value(i).to_le_bytes()).collect()
}

fn measure(name: &str, content: &[u8], item_bytes: u8) {
    let blosc = |level| {
        let (compressor, shuffle) = (BloscCompressor::Zstd, BloscShuffle::Byte);
        Codec::Blosc(Blosc { compressor, level, shuffle, item_bytes, block_bytes: 0 })
    };
    let shuffle = Codec::Shuffle { item_bytes: item_bytes.into() };
    let chains = [
        vec![blosc(1)],
        vec![blosc(2)],
        vec![blosc(3)],
        vec![blosc(4)],
        vec![blosc(5)],
        vec![Codec::Zstd { level: 1, checksum: false }],
        vec![shuffle, Codec::Zlib { level: 4 }],
    ];
    println!("{name}: {:.1} MB", content.len() as f64 / 1e6);
    for chain in chains.map(Chain::new) {
        let pool = BufferPool::new(usize::MAX);
        let (mut encoded_bytes, mut encode_secs, mut decode_secs) = (0, f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            let (mut bytes, mut encoding, mut decoding) = (0, 0.0, 0.0);
            for chunk in content.chunks(CHUNK_BYTES) {
                let started = Instant::now();
                let encoded = chain.encode(chunk, &pool).expect("it encodes");
                encoding += started.elapsed().as_secs_f64();
                bytes += encoded.len();
                let started = Instant::now();
                let decoded = chain.decode(encoded, chunk.len(), &pool).expect("it decodes");
                decoding += started.elapsed().as_secs_f64();
                assert!(*decoded == *chunk, "{chain} gives other bytes back");
            }
            (encode_secs, decode_secs) = (encoding.min(encode_secs), decoding.min(decode_secs));
            encoded_bytes = bytes;
        }
        let speed = |secs: f64| content.len() as f64 / 1e6 / secs;
        println!(
            "  {:50} {:9.2} MB  encode {:6.0}  decode {:6.0} MB/s",
            chain.to_string(),
            encoded_bytes as f64 / 1e6,
            speed(encode_secs),
            speed(decode_secs)
        );
    }
}
