"""Pyramids: every level is what NumPy makes of the one before, the metadata is valid OME-NGFF 0.5, and others open it."""

import importlib.util
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import jsonschema
import numpy as np
import ome_zarr_models
import pytest
import referencing
import tifffile
import zarr
from driver import BASELINE_BYTES, MIB, arrayctl, arrayctl_path, assert_refusal, read_tensorstore, succeed
from referencing.jsonschema import DRAFT202012

RNG = np.random.default_rng(5)


def boxes(x, factors):
    """The elements of each box along a last axis, and which of them are there."""
    pad = [(0, -n % f) for n, f in zip(x.shape, factors)]
    there = np.pad(np.ones(x.shape, bool), pad)
    x = np.pad(x, pad)
    shape = sum(((n // f, f) for n, f in zip(x.shape, factors)), ())
    order = [*range(0, 2 * x.ndim, 2), *range(1, 2 * x.ndim, 2)]
    flat = [n // f for n, f in zip(x.shape, factors)] + [-1]
    return tuple(a.reshape(shape).transpose(order).reshape(flat) for a in (x, there))


def smaller(x, factors, method):
    """The next level, by plain NumPy."""
    values, there = boxes(x, factors)
    if method == "nearest":
        return x[tuple(slice(None, None, f) for f in factors)]
    if x.dtype.kind == "f":
        there &= ~np.isnan(values)
    if method in ("max", "min"):
        lowest, highest = (-np.inf, np.inf) if x.dtype.kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        if method == "max":
            return np.where(there, values, x.dtype.type(lowest)).max(-1)
        return np.where(there, values, x.dtype.type(highest)).min(-1)
    if method == "mode":
        out = np.empty(values.shape[:-1], x.dtype)
        for at in np.ndindex(out.shape):
            found, counts = np.unique(values[at][there[at]], return_counts=True)
            out[at] = found[counts.argmax()]
        return out
    count = there.sum(-1)
    if x.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            return (np.where(there, values, 0).astype("f8").sum(-1) / count).astype(x.dtype)
    sums = np.where(there, values, 0).astype("i8").sum(-1)
    whole, rest = np.divmod(sums, count)
    return (whole + (2 * rest + (whole & 1) > count)).astype(x.dtype)


def store(path, x, chunks, names=None, **options):
    array = zarr.create_array(str(path), shape=x.shape, chunks=chunks, dtype=x.dtype, dimension_names=names, **options)
    array[...] = x


def metadata(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]


def validate(path):
    """By the JSON schemas of OME-NGFF 0.5, the strict one included."""
    # The package is not imported: only its files are installed.
    folder = pathlib.Path(importlib.util.find_spec("ngff_zarr").origin).parent / "spec" / "0.5" / "schemas"
    schemas = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.schema")}
    resources = [(schema["$id"], DRAFT202012.create_resource(schema)) for schema in schemas.values()]
    registry = referencing.Registry().with_resources(resources)
    for name in ("image", "strict_image"):
        jsonschema.Draft202012Validator(schemas[name], registry=registry).validate(metadata(path))


def check_levels(path, x, factors, method):
    image = ome_zarr_models.open_ome_zarr(zarr.open_group(str(path), mode="r"))
    [multiscale] = image.ome_attributes.multiscales
    for number, dataset in enumerate(multiscale.datasets):
        if number:
            x = smaller(x, [min(f, n) for f, n in zip(factors, x.shape)], method)
        found = zarr.open_array(str(path / dataset.path), mode="r")[...]
        np.testing.assert_array_equal(found, read_tensorstore(path / dataset.path))
        assert found.dtype == x.dtype
        if x.dtype.kind == "f" and method == "mean":  # sums in another order
            np.testing.assert_allclose(found, x, rtol=4 * np.finfo(x.dtype).eps)
        else:
            np.testing.assert_array_equal(found, x)
    return len(multiscale.datasets)


@pytest.mark.parametrize("method", ["mean", "nearest", "max", "min", "mode"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4", "f8"])
def test_levels_equal_numpy(tmp_path, method, dtype):
    shape = tuple(int(n) for n in RNG.integers(5, 40, 3))
    chunks = tuple(int(n) for n in RNG.integers(3, 12, 3))
    x = RNG.integers(0, 5 if method == "mode" else 120, shape).astype(dtype)
    if dtype[0] == "f" and method in ("mean", "max"):
        x[RNG.random(shape) < 0.02] = np.nan
        x[:2, :2, :2] = 1
    source, out = tmp_path / "x.zarr", tmp_path / "out.zarr"
    store(source, x, chunks, ["z", "y", "x"])
    succeed("pyramid", source, out, "--method", method, "--levels", 3)
    validate(out)
    with np.errstate(all="ignore"):
        assert check_levels(out, x, (2, 2, 2), method) == 3


def test_random_layouts(tmp_path):
    for case in range(40):
        rank = random.Random(case).randint(2, 5)
        shape = tuple(int(n) for n in RNG.integers(1, {2: 90, 3: 40, 4: 16, 5: 10}[rank], rank))
        chunks = tuple(int(n) for n in RNG.integers(1, 14, rank))
        names = list("tczyx")[5 - rank :]
        x = RNG.integers(0, 60000, shape).astype("u2")
        source, out = tmp_path / f"{case}.zarr", tmp_path / f"out{case}.zarr"
        store(source, x, chunks, names)
        factors = [1 if name in "tc" else int(RNG.integers(1, 4)) for name in names]
        factors[-1] = 2
        options = ["--factor", ",".join(map(str, factors)), "--levels", 4]
        if case % 3 == 0:
            options += ["--chunks", ",".join(str(int(n)) for n in RNG.integers(1, 14, rank))]
        if case % 4 == 1:
            options += ["--shards", ",".join(str(c * int(RNG.integers(1, 4))) for c in chunks)]
            if any(c > n for c, n in zip(chunks, shape)):
                options = options[:-2]
        if case % 5 == 2:
            options += ["--memory", "6MiB", "--threads", 2]
        succeed("pyramid", source, out, *options)
        validate(out)
        check_levels(out, x, factors, "mean")


def test_axes_are_put_into_the_order_of_an_image(tmp_path):
    x = RNG.integers(0, 60000, (3, 40, 2, 50)).astype("u2")
    source, out = tmp_path / "x.zarr", tmp_path / "out.zarr"
    store(source, x, (2, 16, 1, 30), ["z", "t", "c", "x"])
    succeed("pyramid", source, out, "--axes", "ytcx", "--factor", "1,1,3,2", "--levels", 3, "--memory", "16MiB")
    validate(out)
    check_levels(out, x.transpose(1, 2, 0, 3), (1, 1, 3, 2), "mean")
    array = zarr.open_array(str(out / "0"))
    assert array.metadata.dimension_names == ("t", "c", "y", "x") and array.chunks == (16, 1, 2, 30)


def test_a_colour_slide(tmp_path):
    """Tiles of JPEG with three samples a pixel, a smaller stack and a label beside it: channels come first, levels are of the slide."""
    y, z = np.mgrid[:300, :420]
    picture = np.stack([(y + z) % 256, (2 * y) % 256, (z // 2) % 256], -1).astype("u1")
    slide, out = tmp_path / "slide.svs", tmp_path / "slide.ome.zarr"
    with tifffile.TiffWriter(slide) as file:
        file.write(picture, photometric="ycbcr", subsampling=(2, 2), compression="jpeg", tile=(64, 64), metadata=None)
        file.write(picture[::4, ::4].copy(), photometric="rgb", metadata=None)
        file.write(picture[:50, :40].copy(), photometric="rgb", compression="lzw", subfiletype=1, metadata=None)
    succeed("convert", f"{slide}::0", tmp_path / "x.zarr")
    x = zarr.open_array(str(tmp_path / "x.zarr" / "0"))[...]
    assert np.abs(x.astype(int) - tifffile.imread(slide)).max() <= 8
    succeed("pyramid", f"{slide}::0", out, "--levels", 4, "--scale", "0.25", "--unit", "micrometer")
    validate(out)
    assert check_levels(out, x.transpose(2, 0, 1), (1, 2, 2), "mean") == 4
    [image] = metadata(out)["ome"]["multiscales"]
    assert [(axis["name"], axis["type"]) for axis in image["axes"]] == [("sample", "channel"), ("y", "space"), ("x", "space")]


def test_metadata_says_what_users_gave(tmp_path):
    x = RNG.integers(0, 255, (2, 20, 64, 100)).astype("u1")
    source, out = tmp_path / "x.zarr", tmp_path / "out.ome.zarr"
    store(source, x, (1, 10, 32, 32))
    run = succeed(
        "pyramid", source, out, "--axes", "czyx", "--scale", "z=2,y=0.5,x=0.25", "--unit", "micrometer",
        "--factor", "z=1", "--name", "cells", "--json",
    )  # fmt: skip
    report = json.loads(run.stdout)
    assert [r["shape"] for r in report["results"]] == [[2, 20, 64, 100], [2, 20, 32, 50], [2, 20, 16, 25]]
    assert report["scales"][2] == [1, 2, 2, 1]
    validate(out)
    [image] = metadata(out)["ome"]["multiscales"]
    assert image["name"] == "cells" and image["type"] == "mean"
    assert image["axes"][1] == {"name": "z", "type": "space", "unit": "micrometer"}
    assert image["axes"][0] == {"name": "c", "type": "channel"}
    scale, translation = image["datasets"][2]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": [1, 2, 2, 1]}
    assert translation == {"type": "translation", "translation": [0, 0, 0.75, 0.375]}
    assert zarr.open_array(str(out / "1")).metadata.dimension_names == ("c", "z", "y", "x")
    # A pyramid of a level says again where that lies.
    again = tmp_path / "again.zarr"
    succeed("pyramid", f"{out}::1", again, "--factor", "z=1", "--levels", 2)
    [image] = metadata(again)["ome"]["multiscales"]
    scale, translation = image["datasets"][1]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([1, 2, 2, 1], [0, 0, 0.75, 0.375])


def test_missing_values_are_left_out(tmp_path):
    source, out = tmp_path / "x.zarr", tmp_path / "out.zarr"
    x = np.array([[10, -999, 30, 50], [-999, 20, -999, -999]], "i2")
    store(source, x, (2, 4), ["lat", "lon"], attributes={"scale_factor": 0.5, "_FillValue": -999, "units": "K"})
    succeed("pyramid", source, out, "--levels", 2)
    np.testing.assert_array_equal(zarr.open_array(str(out / "1"))[...], [[7.5, 20]])
    succeed("pyramid", source, tmp_path / "raw.zarr", "--levels", 2, "--raw")
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "raw.zarr" / "1"))[...], [[-492, -480]])


def test_refusals(tmp_path):
    source = tmp_path / "x.zarr"
    store(source, np.zeros((4, 5, 6), "u1"), (4, 5, 6), ["y", "x", "kind"])
    out = tmp_path / "out.zarr"
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "ycc"), (2,), ["two axes are called 'c'"])
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "y,c,band"), (2,), ["transpose"])
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "yx"), (2,), ["3"])
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "zyx", "--method", "median"), (2,), ["nearest"])
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "zyx", "--factor", "0"), (2,), ["65536"])
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "zyx", "--levels", "0"), (2,), ["0 levels"])
    assert_refusal(arrayctl("pyramid", source, source / "in.zarr", "--axes", "zyx"), (3,), ["inside"])
    out.mkdir()
    assert_refusal(arrayctl("pyramid", source, out, "--axes", "zyx"), (3,), ["--overwrite"])
    succeed("pyramid", source, out, "--axes", "zyx", "--overwrite")
    assert not list(tmp_path.glob("*.partial-*"))


SHAPE, CHUNK = (256, 512, 1024), (64, 64, 64)  # 268 MB of uint16


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    path = tmp_path_factory.mktemp("volume") / "volume.zarr"
    array = zarr.create_array(
        str(path), shape=SHAPE, chunks=CHUNK, dtype="u2", compressors=zarr.codecs.ZstdCodec(level=1),
        dimension_names=["z", "y", "x"],
    )  # fmt: skip
    for start in range(0, SHAPE[0], CHUNK[0]):
        array[start : start + CHUNK[0]] = slab(start)
    return path


def slab(start):
    rng = np.random.default_rng(start)
    z, y, x = np.ogrid[start : start + CHUNK[0], : SHAPE[1], : SHAPE[2]]
    smooth = 2000 + 1000 * np.sin(z / 30) * np.cos(y / 50) + x
    return (smooth + rng.integers(0, 32, (CHUNK[0], *SHAPE[1:]))).astype("u2")


def check_volume(out):
    for start in range(0, SHAPE[0], CHUNK[0]):
        x = slab(start)
        np.testing.assert_array_equal(zarr.open_array(str(out / "0"))[start : start + CHUNK[0]], x)
        for level in (1, 2, 3):
            x = smaller(x, (2, 2, 2), "mean")
            begin = start >> level
            found = zarr.open_array(str(out / str(level)))[begin : begin + len(x)]
            np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("options", [[], ["--chunks", "48,48,48"], ["--shards", "128,128,128"]])
def test_memory_and_one_pass(volume, tmp_path, options):
    """A volume of 8 times the budget."""
    out = tmp_path / "out.zarr"
    plan = json.loads(
        succeed("pyramid", volume, out, *options, "--memory", "32MiB", "--threads", 2, "--dry-run", "--json").stdout
    )["plans"][0]
    [source] = plan["sources"]
    assert source["passes"] == 1, plan
    run = succeed("pyramid", volume, out, *options, "--memory", "32MiB", "--threads", 2, measure=True)
    assert run.peak_bytes <= 32 * MIB + BASELINE_BYTES, f"peak {run.peak_bytes / MIB:.0f} MiB"
    check_volume(out)


def test_chunks_pass_as_they_are_but_not_unseen(volume, tmp_path):
    """With the source's codec and chunks the full resolution is not encoded again, but decoded, so damage is noticed."""
    out = tmp_path / "out.zarr"
    succeed("pyramid", volume, out, "--memory", "64MiB")
    for chunk in ["c/0/0/0", "c/3/7/15", "c/2/1/9"]:
        assert (out / "0" / chunk).read_bytes() == (volume / chunk).read_bytes()
    damaged = tmp_path / "damaged.zarr"
    subprocess.run(["cp", "-r", str(volume), str(damaged)], check=True)
    content = bytearray((damaged / "c/1/1/1").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (damaged / "c/1/1/1").write_bytes(content[:-5])
    assert_refusal(arrayctl("pyramid", damaged, tmp_path / "no.zarr"), (4,), ["c/1/1/1"])
    assert not (tmp_path / "no.zarr").exists()


def test_killed_runs_leave_nothing_torn_and_resume(volume, tmp_path):
    out = tmp_path / "out.zarr"
    command = [arrayctl_path(), "pyramid", str(volume), str(out), "--memory", "64MiB", "--progress", "never"]
    begin = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    secs = time.monotonic() - begin
    subprocess.run(["rm", "-r", str(out)], check=True)
    kills = 0
    for share in (0.3, 0.6, 0.85):
        process = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(secs * share)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        if process.returncode == 0:
            break
        assert not out.exists()
    assert kills > 0
    if not out.exists():
        subprocess.run([*command, "--resume"], check=True, capture_output=True)
    assert not list(tmp_path.glob("*.partial-*"))
    validate(out)
    check_volume(out)


@pytest.mark.parametrize("axes", [[{"name": name, "type": "space"} for name in "zyx"], ["z", "y", "x"]])
def test_levels_of_older_images_have_the_names_of_their_axes(tmp_path, axes):
    """OME-Zarr 0.4 and 0.3, whose arrays (Zarr v2) have no names of their own."""
    store = zarr.open_group(tmp_path / "old.zarr", mode="w", zarr_format=2)
    for level, shape in enumerate([(4, 20, 30), (4, 10, 15)]):
        store.create_array(f"{level}", shape=shape, chunks=(1, 10, 15), dtype="u2")[:] = level
    store.create_array("other", shape=(3,), dtype="f4")
    datasets = [{"path": f"{level}", "coordinateTransformations": [{"type": "scale", "scale": [1, 2**level, 2**level]}]} for level in (0, 1)]
    store.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    described = json.loads(succeed("info", f"{tmp_path / 'old.zarr'}::1", "--json").stdout)
    assert described["dimensions"] == ["z", "y", "x"]
    succeed("reduce", "max", f"{tmp_path / 'old.zarr'}::0", "--axis", "z", "-o", tmp_path / "projection.nc")
    succeed("convert", f"{tmp_path / 'old.zarr'}::0", tmp_path / "new.zarr", "--chunks", "y=20,x=30")
    assert zarr.open_group(tmp_path / "new.zarr")["0"].metadata.dimension_names == ("z", "y", "x")


def test_colours_of_channels_come_along(tmp_path):
    x = RNG.integers(0, 900, (2, 40, 60)).astype("u2")
    channels = [
        {"color": color, "label": label, "active": True, "window": {"start": 0, "min": 0, "end": 900, "max": 65535}}
        for color, label in (("00FF00", "GFP"), ("0000FF", "DAPI"))
    ]
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}]
    for name, listed in (("whole", channels), ("short", channels[:1])):
        store = zarr.open_group(tmp_path / f"{name}.zarr", mode="w", zarr_format=2)
        store.create_array("0", shape=x.shape, chunks=(1, 40, 60), dtype="u2")[:] = x
        store.attrs.update(multiscales=[{"version": "0.4", "axes": axes, "datasets": datasets}], omero={"channels": listed})
        out = tmp_path / f"{name}.ome.zarr"
        succeed("pyramid", f"{tmp_path / name}.zarr::0", out)
        validate(out)
        found = metadata(out)["ome"].get("omero")
        assert found == ({"channels": channels} if name == "whole" else None)
