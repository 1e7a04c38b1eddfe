//! How fast the kernels move bytes, beside `memcpy` of the same size: medians of repeated runs on one core.
//!
//! `cargo bench -p blockwise-kernels` prints the table; words after `--` choose rows whose name contains one of them.
//! Rates count the bytes of the result.

use blockwise_kernels::shuffle::{shuffle, unshuffle};
use blockwise_kernels::strided::{self, LayoutError};
use blockwise_kernels::{Buffer, DType, byteswap, cast};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Rows to print: all, or those whose name contains one of the words.
struct Table {
    words: Vec<String>,
}

impl Table {
    /// Prints the median rate of `body`, which makes `result_bytes` a call, and its ratio to `floor`.
    fn row<E>(
        &self,
        name: &str,
        result_bytes: usize,
        floor: Option<f64>,
        mut body: impl FnMut() -> Result<(), E>,
    ) -> Result<f64, E> {
        if floor.is_some() && !self.words.is_empty() && !self.words.iter().any(|word| name.contains(word)) {
            return Ok(f64::NAN);
        }
        body()?;
        let mut times = Vec::new();
        let begun = Instant::now();
        while times.len() < 5 || begun.elapsed() < Duration::from_millis(400) {
            let start = Instant::now();
            body()?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let median_secs = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        let rate = result_bytes as f64 / median_secs / 1e9;
        match floor {
            Some(floor) => println!("{name:<52} {rate:>7.2} GB/s  memcpy is {:>5.2} x", floor / rate),
            None => println!("{name:<52} {rate:>7.2} GB/s"),
        }
        Ok(rate)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let table = Table { words };
    rechunk(&table)?;
    transposes(&table)?;
    elements(&table)
}

fn filled(len_bytes: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(len_bytes);
    for (i, byte) in buffer.iter_mut().enumerate() {
        *byte = (i % 251) as u8;
    }
    buffer
}

/// One chunk of 40 x 361 x 720 floats scattered to, and gathered from, pieces of 40 x 19 x 36.
fn rechunk(table: &Table) -> Result<(), LayoutError> {
    let (whole, piece) = ([40, 361, 720], [40, 19, 36]);
    let (whole_bytes, piece_bytes) = (40 * 361 * 720 * 4, 40 * 19 * 36 * 4);
    let mut large = filled(whole_bytes);
    let mut pieces = filled(whole_bytes);
    let floor = table.row("memcpy, 42 MB", whole_bytes, None, || {
        black_box(&mut *pieces).copy_from_slice(black_box(&large));
        Ok::<(), LayoutError>(())
    })?;
    table.row("rechunk: 42 MB chunk to pieces of 40x19x36 f32", whole_bytes, Some(floor), || {
        for (i, out) in pieces.chunks_exact_mut(piece_bytes).enumerate() {
            let from = [0, i / 20 * 19, i % 20 * 36];
            strided::copy_region(out, &piece, &[0, 0, 0], black_box(&large), &whole, &from, &piece, 4)?;
        }
        Ok::<(), LayoutError>(())
    })?;
    table.row("rechunk: pieces back to the 42 MB chunk", whole_bytes, Some(floor), || {
        for (i, part) in pieces.chunks_exact(piece_bytes).enumerate() {
            let to = [0, i / 20 * 19, i % 20 * 36];
            strided::copy_region(&mut large, &whole, &to, black_box(part), &piece, &[0, 0, 0], &piece, 4)?;
        }
        Ok::<(), LayoutError>(())
    })?;
    // 73 chunks would not fit: one chunk stands for all, read from a different corner each time.
    let tall = [2920, 19, 36];
    let tall_bytes = 2920 * 19 * 36 * 4;
    let mut out = filled(tall_bytes);
    let floor = table.row("memcpy, 8 MB", tall_bytes, None, || {
        let from = large.get(..tall_bytes).unwrap_or_default();
        black_box(&mut *out).copy_from_slice(black_box(from));
        Ok::<(), LayoutError>(())
    })?;
    table.row("rechunk: one 2920x19x36 f32 chunk from 73 pieces", tall_bytes, Some(floor), || {
        for i in 0..73 {
            let from = [0, i % 18 * 19, i % 20 * 36];
            strided::copy_region(
                &mut out,
                &tall,
                &[i * 40, 0, 0],
                black_box(&large),
                &whole,
                &from,
                &piece,
                4,
            )?;
        }
        Ok::<(), LayoutError>(())
    })?;
    let mut one = [0_u8; 4];
    let tiny =
        table.row("copy_region of one item, rank 4 (4 bytes a call)", 4_000_000, Some(floor), || {
            for _ in 0..1_000_000 {
                let (whole, at) = (black_box([3, 4, 5, 6]), [1, 1, 1, 1]);
                let from = large.get(..3 * 4 * 5 * 6 * 4).unwrap_or_default();
                strided::copy_region(&mut one, &[1; 4], &[0; 4], from, &whole, &at, &[1; 4], 4)?;
            }
            Ok::<(), LayoutError>(())
        })?;
    if tiny.is_finite() {
        println!("{:<52} {:>7.1} ns a call", "", 4.0 / tiny);
    }
    Ok(())
}

fn transposes(table: &Table) -> Result<(), LayoutError> {
    let len_bytes = 1 << 25;
    let src = filled(len_bytes);
    let mut dst = filled(len_bytes);
    let floor = table.row("memcpy, 34 MB", len_bytes, None, || {
        black_box(&mut *dst).copy_from_slice(black_box(&src));
        Ok::<(), LayoutError>(())
    })?;
    for item in [1, 2, 3, 4, 8, 16] {
        for (rows, name) in [(2048, "2048 rows"), (3001, "3001 rows")] {
            let shape = [rows, len_bytes / item / rows];
            let bytes = shape.iter().product::<usize>() * item;
            let (to, from) = (dst.get_mut(..bytes), src.get(..bytes));
            if let (Some(to), Some(from)) = (to, from) {
                table.row(&format!("transpose of {item}-byte items, {name}"), bytes, Some(floor), || {
                    strided::transpose(to, black_box(from), &shape, &[1, 0], item)
                })?;
            }
        }
    }
    let cases: [(&str, &[usize], &[usize]); 4] = [
        ("transpose (0,1,2) to (2,1,0) of f32, 40x361x580", &[40, 361, 580], &[2, 1, 0]),
        ("transpose (0,1,2) to (1,2,0) of f32, 40x361x580", &[40, 361, 580], &[1, 2, 0]),
        ("transpose interleaved to planar, 2796202x3 f32", &[2_796_202, 3], &[1, 0]),
        ("transpose planar to interleaved, 3x2796202 f32", &[3, 2_796_202], &[1, 0]),
    ];
    for (name, shape, axes) in cases {
        let bytes = shape.iter().product::<usize>() * 4;
        if let (Some(to), Some(from)) = (dst.get_mut(..bytes), src.get(..bytes)) {
            table
                .row(name, bytes, Some(floor), || strided::transpose(to, black_box(from), shape, axes, 4))?;
        }
    }
    Ok(())
}

/// Casts, swaps and shuffles of a buffer that fits the second-level cache, as chunks are decoded in pieces.
fn elements(table: &Table) -> Result<(), Box<dyn std::error::Error>> {
    let count = 1 << 16;
    let (mut dst, mut src) = (filled(count * 16), filled(count * 16));
    let floor = table.row("memcpy, 512 KiB", count * 8, None, || {
        let (to, from) = (dst.get_mut(..count * 8), src.get(..count * 8));
        black_box(to.unwrap_or_default()).copy_from_slice(black_box(from.unwrap_or_default()));
        Ok::<(), LayoutError>(())
    })?;
    let pairs = [
        (DType::F64, DType::F32),
        (DType::F32, DType::F64),
        (DType::I16, DType::F32),
        (DType::F32, DType::I16),
        (DType::F64, DType::I32),
        (DType::F64, DType::U64),
        (DType::U8, DType::F32),
        (DType::F32, DType::U8),
        (DType::I64, DType::F32),
        (DType::I32, DType::I16),
        (DType::F32, DType::F16),
        (DType::F16, DType::F32),
        (DType::F32, DType::BF16),
        (DType::BF16, DType::F32),
        (DType::F32, DType::Bool),
        (DType::F32, DType::C64),
    ];
    for (from, to) in pairs {
        let bytes = count * to.size();
        if let (Some(out), Some(input)) = (dst.get_mut(..bytes), src.get(..count * from.size())) {
            table.row(&format!("cast {from} to {to}"), bytes, Some(floor), || {
                cast(black_box(&mut *out), to, black_box(input), from)
            })?;
        }
    }
    for item in [2, 4, 8, 16, 12] {
        let bytes = count * 8 / item * item;
        if let (Some(out), Some(input)) = (dst.get_mut(..bytes), src.get_mut(..bytes)) {
            table.row(&format!("shuffle of {item}-byte items"), bytes, Some(floor), || {
                shuffle(black_box(&mut *out), black_box(&*input), item)
            })?;
            table.row(&format!("unshuffle of {item}-byte items"), bytes, Some(floor), || {
                unshuffle(black_box(&mut *out), black_box(&*input), item)
            })?;
            if item <= 8 {
                table.row(&format!("byte swap of {item}-byte units"), bytes, Some(floor), || {
                    byteswap::swap(black_box(&mut *input), item)
                })?;
            }
        }
    }
    Ok(())
}
