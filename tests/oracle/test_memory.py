"""The memory law: a run stays within its budget and a fixed baseline, and says beforehand when it cannot."""

import json
import re
import shutil

import numpy as np
import pytest
import zarr
from driver import BASELINE_BYTES, MIB, arrayctl, assert_refusal, read_tensorstore, succeed

SHAPE, CHUNKS, TARGET = (384, 361, 720), (16, 361, 720), "384,19,36"  # 399 MB in chunks of 16.6 MB
CODECS = {
    "none": None,
    "zstd": zarr.codecs.ZstdCodec(level=1),
    "blosc": zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
}
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def field(start, count):
    """A smooth field with quantised noise: compresses like real data."""
    rng = np.random.default_rng(start)
    lat, lon = np.linspace(-1.5, 1.5, SHAPE[1])[:, None], np.linspace(0, 6.3, SHAPE[2])
    smooth = 288 - 40 * np.sin(lat) ** 2 + 3 * np.sin(3 * lon)
    return (np.round((smooth + rng.normal(0, 0.5, (count, *SHAPE[1:]))) * 64) / 64).astype("f4")


@pytest.fixture(scope="module", params=CODECS)
def cube(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / f"{request.param}.zarr"
    array = zarr.create_array(
        str(path), shape=SHAPE, chunks=CHUNKS, dtype="f4", compressors=CODECS[request.param]
    )
    for start in range(0, SHAPE[0], CHUNKS[0]):
        array[start : start + CHUNKS[0]] = field(start, CHUNKS[0])
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("budget_mib", [64, 128, 256])
def test_peak_stays_within_the_budget(cube, tmp_path, budget_mib):
    out = tmp_path / "out.zarr"
    run = succeed("rechunk", cube, out, "--chunks", TARGET, "--memory", f"{budget_mib}MiB", measure=True)
    limit = budget_mib * MIB + BASELINE_BYTES
    assert run.peak_bytes <= limit, f"peak {run.peak_bytes / MIB:.0f} MiB, limit {limit / MIB:.0f} MiB"
    copy = read_tensorstore(out)
    for start in range(0, SHAPE[0], 4 * CHUNKS[0]):
        np.testing.assert_array_equal(copy[start : start + CHUNKS[0]], field(start, CHUNKS[0]))


def test_codec_change_stays_within_the_budget(cube, tmp_path):
    run = succeed(
        "convert", cube, tmp_path / "out.zarr", "--codec", "gzip:1", "--memory", "128MiB", measure=True
    )
    assert run.peak_bytes <= 128 * MIB + BASELINE_BYTES, f"peak {run.peak_bytes / MIB:.0f} MiB"


def test_hopeless_budget_is_refused_before_reading(cube, tmp_path):
    """Every chunk of the source is damaged: who reads one before refusing reports bad data instead."""
    damaged, out = tmp_path / "damaged.zarr", tmp_path / "out.zarr"
    shutil.copytree(cube, damaged, ignore=shutil.ignore_patterns("c"))
    for chunk in range(SHAPE[0] // CHUNKS[0]):
        (damaged / "c" / str(chunk) / "0").mkdir(parents=True)
        (damaged / "c" / str(chunk) / "0" / "0").write_bytes(b"damaged")
    run = arrayctl("rechunk", damaged, out, "--chunks", TARGET, "--memory", "1MiB")
    assert_refusal(run, (3,))
    assert not out.exists() and not list(tmp_path.glob("*.partial-*"))

    named = [
        float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) ?([KMG]iB|B)\b", run.stderr)
    ]
    assert named, f"the refusal names no size that works\n{run}"
    kib = max(named) / 1024
    assert kib * 1024 < 384 * MIB, f"the size named is of no use\n{run}"
    succeed("rechunk", cube, out, "--chunks", TARGET, "--memory", f"{kib * 1.01:.0f}KiB")  # printed rounded
    below = arrayctl(
        "rechunk", cube, tmp_path / "below.zarr", "--chunks", TARGET, "--memory", int(max(named) * 0.9)
    )
    assert_refusal(below, (3,))


def test_dry_run_predicts(cube, tmp_path):
    run = succeed(
        "rechunk", cube, tmp_path / "out.zarr", "--chunks", TARGET, "--memory", "128MiB", "--dry-run"
    )
    assert not (tmp_path / "out.zarr").exists() and not list(tmp_path.glob("*.partial-*"))
    text = (run.stdout + run.stderr).lower()
    for word in ("pass", "read", "written", "temporary", "peak"):
        assert word in text, f"the plan does not speak of {word!r}\n{run}"


def test_dry_run_counts_what_a_slice_reads(cube, tmp_path):
    """Of 24 chunks, those that hold something of what is taken."""
    chunk_bytes = 4 * int(np.prod(CHUNKS))
    for expression, chunks in [("x[5]", 1), ("x[::-100].mean()", 4), ("x[20] - x[3]", 2), ("x[1:33] - x[:32]", 3)]:
        run = succeed("eval", expression, "-i", f"x={cube}", "-o", tmp_path / "o.zarr", "--dry-run", "--json")
        plan = json.loads(run.stdout)["plans"][0]
        assert plan["stages"][0]["chunks_read"] == chunks, expression
        assert plan["bytes_read"] == chunks * chunk_bytes, f"{expression}: {plan}"
