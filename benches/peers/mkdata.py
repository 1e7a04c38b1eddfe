"""Makes the benchmark inputs: deterministic, compressible like real fields.

usage: mkdata.py OUTDIR [SCALE [tall]]      (1.0: 4.64 GB decoded, 3.5 GB on disk; SCALE multiplies the first axis;
                                                 with `tall`, that file alone)

    climate.zarr    (2920, 361, 720) f32, chunks (40, 361, 720), blosc zstd 3 with shuffle
    climate.nc.h5   the same as `t2m`, chunks (10, 361, 720), shuffle and deflate 4
    tall.zarr       (2000000, 100) f64, chunks (20000, 100), blosc zstd 3 with shuffle; normal, columns of scale 1 to 1e-3
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


def main():
    out = pathlib.Path(sys.argv[1])
    times = int(2920 * float(sys.argv[2]) if len(sys.argv) > 2 else 2920)
    out.mkdir(parents=True, exist_ok=True)
    codec = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
    tall(out / "tall.zarr", 2_000_000 * times // 2920, codec)
    if "tall" in sys.argv[3:]:
        return
    rng = np.random.default_rng(42)
    shape = (times, LAT, LON)
    store = zarr.create_array(
        str(out / "climate.zarr"),
        shape=shape,
        chunks=(STEP, LAT, LON),
        dtype="f4",
        compressors=codec,
        overwrite=True,
    )
    with h5py.File(out / "climate.nc.h5", "w") as file:
        filters = dict(chunks=(10, LAT, LON), compression="gzip", compression_opts=4, shuffle=True)
        dataset = file.create_dataset("t2m", shape=shape, dtype="f4", **filters)
        for start in range(0, times, STEP):
            values = field(rng, start, min(STEP, times - start))
            store[start : start + len(values)] = values
            dataset[start : start + len(values)] = values

def tall(path, rows, codec, columns=100, step=20_000):
    """A tall matrix whose singular values span three decades."""
    rng = np.random.default_rng(43)
    store = zarr.create_array(
        str(path), shape=(rows, columns), chunks=(step, columns), dtype="f8", compressors=codec, overwrite=True
    )
    for start in range(0, rows, step):
        count = min(step, rows - start)
        store[start : start + count] = rng.standard_normal((count, columns)) * np.geomspace(1, 1e-3, columns)


if __name__ == "__main__":
    main()
