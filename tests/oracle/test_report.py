"""What `--report` advises: each kind on a run that calls for it, its figures held against the run; none where nothing is to be gained."""

import html
import json
import re

import numpy as np
import pytest
import zarr
from driver import MIB, succeed


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def stored(path, values, chunks, codec):
    """`values` as a Zarr array, with zarr-python's `codec`."""
    array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, chunks=chunks, compressors=codec)
    array[...] = values
    return path


def reported(folder, *command):
    """The page of a run, and its advice by topic."""
    page = folder / "report.html"
    succeed(*command, "--report", page)
    text = page.read_text()
    found = re.findall(r"<li><b>(\w+)</b>: (.*?)</li>", text)
    return text, [(topic, html.unescape(advice)) for topic, advice in found]


def of(advice, topic):
    texts = [text for found, text in advice if found == topic]
    assert len(texts) == 1, advice
    return texts[0]


def planned(*command):
    """The only plan of a command that is not run."""
    (plan,) = json.loads(succeed(*command, "--dry-run", "--json").stdout)["plans"]
    return plan


def smooth(rng, shape):
    """Floats that codecs can make less of: a walk of whole steps."""
    return np.cumsum(rng.integers(-3, 4, shape), axis=-1).astype("f4")


def test_memory_that_saves_temporary_files(tmp_path, rng):
    maps = stored(tmp_path / "maps.zarr", smooth(rng, (64, 256, 256)), (1, 256, 256), None)
    command = ["rechunk", maps, tmp_path / "series.zarr", "--chunks", "64,256,16", "--threads", "2"]
    page, advice = reported(tmp_path, *command, "--memory", "6MiB")
    text = of(advice, "memory")
    assert "Within 6.00 MiB it took 2 stages" in text and "with temporary files" not in text, text
    enough = int(re.search(r"With --memory (\d+)MiB it would take 1 stage, .* no temporary files", text)[1])
    command[2] = tmp_path / "again.zarr"
    more, less = (planned(*command, "--memory", f"{size}MiB") for size in (enough, enough * 9 // 10 - 1))
    assert more["temporary_bytes"] == 0 and len(more["stages"]) == 1
    assert less["temporary_bytes"] > 0
    assert re.search(r"what set the peak</th><td>[\d.]+ \w+ in stage \d, \w+.*The plan foresaw", page)


def test_chunks_that_are_mostly_left_unused(tmp_path, rng):
    cube = stored(tmp_path / "cube.zarr", smooth(rng, (40, 256, 256)), (20, 256, 256), zarr.codecs.GzipCodec(level=5))
    _, advice = reported(tmp_path, "eval", "x[5] * 2", "-i", f"x={cube}", "-o", tmp_path / "plane.npy")
    text = of(advice, "chunks")
    assert "5.00 MiB were decoded, 256.0 KiB of them used (5 %)" in text, text
    assert "In chunks of (1, 256, 256) rather than (20, 256, 256) the same would be had from 256.0 KiB" in text


def test_many_small_chunks(tmp_path, rng):
    crumbs = stored(tmp_path / "crumbs.zarr", smooth(rng, (64, 64, 64)), (4, 4, 8), None)
    _, advice = reported(tmp_path, "convert", crumbs, tmp_path / "whole.npy")
    text = of(advice, "chunks")
    assert text.startswith("Reading 2048 chunks of 512 B on average took") and "would be 1," in text, text


def test_a_codec_that_encodes_faster(tmp_path, rng):
    values = stored(tmp_path / "in.zarr", smooth(rng, (8, 512, 512)), (1, 512, 512), None)
    _, advice = reported(tmp_path, "convert", values, tmp_path / "out.zarr", "--codec", "gzip:9")
    text = of(advice, "codec")
    share = int(re.search(r"threads worked \((\d+) %\)", text)[1])
    assert share >= 30 and re.search(r"gzip:9 takes .* leaves .*, blosc:\w+:1:shuffle would take .* and leave", text)


def test_an_input_whose_decoding_takes_long(tmp_path, rng):
    values = stored(tmp_path / "in.zarr", smooth(rng, (16, 512, 512)), (1, 512, 512), zarr.codecs.GzipCodec(level=9))
    _, advice = reported(tmp_path, "reduce", "mean", values, "-o", tmp_path / "mean.npy")
    assert of(advice, "codec").startswith("Decoding the input took")


def test_fewer_tasks_than_threads(tmp_path, rng):
    values = stored(tmp_path / "in.zarr", smooth(rng, (8, 512, 512)), (8, 512, 512), None)
    out = tmp_path / "out.zarr"
    _, advice = reported(tmp_path, "convert", values, out, "--codec", "zstd:5", "--threads", "2")
    assert "it has 1 task for 2 threads" in of(advice, "threads")


def test_threads_that_wait_for_memory(tmp_path, rng):
    values = stored(tmp_path / "in.zarr", smooth(rng, (32, 512, 512)), (4, 512, 512), None)
    command = ["convert", values, tmp_path / "out.zarr", "--codec", "gzip:6", "--threads", "2"]
    _, advice = reported(tmp_path, *command, "--memory", "16MiB")
    text = of(advice, "memory")
    assert "fits the budget of 16.0 MiB; all 2 can work with --memory" in text, text
    assert int(re.search(r"--memory (\d+)MiB", text)[1]) * MIB > 16 * MIB


def test_nothing_to_gain(tmp_path, rng):
    values = stored(tmp_path / "in.zarr", smooth(rng, (64, 512, 512)), (2, 512, 512), None)
    page, advice = reported(tmp_path, "convert", values, tmp_path / "out.zarr", "--no-check", "--memory", "256MiB")
    assert advice == [] and "would gain a tenth of it" in page
