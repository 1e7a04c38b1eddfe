"""What h5py sees of the file that the test of the HDF5 structure wrote."""

import sys

import h5py
import numpy as np

with h5py.File(sys.argv[1]) as root:
    order = []
    root.id.links.iterate(order.append, idx_type=h5py.h5.INDEX_CRT_ORDER)
    names = [b"deep", b"sst", b"time", b"x", b"lon", b"lag", b"code", b"flag", b"mask", b"crs",
             "größe".encode(), b"station", b"y", b"one"]
    assert order == names, order
    assert root.attrs["title"] == "Sea surface" and root.attrs["institution"] == "Météo"
    assert root.attrs["empty"] == ""
    assert root.attrs["authors"].tolist() == ["Ada", "Émilie"]
    assert root.attrs["version"] == 3 and root.attrs["version"].dtype == np.int16 and root.attrs["version"].shape == ()
    assert root.attrs["range"].dtype == np.float32 and root.attrs["range"].tolist() == [-1.5, 2.5]
    assert root.attrs["nested"] == '{"a":[1,null]}'
    assert root.attrs["history"] == "long ago; " * 10000 and root.attrs["none"].shape == (0,)
    assert root["größe"].ndim == 32
    sst = root["sst"]
    assert sst.chunks == (2, 3, 4) and sst.maxshape == (None, 3, 4)
    assert (sst.compression, sst.compression_opts, sst.shuffle) == ("gzip", 4, True)
    assert sst.fillvalue == -999 and sst.attrs["_FillValue"] == -999
    assert [dim.label for dim in sst.dims] == ["time", "y", "x"]
    # Another array has the name of one of its dimensions: netCDF's library reads no array with scales on some axes only.
    assert all(len(dim) == 0 for dim in sst.dims)
    assert root["time"].is_scale and root["x"].dims[0].label == "x" and not root["y"].is_scale
    assert root["time"].attrs["units"] == "nanoseconds since 1970-01-01"
    assert root["mask"].dtype == bool and root["mask"][:].tolist() == [True, False, False, True]
    assert root["code"].dtype == "S4" and root["code"].shape == (3,) and root["code"].chunks == (2,)
    assert root["code"][:].tolist() == [b"ab", b"wxyz", b"q"]
    assert root["flag"].dtype == "S1" and root["flag"][:].tobytes() == b"TFTF"
    assert root["station"].asstr()[:].tolist() == ["Brest", "", "Łódź"]
    assert root["crs"][()] == 7
    assert root["deep/er/v"].dims[0][0] == root["deep/er/x"] and root["deep/er/v"].dims[1][0] == root["deep/er/y"]
    assert root["one"].is_scale and root["größe"].dims[31][0] == root["one"]
    assert root["deep"].attrs["level"] == 1
