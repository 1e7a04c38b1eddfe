"""Makes the benchmark inputs: deterministic, compressible like real fields.

usage: mkdata.py OUTDIR [SCALE [FILE ...]]      (1.0: 8.6 GB decoded, 5.2 GB on disk; SCALE multiplies the first axis;
                                                 FILE: climate, tall, lowrank, volume, cells; by default all)

    climate.zarr    (2920, 361, 720) f32, chunks (40, 361, 720), blosc zstd 3 with shuffle
    climate.nc.h5   the same as `t2m`, chunks (10, 361, 720), shuffle and deflate 4
    tall.zarr       (2000000, 100) f64, chunks (100000, 100), no codec; normal, columns of scale 1 to 1e-3
    lowrank.zarr    (40000, 10000) f32, chunks (2000, 2500), no codec; rank 60, scale 10 to 0.1, and noise of 0.01
    volume.zarr     (512, 1024, 1024) u16, chunks (64, 256, 256), blosc zstd 3 with shuffle; a wave in photons, counted
    cells.zarr      (512, 512, 512) u16, the same
"""

import pathlib
import sys

import h5py
import numpy as np
import zarr

LAT, LON, STEP = 361, 720, 40


def field(rng, start, count):
    """A smooth field and noise, quantised as packed data is."""
    time = np.arange(start, start + count, dtype="f4")[:, None, None]
    lat = np.deg2rad(np.linspace(-90, 90, LAT, dtype="f4")[:, None])
    lon = np.deg2rad(np.linspace(0, 360, LON, endpoint=False, dtype="f4")[None])
    smooth = 288 - 40 * np.sin(lat) ** 2 + 10 * np.cos(2 * np.pi * time / 1460) * np.sin(lat)
    wave = 3 * np.sin(lon * 3 + time / 20)
    noise = rng.standard_normal((count, LAT, LON), dtype="f4") * 0.5
    return (np.round((smooth + wave + noise) * 64) / 64).astype("f4")


def climate(out, scale):
    times = int(2920 * scale)
    rng = np.random.default_rng(42)
    shape = (times, LAT, LON)
    store = zarr.create_array(
        str(out / "climate.zarr"),
        shape=shape,
        chunks=(STEP, LAT, LON),
        dtype="f4",
        compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        overwrite=True,
    )
    with h5py.File(out / "climate.nc.h5", "w") as file:
        filters = dict(chunks=(10, LAT, LON), compression="gzip", compression_opts=4, shuffle=True)
        dataset = file.create_dataset("t2m", shape=shape, dtype="f4", **filters)
        for start in range(0, times, STEP):
            values = field(rng, start, min(STEP, times - start))
            store[start : start + len(values)] = values
            dataset[start : start + len(values)] = values


def matrix(path, shape, chunks, dtype):
    return zarr.create_array(str(path), shape=shape, chunks=chunks, dtype=dtype, compressors=None, overwrite=True)


def tall(out, scale):
    """A tall matrix whose singular values span three decades."""
    rows, columns, step = int(2_000_000 * scale), 100, 100_000
    rng = np.random.default_rng(43)
    store = matrix(out / "tall.zarr", (rows, columns), (step, columns), "f8")
    for start in range(0, rows, step):
        count = min(step, rows - start)
        store[start : start + count] = rng.standard_normal((count, columns)) * np.geomspace(1, 1e-3, columns)


def lowrank(out, scale):
    """A matrix of few large singular values, and noise."""
    rows, columns, rank, step = int(40_000 * scale), 10_000, 60, 2000
    rng = np.random.default_rng(44)
    store = matrix(out / "lowrank.zarr", (rows, columns), (step, 2500), "f4")
    right = rng.standard_normal((rank, columns), dtype="f4")
    for start in range(0, rows, step):
        count = min(step, rows - start)
        left = rng.standard_normal((count, rank), dtype="f4") * np.geomspace(10, 0.1, rank, dtype="f4")
        noise = rng.standard_normal((count, columns), dtype="f4") * np.float32(0.01)
        store[start : start + count] = left @ right + noise


def photons(path, shape, chunks=(64, 256, 256)):
    """A wave of brightness, of which a camera counts photons in steps of 16."""
    rng = np.random.default_rng(45)
    codec = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    store = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="u2", compressors=codec, overwrite=True)
    y, x = (np.arange(n, dtype="f4") for n in shape[1:])
    for start in range(0, shape[0], chunks[0]):
        z = np.arange(start, min(start + chunks[0], shape[0]), dtype="f4")[:, None, None]
        bright = 2000 + 1500 * np.sin(x / 37 + z / 11) * np.cos(y[:, None] / 29)
        store[start : start + len(z)] = rng.poisson(bright / 16) * 16


def volume(out, scale):
    photons(out / "volume.zarr", (int(512 * scale), 1024, 1024))


def cells(out, scale):
    photons(out / "cells.zarr", (int(512 * scale), 512, 512))


FILES = {"climate": climate, "tall": tall, "lowrank": lowrank, "volume": volume, "cells": cells}


def main():
    out = pathlib.Path(sys.argv[1])
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    out.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[3:] or FILES:
        FILES[name](out, scale)


if __name__ == "__main__":
    main()
