"""Group-by, resampling, anomalies and weighted means beside xarray with flox, on random time axes of all CF calendars."""

import os
import random

import cftime
import numpy as np
import pytest
import xarray
from driver import arrayctl, assert_refusal, succeed

SEEDS = int(os.environ.get("BLOCKWISE_GROUP_SEEDS", "4"))
CALENDARS = ["standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"]
UNITS = ["days", "hours", "minutes", "seconds", "milliseconds", "microseconds"]
FIELDS = ["month", "season", "dayofyear", "year", "hour", "day"]
OPS = ["sum", "mean", "count", "min", "max", "var", "std", "first", "last", "median"]
FREQUENCIES = [
    "MS", "ME", "2MS", "3ME", "QS", "QS-DEC", "QE-FEB", "2QS-NOV", "YS", "YE", "YS-JUL", "YE-SEP", "2YS", "D", "5D", "31D",
    "6h", "36h",
]  # fmt: skip


@pytest.fixture(autouse=True)
def flox():
    with xarray.set_options(use_flox=True, keep_attrs=False):
        yield


def series(rng, calendar, years=(1, 4), hourly=False, gaps=True):
    """Values with NaN on a random time axis: ascending, uneven, of a random calendar date on."""
    nprng = np.random.default_rng(rng.randrange(1 << 30))
    first = rng.choice([1, 1579, 1581, 1899, 1999, 2019]) if calendar in ("standard", "julian") else rng.choice([1850, 1999, 2100])
    step = rng.choice([1, 3, 6, 12]) if hourly else rng.choice([12, 24, 24, 24, 36, 120])
    count = min(rng.randint(*years) * 366 * 24 // step, 900)
    hours = np.arange(count) * step
    if gaps and rng.random() < 0.6:
        hours = hours[nprng.random(count) < 0.8]
    unit = rng.choice(UNITS)
    units = f"{unit} since {first}-{rng.choice(['01-01', '11-15', '06-30 06:00:00'])}"
    start = cftime.num2date(0, f"hours since {first}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", calendar)
    offset = cftime.date2num(start, units, calendar)
    per_hour = {"days": 1 / 24, "hours": 1, "minutes": 60, "seconds": 3600, "milliseconds": 3.6e6, "microseconds": 3.6e9}
    time = offset + hours * per_hour[unit]
    if unit != "days" and rng.random() < 0.7:
        time = np.round(time).astype("i8")
    shape = [len(hours), rng.choice([1, 3, 5]), rng.choice([1, 4, 70])]
    dims = ["time", "lat", "lon"]
    values = nprng.normal(10, 4, shape).round(3)
    values[nprng.random(shape) < 0.1] = np.nan
    if rng.random() < 0.3:
        values[: len(hours) // 3, 0] = np.nan
    axis = rng.choice([0, 0, 1, 2])
    values, dims = np.moveaxis(values, 0, axis), dims[1 : axis + 1] + ["time"] + dims[axis + 1 :]
    data = xarray.Dataset(
        {"x": (dims, values, {"units": "K"})},
        {
            "time": ("time", time, {"units": units, "calendar": calendar}),
            "lat": ("lat", np.linspace(-60, 70, shape[1]), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(float(shape[2]))),
        },
    )
    chunks = [rng.choice([1 + n // 7, 1 + n // 2, n]) for n in values.shape]
    return data, {"x": {"chunksizes": chunks, "_FillValue": np.nan}}


def stored(tmp_path, data, encoding, name="in.nc"):
    path = tmp_path / name
    data.to_netcdf(path, engine="netcdf4", encoding=encoding)
    return path, xarray.open_dataset(path, engine="netcdf4").x.load()


def evaluated(tmp_path, path, texts):
    """What `eval` gives for each text, read by xarray."""
    text = "; ".join(f"r{n} = {text}" for n, text in enumerate(texts))
    outputs = [part for n in range(len(texts)) for part in ("-o", f"r{n}={tmp_path / f'r{n}.nc'}")]
    succeed("eval", text, "-i", f"x={path}::x", "--overwrite", *outputs)
    results = []
    for n in range(len(texts)):
        with xarray.open_dataset(tmp_path / f"r{n}.nc", engine="netcdf4") as found:
            results.append(found[f"r{n}"].load())
    return results


def assert_same(found, expected, what):
    assert found.dims == expected.dims, what
    assert found.shape == expected.shape, what
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-9, err_msg=str(what))
    for dim in expected.dims:
        if dim in expected.coords:
            assert dim in found.coords, what
            assert list(found[dim].values) == list(expected[dim].values), (what, dim)


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_groups_are_xarrays(tmp_path, calendar, seed):
    rng = random.Random(f"groups {calendar} {seed}")
    data, encoding = series(rng, calendar, hourly=seed == 3)
    path, x = stored(tmp_path, data, encoding)
    fields = rng.sample(FIELDS, 3)
    texts, expected = [], []
    for field in fields:
        groups = x.groupby(f"time.{field}")
        for op in rng.sample(OPS, 4):
            texts.append(f"x.groupby('time.{field}').{op}()")
            expected.append(getattr(groups, op)())
        skipna = rng.random() < 0.5
        texts.append(f"x.groupby('time.{field}').mean(skipna={skipna})")
        expected.append(groups.mean(skipna=skipna))
        texts.append(f"x.groupby('time.{field}').std(ddof=1)")
        expected.append(groups.std(ddof=1))
        texts.append(f"x.groupby('time.{field}').quantile(0.3)")
        expected.append(groups.quantile(0.3).transpose(*expected[-1].dims))
        texts.append(f"anomaly(x, 'time.{field}')")
        expected.append((groups - groups.mean()).transpose(*x.dims))
        texts.append(f"x.groupby('time.{field}') / x.groupby('time.{field}').max()")
        expected.append((groups / groups.max()).transpose(*x.dims))
    for text, found, wanted in zip(texts, evaluated(tmp_path, path, texts), expected, strict=True):
        dims = tuple(text.split("'time.")[1].split("'")[0] if dim == "time" else dim for dim in x.dims)
        reduced = "anomaly" not in text and "/" not in text
        assert_same(found, wanted.transpose(*dims) if reduced else wanted, text)


@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_resampling_is_xarrays(tmp_path, calendar, seed):
    rng = random.Random(f"resample {calendar} {seed}")
    data, encoding = series(rng, calendar, hourly=seed == 3)
    if calendar == "standard" and data.time.attrs["units"].split()[2].startswith("158"):
        pytest.skip("no bin may start within the ten days that the calendar lacks")
    path, x = stored(tmp_path, data, encoding)
    texts, expected = [], []
    for frequency in rng.sample(FREQUENCIES, 5):
        bins = x.resample(time=frequency)
        for op in rng.sample(OPS, 3):
            texts.append(f"x.resample('{frequency}').{op}()")
            wanted = getattr(bins, op)()
            # With flox nothing counts as NaN, without it as 0.
            expected.append(wanted.fillna(0) if op == "count" else wanted)
    for text, found, wanted in zip(texts, evaluated(tmp_path, path, texts), expected, strict=True):
        assert_same(found, wanted.transpose(*x.dims), text)


@pytest.mark.parametrize("suffix", ["nc", "zarr", "h5"])
def test_reduce_by_writes_what_xarray_opens(tmp_path, suffix):
    rng = random.Random(f"reduce {suffix}")
    data, encoding = series(rng, "noleap", gaps=False)
    path, x = stored(tmp_path, data, encoding)
    for number, (arguments, expected) in enumerate([
        (["mean", "--by", "time.month"], x.groupby("time.month").mean()),
        (["nanmax", "--by", "time.season"], x.groupby("time.season").max()),
        (["std", "--by", "lat"], x.groupby("lat").std()),
        (["mean", "--resample", "QS-DEC"], x.resample(time="QS-DEC").mean()),
        (["count", "--resample", "MS", "--axis", "time"], x.resample(time="MS").count()),
        (["anomaly", "--by", "time.dayofyear"], x.groupby("time.dayofyear") - x.groupby("time.dayofyear").mean()),
    ]):
        output = tmp_path / f"out{number}.{suffix}"
        succeed("reduce", arguments[0], f"{path}::x", *arguments[1:], "-o", output)
        engine = {"nc": "netcdf4", "h5": "netcdf4", "zarr": "zarr"}[suffix]
        with xarray.open_dataset(output, engine=engine) as found:
            dims = [arguments[2].split(".")[-1] if dim not in expected.dims else dim for dim in x.dims]
            assert_same(found.x.load(), expected.transpose(*dims), arguments)


def test_zarr_dates_of_numpy_are_times(tmp_path):
    time = np.datetime64("1999-11-20", "ns") + np.arange(200) * np.timedelta64(36, "h")
    x = xarray.DataArray(np.random.default_rng(3).normal(size=(200, 3)), {"time": time}, ["time", "y"], name="x")
    path = tmp_path / "in.zarr"
    x.to_dataset().to_zarr(path, zarr_format=2, consolidated=False)
    for text, expected in [
        ("x.groupby('time.season').mean()", x.groupby("time.season").mean()),
        ("x.resample('QS-DEC').max()", x.resample(time="QS-DEC").max()),
    ]:
        succeed("eval", text, "-i", f"x={path}::x", "-o", tmp_path / "out.nc", "--overwrite")
        with xarray.open_dataset(tmp_path / "out.nc") as found:
            assert_same(found.x.load(), expected.transpose(*found.x.dims), text)


@pytest.mark.parametrize("seed", range(6))
def test_weighted_means_are_xarrays(tmp_path, seed):
    rng = random.Random(f"weighted {seed}")
    data, encoding = series(rng, "standard")
    path, x = stored(tmp_path, data, encoding)
    weights = np.cos(np.deg2rad(x.lat))
    weighted = x.weighted(weights)
    texts = [
        "x.weighted(coslat(x)).mean(('lat', 'lon'))",
        "x.weighted(cos(radians(coordinate(x, 'lat')))).mean('lat')",
        "x.weighted(coslat(x)).sum()",
        "x.weighted(coslat(x)).sum_of_weights(('lat',))",
        "x.weighted(coslat(x)).mean(('lat', 'lon')).groupby('time.month').mean()",
    ]
    expected = [
        weighted.mean(("lat", "lon")), weighted.mean("lat"), weighted.sum(), weighted.sum_of_weights("lat"),
        weighted.mean(("lat", "lon")).groupby("time.month").mean(),
    ]  # fmt: skip
    for text, found, wanted in zip(texts, evaluated(tmp_path, path, texts), expected, strict=True):
        assert_same(found, wanted.transpose(*found.dims), text)


def test_labels_may_be_given(tmp_path):
    rng = random.Random("labels")
    data, encoding = series(rng, "julian", years=(1, 1))
    path, x = stored(tmp_path, data, encoding)
    labels = [rng.choice([3, 8, 8, 1]) for _ in range(x.sizes["lon"])]
    text = f"x.groupby({labels}, 'lon').mean()"
    expected = x.groupby(xarray.DataArray(labels, dims="lon", name="g")).mean().rename(g="lon")
    assert_same(evaluated(tmp_path, path, [text])[0], expected.transpose(*x.dims), text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x.groupby('time.fortnight').mean()", ["fortnight", "month"]),
        ("x.groupby('depth.month').mean()", ["depth"]),
        ("x.groupby('lat.month').mean()", ["lat", "times"]),
        ("x.groupby('time.month')", ["reduced"]),
        ("x.groupby('time.month').cumsum()", ["cumsum"]),
        ("x.resample('fortnightly').mean()", ["fortnightly", "QS-DEC"]),
        ("x.groupby([1, 2], 'time').mean()", ["labels"]),
        ("x.weighted(coslat(x)).max()", ["max"]),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, text, words):
    data, encoding = series(random.Random("wrong"), "360_day", years=(1, 1))
    path, _ = stored(tmp_path, data, encoding)
    assert_refusal(arrayctl("eval", text, "-i", f"x={path}::x", "-o", tmp_path / "o.nc"), [2], words)


@pytest.mark.parametrize("units", ["years since 2000-01-01", "months since 2000-01-01", "days since then"])
def test_times_of_no_fixed_length_are_refused(tmp_path, units):
    x = xarray.Dataset({"x": ("time", np.arange(5.0))}, {"time": ("time", np.arange(5), {"units": units})})
    x.to_netcdf(tmp_path / "in.nc")
    run = arrayctl("reduce", "mean", f"{tmp_path / 'in.nc'}::x", "--by", "time.month")
    assert_refusal(run, [2], [units])
