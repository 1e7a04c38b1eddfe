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
        (["--resample", "MS"], ["--axis"]),
    ):
        assert_refusal(arrayctl("reduce", "mean", tmp_path / "a.nc", *options), {2}, words)
    data_set.rename(t2m="2t").to_netcdf(tmp_path / "c.nc")
    assert_refusal(arrayctl("reduce", "mean", tmp_path / "c.nc", "--axis", "time"), {2}, ["'2t'", "::2t"])
