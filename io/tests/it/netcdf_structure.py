"""What netCDF4, xarray and h5py see of the file that the test of the NetCDF-4 structure wrote."""

import shutil
import subprocess
import sys

import h5py
import netCDF4
import numpy as np
import xarray as xr

path = sys.argv[1]

with netCDF4.Dataset(path) as root:
    assert root.data_model == "NETCDF4"
    assert list(root.dimensions) == ["time", "unused", "y", "x", "string4", "one"], list(root.dimensions)
    assert {name: (len(d), d.isunlimited()) for name, d in root.dimensions.items()} == {
        "time": (5, True), "unused": (7, False), "y": (3, False), "x": (4, False), "string4": (4, False), "one": (1, False)}
    names = ["sst", "time", "x", "lon", "lag", "code", "flag", "mask", "crs", "größe", "station", "y"]
    assert list(root.variables) == names, list(root.variables)
    assert root.ncattrs() == ["title", "institution", "empty", "authors", "version", "range", "big", "nested",
                              "history", "levels", "none"], root.ncattrs()
    assert root.title == "Sea surface" and root.institution == "Météo" and root.empty == ""
    assert list(root.authors) == ["Ada", "Émilie"]
    assert root.version == 3 and root.version.dtype == np.int16
    assert root.range.dtype == np.float32 and root.range.tolist() == [-1.5, 2.5]
    assert root.big == 2**64 - 1 and root.big.dtype == np.uint64
    assert root.nested == '{"a":[1,null]}'
    assert root.history == "long ago; " * 10000 and root.levels.tolist() == [0.5] * 10000 and root.none.size == 0
    assert root["größe"].ndim == 32 and root["station"].getncattr("_FillValue") == "none"
    sst = root["sst"]
    assert sst.dimensions == ("time", "y", "x") and sst.chunking() == [2, 3, 4]
    assert sst.filters()["zlib"] and sst.filters()["shuffle"] and sst.filters()["complevel"] == 4
    assert sst.ncattrs() == ["units", "_FillValue", "long_name", "coordinates"], sst.ncattrs()
    assert sst._FillValue.dtype == np.float32 and sst._FillValue == -999
    assert sst[:].mask.sum() == 1 and sst[:].mask[0, 1, 3]
    assert root["code"].dimensions == ("y", "string4") and root["code"].dtype == "S1"
    root["code"].set_auto_chartostring(False)
    assert root["code"][:].tobytes() == b"ab\0\0wxyzq\0\0\0"
    assert root["flag"].dimensions == ("x",) and root["flag"][:].tobytes() == b"TFTF"
    assert root["station"][:].tolist() == ["Brest", "", "Łódź"]
    assert root["y"].dimensions == ("x",)
    assert root["crs"].dimensions == () and root["crs"][...] == 7
    assert list(root.groups) == ["deep"] and root["deep"].level == 1
    inner = root["deep/er"]
    assert {n: len(d) for n, d in inner.dimensions.items()} == {"x": 2}
    assert list(inner.variables) == ["v", "x"]
    assert inner["v"].dimensions == ("x", "y") and inner["v"].shape == (2, 3)
    assert inner["x"][:].tolist() == [5, 6]

# It can be written on, which makes netCDF's library check more.
with netCDF4.Dataset(path, "a") as root:
    root["time"][5] = 0
    root["sst"][5] = np.zeros((3, 4))
    root.createVariable("more", "f4", ("unused", "time"))
    root["sst"].note = "appended"
with netCDF4.Dataset(path) as root:
    assert root["sst"].shape == (6, 3, 4) and root["sst"].note == "appended"
    assert root["more"].dimensions == ("unused", "time")

with h5py.File(path) as root:
    assert root.attrs["_NCProperties"].startswith(b"version=2,blockwise="), root.attrs["_NCProperties"]
    assert root["x"].is_scale and root["sst"].dims[2][0] == root["x"]
    assert root["x"].attrs["_Netcdf4Dimid"] == 4  # after that of the inner group
    assert root["sst"].fillvalue == -999
    assert root["sst"].attrs.get_id("units").get_type().get_size() == 4

# xarray wants no variable named as a dimension that is not its own.
trimmed = xr.open_dataset(path, drop_variables=["y", "größe"], decode_timedelta=True)
assert trimmed.sst.dims == ("time", "y", "x")
assert set(trimmed.coords) == {"time", "x", "lon"}, set(trimmed.coords)
assert trimmed.time.values.astype("datetime64[D]").tolist() == np.arange(
    "1970-01-01", "1970-01-06", dtype="datetime64[D]").tolist() + [np.datetime64("1970-01-01").item()]
assert trimmed.lag.dtype.kind == "m" and trimmed.lag.values[3] == np.timedelta64(3, "s")
assert trimmed.mask.dtype == bool and trimmed.mask.values.tolist() == [True, False, False, True]
assert trimmed.code.dims == ("y",) and trimmed.code.values.tolist() == [b"ab", b"wxyz", b"q"]
assert np.isnan(trimmed.sst.values[0, 1, 3])
assert trimmed.sst.encoding["_FillValue"] == -999 and trimmed.sst.encoding["dtype"] == np.float32
assert trimmed.encoding["unlimited_dims"] == {"time"}
assert trimmed.station.values.tolist() == ["Brest", "", "Łódź"]
inner = xr.open_dataset(path, group="deep/er")
assert inner.v.dims == ("x", "y") and inner.x.values.tolist() == [5, 6]

if ncdump := shutil.which("ncdump"):
    header = subprocess.run([ncdump, "-hs", path], check=True, capture_output=True, text=True).stdout
    for line in ["time = UNLIMITED ; // (6 currently)", "unused = 7 ;", "float sst(time, y, x) ;",
                 "sst:_FillValue = -999.f ;", ':title = "Sea surface" ;', "char code(y, string4) ;"]:
        assert line in header, (line, header)
