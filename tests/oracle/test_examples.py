"""The examples that store something, beside NumPy, zarr-python and xarray."""

import json
import os
import pathlib
import re
import subprocess

import numcodecs
import numpy as np
import pytest
import scipy.ndimage
import xarray
import zarr
from driver import arrayctl_path


def example(name, *args):
    """Runs a built example; what it prints."""
    path = pathlib.Path(arrayctl_path()).parent / "examples" / name
    command = [path, *map(str, args)]
    environment = {**os.environ, "RUST_BACKTRACE": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def dataset(days, first=0, packed=False):
    """Two variables and their coordinates, with attributes; `packed`: one is stored as scaled integers."""
    time = np.arange(first, first + days)
    values = (time[:, None, None] * 100.0 + np.arange(5)[:, None] * 10 + np.arange(7)).astype("float32")
    variables = {
        "t2m": (("time", "lat", "lon"), values, {"units": "K"}),
        "mean": (("time",), values.mean((1, 2))),
        "mask": (("lat", "lon"), values[0] > values[0].mean()),
    }
    coordinates = {"time": ("time", time, {"axis": "T"}), "lat": np.arange(5.0), "lon": np.arange(7.0)}
    data = xarray.Dataset(variables, coordinates, {"title": "days"})
    if packed:
        data["t2m"].encoding = {"dtype": "int32", "scale_factor": 0.5, "add_offset": 3.0, "_FillValue": -9}
    return data


FORMS = {
    "v3": ({"zarr_format": 3}, {}),
    "v2": ({"zarr_format": 2}, {}),
    "v3 in shards": ({"zarr_format": 3}, {"t2m": {"chunks": (2, 5, 3), "shards": (4, 5, 6)}}),
    "v3 not consolidated": ({"zarr_format": 3, "consolidated": False}, {"t2m": {"chunks": (3, 2, 7)}}),
    "v2 in chunks": ({"zarr_format": 2}, {"t2m": {"chunks": (4, 3, 2)}, "time": {"chunks": (3,)}}),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("form", FORMS)
def test_appended_days_are_xarrays(tmp_path, form, packed):
    options, encoding = FORMS[form]
    store, more = tmp_path / "days.zarr", tmp_path / "more.zarr"
    days = dataset(7, packed=packed)
    for name, chunks in encoding.items():
        days[name].encoding.update(chunks)
    days.to_zarr(store, **options)
    for first, days in [(7, 3), (10, 1), (11, 9)]:
        dataset(days, first, packed).to_zarr(more, mode="w", zarr_format=3)
        run = example("append", more, store, "time")
        assert run.returncode == 0, run.stderr
    for consolidated in [False, None]:
        with xarray.open_zarr(store, consolidated=consolidated) as found:
            xarray.testing.assert_identical(found.load(), dataset(20))
    assert zarr.open_group(store, mode="r")["t2m"].shape == (20, 5, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["days.zarr", "more.zarr"]


@pytest.mark.parametrize("form", FORMS)
def test_replaced_days_are_xarrays(tmp_path, form):
    options, encoding = FORMS[form]
    store, more = tmp_path / "days.zarr", tmp_path / "more.nc"
    dataset(9).to_zarr(store, encoding=encoding, **options)
    late = dataset(4, 1000)
    late.to_netcdf(more)
    run = example("append", more, store, "time", 3)
    assert run.returncode == 0, run.stderr
    expected = xarray.concat(
        [dataset(3), late, dataset(2, 7)], "time", data_vars="minimal", coords="minimal", compat="override"
    )
    with xarray.open_zarr(store) as found:
        np.testing.assert_array_equal(found["t2m"], expected["t2m"])
        np.testing.assert_array_equal(found["time"], expected["time"])
        np.testing.assert_array_equal(found["mean"], expected["mean"])


def test_what_cannot_be_appended_is_refused(tmp_path):
    store, more = tmp_path / "days.zarr", tmp_path / "more.zarr"
    dataset(5).to_zarr(store)
    dataset(2, 5).drop_vars("mean").to_zarr(more)
    run = example("append", more, store, "time")
    assert run.returncode != 0 and "append to it in the same call" in run.stderr
    with xarray.open_zarr(store) as found:
        xarray.testing.assert_identical(found.load(), dataset(5))
    filtered = tmp_path / "filtered.zarr"
    options = {"zarr_format": 2, "filters": [numcodecs.Delta("<i8")], "attributes": {"_ARRAY_DIMENSIONS": ["time"]}}
    zarr.create_array(filtered / "time", shape=(5,), chunks=(2,), dtype="<i8", **options)[:] = np.arange(5)
    xarray.Dataset(coords={"time": np.arange(5, 7)}).to_zarr(more, mode="w")
    run = example("append", more, filtered, "time")
    assert run.returncode != 0 and "are not written; write the array anew" in run.stderr, run.stderr
    assert zarr.open_array(filtered / "time", mode="r")[:].tolist() == [0, 1, 2, 3, 4]


def test_the_climate_tour_is_numpys(tmp_path, coads):
    """Means, variance explained and what the tour stores, computed again with xarray and NumPy alone."""
    run = example("climate_tour", tmp_path / "anomaly.nc")
    assert run.returncode == 0, run.stderr
    sst = xarray.open_dataset(coads, decode_times=False)["SST"].load()
    climatology = sst.astype("float64").mean("TIME").astype("float32")
    anomaly = sst - climatology
    area = np.cos(np.deg2rad(sst["COADSY"]))
    mean = float(climatology.weighted(area).mean())
    assert f"mean sea surface temperature: {mean:.2f} degrees C" in run.stdout
    phase = 2 * np.pi * np.arange(12) / 12
    full = anomaly.values.astype("float64")  # NaN wherever a month is missing
    cosine, sine = ((full * wave(phase)[:, None, None] * 2).mean(0) for wave in (np.cos, np.sin))
    explained, variance = (cosine**2 + sine**2) / 2, (full**2).mean(0)
    weights = area.values[:, None]
    rows = {"all seas": slice(0, 90), "south of 30 S": slice(0, 30), "30 S to 30 N": slice(30, 60), "north of 30 N": slice(60, 90)}
    for region, part in rows.items():
        share = 100 * np.nansum((explained * weights)[part]) / np.nansum((variance * weights)[part])
        printed = re.search(rf"a year, {re.escape(region)}: ([\d.]+) %", run.stdout)
        assert printed and abs(float(printed[1]) - share) <= 0.051, (region, share, run.stdout)
    largest = re.search(r"largest anomaly: ([\d.]+)", run.stdout)
    assert largest and abs(float(largest[1]) - float(np.abs(anomaly).max())) <= 0.0051
    with xarray.open_dataset(tmp_path / "anomaly.nc", decode_times=False) as found:
        np.testing.assert_allclose(found["anomaly"], anomaly, rtol=0, atol=2e-6)
        np.testing.assert_allclose(found["climatology"], climatology, rtol=0, atol=2e-6)
        for name in ("TIME", "COADSY", "COADSX"):
            np.testing.assert_array_equal(found[name], sst[name])


def test_eofs_are_numpys(tmp_path, coads):
    """Explained variance, patterns and scores, computed again by NumPy's SVD of the weighted anomalies."""
    run = example("eof", tmp_path / "eof.nc")
    assert run.returncode == 0, run.stderr
    sst = xarray.open_dataset(coads, decode_times=False)["SST"].load().astype("f8")
    sst = sst.where(sst.notnull().all("TIME"))
    weights = np.sqrt(np.cos(np.deg2rad(sst["COADSY"]))).values[:, None] * np.ones(sst.shape[1:])
    sea = sst[0].notnull().values
    assert f"{sea.sum()} cells of the sea" in run.stdout
    samples = sst.values[:, sea]
    anomaly = samples - samples.mean(0)
    u, s, v = np.linalg.svd(anomaly * weights[sea], full_matrices=False)
    signs = np.where(v.sum(1) < 0, -1.0, 1.0)
    printed = re.findall(r"EOF \d: ([\d.]+) % of the variance \(([\d.]+)", run.stdout)
    assert len(printed) == 4
    for (share, variance), own in zip(printed, s):
        assert abs(float(share) - 100 * own**2 / (s**2).sum()) <= 0.0051
        assert abs(float(variance) - own**2 / 11) <= 0.051
    scores = u * signs * np.sqrt(11)
    months = [float(word) for word in run.stdout.split("deviations: ")[1].splitlines()[0].split()]
    np.testing.assert_allclose(months, scores[:, 0], atol=0.0051)
    with xarray.open_dataset(tmp_path / "eof.nc", decode_times=False) as found:
        np.testing.assert_allclose(found["pc"], scores[:, :4], atol=2e-5)
        patterns = np.full((4, *sea.shape), np.nan)
        patterns[:, sea] = ((v.T * signs * s)[:, :4] / weights[sea][:, None] / np.sqrt(11)).T
        np.testing.assert_allclose(found["eof"], patterns, atol=3e-5)
        np.testing.assert_allclose(found["mean"].values[sea], samples.mean(0), rtol=1e-6)
    rest = anomaly - (u[:, :2] * s[:2]) @ v[:2] / weights[sea]
    printed = re.search(r"two EOFs: ([\d.]+) degrees", run.stdout)
    assert printed and abs(float(printed[1]) - np.sqrt((rest**2).mean())) <= 0.00051


def test_denoised_images_are_as_good_as_numpys(tmp_path):
    """Shot noise taken out by a random basis leaves as little error as NumPy's whole SVD."""
    store = tmp_path / "images.zarr"
    run = example("denoise", store)
    assert run.returncode == 0, run.stderr
    scene, counts, denoised = (zarr.open_group(store, mode="r")[name][...] for name in ("scene", "counts", "denoised"))
    # Counts of a camera: whole, with the scene as mean and variance.
    assert np.all(counts == np.round(counts)) and abs((counts - scene).mean()) < 0.01
    assert abs(((counts - scene) ** 2 / scene).mean() - 1) < 0.02
    errors = [np.sqrt(((images.astype("f8") - scene) ** 2).mean()) for images in (counts, denoised)]
    printed = re.search(r"error: ([\d.]+) photons before, ([\d.]+) after", run.stdout)
    assert printed and np.allclose([float(number) for number in printed.groups()], errors, atol=0.00051)
    roots = 2 * np.sqrt(counts.reshape(len(counts), -1) + 0.375).astype("f8")
    mean = roots.mean(0)
    u, s, v = np.linalg.svd(roots - mean, full_matrices=False)
    own = ((u[:, :16] * s[:16]) @ v[:16] + mean) ** 2 / 4 - 0.125
    own_error = np.sqrt(((own.reshape(scene.shape) - scene) ** 2).mean())
    assert errors[1] < 1.02 * own_error and errors[1] < errors[0] / 3


def test_labels_are_scipys(tmp_path):
    """Random volumes, neighbours and chunks: the very numbers, since both follow first elements in C order."""
    rng = np.random.default_rng(11)
    blocks = 0
    for case in range(24):
        rank = int(rng.integers(1, 4))
        shape = tuple(int(n) for n in rng.integers(1, [60, 24, 14][rank - 1], rank))
        chunks = tuple(int(rng.integers(1, n + 1)) for n in shape)
        # From single elements to what hangs together throughout; smooth shapes that reach across many chunks too.
        values = rng.random(shape)
        if case % 2:
            values = scipy.ndimage.uniform_filter(values, 3)
        threshold = float(np.quantile(values, rng.uniform(0.2, 0.9)))
        source, out = tmp_path / f"{case}.zarr", tmp_path / f"{case} labels.zarr"
        zarr.create_array(source, data=values, chunks=chunks)
        neighbours = int(rng.integers(1, rank + 1))
        words = ["blocks"] if case % 3 else []
        run = example("label", source, threshold, out, neighbours, *words)
        assert run.returncode == 0, run.stderr
        structure = scipy.ndimage.generate_binary_structure(rank, neighbours)
        wanted, count = scipy.ndimage.label(values > threshold, structure)
        found = zarr.open_array(out)
        assert json.loads(run.stdout)["check"] == count, (shape, chunks, neighbours)
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found[...], wanted, f"{shape} {chunks} {neighbours}")
        blocks += int(np.prod([-(-n // m) for n, m in zip(shape, chunks)])) if words else 1
    assert blocks > 100
