"""`ffill`, `bfill` and `interpolate_na` beside pandas and xarray: gaps across chunks, limits, coordinates of uneven steps."""

import numpy as np
import pandas
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """Half of it missing; times of uneven steps, latitudes that descend."""
    folder, random = tmp_path_factory.mktemp("missing"), np.random.default_rng(1)
    values = random.normal(size=(60, 5, 7))
    values[random.random(values.shape) < 0.5] = np.nan
    values[20:40, 1, 2] = np.nan
    values[:, 3, 3] = np.nan
    steps = np.cumsum(random.integers(1, 9, 60)).astype("m8[D]")
    coordinates = {"time": (np.datetime64("2001-01-01") + steps).astype("M8[ns]"), "y": [9.0, 5, 4, 2, -1]}
    data = {"t": (("time", "y", "x"), values, {"units": "K"}), "f": (("time", "y", "x"), values.astype("f4"))}
    data["n"] = (("time", "y", "x"), np.arange(values.size).reshape(values.shape))
    dataset = xarray.Dataset(data, coords=coordinates)
    chunks = {name: {"chunks": (7, 2, 3)} for name in data}
    dataset.to_zarr(folder / "cut.zarr", zarr_format=2, encoding=chunks)
    dataset.to_netcdf(folder / "whole.nc")
    return folder


def evaluated(path, expression, out, name="t"):
    succeed("eval", f"r = {expression}", "-i", f"t={path}::{name}", "-o", out)
    with xarray.open_dataset(out) as found:
        return found.r.load()


def filled(array, dimension, how, limit):
    """pandas' `ffill` or `bfill` of every line."""
    axis = array.get_axis_num(dimension)
    fill = lambda line: getattr(pandas.Series(line), how)(limit=limit).to_numpy()
    return array.copy(data=np.apply_along_axis(fill, axis, array.values))


@pytest.mark.parametrize("file", ["cut.zarr", "whole.nc"])
@pytest.mark.parametrize("name", ["t", "f", "n"])
@pytest.mark.parametrize("dimension", ["time", "y", "x"])
@pytest.mark.parametrize("limit", [None, 1, 3, 100])
@pytest.mark.parametrize("how", ["ffill", "bfill"])
def test_elements_are_carried_on(gaps, tmp_path, file, name, dimension, limit, how):
    found = evaluated(gaps / file, f"{how}(t, '{dimension}', limit={limit})", tmp_path / "out.nc", name)
    with xarray.open_dataset(gaps / "whole.nc") as dataset:
        xarray.testing.assert_equal(found, filled(dataset[name].load(), dimension, how, limit).rename("r"))
        assert (found.dtype, found.attrs) == (dataset[name].dtype, dataset[name].attrs)


@pytest.mark.parametrize("file", ["cut.zarr", "whole.nc"])
@pytest.mark.parametrize("dimension", ["time", "y", "x"])
@pytest.mark.parametrize("limit", [None, 1, 3])
@pytest.mark.parametrize("use_coordinate", [True, False])
def test_gaps_are_bridged_as_xarray_bridges_them(gaps, tmp_path, file, dimension, limit, use_coordinate):
    call = f"interpolate_na(t, '{dimension}', limit={limit}, use_coordinate={use_coordinate})"
    found = evaluated(gaps / file, call, tmp_path / "out.nc")
    with xarray.open_dataset(gaps / "whole.nc") as dataset:
        # xarray wants coordinates that ascend.
        array = dataset.t.load().sortby("y")
        wanted = array.interpolate_na(dimension, use_coordinate=use_coordinate)
        if limit is not None:
            if dimension == "y":
                near = filled(array.sortby("y", ascending=False), dimension, "ffill", limit).sortby("y")
            else:
                near = filled(array, dimension, "ffill", limit)
            wanted = wanted.where(near.notnull())
        if dimension == "y" and not use_coordinate:
            wanted = dataset.t.load().assign_coords(y=np.arange(5.0)).interpolate_na("y").assign_coords(y=dataset.y)
            if limit is not None:
                wanted = wanted.where(filled(dataset.t.load(), "y", "ffill", limit).notnull())
        xarray.testing.assert_allclose(found.sortby("y"), wanted.sortby("y").rename("r"), rtol=1e-9, atol=1e-12)


def test_it_may_be_called_as_a_method_and_inside_others(gaps, tmp_path):
    found = evaluated(gaps / "cut.zarr", "t.ffill('time').bfill('time').mean('time')", tmp_path / "out.nc")
    with xarray.open_dataset(gaps / "whole.nc") as dataset:
        wanted = filled(filled(dataset.t.load(), "time", "ffill", None), "time", "bfill", None).mean("time", skipna=False)
        xarray.testing.assert_allclose(found, wanted.rename("r"), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("ffill(t)", ["axis"]),
        ("ffill(t, 'z')", ["z"]),
        ("bfill(t, 'x', limit=0)", ["limit", "1 up"]),
        ("interpolate_na(t[:, [1, 0, 2]], 'y')", ["'y'", "use_coordinate=False"]),
    ],
)
def test_what_cannot_be_filled_is_refused(gaps, tmp_path, call, words):
    assert_refusal(arrayctl("eval", call, "-i", f"t={gaps / 'whole.nc'}::t", "-o", tmp_path / "o.nc"), {2}, words)
