//! Randomised SVD takes the noise out of a stack of images: few patterns make the scene, and photons that arrive one by one
//! make noise, which is in all patterns alike.
//!
//!     cargo run --release --example denoise [-- OUT.zarr [FRAME.png]]
//!
//! The stack is made up: cells that drift and glow over an uneven background, counted by a camera (shot noise, of Poisson).
//! Counts become roots first (Anscombe, 1948), whose noise is alike everywhere; the principal components of these are found in six
//! passes over the stack, which is never held. With a file name, counts, scene and what is made of the counts are stored; with a
//! second one a frame of each is drawn, as `docs/denoise.png` was.

use blockwise::core::array::MapBlocks;
use blockwise::kernels::random::Distribution;
use blockwise::linalg::{Compression, Pca};
use blockwise::prelude::*;
use blockwise::show::{Axis, Colours, Figure};
use blockwise::store::{StoreOptions, to_zarr};
use ndarray::{ArrayD, ArrayViewD, Zip};
use std::f64::consts::TAU;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Frames, rows, columns.
const SHAPE: [u64; 3] = [400, 64, 96];
const CHUNKS: [u64; 3] = [50, 64, 96];
const CELLS: usize = 7;
const MODES: u64 = 16;
const SEED: u64 = 11;

fn main() -> Outcome<()> {
    let session = Session::with_budget(256 << 20);
    let scene = Array::from_fn(&SHAPE, photons)?.rechunk(CHUNKS)?;
    let uniform = Distribution::Uniform { low: 0.0, high: 1.0 };
    let dice = Array::random(&SHAPE, uniform, SEED)?.rechunk(CHUNKS)?;
    let counts = MapBlocks::new([&scene, &dice])?.named("camera").map2(
        |_, mean: ArrayViewD<'_, f32>, dice: ArrayViewD<'_, f64>| -> ArrayD<f32> {
            Zip::from(mean).and(dice).map_collect(|mean, dice| counted(f64::from(*mean), *dice))
        },
    )?;

    let roots = (&counts + 0.375).sqrt()? * 2.0;
    let compression = Compression::new(MODES).with_power_iterations(3).with_seed(SEED);
    let found = Pca::compressed(compression).fit(&roots)?.held(&session)?;
    let denoised = (found.reconstruct(MODES)? / 2.0).square()? - 0.125;

    let error = |images: &Array| (images - &scene).astype(DType::F64).square()?.mean(..)?.sqrt();
    let held = session.compute_many(&[error(&counts)?, error(&denoised)?])?;
    let number = |at: usize| held.get(at).and_then(|array| array.to_elements::<f64>()?.first().copied());
    let (before, after) = number(0).zip(number(1)).ok_or("no errors were computed")?;
    let share = session.compute::<f64>(&found.explained_variance_ratio.sum(..)?)?;
    println!("{MODES} components, {:.1} % of the variance, in {} passes", 100.0 * share[[]], found.passes);
    println!("root mean square error: {before:.3} photons before, {after:.3} after");

    let mut words = std::env::args().skip(1);
    if let Some(path) = words.next() {
        let names = ["frame", "y", "x"];
        let (scene, counts) = (scene.with_names(&names)?, counts.with_names(&names)?);
        let denoised = denoised.with_names(&names)?;
        let arrays = [(&scene, "scene"), (&counts, "counts"), (&denoised, "denoised")];
        to_zarr(&session, &arrays, path, &StoreOptions::default())?;
        if let Some(picture) = words.next() {
            let frame = |images: &Array| {
                Ok::<_, Box<dyn std::error::Error>>(images.slice(0, 200)?.astype(DType::F64))
            };
            let frames = Array::concatenate(&[frame(&scene)?, frame(&counts)?, frame(&denoised)?], 1)?;
            let [rows, columns] = [SHAPE[1] as usize, 3 * SHAPE[2] as usize];
            let figure = Figure {
                title: format!("scene, counts, and what {MODES} components make of them"),
                units: "photons".to_owned(),
                colours: Some(Colours::sequential()),
                low: Some(0.0),
                high: Some(25.0),
                ..Figure::new(
                    session.compute::<f64>(&frames)?.into_iter().collect(),
                    Axis::of_index("y", rows, 1),
                    Axis::of_index("x", columns, 1),
                )
            };
            std::fs::write(picture, figure.draw()?.png)?;
        }
    }
    Ok(())
}

/// Photons that are to be expected at a frame, row and column.
fn photons(at: &[u64]) -> f32 {
    let &[frame, row, column] = at else { return 0.0 };
    let [time, y, x] = [frame, row, column].map(|place| place as f64);
    let background = 2.0 + 1.5 * y / SHAPE[1] as f64;
    let cells = (0..CELLS).map(|cell| {
        // Each has its own place, pace and size, by the golden ratio.
        let [a, b, c] = [0.618, 0.755, 0.57].map(|step| (cell as f64 * step + 0.3).fract());
        let turn = TAU * (time / SHAPE[0] as f64 * (0.5 + c) + a);
        let center = [8.0 + 48.0 * b + 3.0 * turn.sin(), 10.0 + 76.0 * a + 5.0 * turn.cos()];
        let glow = 9.0 + 8.0 * (TAU * time * (0.02 + 0.03 * b) + TAU * c).sin();
        let width = 3.0 + 2.5 * c;
        let distance = ((y - center[0]).powi(2) + (x - center[1]).powi(2)) / (2.0 * width * width);
        glow * (-distance).exp()
    });
    (background + cells.sum::<f64>()) as f32
}

/// The count that a number from 0 to 1 falls on, where `mean` photons are expected.
fn counted(mean: f64, dice: f64) -> f32 {
    let (mut count, mut chance) = (0.0, (-mean).exp());
    let mut below = chance;
    while dice > below && count < 1000.0 {
        count += 1.0;
        chance *= mean / count;
        below += chance;
    }
    count as f32
}
