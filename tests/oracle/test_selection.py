"""`sel` and `isel` beside xarray's: numbers, dates that say less than the data, lists, slices, methods; and what is refused."""

import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Six-hourly data of three months, latitudes that descend, longitudes in float32."""
    path = tmp_path_factory.mktemp("selection") / "field.nc"
    time = np.arange("2001-01-01", "2001-04-01", 6, dtype="M8[h]").astype("M8[ns]")
    lat, lon = np.linspace(60, 30, 7), np.arange(0, 1, 0.1, dtype="f4")
    values = np.random.default_rng(2).normal(size=(len(time), len(lat), len(lon)))
    coordinates = {"time": time, "lat": ("lat", lat, {"units": "degrees_north"}), "lon": lon}
    dataset = xarray.Dataset({"t": (("time", "lat", "lon"), values, {"units": "K"})}, coords=coordinates)
    dataset.to_netcdf(path)
    return path


def selected(field, expression, out):
    succeed("eval", f"r = {expression}", "-i", f"t={field}::t", "-o", out)
    with xarray.open_dataset(out) as found:
        return found.load()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ('time="2001-02"', dict(time="2001-02")),
        ('time="2001-02-03"', dict(time="2001-02-03")),
        ('time="2001-02-03T06"', dict(time="2001-02-03T06")),
        ('time=["2001-02-03T06", "2001-01-01T00"]', dict(time=["2001-02-03T06", "2001-01-01T00"])),
        ('time=slice("2001-01-30", "2001-02")', dict(time=slice("2001-01-30", "2001-02"))),
        ('time=slice("2001-03", None, 4)', dict(time=slice("2001-03", None, 4))),
        ('time=slice(None, "2001-01-01T12")', dict(time=slice(None, "2001-01-01T12"))),
        ("lat=45", dict(lat=45)),
        ("lat=[60, 30, 45]", dict(lat=[60, 30, 45])),
        ("lat=slice(50, 35), lon=slice(0.25, 0.65)", dict(lat=slice(50, 35), lon=slice(0.25, 0.65))),
        ('lat=51, lon=0.31, method="nearest"', dict(lat=51, lon=0.31, method="nearest")),
        ('lat=51, method="pad"', dict(lat=51, method="pad")),
        ('lat=51, method="backfill"', dict(lat=51, method="backfill")),
        ('lat=51, method="nearest", tolerance=1.5', dict(lat=51, method="nearest", tolerance=1.5)),
        (
            'time="2001-02-03T08", method="pad", tolerance="3h"',
            dict(time="2001-02-03T08", method="pad", tolerance=np.timedelta64(3, "h")),
        ),
        ('time="2001-02-03T08", method="nearest"', dict(time="2001-02-03T08", method="nearest")),
    ],
)
def test_selection_is_xarrays(field, tmp_path, ours, theirs):
    found = selected(field, f"sel(t, {ours})", tmp_path / "out.nc").r
    with xarray.open_dataset(field) as dataset:
        wanted = dataset.t.sel(**theirs).load()
    xarray.testing.assert_equal(found, wanted)
    assert found.attrs == wanted.attrs


def test_float32_coordinates_equal_what_is_written(field, tmp_path):
    found = selected(field, "t.sel(lon=0.3)", tmp_path / "out.nc").r
    with xarray.open_dataset(field) as dataset:
        np.testing.assert_array_equal(found, dataset.t[:, :, 3])


def test_positions_along_dimensions(field, tmp_path):
    with xarray.open_dataset(field) as dataset:
        for number, (ours, theirs) in enumerate(
            [
                ("time=0, lat=slice(1, 4)", dict(time=0, lat=slice(1, 4))),
                ("time=slice(3)", dict(time=slice(3))),
                ("lon=[-1, 0, 3]", dict(lon=[-1, 0, 3])),
                ("time=slice(None, None, -50)", dict(time=slice(None, None, -50))),
            ]
        ):
            found = selected(field, f"isel(t, {ours})", tmp_path / f"{number}.nc").r
            wanted = dataset.t.isel(**theirs).load()
            xarray.testing.assert_equal(found, wanted)
        found = selected(field, "t[slice(3, 7), ..., slice(None, None, 2)]", tmp_path / "plain.nc").r
        xarray.testing.assert_equal(found, dataset.t[3:7, :, ::2].load())


def test_other_calendars(tmp_path):
    times = xarray.date_range("2000-01-01", periods=720, calendar="360_day", use_cftime=True)
    values = np.arange(720.0)
    xarray.Dataset({"t": ("time", values)}, coords={"time": times}).to_netcdf(tmp_path / "a.nc")
    found = selected(tmp_path / "a.nc", 'sel(t, time=slice("2000-02-30", "2001-02"))', tmp_path / "b.nc").r
    np.testing.assert_array_equal(found, values[59:420])
    refused = arrayctl("eval", 'sel(t, time="2000-01-31")', "-i", f"t={tmp_path / 'a.nc'}::t")
    assert_refusal(refused, {2}, ["2000-01-31", "360_day"])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("sel(t, lat=44)", ["none is 44", "45", "nearest"]),
        ('sel(t, lat=44, method="nearest", tolerance=0.5)', ["nearest to 44", "45, 1 away", "tolerance is 0.5"]),
        ('sel(t, time="2001-03-31T22", method="nearest", tolerance="2h")', ["4 h away", "tolerance is 2 h"]),
        ('sel(t, lat=[45, 44], tolerance=3)', ["needs a method"]),
        ('sel(t, time="2001-02-03T08", method="pad", tolerance=3)', ["'time'", "6h"]),
        ('sel(t, lat=44, method="pad", tolerance="3h")', ["'lat'", "a number"]),
        ('sel(t, lat=44, method="pad", tolerance="MS")', ["days or less"]),
        ('sel_points(t, lat=[44, 80], lon=[0.1, 0.2], method="nearest", tolerance=1)', ["nearest to 80", "20 away"]),
        ("sel(t, lat=slice(35, 50))", ["descend", "slice(50, 35)"]),
        ("sel(t, lon=slice(0.6, 0.2))", ["ascend", "slice(0.2, 0.6)"]),
        ("sel(t, lat=slice(90, 80))", ["none is between", "60", "30"]),
        ('sel(t, time="2002")', ["none is in '2002'"]),
        ('sel(t, time="soon")', ["no date"]),
        ('sel(t, lat="north")', ["lat"]),
        ("sel(t, height=3)", ["no dimension 'height'", "time, lat, lon"]),
        ("sel(t)", ["needs a dimension"]),
        ('sel(t, lat=44, method="linear")', ["no method 'linear'"]),
        ("isel(t, time=99999)", ["99999"]),
        ('isel(t, time="2001")', ["positions"]),
        ("sel(t[:, :, 0] * 1, lat=slice(60, 30, 0))", ["step"]),
    ],
)
def test_what_is_not_there_is_refused(field, expression, words):
    assert_refusal(arrayctl("eval", expression, "-i", f"t={field}::t"), {2}, words)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_names_of_stations(tmp_path, suffix):
    names = np.array(["Bern", "Ulm", "Oslo", "Łódź"], object)
    values = np.arange(12.0).reshape(4, 3)
    whole = xarray.Dataset({"t": (("station", "x"), values)}, coords={"station": names})
    path = tmp_path / f"a.{suffix}"
    whole.to_netcdf(path) if suffix == "nc" else whole.to_zarr(path)
    for number, (ours, theirs) in enumerate(
        [
            ('sel(t, station="Ulm")', whole.t.sel(station="Ulm", drop=True)),
            ('sel(t, station=["Oslo", "Bern"])', whole.t.sel(station=["Oslo", "Bern"])),
            ("t[[0, 3]] * 2", whole.t[[0, 3]] * 2),
            ("concatenate([t[1:3], t[:1]])", xarray.concat([whole.t[1:3], whole.t[:1]], "station")),
        ]
    ):
        found = selected(path, ours, tmp_path / f"{number}.{suffix}") if suffix == "nc" else None
        if found is None:
            succeed("eval", f"r = {ours}", "-i", f"t={path}::t", "-o", tmp_path / f"{number}.zarr")
            found = xarray.open_zarr(tmp_path / f"{number}.zarr").load()
        np.testing.assert_array_equal(found.r, theirs)
        if "station" in theirs.dims:
            assert found.station.values.tolist() == theirs.station.values.tolist()
    other = tmp_path / "other.nc"
    whole.assign_coords(station=names[::-1]).to_netcdf(other)
    clash = arrayctl("eval", "t + u", "-i", f"t={path}::t", "-i", f"u={other}::t")
    assert_refusal(clash, {2}, ["'Bern'", "'Łódź'", "unlabelled"])
    assert_refusal(arrayctl("eval", 'sel(t, station="Rom")', "-i", f"t={path}::t"), {2}, ["'Rom'", "Bern"])
    assert_refusal(arrayctl("eval", 't.groupby("station").mean()', "-i", f"t={path}::t"), {2}, ["texts"])
