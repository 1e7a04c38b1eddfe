//! A chain of ten operations on 64 MB arrays beside `memcpy` of the same inputs and outputs, for every instruction set,
//! and reductions of one array beside one `memcpy` of it.
//!
//! `cargo bench -p blockwise-kernels --bench program` prints the table: the best of repeated runs on one thread; words
//! after `--` choose rows whose text contains all of them.

use blockwise_kernels::program::{Builder, Input, Program, ProgramError, Scratch};
use blockwise_kernels::reduce::{Geometry, Reducer, Reduction};
use blockwise_kernels::simd::InstructionSet;
use blockwise_kernels::{Buffer, DType, cast};
use std::hint::black_box;
use std::time::{Duration, Instant};

const ARRAY_BYTES: usize = 64 << 20;

/// The least of repeated runs: whatever else the machine does only adds.
fn least_secs(mut body: impl FnMut()) -> f64 {
    body();
    let (mut least, mut runs) = (f64::INFINITY, 0);
    let begun = Instant::now();
    while runs < 7 || begun.elapsed() < Duration::from_millis(800) {
        let start = Instant::now();
        body();
        least = start.elapsed().as_secs_f64().min(least);
        runs += 1;
    }
    least
}

/// Ten operations of two inputs: `+ * - * abs max min where sqrt +`.
fn chain(dtype: DType) -> Result<Program, ProgramError> {
    let mut b = Builder::new();
    let (x, y) = (b.input(dtype), b.input(dtype));
    let mut value = b.call_named("add", &[x.into(), y.into()])?;
    value = b.call_named("multiply", &[value.into(), 0.5.into()])?;
    value = b.call_named("subtract", &[value.into(), x.into()])?;
    value = b.call_named("multiply", &[value.into(), y.into()])?;
    value = b.call_named("absolute", &[value.into()])?;
    value = b.call_named("maximum", &[value.into(), 0.25.into()])?;
    value = b.call_named("minimum", &[value.into(), 1e6.into()])?;
    let test = b.call_named("greater", &[value.into(), x.into()])?;
    value = b.call_named("where", &[test.into(), value.into(), x.into()])?;
    value = b.call_named("add", &[value.into(), 1.0.into()])?;
    b.finish(&[value])
}

fn sum(dtype: DType) -> Result<Program, ProgramError> {
    let mut b = Builder::new();
    let (x, y) = (b.input(dtype), b.input(dtype));
    let value = b.call_named("add", &[x.into(), y.into()])?;
    b.finish(&[value])
}

fn one(dtype: DType, name: &str) -> Result<Program, ProgramError> {
    let mut b = Builder::new();
    let (x, _) = (b.input(dtype), b.input(dtype));
    let value = b.call_named(name, &[x.into()])?;
    b.finish(&[value])
}

/// Reductions of 64 MB over all, the first and the last axis.
fn reductions(words: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    for dtype in [DType::F32, DType::F64] {
        let shape = [64, 512, ARRAY_BYTES / dtype.size() / (64 * 512)];
        let mut input = Buffer::zeroed(ARRAY_BYTES);
        let values: Vec<f32> =
            (0..ARRAY_BYTES / dtype.size()).map(|i| ((i * 7) % 1000) as f32 / 8.0).collect();
        cast(&mut input, dtype, bytemuck::cast_slice(&values), DType::F32)?;
        let mut copy = Buffer::zeroed(ARRAY_BYTES);
        let floor = least_secs(|| black_box(&mut *copy).copy_from_slice(black_box(&input)));
        println!("{dtype}: memcpy of the input {:>6.1} ms", floor * 1e3);
        for (name, reducer) in [
            ("mean", Reducer::Mean),
            ("exact mean", Reducer::Mean),
            ("max", Reducer::Max),
            ("variance", Reducer::Variance),
            ("argmax", Reducer::ArgMax),
        ] {
            for (which, axes) in [("all", &[0, 1, 2][..]), ("first axis", &[0]), ("last axis", &[2])] {
                for set in InstructionSet::available() {
                    let row = format!("{dtype} {name} over {which:<10} {set:<8}");
                    if !words.iter().all(|word| row.contains(word.as_str())) {
                        continue;
                    }
                    let reduction = Reduction::new(reducer, dtype, false)?.with_instruction_set(set);
                    let reduction = if name.starts_with("exact") { reduction.exact() } else { reduction };
                    let mut b = Builder::new();
                    let x = b.input(dtype);
                    let tile = b.cast(x, reduction.tile_dtype())?;
                    let program = b.finish(&[tile])?.with_instruction_set(set);
                    let geometry = Geometry::new(&shape, axes)?;
                    let mut state = Buffer::zeroed(reduction.state_bytes(geometry.cells())?);
                    let mut scratch = Scratch::default();
                    let mut once = || -> Result<(), Box<dyn std::error::Error>> {
                        let mut pass = reduction.begin(&geometry, &mut state)?;
                        let operand = [Input::contiguous(black_box(&input), dtype)];
                        let ranges = reduction.walk(&geometry).ranges();
                        program.for_each_tile(&operand, &shape, ranges, &mut scratch, |first, tiles| {
                            if let [items] = tiles {
                                pass.tile(first, items);
                            }
                        })?;
                        pass.end();
                        Ok(())
                    };
                    once()?;
                    let mut result = Ok(());
                    let secs = least_secs(|| result = once());
                    result?;
                    println!("  {row} {:>7.1} ms {:>6.2} x memcpy", secs * 1e3, secs / floor);
                }
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for dtype in [DType::F32, DType::F64, DType::I16, DType::F16] {
        let count = ARRAY_BYTES / dtype.size();
        let mut inputs = [Buffer::zeroed(ARRAY_BYTES), Buffer::zeroed(ARRAY_BYTES)];
        for (number, input) in inputs.iter_mut().enumerate() {
            let values: Vec<f32> = (0..count).map(|i| ((i * (7 + number)) % 1000) as f32 / 8.0).collect();
            cast(input, dtype, bytemuck::cast_slice(&values), DType::F32)?;
        }
        let mut out = Buffer::zeroed(ARRAY_BYTES);
        let mut copies = [Buffer::zeroed(ARRAY_BYTES), Buffer::zeroed(ARRAY_BYTES)];
        // One copy of both inputs and of an output: what moving the data once costs.
        let floor = least_secs(|| {
            for (copy, input) in copies.iter_mut().zip(&inputs) {
                black_box(&mut **copy).copy_from_slice(black_box(input));
            }
            black_box(&mut *out).copy_from_slice(black_box(&inputs[0]));
        });
        println!("{dtype}: memcpy of inputs and output {:>6.1} ms", floor * 1e3);
        let mut rows = vec![("x + y", sum(dtype)?)];
        if dtype.kind() == 'f' {
            rows.push(("ten operations", chain(dtype)?));
        }
        if dtype == DType::F32 || dtype == DType::F64 {
            rows.push(("sqrt", one(dtype, "sqrt")?));
            rows.push(("exp", one(dtype, "exp")?));
            rows.push(("sin", one(dtype, "sin")?));
        }
        for (name, program) in rows {
            for set in InstructionSet::available() {
                let row = format!("{dtype} {name:<16} {set:<8}");
                if !words.iter().all(|word| row.contains(word.as_str())) {
                    continue;
                }
                let program = program.clone().with_instruction_set(set);
                let mut scratch = Scratch::default();
                let operands: Vec<Input<'_>> =
                    inputs.iter().map(|bytes| Input::contiguous(bytes, dtype)).collect();
                let mut result = Ok(());
                let secs = least_secs(|| {
                    result = program.evaluate(black_box(&operands), &[count], &mut [&mut out], &mut scratch);
                });
                result?;
                println!("  {row} {:>7.1} ms {:>6.2} x memcpy", secs * 1e3, secs / floor);
            }
        }
    }
    reductions(&words)
}
