"""Correlation, slope and detrending beside xarray, NumPy and SciPy; with missing values, large means and broadcasting."""

import re

import numpy as np
import pytest
import scipy.signal
import scipy.stats
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("relations")
    random = np.random.default_rng(8)
    x = random.normal(1e6, 3, (200, 6, 7))
    y = 0.4 * x + random.normal(0, 2, x.shape)
    x[random.random(x.shape) < 0.05] = np.nan
    y[random.random(x.shape) < 0.05] = np.nan
    y[:, 2, 3] = np.nan
    index = random.normal(size=200)
    dims = ("time", "lat", "lon")
    coordinates = {"time": np.arange(200.0), "lat": np.arange(6.0), "lon": np.arange(7.0)}
    data_set = xarray.Dataset({"x": (dims, x, {"units": "K"}), "y": (dims, y), "i": ("time", index)}, coords=coordinates)
    data_set.to_netcdf(folder / "a.nc", encoding={name: {"chunksizes": (64, 3, 7)} for name in "xy"})
    return folder / "a.nc", data_set


def inputs_of(expression, path):
    names = [name for name in "xyi" if re.search(rf"\b{name}\b(?!=)", expression)]
    return [part for name in names for part in ("-i", f"{name}={path}::{name}")]


def evaluated(fields, expression, out):
    path, _ = fields
    inputs = inputs_of(expression, path)
    succeed("eval", f"r = {expression}", *inputs, "-o", out)
    with xarray.open_dataset(out) as found:
        return found.r.load()


def test_correlation_is_xarrays(fields, tmp_path):
    _, data = fields
    for number, axis in enumerate((["time"], ["lat", "lon"], None)):
        ours = "None" if axis is None else repr(tuple(axis)).replace("'", '"')
        found = evaluated(fields, f"corr(x, y, axis={ours})", tmp_path / f"{number}.nc")
        xarray.testing.assert_allclose(found, xarray.corr(data.x, data.y, axis), rtol=1e-9)
        assert "units" not in found.attrs


def test_an_index_is_correlated_with_every_cell(fields, tmp_path):
    _, data = fields
    found = evaluated(fields, 'x.corr(i[:, None, None], "time")', tmp_path / "r.nc")
    xarray.testing.assert_allclose(found, xarray.corr(data.x, data.i, "time"), rtol=1e-9)


def test_slopes_are_those_of_least_squares(fields, tmp_path):
    _, data = fields
    found = evaluated(fields, 'slope(y, x, "time")', tmp_path / "r.nc")
    for at in ((0, 0), (3, 4), (5, 6)):
        x, y = (field.values[:, *at] for field in (data.x, data.y))
        both = ~np.isnan(x) & ~np.isnan(y)
        wanted = scipy.stats.linregress(x[both], y[both]).slope
        np.testing.assert_allclose(found.values[at], wanted, rtol=1e-9)
    assert np.isnan(found.values[2, 3])
    trend = evaluated(fields, 'slope(y, arange(200)[:, None, None], axis="time")', tmp_path / "t.nc")
    wanted = data.y.polyfit("time", 1).polyfit_coefficients.sel(degree=1)
    np.testing.assert_allclose(trend, wanted, rtol=1e-7, atol=1e-9)


def test_detrended_is_scipys(fields, tmp_path):
    _, data = fields
    found = evaluated(fields, "detrend(fillna(x, 1e6), 0)", tmp_path / "r.nc")
    np.testing.assert_allclose(found, scipy.signal.detrend(data.x.fillna(1e6).values, axis=0), atol=1e-8)
    assert found.dims == data.x.dims
    gaps = evaluated(fields, 'detrend(y, "time")', tmp_path / "g.nc")
    at = data.y.values[:, 1, 1]
    known = ~np.isnan(at)
    line = np.polynomial.Polynomial.fit(np.arange(200)[known], at[known], 1)
    np.testing.assert_allclose(gaps[:, 1, 1], at - line(np.arange(200)), atol=1e-7)


def test_what_has_no_line_is_refused(fields):
    path, _ = fields
    for expression, words in (("corr(x * 1j, x)", ["complex"]), ("slope(x, i)", ["shape"]), ("detrend(x, 3)", ["axis"])):
        assert_refusal(arrayctl("eval", expression, *inputs_of(expression, path)), {2}, words)


def test_what_is_missing_is_filled(fields, tmp_path):
    _, data = fields
    found = evaluated(fields, 'fillna(x, nanmean(x, "time", keepdims=True))', tmp_path / "f.nc")
    xarray.testing.assert_allclose(found, data.x.fillna(data.x.mean("time")), rtol=1e-12)
    assert found.attrs == {"units": "K"}
    found = evaluated(fields, "nan_to_num(where(x > 1e6, inf, where(x < 999995, -inf, x)), nan=7, neginf=-3)", tmp_path / "n.nc")
    extreme = np.where(data.x > 1e6, np.inf, np.where(data.x < 999995, -np.inf, data.x))
    np.testing.assert_array_equal(found, np.nan_to_num(extreme, nan=7, neginf=-3))
