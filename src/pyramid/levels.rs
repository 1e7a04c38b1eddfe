//! The levels of an image: how many, how large, in which chunks, and in which boxes tasks write and downsample them.
//!
//! A task takes a box of chunks of one level that makes whole chunks of the next, so that both are stored at once and nothing is
//! cut again. Where such boxes would take too much of the budget, tasks take single chunks, and the next level is cut from a
//! temporary array. Invariant: elements do not depend on the boxes. Called by [`super::PyramidJob`].

use super::{ImageAxis, LevelSummary, PyramidOptions};
use crate::error::{Error, Result};
use crate::spec::spec_of;
use blockwise_core::adapt::InBoxes;
use blockwise_core::array::{AxisChunks, Chunks};
use blockwise_core::plan::Resources;
use blockwise_core::region::byte_count;
use blockwise_core::{Array, Sink};
use blockwise_io::{ArrayInfo, ArraySpec, ElementType, Format, NodePath};
use std::sync::Arc;

/// Levels that are made at most.
const MOST_LEVELS: usize = 40;

/// The longest axis in space that is small enough, where chunks are longer.
const SMALL: u64 = 1024;

/// Chunks of arrays that have none, along axes in space: in a plane, and in a volume.
const CHUNK_OF_PLANE: u64 = 1024;
const CHUNK_OF_VOLUME: u64 = 128;

/// Boxes that a task holds at a time: gathered, written, downsampled, encoded.
const HELD_BOXES: u64 = 4;

/// One level.
pub(super) struct Level {
    /// Its elements.
    pub(super) array: Array,
    /// How it is stored.
    pub(super) spec: ArraySpec,
    /// Elements of the full resolution that one of its elements stands for, per axis.
    pub(super) factors: Vec<u64>,
}

impl Level {
    pub(super) fn summary(&self, axes: &[ImageAxis]) -> LevelSummary {
        LevelSummary {
            path: self.spec.path.to_string(),
            shape: self.spec.shape.clone(),
            chunk_shape: self.spec.chunk_shape.clone().unwrap_or_default(),
            scale: self.scale(axes),
        }
    }

    /// Physical size of an element.
    pub(super) fn scale(&self, axes: &[ImageAxis]) -> Vec<f64> {
        axes.iter().zip(&self.factors).map(|(axis, factor)| axis.scale * *factor as f64).collect()
    }
}

/// The levels of the image `array`, of which `info` says how it is stored.
///
/// # Errors
/// If what is asked for does not fit the array.
pub(super) fn levels(
    array: &Array,
    info: &ArrayInfo,
    axes: &[ImageAxis],
    options: &PyramidOptions,
    resources: &Resources,
) -> Result<Vec<Level>> {
    let mut info = ArrayInfo {
        path: level_path(0)?,
        element_type: ElementType::Number(array.dtype()),
        unlimited: vec![false; array.rank()],
        is_coordinate: false,
        ..info.clone()
    };
    if info.chunk_shape.is_none() {
        info.chunk_shape = Some(usual_chunk(axes, &info.shape));
        info.codec = None;
    }
    let (spec, _) = spec_of(&info, Format::Zarr3, &options.arrays, resources.budget_bytes)?;
    let factors = factors(axes, options)?;
    let chunk = spec.chunk_shape.clone().unwrap_or_default();
    let multiples: Option<Vec<u64>> = spec
        .shard_shape
        .as_ref()
        .map(|shard| shard.iter().zip(&chunk).map(|(shard, chunk)| shard / chunk.max(&1)).collect());
    let first = Level {
        array: array.clone(),
        spec: cut(spec, &chunk, multiples.as_deref()),
        factors: vec![1; axes.len()],
    };
    let most = options.levels.unwrap_or(MOST_LEVELS);
    if !(1..=MOST_LEVELS).contains(&most) {
        let what =
            format!("{most} levels were asked for; give 1 to {MOST_LEVELS}, the full resolution among them");
        return Err(Error::Usage { path: "--levels".to_owned(), what });
    }
    let mut all = vec![first];
    while all.len() < most {
        let Some(level) = all.last_mut() else { break };
        let shape = level.array.shape();
        if options.levels.is_none() && !is_large(&shape, axes, &factors, &chunk) {
            break;
        }
        // What is one element stays that.
        let next: Vec<u64> =
            factors.iter().zip(&shape).map(|(factor, extent)| (*factor).min((*extent).max(1))).collect();
        if next.iter().all(|factor| *factor == 1) {
            break;
        }
        let boxes = boxes(level, &next, resources);
        level.array =
            level.array.rechunk(Chunks::PerAxis(boxes.into_iter().map(AxisChunks::Length).collect()))?;
        let by_axis: Vec<_> = next.iter().enumerate().map(|(axis, factor)| (axis.into(), *factor)).collect();
        let array = level.array.downsample(&by_axis, options.method)?;
        let factors =
            level.factors.iter().zip(&next).map(|(own, factor)| own.saturating_mul(*factor)).collect();
        let spec = ArraySpec { shape: array.shape(), ..level.spec.clone() };
        let spec = ArraySpec { path: level_path(all.len())?, ..spec };
        all.push(Level { array, spec: cut(spec, &chunk, multiples.as_deref()), factors });
    }
    Ok(all)
}

/// What is stored where: each level, and the sink that takes it as tasks make it.
///
/// # Errors
/// If boxes do not fit chunks, which is a fault of this module.
pub(super) fn targets(levels: &[Level], sinks: Vec<Arc<dyn Sink>>) -> Result<Vec<(Array, Arc<dyn Sink>)>> {
    let target = |(number, (level, sink)): (usize, (&Level, Arc<dyn Sink>))| {
        let array = &level.array;
        if array.grid().is_coarser_or_equal(sink.grid()) && (number == 0 || sink.commit_grid() == sink.grid())
        {
            let sink = InBoxes::over(sink, array)?;
            return Ok((array.clone(), sink));
        }
        Ok((array.clone(), sink))
    };
    levels.iter().zip(sinks).enumerate().map(target).collect()
}

fn level_path(number: usize) -> Result<NodePath> {
    Ok(NodePath::root().child(&number.to_string())?)
}

/// By how much a level is smaller than the one before, per axis.
fn factors(axes: &[ImageAxis], options: &PyramidOptions) -> Result<Vec<u64>> {
    let usage = |what| Error::Usage { path: "--factor".to_owned(), what };
    let usual: Vec<u64> = axes.iter().map(|axis| if axis.is_space() { 2 } else { 1 }).collect();
    let Some(given) = &options.factors else { return Ok(usual) };
    let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let is_space: Vec<bool> = axes.iter().map(ImageAxis::is_space).collect();
    let given = given.resolve("--factor", &names, &is_space).map_err(usage)?;
    let factors: Vec<u64> = given.iter().zip(usual).map(|(given, usual)| given.unwrap_or(usual)).collect();
    match factors.iter().find(|factor| !(1..=1 << 16).contains(*factor)) {
        Some(wrong) => Err(usage(format!("a level cannot be {wrong} times smaller; give 1 to 65536"))),
        None if factors.iter().all(|factor| *factor == 1) && options.levels != Some(1) => {
            Err(usage("no axis gets smaller; give one a factor of 2 or more".to_owned()))
        }
        None => Ok(factors),
    }
}

/// Whether a smaller level is worth having: the longest axis that gets smaller does not fit one chunk.
fn is_large(shape: &[u64], axes: &[ImageAxis], factors: &[u64], chunk: &[u64]) -> bool {
    let in_space = || (0..axes.len()).filter(|axis| axes.get(*axis).is_some_and(ImageAxis::is_space));
    let smaller = (0..shape.len()).filter(|axis| factors.get(*axis).is_some_and(|factor| *factor > 1));
    let longest = smaller.filter_map(|axis| shape.get(axis)).max();
    let fits = in_space().filter_map(|axis| chunk.get(axis)).max().copied().unwrap_or(1).min(SMALL);
    longest.is_some_and(|longest| *longest > fits)
}

/// Chunks for an image that is stored without.
fn usual_chunk(axes: &[ImageAxis], shape: &[u64]) -> Vec<u64> {
    let spaces = axes.iter().filter(|axis| axis.is_space()).count();
    let length = if spaces > 2 { CHUNK_OF_VOLUME } else { CHUNK_OF_PLANE };
    let axis =
        |(axis, extent): (&ImageAxis, &u64)| if axis.is_space() { length.min((*extent).max(1)) } else { 1 };
    axes.iter().zip(shape).map(axis).collect()
}

/// `spec` with these chunks, as far as the level reaches, and so many of them a shard.
fn cut(spec: ArraySpec, chunk: &[u64], multiples: Option<&[u64]>) -> ArraySpec {
    let own: Vec<u64> =
        chunk.iter().zip(&spec.shape).map(|(chunk, extent)| (*chunk).clamp(1, (*extent).max(1))).collect();
    let shard = multiples.map(|multiples| {
        let lengths = own.iter().zip(multiples).zip(&spec.shape);
        lengths
            .map(|((chunk, multiple), extent)| chunk * (*multiple).clamp(1, extent.div_ceil(*chunk).max(1)))
            .collect()
    });
    ArraySpec { chunk_shape: Some(own), shard_shape: shard, ..spec }
}

/// The boxes in which a level is written and downsampled.
fn boxes(level: &Level, factors: &[u64], resources: &Resources) -> Vec<u64> {
    let chunk = level.spec.chunk_shape.clone().unwrap_or_default();
    let shard = level.spec.shard_shape.as_ref().unwrap_or(&chunk);
    let is_sharded = level.spec.shard_shape.is_some();
    let along = |is_wide: bool, axis: usize| {
        let of = |lengths: &[u64]| lengths.get(axis).copied().unwrap_or(1);
        let (chunk, shard, factor) = (of(&chunk), of(shard), of(factors));
        let wide = chunk.saturating_mul(factor);
        let narrow = chunk.is_multiple_of(factor);
        if is_sharded {
            // Parts of a shard, or whole ones.
            match () {
                () if is_wide && shard.is_multiple_of(wide) => wide,
                () if narrow => chunk,
                () if shard.is_multiple_of(wide) => wide,
                () if shard.is_multiple_of(factor) => shard,
                () => shard.saturating_mul(factor),
            }
        } else if narrow && !is_wide {
            chunk
        } else {
            wide
        }
    };
    let shape = level.array.shape();
    let all = |is_wide: bool| -> Vec<u64> {
        let axes = shape.iter().enumerate();
        axes.map(|(axis, extent)| along(is_wide, axis).min((*extent).max(1))).collect()
    };
    let wide = all(true);
    let bytes = byte_count(&wide, level.array.dtype().size()).unwrap_or(u64::MAX);
    let held = bytes.saturating_mul(HELD_BOXES).saturating_mul(resources.threads.max(1) as u64);
    if held <= resources.budget_bytes / 2 { wide } else { all(false) }
}

#[cfg(test)]
mod tests {
    use super::super::AxisType;
    use super::*;
    use crate::computed::info_of;
    use blockwise_core::DType;
    use blockwise_kernels::downsample::Downsampling;

    fn laid_out(shape: &[u64], chunk: &[u64], options: &PyramidOptions, budget_bytes: u64) -> Vec<Level> {
        let array = Array::zeros(shape, DType::U16).unwrap();
        let axes: Vec<ImageAxis> = "tczyx"[5 - shape.len()..]
            .chars()
            .map(|name| {
                let kind = if "zyx".contains(name) { AxisType::Space } else { AxisType::Channel };
                ImageAxis::new(name.to_string(), Some(kind))
            })
            .collect();
        let mut info = info_of(NodePath::root(), &array, Format::Zarr3);
        info.chunk_shape = (!chunk.is_empty()).then(|| chunk.to_vec());
        let resources = Resources { threads: 2, ..blockwise_core::machine::resources(budget_bytes) };
        levels(&array, &info, &axes, options, &resources).unwrap()
    }

    fn shapes(levels: &[Level]) -> Vec<Vec<u64>> {
        levels.iter().map(|level| level.array.shape()).collect()
    }

    #[test]
    fn levels_go_on_until_one_chunk_holds_the_longest_axis() {
        let plain = PyramidOptions::default();
        let all = laid_out(&[100, 301, 65], &[64, 64, 64], &plain, 1 << 30);
        assert_eq!(shapes(&all), [[100, 301, 65], [50, 151, 33], [25, 76, 17], [13, 38, 9]]);
        assert_eq!(all[3].factors, [8, 8, 8]);
        assert_eq!(all[3].spec.chunk_shape.as_deref(), Some(&[13, 38, 9][..]));
        assert_eq!(laid_out(&[3, 4000, 3000], &[], &plain, 1 << 30).len(), 6);
        let channels = laid_out(&[2, 3, 40, 300, 200], &[], &plain, 1 << 30);
        assert_eq!(shapes(&channels)[1..], [[2, 3, 20, 150, 100], [2, 3, 10, 75, 50]]);
        assert_eq!(channels[0].spec.chunk_shape.as_deref(), Some(&[1, 1, 40, 128, 128][..]));
        assert_eq!(laid_out(&[0, 5], &[], &plain, 1 << 30).len(), 1);
    }

    #[test]
    fn factors_and_counts_as_asked() {
        let options = |levels, factor: &str| PyramidOptions {
            levels: Some(levels),
            factors: Some(factor.parse().unwrap()),
            method: Downsampling::Max,
            ..PyramidOptions::default()
        };
        let all = laid_out(&[10, 100, 99], &[4, 32, 32], &options(3, "z=1,y=3,x=2"), 1 << 30);
        assert_eq!(shapes(&all), [[10, 100, 99], [10, 34, 50], [10, 12, 25]]);
        // No further than to a single element.
        assert_eq!(shapes(&laid_out(&[3, 2], &[], &options(9, "2"), 1 << 30)), [[3, 2], [2, 1], [1, 1]]);
    }

    #[test]
    fn boxes_follow_chunks_shards_and_the_budget() {
        let sharded = |text: &str| {
            let mut options = PyramidOptions { levels: Some(2), ..PyramidOptions::default() };
            options.arrays.shards = Some(text.parse().unwrap());
            options
        };
        let plain = PyramidOptions { levels: Some(2), ..PyramidOptions::default() };
        let boxes = |chunk: &[u64], options: &PyramidOptions, budget| {
            laid_out(&[500, 500], chunk, options, budget)[0].array.grid().largest_chunk()
        };
        assert_eq!(boxes(&[50, 50], &plain, 1 << 30), [100, 100]);
        assert_eq!(boxes(&[50, 50], &plain, 1 << 17), [50, 50]);
        assert_eq!(boxes(&[25, 25], &plain, 1 << 15), [50, 50], "an odd chunk takes two");
        assert_eq!(boxes(&[50, 50], &sharded("200,200"), 1 << 30), [100, 100]);
        assert_eq!(boxes(&[50, 50], &sharded("150,150"), 1 << 30), [50, 50]);
        assert_eq!(boxes(&[25, 25], &sharded("75,75"), 1 << 30), [150, 150]);
    }
}
