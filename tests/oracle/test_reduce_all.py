"""`reduce` of all arrays of a container beside xarray's of a data set: each along the dimensions that it has."""

import json

import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture
def data_set(tmp_path):
    random = np.random.default_rng(4)
    time = np.arange("2001-01-01", "2002-01-01", dtype="M8[D]").astype("M8[ns]")
    lat, lon = np.linspace(-60, 60, 4), np.arange(5.0)
    bounds = np.stack([time, time + np.timedelta64(1, "D")], axis=1)
    data_set = xarray.Dataset(
        {
            "t2m": (("time", "lat", "lon"), random.normal(280, 9, (365, 4, 5)), {"units": "K"}),
            "max": (("time", "lat"), random.normal(size=(365, 4)).astype("f4")),
            "_height": (("lat", "lon"), random.normal(size=(4, 5)), {"units": "m"}),
            "crs": ((), np.int32(7), {"grid_mapping_name": "latitude_longitude"}),
            "time_bnds": (("time", "nv"), bounds),
        },
        coords={"time": ("time", time, {"bounds": "time_bnds"}), "lat": lat, "lon": lon},
    )
    data_set.time.encoding["units"] = "days since 2001-01-01"
    data_set.to_netcdf(tmp_path / "a.nc")
    return data_set.drop_vars("time_bnds")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--axis", "time"], lambda d: d.mean("time")),
        (["--axis", "lat,time"], lambda d: d.mean(["lat", "time"])),
        (["--axis", "lon", "--keepdims"], lambda d: d.mean("lon", keepdims=True)),
        (["--by", "time.month"], lambda d: d.groupby("time.month").mean()),
        (["--resample", "QS-DEC", "--axis", "time"], lambda d: d.resample(time="QS-DEC").mean()),
    ],
)
def test_each_array_along_the_dimensions_that_it_has(data_set, tmp_path, options, wanted):
    succeed("reduce", "mean", tmp_path / "a.nc", *options, "-o", tmp_path / "b.nc")
    with xarray.open_dataset(tmp_path / "b.nc") as found:
        wanted = wanted(data_set)
        assert set(found.data_vars) == {"t2m", "max", "_height", "crs"}
        for name in ("t2m", "max"):
            np.testing.assert_allclose(found[name], wanted[name], rtol=2e-6, atol=1e-6)
            assert found[name].dims == wanted[name].dims
        # What has none of the dimensions stays as it is, as in xarray but for groups, which repeats it there.
        height = data_set._height.mean("lon", keepdims=True) if "lon" in options else data_set._height
        height = height.mean("lat") if "lat,time" in options else height
        np.testing.assert_allclose(found._height, height, rtol=1e-12)
        assert found.crs == 7 and found.t2m.attrs == {"units": "K"}


def test_results_are_printed_and_faults_told(data_set, tmp_path):
    printed = json.loads(succeed("reduce", "max", tmp_path / "a.nc", "--json").stdout)["results"]
    found = {result["name"]: result["values"] for result in printed}
    wanted = {name: float(data_set[name].max()) for name in ("t2m", "max", "_height", "crs")}
    assert found == pytest.approx(wanted)
    for options, words in (
        (["--axis", "depth"], ["no array has a dimension depth"]),
        (["--axis", "time,Lat"], ["no array has a dimension Lat"]),
        (["--resample", "MS"], ["--axis"]),
    ):
        assert_refusal(arrayctl("reduce", "mean", tmp_path / "a.nc", *options), {2}, words)
    data_set.rename(t2m="2t").to_netcdf(tmp_path / "c.nc")
    assert_refusal(arrayctl("reduce", "mean", tmp_path / "c.nc", "--axis", "time"), {2}, ["'2t'", "::2t"])


def test_one_array_with_bounds_is_the_one_that_is_meant(data_set, tmp_path):
    data_set[["t2m"]].assign(time_bnds=(("time", "nv"), np.zeros((365, 2)))).to_netcdf(tmp_path / "cm.nc")
    succeed("reduce", "mean", tmp_path / "cm.nc", "--axis", "time", "-o", tmp_path / "m.nc")
    with xarray.open_dataset(tmp_path / "m.nc") as found:
        np.testing.assert_allclose(found.t2m, data_set.t2m.mean("time"))
    succeed("eval", "mean(x)", "-i", f"x={tmp_path}/cm.nc")


def test_coordinates_that_are_gone_are_not_reduced(tmp_path):
    lat, lon = np.meshgrid(np.arange(3.0), np.arange(4.0), indexing="ij")
    data = xarray.Dataset(
        {"a": (("time", "y", "x"), np.ones((2, 3, 4))), "b": (("time", "y", "x"), np.ones((2, 3, 4)))},
        coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon), "month": ("time", [1, 2])},
    )
    data.to_netcdf(tmp_path / "c.nc")
    succeed("reduce", "sum", tmp_path / "c.nc", "--axis", "y,x", "-o", tmp_path / "r.nc")
    with xarray.open_dataset(tmp_path / "r.nc") as found:
        assert set(found.variables) == {"a", "b", "month"}
        np.testing.assert_array_equal(found.month, [1, 2])
    succeed("reduce", "sum", tmp_path / "c.nc", "--axis", "time", "-o", tmp_path / "t.nc")
    with xarray.open_dataset(tmp_path / "t.nc") as found:
        np.testing.assert_array_equal(found.lat, lat)
