"""Coordinates of what `eval` picks, joins, differs, averages over boxes and takes quantiles of, beside xarray."""

import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture
def data(tmp_path):
    """A field with CF times, latitudes in single precision and whole numbers; its path and what xarray reads."""
    rng = np.random.default_rng(3)
    times = np.datetime64("2001-02-27T06", "ns") + np.arange(12) * np.timedelta64(6, "h")
    t = xarray.DataArray(
        rng.normal(size=(12, 6, 4)).astype("f4"),
        dims=("time", "lat", "level"),
        coords={
            "time": ("time", times, {"standard_name": "time", "bounds": "time_bnds"}),
            "lat": ("lat", np.linspace(-75, 75, 6, dtype="f4"), {"units": "degrees_north"}),
            "level": ("level", np.array([1000, 850, 500, 200], "i4"), {"units": "hPa"}),
        },
        attrs={"units": "K"},
        name="t",
    )
    encoding = {
        "time": {"units": "hours since 1900-01-01", "calendar": "gregorian", "dtype": "i4"},
        "t": {"chunksizes": (5, 3, 4)},
    }
    t.to_netcdf(tmp_path / "t.nc", engine="netcdf4", encoding=encoding)
    with xarray.open_dataset(tmp_path / "t.nc") as opened:
        return tmp_path / "t.nc", opened["t"].load()


def stored(path, text, out):
    succeed("eval", f"r = {text}", "-i", f"t={path}::t", "-o", out, "--overwrite")
    opened = xarray.open_zarr(out, consolidated=False) if out.suffix == ".zarr" else xarray.open_dataset(out)
    with opened:
        return opened["r"].load()


@pytest.mark.parametrize("suffix", [".nc", ".zarr", ".h5"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("t[[0, 5]]", lambda t: t[[0, 5]]),
        ("t[:, [-1, 2, 2]]", lambda t: t[:, [-1, 2, 2]]),
        ("t[1:][[0, 5]][::-1]", lambda t: t[[6, 1]]),
        ("t[..., [True, False, True, False]]", lambda t: t[..., [0, 2]]),
        ("take(t, [3, 1], 'lat')", lambda t: t.isel(lat=[3, 1])),
        ("take(t, -1, 'lat')", lambda t: t.isel(lat=-1)),
        ("delete(t, [0, -1], 'level')", lambda t: t.isel(level=[1, 2])),
        ("flip(t, 'lat')", lambda t: t[:, ::-1]),
        ("concatenate([t[8:], t[:3]], 'time')", lambda t: t[[8, 9, 10, 11, 0, 1, 2]]),
        ("concatenate([t[:, :2], t[:, [5, 4]]], axis=1)", lambda t: t[:, [0, 1, 5, 4]]),
        ("diff(t, axis='time')", lambda t: t.diff("time")),
        ("diff(t, 2, 'lat')", lambda t: t.diff("lat", 2)),
        ("coarsen(t, 4, 'time')", lambda t: t.coarsen(time=4).mean()),
        (
            "coarsen(t, (5, 2), axis=('time', 'level'), boundary='trim')",
            lambda t: t.coarsen(time=5, level=2, boundary="trim").mean(),
        ),
        (
            "coarsen(t, 4, 'lat', func='max', boundary='pad')",
            lambda t: t.coarsen(lat=4, boundary="pad").max(),
        ),
        ("quantile(t, [0.1, 0.9], 'time')", lambda t: t.quantile([0.1, 0.9], "time")),
        ("nanquantile(t, [0.5], ('lat', 'level'))", lambda t: t.quantile([0.5], ("lat", "level"))),
    ],
)
def test_coordinates_are_xarrays(tmp_path, data, text, wanted, suffix):
    path, t = data
    found, wanted = stored(path, text, tmp_path / f"out{suffix}"), wanted(t)
    assert found.dims == wanted.dims
    assert set(found.coords) == set(wanted.coords)
    for name in found.dims:
        if wanted[name].dtype.kind == "M":
            np.testing.assert_array_equal(found[name], wanted[name])
            assert found[name].encoding["units"].startswith("hours since 1900-01-01")
            assert "bounds" not in found[name].attrs
        else:
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-6)
            assert found[name].attrs.get("units") == wanted[name].attrs.get(
                "units", t.coords[name].attrs.get("units") if name in t.coords else None
            )
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)


def test_files_of_the_same_times_are_joined_and_of_others_are_not_mistaken(tmp_path, data):
    path, t = data
    for name, part, since in (("a", t[:6], "1900"), ("b", t[6:], "1900"), ("c", t[6:], "2000")):
        encoding = {"time": {"units": f"hours since {since}-01-01", "calendar": "gregorian", "dtype": "i4"}}
        part.to_netcdf(tmp_path / f"{name}.nc", engine="netcdf4", encoding=encoding)
    for other, has_times in (("b", True), ("c", False)):
        given = ["-i", f"a={tmp_path / 'a.nc'}::t", "-i", f"b={tmp_path / other}.nc::t"]
        succeed("eval", "r = concatenate([a, b], 'time')", *given, "-o", tmp_path / f"of_{other}.nc")
        with xarray.open_dataset(tmp_path / f"of_{other}.nc") as found:
            assert ("time" in found.coords) == has_times
            np.testing.assert_array_equal(found["lat"], t["lat"])
            assert found["level"].attrs["units"] == "hPa"
            np.testing.assert_array_equal(found["r"], t)
            if has_times:
                np.testing.assert_array_equal(found["time"], t["time"])


def test_maps_that_are_turned_round_are_not_joined(tmp_path, data):
    path, t = data
    t[:, ::-1].to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    given = ["-i", f"a={path}::t", "-i", f"b={tmp_path / 'b.nc'}::t", "-o", tmp_path / "out.nc"]
    for text in ("concatenate([a, b], 'time')", "stack([a, b])"):
        refused = arrayctl("eval", text, *given)
        assert_refusal(refused, (2,), names=["coordinates of 'lat' differ", "unlabelled"])
    succeed("eval", "concatenate([a, b[:, ::-1]], 'time')", *given)
    with xarray.open_dataset(tmp_path / "out.nc") as found:
        np.testing.assert_array_equal(found["lat"], t["lat"])


def test_groups_are_made_of_picked_and_joined_times(tmp_path, data):
    path, t = data
    found = stored(path, "concatenate([t[:3], t[6:]], 'time').groupby('time.day').mean()", tmp_path / "g.nc")
    wanted = t[[0, 1, 2, *range(6, 12)]].groupby("time.day").mean()
    np.testing.assert_array_equal(found["day"], wanted["day"])
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    names = stored(path, "t.groupby('time.season').mean()[[0]]", tmp_path / "s.nc")
    np.testing.assert_array_equal(names["season"], t.groupby("time.season").mean()["season"][[0]])


def test_quantiles_keep_a_dimension_of_that_name(tmp_path, data):
    path, _ = data
    found = stored(
        path, "quantile(named(t, 'time', 'quantile', 'level'), [0.1, 0.9], 'time')", tmp_path / "q.nc"
    )
    assert (
        found.dims[1:] == ("quantile", "level") and found.dims[0] != "quantile" and found.shape == (2, 6, 4)
    )
