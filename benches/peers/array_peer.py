"""One array workload by one Python peer; prints one JSON line {"secs": ..., "check": ...}, imports not counted.

usage: array_peer.py ENGINE WORKLOAD [SOURCE [DESTINATION WORK_DIR [CODEC]]]

WORKLOAD: mean0, stdall, multi, anomaly, group, median0, gaussian, median, label, level, spectrum, planes on the Zarr array SOURCE;
vorticity, quadratic_means, double_difference on random numbers, the twins of examples/; gram, svd, svdu (which stores U) and
svdc (50 singular values, one power iteration) of the matrix SOURCE, and matmul, of random ones; program, ten operations on
1 GB in memory on one thread. CODEC, that of results, is one of `peer.CODECS`. `check` is the sum of the first result; of
svdc, what is left of the matrix, relative to it, found after the clock stopped.
"""

import json
import sys
import time

import numpy as np
from peer import CODECS, THREADS, create, for_items

LABELLED_ABOVE = 3000
MEDIAN_PLANES = 128
RANK = 50


def dask_engine(workload, source, destination, work_dir, codec):
    import dask
    import dask.array as da

    if workload == "label":
        import dask_image.ndmeasure  # imports are not counted
    dask.config.set(scheduler="threads", num_workers=THREADS)
    random = da.random.default_rng(42).random

    def anomaly():
        x = da.from_zarr(source)
        da.store(x - x.mean(0), create(destination, x.shape, x.chunksize, codec), lock=False)

    def group():
        import os

        import pandas
        import xarray

        x = da.from_zarr(source)
        time = pandas.date_range("2001-01-01", periods=x.shape[0], freq="6h")
        groups = xarray.DataArray(x, {"time": time}, ["time", "lat", "lon"]).groupby("time.month")
        means = groups.mean()
        left = groups - means
        made = [
            (means, (1, *x.shape[1:]), "climatology"),
            (left.transpose("time", ...), x.chunksize, "anomaly"),
        ]
        arrays = [array.data.rechunk(chunks) for array, chunks, _ in made]
        paths = [os.path.join(destination, name) for _, _, name in made]
        sinks = [create(path, array.shape, array.chunksize, codec) for path, array in zip(paths, arrays, strict=True)]
        da.store(arrays, sinks, lock=False)

    def multi():
        x = da.from_zarr(source)
        return dask.compute(x.mean(), x.std(), x.min(), x.max(), da.nanmean(x, axis=0))[0]

    def gaussian():
        import scipy.ndimage

        # SciPy stores what it reads; of whole numbers it would keep no fractions.
        x = da.from_zarr(source).astype("f4")
        # SciPy's default reaches 4 deviations; its `reflect` is dask's.
        smooth = x.map_overlap(scipy.ndimage.gaussian_filter, depth=8, boundary="reflect", sigma=2, dtype=x.dtype)
        da.store(smooth.rechunk(x.chunksize), create(destination, x.shape, x.chunksize, codec), lock=False)

    def median():
        import scipy.ndimage

        x = da.from_zarr(source)[:MEDIAN_PLANES]
        medians = x.map_overlap(scipy.ndimage.median_filter, depth=1, boundary="reflect", size=3, dtype=x.dtype)
        da.store(medians.rechunk(x.chunksize), create(destination, x.shape, x.chunksize, codec, x.dtype), lock=False)

    def label():
        x = da.from_zarr(source)
        labels, count = dask_image.ndmeasure.label(x > LABELLED_ABOVE)
        chunks = x.chunksize
        labels = labels.astype("i4").rechunk(chunks)
        store = create(destination, x.shape, chunks, codec, "i4")
        return dask.compute(da.store(labels, store, lock=False, compute=False), count)[1]

    def level():
        x = da.from_zarr(source)
        half = da.coarsen(np.mean, da.pad(x, [(0, n % 2) for n in x.shape], mode="edge"), dict.fromkeys(range(3), 2))
        chunks = tuple(-(-n // 2) for n in x.chunksize)
        sink = create(destination, half.shape, chunks, codec, x.dtype)
        da.store(half.round().astype(x.dtype).rechunk(chunks), sink, lock=False)

    def stored(result):
        chunks = tuple(max(lengths) for lengths in result.chunks)
        da.store(result, create(destination, result.shape, chunks, codec), lock=False)

    def spectrum():
        # dask wants lines whole; it chooses the other cuts.
        x = da.from_zarr(source).rechunk({0: -1, 1: "auto", 2: "auto"})
        stored(abs(da.fft.rfft(x, axis=0)).mean(axis=2))

    def planes():
        stored(abs(da.fft.fft2(da.from_zarr(source))).mean(axis=0))

    def vorticity(rows=2500, columns=2500, steps=48):
        u, v = (random((rows, columns, steps), chunks=(rows, columns, 1)) for _ in range(2))
        dx, dy = (random((rows + 1, columns), chunks=(rows + 1, columns)) for _ in range(2))

        def padded(x):
            x = da.pad(x, [(0, 1), (0, 0), (0, 0)], mode="wrap")
            return x.rechunk({0: rows + 1})

        return da.square(dx[..., None] * padded(u) - dy[..., None] * padded(v)).mean().compute()

    def quadratic_means(steps=100, rows=987, columns=1920):
        u, v = (random((steps, 1, rows, columns), chunks=(10, 1, -1, -1)) for _ in range(2))
        return ((u * u).mean(0) + (v * v).mean(0) + (u * v).mean(0)).mean().compute()

    def double_difference(side=16384):
        a, b = (random((side, side), chunks="20MiB") for _ in range(2))
        return da.square(a[1:, 1:] - b[:-1, :-1]).mean().compute()

    def gram():
        x = da.from_zarr(source)
        return (x.T @ x).compute()

    def svd():
        _, s, vh = da.linalg.svd(da.from_zarr(source))
        return dask.compute(s, vh)[0]

    def svdu():
        u, s, vh = da.linalg.svd(da.from_zarr(source))
        stored = da.store(u, create(destination, u.shape, u.chunksize, None, "f8"), lock=False, compute=False)
        return dask.compute(s, vh, stored)[0]

    def svdc():
        x = da.from_zarr(source)
        return dask.compute(*da.linalg.svd_compressed(x, k=RANK, n_power_iter=1, seed=0))[1]

    def matmul(side=8000):
        draw = da.random.default_rng(42).random
        a, b = (draw((side, side), dtype="f4", chunks=(2000, 2000)) for _ in range(2))
        return (a @ b).mean().compute()

    return {
        "gaussian": gaussian,
        "gram": gram,
        "label": label,
        "level": level,
        "planes": planes,
        "spectrum": spectrum,
        "svd": svd,
        "svdu": svdu,
        "svdc": svdc,
        "matmul": matmul,
        "mean0": lambda: da.from_zarr(source).mean(0).compute(),
        "stdall": lambda: ((da.from_zarr(source) - 273.15) * 1.8 + 32).std().compute(),
        "median": median,
        "multi": multi,
        "anomaly": anomaly,
        "group": group,
        "median0": lambda: da.median(da.from_zarr(source), axis=0).compute(),
        "vorticity": vorticity,
        "quadratic_means": quadratic_means,
        "double_difference": double_difference,
    }[workload]


def cubed_engine(workload, source, destination, work_dir, codec):
    import cubed
    import cubed.array_api as xp

    options = dict(max_workers=THREADS)
    spec = cubed.Spec(work_dir, allowed_mem="2GB", executor_name="threads", executor_options=options)

    def stored():
        return cubed.from_zarr(source, spec=spec)

    def anomaly():
        x = stored()
        cubed.store(x - xp.mean(x, axis=0), create(destination, x.shape, x.chunksize, codec))

    def multi():
        x = stored()
        return cubed.compute(xp.mean(x), xp.std(x), xp.min(x), xp.max(x), cubed.nanmean(x, axis=0))[0]

    return {
        "mean0": lambda: xp.mean(stored(), axis=0).compute(),
        "stdall": lambda: xp.std((stored() - 273.15) * 1.8 + 32).compute(),
        "median": median,
        "multi": multi,
        "anomaly": anomaly,
    }[workload]


def tensorstore_engine(workload, source, destination, work_dir, codec):
    import tensorstore

    limits = {"data_copy_concurrency": {"limit": THREADS}, "cache_pool": {"total_bytes_limit": 0}}
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": source}, "context": limits}
    x = tensorstore.open(spec, read=True).result()

    def level():
        half = tensorstore.downsample(x, [2, 2, 2], "mean")
        chunk = [-(-n // 2) for n in x.chunk_layout.read_chunk.shape]
        grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, for_items(codec, x.dtype.numpy_dtype)]
        metadata = {"shape": list(half.shape), "data_type": x.dtype.name, "chunk_grid": grid, "codecs": codecs}
        target = {"driver": "zarr3", "kvstore": {"driver": "file", "path": destination}, "metadata": metadata}
        tensorstore.open({**target, "context": limits}, create=True).result().write(half).result()

    return {"mean0": lambda: x.read().result().mean(0), "level": level}[workload]


def numpy_engine(workload, source, destination, work_dir, codec):
    import zarr

    def svdc():
        from sklearn.utils.extmath import randomized_svd

        return randomized_svd(zarr.open_array(source)[...], RANK, n_iter=1, random_state=0)[1]

    def gram():
        x = zarr.open_array(source)[...]
        return x.T @ x

    if workload == "svdc":
        import sklearn.utils.extmath  # noqa: F401 imports are not counted
    return {
        "gram": gram,
        "svd": lambda: np.linalg.svd(zarr.open_array(source)[...], full_matrices=False)[1],
        "svdc": svdc,
    }[workload]


def left_of(source, values):
    """What singular values leave of a matrix, relative to it, if their vectors span what it was projected on."""
    import dask.array as da

    whole = float((da.from_zarr(source).astype("f8") ** 2).sum().compute())
    return max(0.0, 1 - float((values.astype("f8") ** 2).sum()) / whole) ** 0.5


def ten_operations(evaluate):
    """The least of three runs on two inputs and an output of together 1 GB."""
    count = 1_000_000_000 // 3 // 8
    x, y = ((np.arange(count) * step % 1000 / 8.0) for step in (7, 8))
    out = np.empty(count)
    least = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        evaluate(x, y, out)
        least = min(least, time.perf_counter() - start)
    return least, out.sum()


def numpy_program(x, y, out):
    value = np.minimum(np.maximum(np.abs(((x + y) * 0.5 - x) * y), 0.25), 1e6)
    np.add(np.where(value > x, value, x), 1.0, out=out)


def numexpr_program(x, y, out):
    import numexpr

    numexpr.set_num_threads(1)
    value = "minimum(maximum(abs(((x + y) * 0.5 - x) * y), 0.25), 1e6)"
    numexpr.evaluate(f"where({value} > x, {value}, x) + 1.0", out=out)


def main():
    engine, workload, *paths = sys.argv[1:]
    if workload == "program":
        secs, check = ten_operations({"numpy": numpy_program, "numexpr": numexpr_program}[engine])
    else:
        engines = {
            "dask": dask_engine,
            "dask-image": dask_engine,
            "tensorstore": tensorstore_engine,
            "cubed": cubed_engine,
            "numpy": numpy_engine,
            "scikit-learn": numpy_engine,
        }
        codec = CODECS[paths[3] if len(paths) > 3 else "blosc:zstd:3:shuffle"]
        run = engines[engine](workload, *(paths + [None] * 3)[:3], codec)
        start = time.perf_counter()
        result = run()
        secs = time.perf_counter() - start
        check = None if result is None else float(np.asarray(result, dtype="f8").sum())
        if workload == "svdc":
            check = left_of(paths[0], result)
    print(json.dumps({"secs": secs, "check": check}))


if __name__ == "__main__":
    main()
