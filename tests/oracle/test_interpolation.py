"""`interp` and `interp_like` beside xarray's, and what is refused; `sel` by an array of coordinates."""

import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Ten days on four latitudes that descend, all around the globe; and a field on another grid."""
    folder, random = tmp_path_factory.mktemp("interpolation"), np.random.default_rng(5)
    time = np.arange("2001-01-01", "2001-01-11", dtype="M8[D]").astype("M8[ns]")
    lat, lon = np.array([60, 50, 45, 30.0]), np.arange(0, 360, 30.0)
    values = random.normal(size=(len(time), len(lat), len(lon)))
    degrees = {"units": "degrees_north"}
    coordinates = {"time": time, "lat": ("lat", lat, degrees), "lon": lon, "area": (("lat", "lon"), random.random((4, 12)))}
    data = {"t": (("time", "lat", "lon"), values, {"units": "K"}), "f": (("time", "lat", "lon"), values.astype("f4"))}
    data["n"] = (("time", "lat", "lon"), (values * 100).astype("i2"))
    data["z"] = (("time", "lat", "lon"), values + 1j * values[::-1])
    dataset = xarray.Dataset(data, coords=coordinates)
    dataset.drop_vars("z").to_netcdf(folder / "a.nc")
    dataset.to_zarr(folder / "a.zarr", zarr_format=2, encoding={"t": {"chunks": (3, 2, 5)}, "area": {"chunks": (4, 5)}})
    other = {"lat": ("lat", [55, 45, 35.5], degrees), "lon": [0.0, 10, 45, 329, 330]}
    xarray.Dataset({"u": (("lat", "lon"), random.random((3, 5)))}, coords=other).to_netcdf(folder / "b.nc")
    return folder


def evaluated(fields, expression, name, out):
    source = fields / ("a.zarr" if name == "z" else "a.nc")
    more = ["-i", f"u={fields / 'b.nc'}::u"] if "u)" in expression else []
    succeed("eval", f"r = {expression}", "-i", f"t={source}::{name}", *more, "-o", out)
    with xarray.open_dataset(out) as found:
        return found.r.load()


def own(fields, name):
    with xarray.open_dataset(fields / "a.zarr", engine="zarr") as dataset:
        return dataset[name].load()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("lat=47.5", lambda t: t.interp(lat=47.5)),
        ("lat=[32, 45, 60, 61, 29, 45]", lambda t: t.interp(lat=[32, 45, 60, 61, 29, 45])),
        ("lat=arange(30., 60.5, 2.5), lon=[0, 15, 330]", lambda t: t.interp(lat=np.arange(30, 60.5, 2.5), lon=[0, 15, 330])),
        ("lat=[32, 47], method='nearest'", lambda t: t.interp(lat=[32, 47], method="nearest")),
        ("lat=[37.5, 70, 47.5], method='nearest', fill_value='extrapolate'", lambda t: t.sel(lat=[30, 60, 45])),
        ("time='2001-01-03T06'", lambda t: t.interp(time=np.datetime64("2001-01-03T06"))),
        (
            "time=['2001-01-03T06', '2001-01-09']",
            lambda t: t.interp(time=np.array(["2001-01-03T06", "2001-01-09"], "M8[ns]")),
        ),
        ("lat=[65, 20], fill_value='extrapolate'", lambda t: t.interp(lat=[65, 20], kwargs={"fill_value": "extrapolate"})),
        ("lat=[65, 40], fill_value=-1", lambda t: t.interp(lat=[65, 40], kwargs={"fill_value": -1})),
    ],
)
@pytest.mark.parametrize("name", ["t", "f", "n", "z"])
def test_interpolation_is_xarrays(fields, tmp_path, ours, theirs, name):
    t = own(fields, name)
    found = evaluated(fields, f"interp(t, {ours})", name, tmp_path / f"out.{'zarr' if name == 'z' else 'nc'}")
    wanted = theirs(t.real) + 1j * theirs(t.imag) if name == "z" else theirs(t)
    if name == "z" and "=-1" in ours:
        wanted = wanted.where(wanted.lat <= 60, -1)
    tolerance = {"rtol": 2e-6, "atol": 1e-6} if name == "f" else {"rtol": 1e-12, "atol": 1e-13}
    assert set(found.coords) == set(wanted.coords)
    if "70" in ours:
        np.testing.assert_allclose(found, wanted, **tolerance)
        assert found.lat.values.tolist() == [37.5, 70, 47.5]
    else:
        xarray.testing.assert_allclose(found, wanted.rename("r"), **tolerance)
    assert found.dtype == {"t": "f8", "f": "f4", "n": "f8", "z": "c16"}[name]


def test_a_grid_like_another_meets_it(fields, tmp_path):
    found = evaluated(fields, "interp_like(t, u) - u - 0 * interp_like(t, u)", "t", tmp_path / "out.nc")
    with xarray.open_dataset(fields / "b.nc") as other:
        at_others = own(fields, "t").interp_like(other.u)
        xarray.testing.assert_allclose(found, (at_others - other.u).rename("r"), rtol=1e-12)
    same = evaluated(fields, "interp_like(t, t)", "t", tmp_path / "same.nc")
    xarray.testing.assert_equal(same, own(fields, "t").rename("r"))


@pytest.mark.parametrize("kinds", [("f4", "f8"), ("f8", "f4")])
def test_grids_of_other_precision_are_one(tmp_path, kinds):
    """No edge is missing where one file has 0.7 in single precision and the other in double; integers stay what they are."""
    tenths = np.arange(3, 8) / 10
    for name, kind, x in [("a", kinds[0], tenths), ("b", kinds[1], tenths), ("c", kinds[1], tenths[::2])]:
        data = {"t": ("x", np.arange(len(x), dtype="i4"))}
        xarray.Dataset(data, coords={"x": x.astype(kind)}).to_netcdf(tmp_path / f"{name}.nc")
    for other, wanted, dtype in [("b", [0, 1, 2, 3, 4], "i4"), ("c", [0, 2, 4], "f8")]:
        inputs = ["-i", f"t={tmp_path / 'a.nc'}::t", "-i", f"u={tmp_path / other}.nc::t"]
        succeed("eval", "r = interp_like(t, u); s = r - u", *inputs, "-o", tmp_path / f"r{other}.nc")
        with xarray.open_dataset(tmp_path / f"r{other}.nc") as found:
            assert found.r.values.tolist() == wanted and found.r.dtype == dtype


def test_longitudes_begin_again(fields, tmp_path):
    found = evaluated(fields, "interp(t, lon=[345, -10, 365, 0, 720], period=360)", "t", tmp_path / "out.nc")
    t = own(fields, "t")
    around = xarray.concat([t, t.isel(lon=[0]).assign_coords(lon=[360.0])], "lon")
    np.testing.assert_allclose(found, around.interp(lon=[345, 350, 5, 0, 0]), rtol=1e-12)
    assert found.lon.values.tolist() == [345, -10, 365, 0, 720]


def test_what_is_met_does_not_see_its_neighbours(tmp_path):
    values = np.array([[0.0, np.inf, 2.0, np.nan, 4.0]])
    xarray.Dataset({"t": (("y", "x"), values)}, coords={"x": np.arange(5.0)}).to_netcdf(tmp_path / "a.nc")
    succeed("eval", "r = interp(t, x=[0, 1, 2, 2.5, 4, 0.5])", "-i", f"t={tmp_path / 'a.nc'}::t", "-o", tmp_path / "o.nc")
    with xarray.open_dataset(tmp_path / "o.nc") as found:
        np.testing.assert_array_equal(found.r, [[0, np.inf, 2, np.nan, 4, np.inf]])


def test_single_precision_coordinates_equal_what_is_written(tmp_path):
    """As for `sel`: 0.7 is the last of them, not beyond it."""
    x = np.arange(8, dtype="f4") / np.float32(10)
    xarray.Dataset({"t": ("x", np.arange(8.0))}, coords={"x": x}).to_netcdf(tmp_path / "a.nc")
    succeed("eval", "r = interp(t, x=[0.7, 0.3, 0.05])", "-i", f"t={tmp_path / 'a.nc'}::t", "-o", tmp_path / "o.nc")
    with xarray.open_dataset(tmp_path / "o.nc") as found:
        np.testing.assert_allclose(found.r, [7, 3, 0.5], rtol=1e-7)
        assert found.r.values[:2].tolist() == [7, 3]


def test_elements_are_selected_by_an_array(fields, tmp_path):
    found = evaluated(fields, "sel(t, lat=coordinate(t, 'lat')[::2], lon=arange(0, 91, 30))", "t", tmp_path / "out.nc")
    xarray.testing.assert_equal(found, own(fields, "t").sel(lat=[60, 45], lon=[0, 30, 60, 90]).rename("r"))


def test_times_are_no_numbers(tmp_path):
    for name, units in [("a", {"units": "days since 2001-01-01"}), ("b", {})]:
        time = ("time", [1.0, 2.0, 3.5], units)
        xarray.Dataset({"t": ("time", np.arange(3.0))}, coords={"time": time}).to_netcdf(tmp_path / f"{name}.nc")
    run = arrayctl("eval", "interp_like(t, u)", "-i", f"t={tmp_path / 'a.nc'}::t", "-i", f"u={tmp_path / 'b.nc'}::t")
    assert_refusal(run, {2}, ["'time'", "times here or there"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("interp(t, lat=slice(1, 2))", ["'lat'", "arange"]),
        ("interp(t, level=3)", ["'level'", "time, lat, lon"]),
        ("interp(t, lat=nan)", ["'lat'", "missing"]),
        ("interp(t, lat='north')", ["'lat'", "no CF times"]),
        ("interp(t, lat=[40, 50], method='cubic')", ["'cubic'", "linear and nearest"]),
        ("interp(t)", ["needs a dimension"]),
        ("interp(t, lat=40, lon=2, period=360)", ["one dimension"]),
        ("interp(t, lon=2, period=-1)", ["above 0"]),
        ("interp(t, lon=2, period=90)", ["two of them are equal"]),
        ("interp(t[:, :, 0] * 0 + t[:, :, 0].mean('time'), lon=3)", ["'lon'"]),
    ],
)
def test_what_has_no_values_between_is_refused(fields, tmp_path, call, words):
    run = arrayctl("eval", call, "-i", f"t={fields / 'a.nc'}::t", "-o", tmp_path / "out.nc")
    assert_refusal(run, {2}, words)
