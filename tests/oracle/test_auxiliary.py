"""Auxiliary coordinates, scalar ones, grid mappings and global attributes in results, beside xarray's."""

import json

import netCDF4
import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed

WRITERS = {
    "netcdf4": lambda dataset, path: dataset.to_netcdf(path.with_suffix(".nc"), engine="netcdf4"),
    "classic": lambda dataset, path: dataset.to_netcdf(path.with_suffix(".nc"), format="NETCDF3_64BIT"),
    "zarr2": lambda dataset, path: dataset.to_zarr(path.with_suffix(".zarr"), zarr_format=2),
    "zarr3": lambda dataset, path: dataset.to_zarr(path.with_suffix(".zarr"), zarr_format=3),
}


def rotated(seed=0):
    """A field on a rotated grid: two-dimensional latitudes, names of rows, months, a height, a time of reference."""
    random = np.random.default_rng(seed)
    time = np.arange("2001-01-30", "2001-02-09", dtype="M8[D]").astype("M8[ns]")
    y, x = np.linspace(-2, 2, 5), np.linspace(0, 3, 4, dtype="f4")
    lat = 50 + y[:, None] + 0.1 * x[None, :].astype(float)
    coordinates = {
        "time": time,
        "y": ("y", y, {"standard_name": "grid_latitude", "units": "degrees"}),
        "x": x,
        "lat": (("y", "x"), lat, {"units": "degrees_north", "bounds": "lat_bounds"}),
        "lon": (("y", "x"), lat.T.reshape(5, 4).astype("f4"), {"units": "degrees_east"}),
        "row": ("y", np.array(["north", "b", "c", "d", "süd"], dtype=object)),
        "month": ("time", time.astype("M8[M]").astype(int) % 12 + 1),
        "height": ((), 2.0, {"units": "m"}),
        "reference": ((), np.datetime64("2001-01-29T12", "ns")),
    }
    values = random.normal(size=(len(time), len(y), len(x)))
    attributes = {"units": "K", "grid_mapping": "rotated_pole"}
    data = {
        "t": (("time", "y", "x"), values, attributes),
        "p": (("time", "y", "x"), values * 3 + 1, {"units": "Pa", "grid_mapping": "rotated_pole"}),
        "rotated_pole": ((), np.int32(0), {"grid_mapping_name": "rotated_latitude_longitude"}),
    }
    about = {"title": "a field", "Conventions": "CF-1.8", "geospatial_lat_min": 48.0, "runs": np.int32(3)}
    return xarray.Dataset(data, coords=coordinates, attrs=about)


@pytest.fixture(scope="module", params=list(WRITERS))
def stored(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("auxiliary") / "field"
    dataset = rotated()
    if request.param == "classic":
        dataset["month"] = dataset.month.astype("i4")
    WRITERS[request.param](dataset, path)
    return next(path.parent.glob("field.*"))


def opened(path):
    # decode_timedelta: no coordinate here is one.
    with xarray.open_dataset(path, decode_timedelta=False) as found:
        return found.load()


def evaluated(stored, expression, tmp_path, *more):
    out = tmp_path / f"out{stored.suffix}"
    succeed("eval", f"r = {expression}", "-i", f"t={stored}::t", *more, "-o", out)
    return opened(out)


def assert_as(found, wanted):
    wanted = wanted.rename("r")
    assert set(found.coords) == set(wanted.coords)
    xarray.testing.assert_allclose(found, wanted, rtol=1e-12, check_dim_order=False)
    assert found.dims == wanted.dims
    for name, coordinate in wanted.coords.items():
        # Texts are objects or not by how they were stored.
        kinds = [own.dtype.kind.replace("U", "O") for own in (found.coords[name], coordinate)]
        assert kinds[0] == kinds[1], name
        assert found.coords[name].attrs.get("units") == coordinate.attrs.get("units"), name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("t * 2 + 1", lambda t: t * 2 + 1),
        ("t - t.mean('time')", lambda t: t - t.mean("time")),
        ("t.mean('time')", lambda t: t.mean("time")),
        ("t.mean('x')", lambda t: t.mean("x")),
        ("t.std()", lambda t: t.std()),
        ("t[2:5, ::2, ::-1]", lambda t: t[2:5, ::2, ::-1]),
        ("t[1]", lambda t: t[1]),
        ("t[:, -2, 1]", lambda t: t[:, -2, 1]),
        ("t[1] - t[3]", lambda t: t[1] - t[3]),
        ("t[:, 2] - t.mean('y')", lambda t: t[:, 2] - t.mean("y")),
        ("t.T", lambda t: t.T),
        ("sel(t, time='2001-02-02', y=0)", lambda t: t.sel(time="2001-02-02", y=0)),
        ("isel(t, x=[2, 0], y=slice(1, 4))", lambda t: t.isel(x=[2, 0], y=slice(1, 4))),
        ("take(t, [3, 1], 'y')", lambda t: t.isel(y=[3, 1])),
        ("where(t > 0, t, 0)", lambda t: t.where(t > 0, 0)),
        ("concatenate([t[:2], t[6:]], 'time')", lambda t: xarray.concat([t[:2], t[6:]], "time")),
        ("concatenate([t[:, 3:], t[:, :1]], 'y')", lambda t: xarray.concat([t[:, 3:], t[:, :1]], "y")),
        (
            "coarsen(t[:6, :4], [2, 3], ['y', 'time'])",
            lambda t: t[:6, :4].drop_vars("row").coarsen(y=2, time=3).mean(),
        ),
        (
            "downsample(t[0], [2, 4])",
            lambda t: t[0].drop_vars("row").coarsen(y=2, x=4, boundary="pad").mean(),
        ),
        ("diff(t, 1, 'y')", lambda t: t.diff("y")),
        ("t.resample('5D').mean()", lambda t: t.resample(time="5D").mean()),
        ("rolling_mean(t, [3], 'time')", lambda t: t.rolling(time=3).mean()),
        (
            "t.weighted(coslat(t)).mean(['y', 'x'])",
            lambda t: t.weighted(np.cos(np.deg2rad(t.lat))).mean(["y", "x"]),
        ),
        ("coordinate(t, 'lat')", lambda t: t.lat),
        ("coordinate(t, 'lat') - coordinate(t, 'height')", lambda t: t.lat - t.height),
    ],
)
def test_coordinates_are_xarrays(stored, tmp_path, ours, theirs):
    found = evaluated(stored, ours, tmp_path)
    assert_as(found.r, theirs(opened(stored).t))


def test_groups_have_coordinates_of_other_dimensions(stored, tmp_path):
    found = evaluated(stored, "t.groupby('time.season').mean()", tmp_path)
    wanted = opened(stored).t.groupby("time.season").mean()
    np.testing.assert_allclose(found.r, wanted, rtol=1e-12)
    np.testing.assert_array_equal(found.lat, wanted.lat)
    assert set(found.r.coords) == set(wanted.coords)


def test_the_mapping_and_what_is_said_of_the_whole_come_along(stored, tmp_path):
    found = evaluated(stored, "t.mean('time')", tmp_path)
    assert found.rotated_pole.attrs["grid_mapping_name"] == "rotated_latitude_longitude"
    assert (found.r.attrs | found.r.encoding)["grid_mapping"] == "rotated_pole"
    assert found.attrs == {"title": "a field", "Conventions": "CF-1.8", "runs": 3}
    assert "bounds" not in found.lat.attrs


def test_every_array_is_reduced_with_its_coordinates(stored, tmp_path):
    out = tmp_path / f"out{stored.suffix}"
    succeed("reduce", "mean", stored, "--axis", "time", "-o", out)
    found, wanted = opened(out), opened(stored).mean("time")
    assert set(found.data_vars) == set(wanted.data_vars) == {"t", "p", "rotated_pole"}
    assert set(found.coords) == set(wanted.coords)
    for name in ["t", "p", "lat", "height"]:
        xarray.testing.assert_allclose(found[name], wanted[name], rtol=1e-12)


def test_results_beside_each_other_keep_what_they_share(stored, tmp_path):
    out = tmp_path / f"out{stored.suffix}"
    done = succeed("eval", "a = t[1]; b = t[2]", "-i", f"t={stored}::t", "-o", out)
    assert "'time' are left out: they differ from result to result" in done.stderr
    found, own = opened(out), opened(stored).t
    assert set(found.coords) == set(own[1].coords) - {"time", "month"}
    np.testing.assert_array_equal(found.a, own[1])
    np.testing.assert_array_equal(found.b, own[2])


def test_coordinates_of_two_files_meet(tmp_path):
    """Those that are equal stay, those that differ do not, as xarray has it."""
    for number in range(2):
        dataset = rotated(number)
        if number:
            dataset = dataset.assign_coords(height=10.0, lon=dataset.lon + 1)
            dataset.attrs["title"] = "another field"
        dataset.to_netcdf(tmp_path / f"{number}.nc")
    first, second = (opened(tmp_path / f"{number}.nc").t for number in range(2))
    found = evaluated(tmp_path / "0.nc", "t - u", tmp_path, "-i", f"u={tmp_path / '1.nc'}::t")
    assert_as(found.r, first - second)
    assert "lon" not in found.coords and "lat" in found.coords
    assert found.attrs == {"Conventions": "CF-1.8", "runs": 3}


def test_one_field_among_coordinates_is_the_one_that_is_meant(tmp_path):
    rotated().drop_vars("p").to_netcdf(tmp_path / "one.nc")
    found = json.loads(succeed("stats", tmp_path / "one.nc", "--json").stdout)
    assert [array["array"].split("::")[-1] for array in found["arrays"]] == ["t"]
    succeed("reduce", "max", tmp_path / "one.nc", "--axis", "time", "-o", tmp_path / "max.nc")
    succeed("reduce", "max", tmp_path / "max.nc", "-o", tmp_path / "all.nc")
    np.testing.assert_array_equal(opened(tmp_path / "all.nc").t, opened(tmp_path / "one.nc").t.max())


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF4"])
def test_characters_are_texts(tmp_path, form):
    """As NetCDF's classic form has them, along a last axis: coordinates of a dimension, auxiliary ones, and one alone."""
    path, names = tmp_path / "stations.nc", ["Oslo", "Bergen", "Tromsø"]
    with netCDF4.Dataset(path, "w", format=form) as file:
        for name, length in [("station", 3), ("letters", 8), ("time", 2)]:
            file.createDimension(name, length)
        for name, dimensions in [("station", ("station", "letters")), ("river", ("station", "letters"))]:
            variable = file.createVariable(name, "S1", dimensions)
            filled = [text.encode().ljust(8, b" " if name == "river" else b"\0") for text in names]
            variable[:] = np.frombuffer(b"".join(filled), "S1").reshape(3, 8)
        file.createVariable("flag", "S1", ("station",))[:] = np.array([b"a", b"b", b"c"])
        file.createVariable("who", "S1", ("letters",))[:] = np.frombuffer(b"somebody", "S1")
        flow = file.createVariable("flow", "f4", ("time", "station"))
        flow.coordinates = "river flag who"
        flow[:] = [[1, 2, 3], [4, 5, 6]]
    out = tmp_path / "out.nc"
    succeed("eval", "r = sel(flow.mean('time'), station=['Tromsø', 'Oslo'])", "-i", f"flow={path}", "-o", out)
    found = opened(out)
    assert found.r.values.tolist() == [4.5, 2.5]
    assert found.station.values.tolist() == found.river.values.tolist() == ["Tromsø", "Oslo"]
    assert found.flag.values.tolist() == ["c", "a"] and found.who.item() == "somebody"
    assert set(found.r.coords) == {"station", "river", "flag", "who"}


def test_coordinates_stand_in_other_groups(tmp_path):
    """As of swaths from satellites: named by a path from the root (CF 2.7), or by a name that a group above has."""
    path = tmp_path / "swath.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, length in [("scan", 5), ("pixel", 3)]:
            file.createDimension(name, length)
        file.createVariable("height", "f4", ())[...] = 2
        for name in ["lat", "lon"]:
            file.createVariable(f"navigation/{name}", "f4", ("scan", "pixel"))[:] = np.arange(15).reshape(5, 3)
        chlorophyll = file.createVariable("data/chlorophyll", "f4", ("scan", "pixel"))
        chlorophyll[:] = 1
        chlorophyll.coordinates = "/navigation/lat /navigation/lon height /none ../up"
    succeed("eval", "r = c[1:]", "-i", f"c={path}", "-o", tmp_path / "out.nc")
    found = opened(tmp_path / "out.nc")
    assert set(found.r.coords) == {"lat", "lon", "height"} and found.height == 2
    np.testing.assert_array_equal(found.lat, np.arange(15).reshape(5, 3)[1:])


def test_coordinates_that_cannot_be_opened_are_left_out(tmp_path):
    path, out = tmp_path / "field.zarr", tmp_path / "out.nc"
    rotated().to_zarr(path, zarr_format=2, consolidated=False)
    described = json.loads((path / "lat" / ".zarray").read_text())
    described["compressor"] = {"id": "made-up"}
    (path / "lat" / ".zarray").write_text(json.dumps(described))
    done = succeed("eval", "r = t + 1", "-i", f"t={path}::t", "-o", out)
    assert "'lat' are left out" in done.stderr and "made-up" in done.stderr
    assert set(opened(out).r.coords) == {"time", "y", "x", "lon", "row", "month", "height", "reference"}


def test_damaged_coordinates_end_a_run_by_name(tmp_path):
    rotated().to_zarr(tmp_path / "field.zarr", zarr_format=2)
    chunk = tmp_path / "field.zarr" / "lat" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    out = tmp_path / "out.nc"
    refused = arrayctl("eval", "t + 1", "-i", f"t={tmp_path / 'field.zarr'}::t", "-o", out)
    assert refused.code != 0 and "lat" in refused.stderr and not out.exists()


@pytest.mark.parametrize(
    ("ours", "theirs", "dim"),
    [
        ("sel_points(t, y=[0, -2, 0], x=[3, 1, 0])", dict(y=[0, -2, 0], x=[3, 1, 0]), "points"),
        ("sel_points(t, x=[0.4, 2.9], y=[1.2, -9], method='nearest', dim='station')", dict(y=[1.2, -9], x=[0.4, 2.9]), "station"),
        ("sel_points(t, time=['2001-02-01', '2001-01-30'], y=[1, 2])", dict(time=["2001-02-01", "2001-01-30"], y=[1, 2]), "points"),
        ("sel_points(t, time=['2001-02-01'], x=[1])", dict(time=["2001-02-01"], x=[1]), "points"),
        ("isel_points(t, y=[-1, 0, 2, 2], x=[0, -1, 3, 3], dim='p')", dict(y=[-1, 0, 2, 2], x=[0, -1, 3, 3]), "p"),
        ("isel_points(t, y=[1, 0], dim='y')", dict(y=[1, 0]), "y"),
        ("isel_points(t, time=[0, 1], y=[3, 4], x=[1, 1]) * 2", dict(time=[0, 1], y=[3, 4], x=[1, 1]), "points"),
    ],
)
def test_points_are_xarrays(stored, tmp_path, ours, theirs, dim):
    """xarray's `sel` and `isel` with arrays of one new dimension."""
    found, t = evaluated(stored, ours, tmp_path), opened(stored).t
    points = {name: xarray.DataArray(np.array(values, "M8[ns]") if name == "time" and "sel_p" in ours[:5] else values, dims=dim) for name, values in theirs.items()}
    if ours.startswith("isel"):
        wanted = t.isel(points)
    else:
        wanted = t.sel(points, method="nearest" if "nearest" in ours else None)
    assert_as(found.r, wanted * 2 if ours.endswith("* 2") else wanted)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("sel_points(t, y=[0, 1], x=[3])", ["lists of"]),
        ("sel_points(t, y=0, x=1)", ["a list"]),
        ("sel_points(t, y=[0], x=[0.3])", ["'x'", "nearest"]),
        ("isel_points(t, y=[0], dim='time')", ["'time'", "dim"]),
        ("isel_points(t, y=[9])", ["9"]),
        ("isel_points(t)", ["needs a dimension"]),
    ],
)
def test_points_that_are_none_are_refused(tmp_path, call, words):
    rotated().to_netcdf(tmp_path / "a.nc")
    assert_refusal(arrayctl("eval", call, "-i", f"t={tmp_path / 'a.nc'}::t", "-o", tmp_path / "o.nc"), {2}, words)


def test_damaged_coordinates_that_meet_others_are_left_out(tmp_path):
    """What is computed needs none of them."""
    for number in range(2):
        rotated(number).to_zarr(tmp_path / f"{number}.zarr", zarr_format=2)
    chunk = tmp_path / "1.zarr" / "lat" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    inputs = ["-i", f"t={tmp_path / '0.zarr'}::t", "-i", f"u={tmp_path / '1.zarr'}::t"]
    done = succeed("eval", "r = t - u", *inputs, "-o", tmp_path / "out.nc")
    assert "'lat' are left out" in done.stderr
    found = opened(tmp_path / "out.nc")
    np.testing.assert_array_equal(found.r, rotated(0).t - rotated(1).t)
    assert "lat" not in found.coords and "lon" in found.coords
