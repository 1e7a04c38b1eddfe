"""`arrayctl svd --center` beside NumPy: what users know from scikit-learn's PCA and from eofs, by their formulas."""

import json

import numpy as np
import pytest
import xarray
import zarr
from driver import MIB, arrayctl, assert_refusal, succeed


def decomposed(source, out, *options):
    result = json.loads(succeed("svd", source, "-o", out, "--overwrite", "--json", *options).stdout)
    names = zarr.open_array(f"{out}/mean", mode="r").metadata.dimension_names
    if names is None:  # of an array without names, which xarray cannot open
        return {name: array[...] for name, array in zarr.open_group(out, mode="r").arrays()}, result
    with xarray.open_dataset(out, engine="zarr", consolidated=False, decode_times=False) as found:
        return found.load(), result


def numpys(samples, weights=1.0, count=None):
    """U, S, V with signs as ours, and scikit-learn's explained variances, of centred samples."""
    centred = (samples - samples.mean(0)) * weights
    u, s, v = np.linalg.svd(centred, full_matrices=False)
    signs = np.where(v.sum(1) < 0, -1.0, 1.0)
    variance = s**2 / (len(samples) - 1)
    return u * signs, s, (v.T * signs).T, variance, variance / variance.sum()


@pytest.mark.parametrize("chunks", [(60, 40), (7, 40), (60, 9), (11, 13)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2"])
def test_components_are_scikit_learns(tmp_path, dtype, chunks):
    rng = np.random.default_rng(1)
    samples = (rng.normal(size=(60, 40)) * np.geomspace(90, 1, 40) + 1000).astype(dtype)
    store = tmp_path / "x.zarr"
    tolerance = 1e-9 if dtype != "f4" else 1e-5
    for array, shape in [(samples, chunks), (samples.T.copy(), chunks[::-1])]:
        zarr.create_array(store, data=array, chunks=shape, overwrite=True)
        u, s, v, variance, ratio = numpys(array.astype("f8"))
        found, result = decomposed(store, tmp_path / "o.zarr", "-k", 5, "--exact", "--center")
        assert result["passes"] == 3
        np.testing.assert_allclose(found["explained_variance"], variance[:5], rtol=tolerance)
        np.testing.assert_allclose(result["explained_variance_ratio"], ratio[:5], rtol=tolerance)
        np.testing.assert_allclose(found["V"], v[:5], atol=100 * tolerance)
        np.testing.assert_allclose(found["U"], u[:, :5], atol=100 * tolerance)
        np.testing.assert_allclose(found["mean"], array.mean(0, dtype="f8"), rtol=1e-6)


def field(seed=3):
    """A field in degrees with land, on latitudes up to the pole."""
    rng = np.random.default_rng(seed)
    latitude, longitude = np.linspace(-90, 90, 13), np.arange(0.0, 360, 24)
    patterns = rng.normal(size=(30, 13, 15)).cumsum(1).cumsum(2) / 9
    values = 288 + np.tensordot(rng.normal(size=(40, 30)) * np.geomspace(5, 0.01, 30), patterns, 1)
    values[:, 3:6, 2:7] = np.nan
    attributes = {"units": "K", "long_name": "temperature"}
    coordinates = {
        "time": ("time", np.arange(40.0), {"units": "days since 2000-01-01"}),
        "y": ("y", latitude, {"units": "degrees_north"}),
        "x": ("x", longitude, {"units": "degrees_east"}),
    }
    data = xarray.Dataset({"t": (("time", "y", "x"), values, attributes)}, coordinates)
    weights = np.sqrt(np.cos(np.deg2rad(latitude)).clip(0))[:, None] * np.ones((13, 15))
    return data, weights


@pytest.mark.parametrize("chunks", [(40, 13, 15), (7, 13, 15), (40, 5, 4), (1, 13, 15)])
def test_eofs_with_weights_and_land(tmp_path, chunks):
    data, weights = field()
    store = tmp_path / "t.zarr"
    data.to_zarr(store, encoding={"t": {"chunks": chunks}}, consolidated=False)
    sea = ~np.isnan(data["t"][0].values)
    samples = data["t"].values[:, sea]
    u, s, v, variance, ratio = numpys(samples, weights[sea])
    options = ("-k", 4, "--center", "--weights", "coslat", "--skip-missing", "--patterns", "--memory", 64 * MIB)
    for way in [("--exact",), ("--power-iter", 3)]:
        found, result = decomposed(f"{store}::t", tmp_path / "eof.zarr", *options, *way)
        np.testing.assert_allclose(found["explained_variance"], variance[:4], rtol=1e-6)
        np.testing.assert_allclose(found["explained_variance_ratio"], ratio[:4], rtol=1e-6)
        np.testing.assert_allclose(found["V"].values[:, sea], v[:4], atol=1e-5)
        # One standard deviation of each score, in kelvin; where no weight is left it is not known.
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = (v[:4] * np.sqrt(variance[:4, None])) / weights[sea]
        known = weights[sea] > 1e-6
        np.testing.assert_allclose(found["pattern"].values[:, sea][:, known], wanted[:, known], rtol=1e-3, atol=1e-4)
        for name in ("V", "pattern"):
            assert np.all(np.isnan(found[name].values[:, ~sea]))
            assert found[name].dims == ("mode", "y", "x")
        assert np.all(np.isnan(found["mean"].values[~sea])) and found["U"].dims == ("time", "mode")
        np.testing.assert_array_equal(found["y"], data["y"])
        assert found["y"].attrs["units"] == "degrees_north"
        assert found["mean"].attrs["units"] == found["pattern"].attrs["units"] == "K"
        assert found["V"].attrs["weights"] == "sqrt(cos(latitude))"
        # Mean and scores times patterns are the field again, as far as four modes go.
        left = np.nanmean(((found["U"].values * found["S"].values) @ found["V"].values[:, sea] - (samples - samples.mean(0)) * weights[sea]) ** 2)
        whole = np.nanmean(((samples - samples.mean(0)) * weights[sea]) ** 2)
        assert abs(left / whole - result["relative_error"] ** 2) < 1e-9


def test_weights_of_the_container_and_of_another_file(tmp_path):
    data, _ = field()
    data["t"] = data["t"].fillna(0.0)
    data["area"] = ("y", "x"), np.random.default_rng(8).uniform(0.5, 2, (13, 15))
    data["height"] = ("y",), np.linspace(1, 3, 13)
    store, other = tmp_path / "t.zarr", tmp_path / "w.nc"
    data.to_zarr(store, consolidated=False)
    data[["height"]].to_netcdf(other)
    np.save(tmp_path / "w.npy", data["area"].values)
    by_height = data["height"].values[:, None] * np.ones((13, 15))
    cases = [("area", data["area"].values), ("height", by_height), (f"{other}::height", by_height), (tmp_path / "w.npy", data["area"].values)]
    for text, weights in cases:
        found, _ = decomposed(f"{store}::t", tmp_path / "o.zarr", "-k", 3, "--exact", "--center", "--weights", text)
        _, _, v, variance, _ = numpys(data["t"].values.reshape(40, -1), weights.ravel())
        np.testing.assert_allclose(found["explained_variance"], variance[:3], rtol=1e-9)
        np.testing.assert_allclose(found["V"].values.reshape(3, -1), v[:3], atol=1e-8)


def test_what_cannot_be_done_is_refused(tmp_path):
    data, _ = field()
    store, out = tmp_path / "t.zarr", tmp_path / "o.zarr"
    data["count"] = ("time",), np.ones(40)
    data["plain"] = ("n", "m"), np.ones((5, 4))
    data.to_zarr(store, consolidated=False)
    common = ("svd", f"{store}::t", "-k", 2, "--exact", "-o", out)
    assert_refusal(arrayctl(*common, "--center"), [4], ["row 0, column 47"])
    assert_refusal(arrayctl(*common, "--center", "--skip-missing", "--weights", "count"), [2], ["[40]", "[13, 15]"])
    assert_refusal(arrayctl(*common, "--center", "--weights", "nothing"), [2, 4], ["nothing"])
    assert_refusal(arrayctl("svd", f"{store}::plain", "-k", 2, "-o", out, "--weights", "coslat"), [2], ["degrees_north"])
    assert_refusal(arrayctl(*common, "--patterns"), [2], ["--center"])
    data["t"][17, 9, 4] = np.nan
    data.to_zarr(store, consolidated=False, mode="w")
    assert_refusal(arrayctl(*common, "--center", "--skip-missing"), [4], [f"row 17, column {9 * 15 + 4}"])
    assert not out.exists()
