"""CF attributes and labels: what they mark, what belongs together, what is refused; held against xarray where it says the same."""

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


def stored(path, dtype, values, **attributes):
    """A NetCDF-4 file with one variable `v` of a dimension `x`."""
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("x", len(values))
        fill = attributes.pop("_FillValue", None)
        variable = file.createVariable("v", dtype, ("x",), fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable[:] = np.array(values, dtype)
        for name, value in attributes.items():
            variable.setncattr(name, value)


@pytest.mark.parametrize(
    ("dtype", "marker"),
    [
        ("i2", np.float64(1e20)),
        ("i2", np.float64("nan")),
        ("i2", np.float32(0.5)),
        ("u1", np.int16(300)),
        ("u1", np.int8(-1)),
        ("i2", np.float64(-1)),
    ],
)
def test_only_what_a_marker_equals_is_missing(tmp_path, dtype, marker):
    source, copy = tmp_path / "a.nc", tmp_path / "b.nc"
    stored(source, dtype, [0, 1, 44, 255] if dtype == "u1" else [0, -1, 1, 300], missing_value=marker)
    succeed("convert", source, copy, "--unpack")
    with xarray.open_dataset(source) as wanted, xarray.open_dataset(copy) as found:
        np.testing.assert_array_equal(found["v"].values.astype("f8"), wanted["v"].values.astype("f8"))


def test_unsigned_markers_count_by_bits(tmp_path):
    source, copy = tmp_path / "a.nc", tmp_path / "b.nc"
    stored(source, "i1", [-1, 3, -2], _FillValue=np.int8(-1), _Unsigned="true")
    succeed("convert", source, copy, "--unpack")
    with netCDF4.Dataset(copy) as file:
        np.testing.assert_array_equal(file["v"][:].filled(np.nan), [np.nan, 3, 254])


@pytest.mark.parametrize(("dtype", "fill", "to"), [("f4", np.nan, "int16"), ("i2", -9999, "uint8"), ("f8", 1e300, "float32")])
def test_a_dtype_that_cannot_hold_the_fill_value_is_refused(tmp_path, dtype, fill, to):
    source, copy = tmp_path / "a.nc", tmp_path / "b.nc"
    stored(source, dtype, [0, 1, 2], _FillValue=fill)
    assert_refusal(arrayctl("convert", source, copy, "--dtype", to), {3}, ["_FillValue", to])
    assert not copy.exists()
    succeed("convert", source, copy, "--dtype", "float64")


def test_reports_replace_no_data(tmp_path):
    source, copy = tmp_path / "a.nc", tmp_path / "b.nc"
    stored(source, "f4", [0, 1, 2])
    before = source.read_bytes()
    for option in ("--report", "--trace"):
        assert_refusal(arrayctl("convert", source, tmp_path / "new.nc", option, source), {3}, ["a.nc"])
        assert source.read_bytes() == before
        for _ in range(2):  # its own file it does replace
            succeed("convert", source, copy, option, tmp_path / "side.html", "--overwrite")
        # A new file that turns out to be the output stays the output.
        out = tmp_path / f"out{option}.nc"
        succeed("convert", source, out, option, out)
        succeed("verify", source, out)


def test_include_takes_what_attributes_name(tmp_path):
    source, copy, cast = tmp_path / "a.nc", tmp_path / "b.nc", tmp_path / "c.nc"
    with netCDF4.Dataset(source, "w") as file:
        for name, length in (("lat", 3), ("bnds", 2)):
            file.createDimension(name, length)
        file.createVariable("tas", "f8", ("lat",))[:] = [1, 2, 3]
        file["tas"].setncatts({"coordinates": "height", "grid_mapping": "crs"})
        file.createVariable("pr", "f8", ("lat",))[:] = [1, 2, 3]
        file.createVariable("lat", "f8", ("lat",))[:] = [0.1, 0.2, 0.3]
        file["lat"].bounds = "lat_bnds"
        file.createVariable("lat_bnds", "f8", ("lat", "bnds"))[:] = 0.1
        file.createVariable("height", "f8")[:] = 2.1
        file.createVariable("crs", "i4")
    succeed("convert", source, copy, "--include", "tas")
    with netCDF4.Dataset(copy) as file:
        assert set(file.variables) == {"tas", "lat", "lat_bnds", "height", "crs"}
    succeed("convert", source, cast, "--dtype", "float32")
    with netCDF4.Dataset(cast) as file:
        assert {name: v.dtype.str[1:] for name, v in file.variables.items() if v.dtype.kind == "f"} == {
            "tas": "f4", "pr": "f4", "lat": "f8", "lat_bnds": "f8", "height": "f8",
        }


def test_packed_latitudes_weigh_as_what_they_stand_for(tmp_path):
    source = tmp_path / "a.nc"
    values = xarray.DataArray([1.0, 2.0, 4.0], dims="lat", coords={"lat": [0.0, 30.0, 60.0]})
    values.lat.attrs["units"] = "degrees_north"
    values.to_dataset(name="t").to_netcdf(source, encoding={"lat": {"dtype": "int16", "scale_factor": 0.01}})
    found = float(succeed("eval", "t.weighted(coslat(t)).mean('lat')", "-i", f"t={source}::t").stdout)
    wanted = float(values.weighted(np.cos(np.deg2rad(values.lat))).mean())
    assert found == pytest.approx(wanted)


def test_maps_that_are_turned_round_do_not_meet(tmp_path):
    paths = {}
    for name, latitudes in (("x", [0.0, 1.0, 2.0]), ("y", [2.0, 1.0, 0.0])):
        paths[name] = tmp_path / f"{name}.nc"
        values = xarray.DataArray([1.0, 2.0, 4.0], dims="lat", coords={"lat": latitudes}, name="t")
        values.to_netcdf(paths[name])
    inputs = [part for name, path in paths.items() for part in ("-i", f"{name}={path}::t")]
    assert_refusal(arrayctl("eval", "x - y", *inputs), {2}, ["lat", "x.nc", "y.nc"])
    with xarray.open_dataarray(paths["x"]) as x, xarray.open_dataarray(paths["y"]) as y:
        out = tmp_path / "out.nc"
        succeed("eval", "d = x - y[::-1]", *inputs, "-o", out)
        with xarray.open_dataset(out) as found:
            xarray.testing.assert_equal(found["d"], (x - y.sortby("lat")))


def test_messages_say_what_to_do(tmp_path):
    source = tmp_path / "a.nc"
    stored(source, "f4", [0, 1, 2])
    assert "'q' is not known" in arrayctl("eval", "nanmean(q)", "-i", f"t={source}").stderr
    assert "nanmean" in arrayctl("eval", "nanmena(t)", "-i", f"t={source}").stderr
    assert "--by" in arrayctl("reduce", "first", source).stderr
    assert "convert" in succeed("help", "convert").stdout


def test_dimensions_without_coordinates_have_scales_in_hdf5(tmp_path):
    """`bnds`, which has no coordinates, and dimensions of groups: readers of NetCDF-4 take all axes of an array or none."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for group, length in ((file, 3), (file.createGroup("inner"), 4)):
            group.createDimension("time", None if group is file else length)
            group.createDimension("bnds", 2)
            group.createVariable("time", "f8", ("time",))[:] = np.arange(length)
            group.createVariable("time_bnds", "f8", ("time", "bnds"))[:] = np.arange(2.0 * length).reshape(length, 2)
            group.createVariable("weights", "f4", ("bnds",))[:] = [1, 2]
    succeed("convert", tmp_path / "a.nc", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        for group in (file, file["inner"]):
            assert [axis[0].name.split("/")[-1] for axis in group["time_bnds"].dims] == ["time", "bnds"]
        assert file["inner/time_bnds"].dims[1][0] == file["bnds"]
    for name in ("", "inner"):
        with xarray.open_dataset(tmp_path / "a.nc", group=name) as wanted, xarray.open_dataset(tmp_path / "b.h5", group=name) as found:
            xarray.testing.assert_equal(found, wanted)
    succeed("convert", tmp_path / "b.h5", tmp_path / "c.zarr")
    succeed("convert", tmp_path / "b.h5", tmp_path / "d.nc")
    for name in ("b.h5", "c.zarr", "d.nc"):
        listed = succeed("ls", tmp_path / name).stdout
        assert listed.count("bnds 2)") == 4 and "─ bnds " not in listed, listed
    with netCDF4.Dataset(tmp_path / "d.nc") as file:
        assert file.dimensions["time"].isunlimited()


def test_axes_without_names_have_no_scales_in_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["time"] = np.arange(3.0)
        file["time"].make_scale("time")
        file["x"] = np.zeros((3, 2))
        file["x"].dims[0].attach_scale(file["time"])
    succeed("convert", tmp_path / "a.h5", tmp_path / "b.h5")
    with xarray.open_dataset(tmp_path / "b.h5") as found:
        assert found["x"].dims[0] == "time" and "time" in found.coords
    with h5py.File(tmp_path / "b.h5") as file:
        assert sorted(file) == ["time", "x"] and file["x"].dims[0].label == "time"
