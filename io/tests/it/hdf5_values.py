"""Compares the arrays that a manifest lists with their raw elements, as h5py and netCDF4 read them."""

import pathlib
import sys

import h5py
import netCDF4
import numpy as np

folder = pathlib.Path(sys.argv[1])
lines = (folder / "manifest").read_text().splitlines()
assert len(lines) > 100
for line in lines:
    file, node, dtype, shape, raw = line.split("\t")
    shape = tuple(int(n) for n in shape.split(",") if n)
    wanted = np.fromfile(folder / raw, dtype=dtype).reshape(shape)
    if file.endswith(".nc"):
        with netCDF4.Dataset(folder / file) as dataset:
            dataset.set_auto_maskandscale(False)
            variable = dataset[node]
            filters = variable.filters()
            got = variable[...]
            assert got.dtype == np.dtype(dtype), (line, got.dtype)
    else:
        with h5py.File(folder / file) as dataset:
            got = dataset[node][...]
            filters = dataset[node].compression, dataset[node].shuffle, dataset[node].fletcher32
            assert got.dtype == np.dtype(dtype), (line, got.dtype)
    got = np.asarray(got)
    assert got.shape == shape, (line, got.shape)
    assert got.tobytes() == wanted.tobytes(), (line, filters, got, wanted)
print(f"{len(lines)} arrays are equal")
