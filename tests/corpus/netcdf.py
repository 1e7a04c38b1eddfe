"""NetCDF-4 files of the netCDF library, good and bad, and one NetCDF classic."""

import netCDF4
import numpy as np
from cases import P, bad, data, ok, stats, wb


def nok(id, f, node, a, ch, why, **kw):
    ok("nc_" + id, "netcdf4/" + f, "netcdf4", a, ch, why, node=node, **kw)


def files():
    p = P("netcdf4", "cf.nc")
    d = netCDF4.Dataset(p, "w", format="NETCDF4")
    d.createDimension("time", None)
    d.createDimension("lat", 5)
    d.createDimension("lon", 7)
    t = d.createVariable("time", "f8", ("time",))
    t.units = "days since 2000-01-01"
    t[:] = np.arange(6.0)
    nok(
        "time",
        "cf.nc",
        "time",
        np.arange(6.0),
        t.chunking(),
        "coordinate variable = dimension scale, unlimited dim",
        tags=["netcdf", "unlimited"],
    )
    for n, s in (("lat", 5), ("lon", 7)):
        v = d.createVariable(n, "f4", (n,))
        v[:] = np.linspace(-10, 10, s).astype("f4")
    v = d.createVariable(
        "temp", "i2", ("time", "lat", "lon"), zlib=True, shuffle=True, chunksizes=(2, 3, 4), fill_value=-32768
    )
    v.scale_factor = 0.01
    v.add_offset = 273.15
    v.units = "K"
    raw = (np.arange(6 * 5 * 7).reshape(6, 5, 7) * 37 % 5000 - 2500).astype("i2")
    raw[0, 0, 0] = raw[3, 2, 1] = -32768
    v.set_auto_maskandscale(False)
    v[:] = raw
    dec = np.where(raw == -32768, np.nan, raw.astype("f8") * 0.01 + 273.15)
    nok(
        "packed",
        "cf.nc",
        "temp",
        raw,
        (2, 3, 4),
        "packed i2; raw values plus CF-decoded block",
        tags=["netcdf", "cf"],
        decoded=stats(dec),
        cf=dict(scale_factor=0.01, add_offset=273.15, _FillValue=-32768),
    )
    v = d.createVariable("w", "f4", ("lat", "lon"), fill_value=np.float32("nan"), zlib=True, fletcher32=True)
    a = data((5, 7), "f4")
    a[1, 1] = np.nan
    v.set_auto_maskandscale(False)
    v[:] = a
    nok(
        "nanfill",
        "cf.nc",
        "w",
        a,
        v.chunking() if v.chunking() != "contiguous" else None,
        "NaN _FillValue, fletcher32",
        tags=["netcdf", "fill"],
    )
    v = d.createVariable("ub", "i1", ("lon",))
    v._Unsigned = "true"
    a = np.array([-128, -1, 0, 1, 127, 5, -6], "i1")
    v.set_auto_maskandscale(False)
    v[:] = a
    nok(
        "unsigned",
        "cf.nc",
        "ub",
        a,
        None,
        "_Unsigned attribute; raw values",
        tags=["netcdf", "cf"],
        decoded=stats(a.view("u1").astype("u1")),
    )
    v = d.createVariable("mv", "f8", ("lon",))
    v.missing_value = -999.0
    a = np.array([1, 2, -999, 4, 5, -999, 7.0])
    v.set_auto_maskandscale(False)
    v[:] = a
    nok(
        "missing_value",
        "cf.nc",
        "mv",
        a,
        None,
        "missing_value attribute",
        tags=["netcdf", "cf"],
        decoded=stats(np.where(a == -999, np.nan, a)),
    )
    v = d.createVariable("part", "i4", ("time", "lon"), chunksizes=(2, 7), fill_value=-5)
    v.set_auto_maskandscale(False)
    a = np.full((6, 7), -5, "i4")
    a[0:2] = data((2, 7), "i4")
    v[0:2] = a[0:2]
    nok(
        "partial_record",
        "cf.nc",
        "part",
        a,
        (2, 7),
        "variable shorter than the shared unlimited dimension: file stores 2 records, netCDF API shows 6 (fill); alt = the HDF5 view",
        tags=["netcdf", "unlimited"],
        optional=True,
        alt=stats(a[0:2]),
    )
    g = d.createGroup("g1/g2")
    v = g.createVariable("x", "u4", ("lat", "lon"))
    a = data((5, 7), "u4")
    v.set_auto_maskandscale(False)
    v[:] = a
    nok(
        "group",
        "cf.nc",
        "g1/g2/x",
        a,
        None,
        "nested group, dimensions of the parent",
        tags=["netcdf", "tree"],
    )
    v = d.createVariable("be", ">i4", ("lat", "lon"), endian="big")
    a = data((5, 7), ">i4")
    v.set_auto_maskandscale(False)
    v[:] = a
    nok("big", "cf.nc", "be", a, None, "endian=big", tags=["netcdf", "bigendian"])
    s = d.createVariable("s", str, ("lat",))
    s[:] = np.array(["a", "b", "c", "d", "é"], dtype=object)
    bad(
        "nc_string",
        "netcdf4/cf.nc",
        "netcdf4",
        "string variable (unsupported)",
        "open",
        node="s",
        tags=["netcdf", "dtype"],
    )
    d.createDimension("nocoord", 3)
    bad(
        "nc_dim_only",
        "netcdf4/cf.nc",
        "netcdf4",
        'dimension without variable ("This is a netCDF dimension but not a netCDF variable"): not an array',
        "open",
        node="nocoord",
        tags=["netcdf"],
        optional_ok=True,
    )
    d.close()
    p = P("netcdf4", "classic.nc")
    d = netCDF4.Dataset(p, "w", format="NETCDF4_CLASSIC")
    d.createDimension("x", 10)
    v = d.createVariable("v", "f8", ("x",), zlib=True)
    v[:] = data((10,), "f8")
    nok(
        "classic",
        "classic.nc",
        "v",
        data((10,), "f8"),
        v.chunking() if v.chunking() != "contiguous" else None,
        "NETCDF4_CLASSIC model",
        tags=["netcdf"],
    )
    d.close()
    try:
        p = P("netcdf4", "plugins.nc")
        d = netCDF4.Dataset(p, "w")
        d.createDimension("y", 40)
        d.createDimension("x", 33)
        for c in ("zstd", "bzip2", "blosc_lz4", "blosc_zstd"):
            v = d.createVariable(c, "f4", ("y", "x"), compression=c, chunksizes=(16, 16))
            v[:] = data((40, 33), "f4")
            nok(
                "plugin_" + c,
                "plugins.nc",
                c,
                data((40, 33), "f4"),
                (16, 16),
                "HDF5 plugin filter " + c,
                tags=["netcdf", "codec"],
                optional=True,
            )
        d.close()
    except Exception as e:
        print("plugins skipped", e)
    d = netCDF4.Dataset(P("netcdf4", "nc3.nc"), "w", format="NETCDF3_CLASSIC")
    d.createDimension("x", 10)
    v = d.createVariable("v", "f8", ("x",))
    v[:] = data((10,), "f8")
    d.close()
    bad(
        "nc_nc3",
        "netcdf4/nc3.nc",
        "netcdf4",
        "real NetCDF-3 file: read it right, or refuse and say which format",
        "open",
        node="v",
        tags=["netcdf", "super"],
        either=True,
        alt=stats(data((10,), "f8")),
    )
    b = open(P("netcdf4", "classic.nc"), "rb").read()
    wb(P("netcdf4", "trunc.nc"), b[:-64])
    bad("nc_trunc", "netcdf4/trunc.nc", "netcdf4", "last 64 bytes missing", "open", node="v", tags=["trunc"])
