//! The operations that are measured: every method of arrays that computes, every function and every reduction.

use super::MIB;
use super::inputs::Inputs;
use blockwise_core::array::{
    Axes, Gufunc, Index, LocalThreshold, MapBlocks, Nested, PadMode, Reduce, Remainder, Structure, ZoomGrid,
};
use blockwise_core::kernels::affine::Interpolation;
use blockwise_core::kernels::downsample::Downsampling;
use blockwise_core::kernels::filter::{Coarsening, Edge, Rolling};
use blockwise_core::kernels::function::{Function, TABLE};
use blockwise_core::kernels::histogram::Bins;
use blockwise_core::kernels::order::{QuantileMethod, Side};
use blockwise_core::kernels::random::Distribution;
use blockwise_core::kernels::scan::ScanOp;
use blockwise_core::{Array, DType, Result};
use ndarray::{ArrayViewD, ArrayViewMutD, Axis, Zip};

/// Operations that are measured together, one run after another.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// An eighth of the input.
    pub(super) budget_bytes: u64,
    /// The arrays that are computed, each in a run.
    pub(super) arrays: fn(&Inputs) -> Result<Vec<Array>>,
}

const fn of(name: &'static str, arrays: fn(&Inputs) -> Result<Vec<Array>>) -> Operation {
    Operation { name, budget_bytes: 16 * MIB, arrays }
}

/// Blocks are large whatever the array.
const fn large(name: &'static str, arrays: fn(&Inputs) -> Result<Vec<Array>>) -> Operation {
    Operation { name, budget_bytes: 32 * MIB, arrays }
}

/// Many runs, so small ones.
const fn small(name: &'static str, arrays: fn(&Inputs) -> Result<Vec<Array>>) -> Operation {
    Operation { name, budget_bytes: 4 * MIB, arrays }
}

pub(super) const OPERATIONS: &[Operation] = &[
    small("elementwise functions", |i| TABLE.iter().map(|function| called(function, i)).collect()),
    small("methods and operators", |i| {
        let x = &i.x;
        let unary = [
            Array::abs,
            Array::sqrt,
            Array::exp,
            Array::log,
            Array::log10,
            Array::sin,
            Array::cos,
            Array::tan,
            Array::square,
            Array::floor,
            Array::ceil,
            Array::is_nan,
            Array::is_finite,
        ];
        let mut made = unary.iter().map(|of| of(x)).collect::<Result<Vec<_>>>()?;
        made.extend([x + 1.0, x - &i.y, x * &i.y, x / 3.0, x % 2.0, -x, x.astype(DType::F32)]);
        Ok(made)
    }),
    of("chain", |i| Ok(vec![((&i.x * 2.0 + &i.y).sqrt()?.exp()? - &i.x).sin()?])),
    of("converted", |i| Ok(vec![i.x.astype(DType::F32), i.x.astype(DType::U8).astype(DType::I64)])),
    small("reductions, all axes", |i| reductions(&i.x, ..)),
    of("reductions, axis 0", |i| reductions(&i.x, 0)),
    small("reductions, axis 1", |i| reductions(&i.x, 1)),
    small("reductions, axis 2", |i| reductions(&i.x, 2)),
    small("reductions, axes 0, 2", |i| reductions(&i.x, [0, 2])),
    of("sum", |i| Ok(vec![i.x.sum(..)?, i.x.sum(0)?, i.x.sum(1)?, i.x.sum(2)?])),
    of("prod", |i| Ok(vec![i.x.prod("time")?])),
    of("min, max", |i| Ok(vec![i.x.min(0)?, i.x.max(2)?, i.x.nanmin(1)?, i.x.nanmax([1, 2])?])),
    of("any, all", |i| Ok(vec![i.x.any(0)?, i.x.all(2)?, i.x.count_nonzero(1)?])),
    of("mean", |i| Ok(vec![i.x.mean(..)?, i.x.mean(0)?, i.x.nanmean(1)?, i.x.nansum(0)?])),
    of("var, std", |i| Ok(vec![i.x.var(0)?, i.x.std(2)?, i.x.nanvar(1)?, i.x.nanstd(..)?])),
    of("argmin, argmax", |i| Ok(vec![i.x.argmin(0)?, i.x.argmax(2)?, i.line.argmax(0)?])),
    of("of a chain", |i| Ok(vec![(&i.x * 2.0 + &i.y).sqrt()?.std(0)?])),
    of("anomaly", |i| Ok(vec![&i.x - &i.x.reduce(named("mean"), 0, true)?, &i.x - &i.x.mean(..)?])),
    of("group by", |i| {
        let seasons = i.x.group_by(&labels(&i.x, 6), "time")?;
        let columns = i.x.group_by(&(0..1024).map(|at| at / 7).collect::<Vec<_>>(), 2)?;
        let (mean, first) = (seasons.nanmean()?, seasons.first(true)?);
        let made = [seasons.spread(&first)?, mean, seasons.std()?, seasons.last(false)?, columns.max()?];
        Ok(made.into_iter().chain([columns.sum()?, first, seasons.anomaly()?, columns.anomaly()?]).collect())
    }),
    of("group by, ranked", |i| {
        let seasons = i.x.group_by(&labels(&i.x, 6), "time")?;
        Ok(vec![seasons.median(true)?, seasons.quantile([0.1, 0.9], QuantileMethod::Linear, false)?])
    }),
    of("spread", |i| {
        let rows: Vec<i64> = labels(&i.x, 5).iter().map(|row| row - 1).collect();
        Ok(vec![i.x.spread(&rows, "time")?, (&i.x * 2.0).spread(&[700, 3, -1, 3], 2)?])
    }),
    of("standardised", |i| {
        let mean = i.x.reduce(named("nanmean"), "time", true)?;
        let deviation = i.x.reduce(named("nanstd"), "time", true)?;
        Ok(vec![(&i.x - &mean) / deviation])
    }),
    of("transposed", |i| {
        let x = i.x.transpose(..)?;
        Ok(vec![x.rechunk([256, 64, 4])?, i.x.transpose([1, 0, 2])?, x.move_axis(0, -1)?, x.mean(0)?])
    }),
    of("rechunk", |i| {
        Ok(vec![i.x.rechunk([64, 16, 64])?, i.x.rechunk([1, 512, 512])?, i.line.rechunk([77_777])?])
    }),
    of("slices, flips, new axes", |i| {
        let every = Index::Slice { start: None, stop: None, step: -2 };
        Ok(vec![
            i.x.slice(2, every)?,
            i.x.index(&[Index::from(1..), Index::NewAxis, every])?,
            i.x.flip([0, 2])?,
            i.x.expand_dims(1)?.squeeze(1)?,
            i.x.slice(0, 3..4)?.broadcast_to(&[32, 512, 1024])?,
            i.x.with_names(&["a", "b", "c"])?.slice("b", 100..)?,
            i.x.with_some_names(vec![Some("a".to_owned()), None, None])?.slice("a", 1..)?,
        ])
    }),
    of("concatenate, stack", |i| {
        Ok(vec![
            Array::concatenate(&[i.x.clone(), i.y.clone()], 1)?,
            Array::stack(&[i.x.clone(), i.y.clone()], -1)?,
            Array::concatenate(&[i.x.mean(0)?.expand_dims(0)?, i.x.clone()], 0)?,
        ])
    }),
    of("roll, tile, repeat", |i| Ok(vec![i.x.roll(100, 2)?, i.x.tile(2, 0)?, i.x.repeat(2, 1)?])),
    large("gaussian", |i| {
        Ok(vec![i.fine.filter().gaussian(&[2.0])?, i.fine.filter().gaussian_laplace(&[1.0])?])
    }),
    large("filters", |i| {
        let filter = i.fine.filter();
        let (full, cross) = (filter.full(&[3])?, Structure::connected(3, 1));
        Ok(vec![
            filter.uniform(&[5, 9, 9])?,
            filter.clone().modes(&[Edge::Wrap]).maximum(&[3])?,
            filter.median_of(&full)?,
            filter.sobel(-1)?,
            filter.correlate(&full.mapv(|inside| f64::from(u8::from(inside))))?,
            filter.grey_opening(&cross)?,
            filter.binary_closing(&cross, 2, false)?,
        ])
    }),
    large("label", |i| {
        // Twice the budget: the task that joins blocks holds all that lies where they meet.
        let points = Array::call("greater", [(&i.x.slice(0, ..16)?).into(), 100.0.into()])?;
        let found = points.label(&Structure::connected(3, 3))?;
        let cut = points.slice(0, ..8)?.label_blocks(&Structure::connected(3, 1))?;
        Ok(vec![found.labels, found.count, cut.labels])
    }),
    large("fill holes", |i| {
        let points = Array::call("less", [(&i.x.slice(0, ..16)?).into(), 50.0.into()])?;
        Ok(vec![points.binary_fill_holes(&Structure::connected(3, 1))?])
    }),
    large("distances", |i| {
        let points = Array::call("less", [(&i.x).into(), 107.2.into()])?;
        Ok(vec![
            points.distance_transform_edt(&[1.0, 0.5, 0.5])?,
            points.transpose(..)?.distance_transform_edt(&[1.0])?,
        ])
    }),
    large("thresholds", |i| {
        let clean = Array::call("nan_to_num", [(&i.x).into()])?;
        let local = |method| i.fine.filter().threshold_local(&[1, 5, 5], method, 1.0);
        Ok(vec![
            clean.threshold_otsu(256)?,
            clean.astype(DType::I16).threshold_otsu(256)?,
            local(LocalThreshold::Gaussian)?,
            local(LocalThreshold::Median)?,
        ])
    }),
    of("measures of labels", |i| {
        let measures = i.x.measure(&i.x.astype(DType::I32), 100)?;
        Ok(vec![measures.centroids()?, measures.extents()?, measures.variances()?])
    }),
    of("seen through maps", |i| {
        let x = i.x.geometry();
        let plane = x.clone().axes(["lat", "lon"].into());
        let shear = [vec![1.0, 0.0, 0.0], vec![-0.7, 1.0, 0.0], vec![0.0, 0.1, 1.0]];
        Ok(vec![
            plane.rotate(30.0, true)?,
            plane.nearest_outside().zoom(&[0.3, 1.7], ZoomGrid::Edges)?,
            x.affine_transform(&shear, &[0.5, 0.0, 0.0], None)?,
            x.interpolation(Interpolation::Nearest).fill(f64::NAN).shift(&[1.0, 2.5, -3.0])?,
            i.x.try_add(1.0)?.geometry().shift(&[0.5])?,
        ])
    }),
    of("rolling, coarsened", |i| {
        let rolling = i.x.rolling(&[("lat".into(), 9)])?;
        let boxes = i.x.coarse(&[("lat".into(), 3), ("lon".into(), 2)])?.remainder(Remainder::Pad);
        Ok(vec![
            rolling.reduce(Rolling::Std(0.0))?,
            rolling.centred(true).least(2).reduce(Rolling::Median)?,
            boxes.reduce(Coarsening::Mean)?,
            i.x.coarse(&[("lat".into(), 4)])?.reduce(Coarsening::Median)?,
            i.x.slice("time", ..2)?.sliding_window_view(&[("lon".into(), 5)])?.mean(-1)?,
        ])
    }),
    of("downsampled", |i| {
        let factors = [("lat".into(), 2), ("lon".into(), 3)];
        Ok(vec![i.x.downsample(&factors, Downsampling::Mean)?, i.x.downsample(&factors, Downsampling::Mode)?])
    }),
    of("pad", |i| {
        let modes = [PadMode::Constant(1.0.into()), PadMode::Edge, PadMode::Reflect, PadMode::Symmetric];
        let padded = modes.iter().map(|mode| i.x.pad(1, 20, 30, *mode));
        padded.chain([i.x.pad(2, 700, 0, PadMode::Wrap)]).collect()
    }),
    of("take, insert, delete", |i| {
        let places: Vec<i64> = (0..128).map(|n| (n * 37) % 1024).collect();
        let row = i.x.slice(1, 5..6)?;
        Ok(vec![i.x.take(&places, 2)?, i.x.insert(100, &row, 1)?, i.x.delete(&[0, 5, -1], 1)?])
    }),
    of("scattered take, vindex", |i| {
        let scattered = |count: i64, extent: i64| (0..count).map(|n| n * n * 37 % extent).collect::<Vec<_>>();
        let (many, ys) = (scattered(5000, 1024), scattered(3000, 512));
        Ok(vec![
            i.x.take(&many, 2)?,
            i.x.take(&scattered(300, 512), 1)?,
            (&i.x + 1.0).take(&scattered(300, 512), 1)?,
            i.line.take(&scattered(100_000, 1_000_000), 0)?,
            i.x.vindex([1, 2], &[&ys, &many[..3000]])?,
        ])
    }),
    of("reshape, ravel", |i| {
        Ok(vec![
            i.x.reshape(&[-1, 1024])?,
            i.x.reshape(&[4, 8, 512, 1024])?,
            i.x.ravel()?,
            i.line.reshape(&[32, -1])?,
        ])
    }),
    of("cumulative", |i| {
        Ok(vec![
            i.x.scan(ScanOp::Sum, 0, true)?,
            i.x.cumsum(0)?,
            i.x.cumprod(1)?,
            i.x.cummin(2)?,
            i.x.cummax(0)?,
            i.x.nancumsum(1)?,
            i.x.nancumprod(2)?,
            i.line.cumsum(0)?,
            i.columns.cumsum(0)?,
        ])
    }),
    of("filled from neighbours", |i| {
        let gaps = Array::call(
            "where",
            [Array::call("less", [(&i.x).into(), 0.3.into()])?.into(), f64::NAN.into(), (&i.x).into()],
        )?;
        Ok(vec![
            gaps.forward_filled(0, None)?,
            gaps.backward_filled(1, Some(3))?,
            gaps.filled_between(0, &Array::arange(0.0, gaps.shape()[0] as f64, 1.0)?, Some(2))?,
        ])
    }),
    of("diff, gradient", |i| Ok(vec![i.x.diff(1, 0)?, i.x.diff(2, 2)?, i.x.gradient(0.5, 1)?])),
    of("sort", |i| Ok(vec![i.x.sort(0)?, i.x.sort(1)?, i.x.sort(2)?])),
    large("Fourier transforms", |i| {
        // Single precision: complex results are as large as the input.
        let (x, columns) = (i.x.astype(DType::F32).fourier(), i.columns.astype(DType::F32));
        Ok(vec![
            x.clone().axes(..).fft()?,
            x.clone().axes(0).lengths(&[50]).ifft()?,
            x.clone().axes([0, 1]).rfft()?,
            x.clone().axes([1, 2]).irfft()?,
            x.clone().axes(1).hfft()?,
            x.axes(0).ihfft()?,
            i.y.fourier().axes(..).rfft()?.fourier().axes(..).irfft()?,
            columns.fourier().axes(0).rfft()?,
            columns.fftshift(0)?.ifftshift(1)?,
            Array::fftfreq(1 << 20, 0.1)? * Array::rfftfreq((1 << 21) - 2, 0.1)?,
        ])
    }),
    of("argsort", |i| Ok(vec![i.x.argsort(0)?, i.x.argsort(2)?])),
    of("topk", |i| Ok(vec![i.x.topk(3, 0)?, i.x.topk(-5, 2)?, i.line.topk(10, 0)?])),
    of("argtopk", |i| Ok(vec![i.x.argtopk(3, 1)?, i.line.argtopk(-10, 0)?])),
    of("median", |i| Ok(vec![i.x.median(0)?, i.x.median(2)?, i.x.nanmedian("lat")?])),
    of("quantile", |i| {
        let method = QuantileMethod::Linear;
        Ok(vec![
            i.x.quantile([0.1, 0.9], 0, method)?,
            i.x.nanquantile(0.5, 1, method)?,
            i.x.percentile(75.0, 2, method)?,
            i.x.nanpercentile(5.0, 0, method)?,
        ])
    }),
    of("histograms, bincount", |i| {
        let bins = || Bins::uniform(100, -60.0, 120.0, DType::F64);
        let whole = Array::call("nan_to_num", [(&i.x + 60.0).into()])?.astype(DType::I64);
        Ok(vec![
            i.x.histogram(bins()?, None)?,
            i.x.histogram_density(bins()?, Some(&i.y))?,
            Array::histogramdd(&[i.x.clone(), i.y.clone()], vec![bins()?, bins()?], None, false)?,
            whole.bincount(200, None)?,
        ])
    }),
    of("digitize, search, isin", |i| {
        let sorted = Array::arange(-50.0, 50.0, 0.01)?;
        Ok(vec![
            i.x.digitize(&[-10.0, 0.0, 10.0], true)?,
            i.x.search_sorted(&sorted, Side::Left)?,
            i.x.is_in(&sorted)?,
        ])
    }),
    of("statistics", |i| {
        let weights = i.y.slice(0, 0..1)?.broadcast_to(&i.x.shape())?;
        let few = i.columns.transpose(..)?.slice(0, ..8)?;
        Ok(vec![
            i.x.ptp(0)?,
            i.x.ptp(..)?,
            i.x.average(1, &weights)?,
            i.x.average(.., &i.y)?,
            few.cov(1.0)?,
            few.corrcoef()?,
        ])
    }),
    of("masks", |i| {
        let mask = Array::call("greater", [(&i.x).into(), 40.0.into()])?;
        let mut made = i.session.nonzero(&mask)?;
        made.extend([i.session.compress(&i.x, &mask)?, i.session.flat_nonzero(&mask)?]);
        Ok(made)
    }),
    of("assigned", |i| {
        let few = [Index::from(..), Index::from(10..20)];
        Ok(vec![i.x.assign(&few, 1.0)?, i.x.assign(&few, &i.y.index(&few)?)?])
    }),
    large("unique", |i| {
        let small = i.x.astype(DType::I16);
        let found = i.session.unique::<i16>(&small, 1000)?;
        Ok(vec![Array::from_ndarray(&ndarray::Array1::from_vec(found.values).into_dyn())?])
    }),
    of("map_blocks", |i| {
        let map = MapBlocks::new([&i.x, &i.y])?;
        let sum = map.map2(|_, a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| &a + &b)?;
        let narrow = i.x.map_blocks(|block: ArrayViewD<'_, f64>| block.mapv(|v| v as f32))?;
        let shown = i.x.map_blocks_with_info(|_, block: ArrayViewD<'_, f64>| block.mapv(|v| v > 0.0))?;
        let doubled =
            i.x.map_blocks_into(|block: ArrayViewD<'_, f64>, mut out: ArrayViewMutD<'_, f64>| {
                Zip::from(&mut out).and(&block).for_each(|out, x| *out = 2.0 * x);
            })?;
        let turned = MapBlocks::blockwise("kji", [(&i.x, "ijk"), (&i.y, "ijk")], &[])?;
        let turned =
            turned.map2(|_, a: ArrayViewD<'_, f64>, b: ArrayViewD<'_, f64>| (&a + &b).reversed_axes())?;
        let lines = Gufunc::new("(i)->()", [&i.x])?;
        let lines = lines.vectorize(|line: ArrayViewD<'_, f64>| ndarray::arr0(line.sum()))?;
        let smooth = |block: ArrayViewD<'_, f64>| block.mapv(|v| v + 1.0);
        let halos = [(0.into(), 1, 1)];
        let smoothed = i.x.map_overlap(&halos, Some(PadMode::Symmetric), smooth)?;
        Ok(vec![sum, narrow, shown, doubled, turned, lines, smoothed])
    }),
    of("compositions", |i| {
        let (x, y) = (&i.x, &i.y);
        let whole = Array::call("nan_to_num", [x.into()])?.astype(DType::I64);
        let cube = x.index(&[Index::from(..), Index::from(..256), Index::from(..256)])?;
        let (quotient, rest) = x.div_mod(y)?;
        let (part, _) = x.modf()?;
        let at = Array::arange_i64(0, 1 << 22, 1)?.rechunk([1 << 16])?.unravel_index(&[1 << 11, 1 << 11])?;
        let row = Array::arange(0.0, 2048.0, 1.0)?;
        let positive = Array::call("greater", [x.into(), 0.0.into()])?;
        Ok(vec![
            x.swap_axes(0, 2)?,
            x.rot90(1, 1, 2)?,
            x.fliplr()?,
            x.flipud()?,
            i.line.at_least_1d()?,
            i.line.at_least_2d()?,
            i.columns.at_least_3d()?,
            Array::vstack(&[x.clone(), y.clone()])?,
            Array::block(&Nested::List(vec![x.clone().into(), y.clone().into()]))?,
            Array::unify_chunks(&[x.clone(), y.rechunk([1, 64, 64])?])?.swap_remove(1),
            x.is_real()?,
            x.is_complex()?,
            x.is_null()?,
            x.not_null()?,
            x.float_power(2)?,
            Array::hstack(&[x.clone(), y.clone()])?,
            Array::dstack(&[x.clone(), y.clone()])?,
            x.append(y, 0)?,
            Array::broadcast_arrays(&[x.clone(), y.slice(0, 0..1)?])?.swap_remove(1),
            x.is_close(y, 1e-5, 1e-8, true)?,
            x.all_close(y, 1e-5, 1e-8, false)?,
            whole.choose(&[x.clone(), y.clone()])?,
            Array::select(&[positive], std::slice::from_ref(x), 0.0)?,
            row.outer(&row)?.rechunk([256, 256])?,
            i.line.ediff1d()?,
            quotient,
            rest,
            part,
            x.moment(3, 0)?,
            x.coarsen(named("mean"), 2, 4)?,
            cube.trace(0)?,
            cube.diagonal(1)?,
            row.diag(0)?.rechunk([256, 256])?,
            Array::ravel_multi_index(&at, &[1 << 11, 1 << 11])?,
            i.line.vdot(&i.line)?,
        ])
    }),
    of("reductions by closures", |i| {
        let sum = |block: ArrayViewD<'_, f64>| block.sum_axis(Axis(0));
        let kept = move |block: ArrayViewD<'_, f64>| sum(block).insert_axis(Axis(0));
        Ok(vec![i.x.reduction(0, kept, kept, sum)?])
    }),
    of("random", |i| {
        let kinds = [
            Distribution::Uniform { low: 0.0, high: 1.0 },
            Distribution::Normal { mean: 0.0, deviation: 1.0 },
            Distribution::Poisson { mean: 4.0 },
        ];
        let shape = i.x.shape();
        let mut made = Vec::new();
        for kind in kinds {
            made.push(Array::random(&shape, kind, 1)?.rechunk([8, 64, 256])?);
        }
        made.push(Array::random_stream(&shape, kinds[0], DType::F32, 1, 2)?.rechunk([8, 64, 256])?);
        Ok(made)
    }),
    of("created", |i| {
        let shape = i.x.shape();
        let cut = |array: Array| array.rechunk(blockwise_core::array::Chunks::Bytes(MIB));
        let (side, count) = (2048, 1 << 24);
        let matrix = Array::zeros(&[side, 2 * side], DType::F64)?;
        let row = Array::arange_i64(0, 2048, 1)?;
        let made = [
            Array::zeros(&shape, DType::F64)?,
            Array::ones(&shape, DType::F64)?,
            Array::full(&shape, 2.5.into())?,
            i.x.full_like(2.5.into()),
            i.x.zeros_like(),
            Array::arange(0.0, count as f64, 1.0)?,
            Array::arange_i64(0, count, 1)?,
            Array::linspace(0.0, 1.0, count as u64, true)?,
            Array::eye(side, 2 * side, 0, DType::F64)?,
            Array::tri(side, 2 * side, 0, DType::F64)?,
            matrix.tril(0)?,
            matrix.triu(0)?,
            Array::indices(&shape, 1)?,
            Array::from_fn(&shape, |at| at.iter().sum::<u64>())?,
            Array::meshgrid(&[row.clone(), row])?.swap_remove(0),
            Array::from_ndarray(&ndarray::ArrayD::<f64>::zeros(vec![1, 512, 1024]))?.try_add(&i.x)?,
        ];
        made.into_iter().map(cut).collect()
    }),
];

/// A function of the table, of arguments that it takes.
fn called(function: &'static Function, inputs: &Inputs) -> Result<Array> {
    let try_with = |dtype: DType| {
        let x = inputs.x.astype(dtype);
        let arguments = match (function.name, function.arity) {
            ("round", _) => vec![(&x).into(), 2.into()],
            ("ldexp", _) => vec![(&x).into(), 3.into()],
            (_, 1) => vec![(&x).into()],
            (_, 2) => vec![(&x).into(), inputs.y.astype(dtype).into()],
            _ => vec![(&x).into(), inputs.y.astype(dtype).into(), (&x).into()],
        };
        Array::call(function.name, arguments)
    };
    try_with(DType::F64).or_else(|_| try_with(DType::I32))
}

/// A label for each time, `count` different ones in turn.
fn labels(x: &Array, count: i64) -> Vec<i64> {
    (0..x.shape()[0] as i64).map(|at| at % count).collect()
}

fn named(name: &str) -> Reduce {
    Reduce::named(name, 0.0).unwrap()
}

/// Every reduction of an array over `axes`.
fn reductions(x: &Array, axes: impl Into<Axes>) -> Result<Vec<Array>> {
    let axes = axes.into();
    let all = Reduce::NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("nan{name}")]);
    let known = all.filter_map(|name| Reduce::named(&name, 1.0));
    known.map(|what| x.reduce(what, axes.clone(), false)).collect()
}
