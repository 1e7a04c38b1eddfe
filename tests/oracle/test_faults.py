"""Kills at random moments, full disks, interrupts: nothing torn, nothing hung, and `--resume` finishes the job."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import zarr
from driver import ROOT, arrayctl, arrayctl_path, assert_refusal, read_zarr, succeed

CRASHLOOP = ROOT / "tests" / "faults" / "crashloop.py"
FULL = os.environ.get("BLOCKWISE_FAULTS") == "full"  # `make faults`
KILLS = int(os.environ.get("BLOCKWISE_KILLS", "200" if FULL else "8"))
SHAPE, CHUNKS, TARGET = (240, 361, 360), (8, 361, 360), "240,19,36"  # 125 MB


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Random f4 behind no codec: output is as large as input, whatever the codec."""
    path = tmp_path_factory.mktemp("faults") / "in.zarr"
    array = zarr.create_array(str(path), shape=SHAPE, chunks=CHUNKS, dtype="f4", compressors=None)
    rng = np.random.default_rng(7)
    for start in range(0, SHAPE[0], CHUNKS[0]):
        array[start : start + CHUNKS[0]] = rng.standard_normal((CHUNKS[0], *SHAPE[1:]), dtype="f4")
    return path


def crashloop(folder, command, *options):
    """Kills `command` again and again in `folder`; after each kill what is on disk must be whole or plainly not there."""
    line = shlex.join(map(str, command))
    verify = shlex.join([arrayctl_path(), "verify", "reference.zarr", "out.zarr"])
    arguments = [
        *("--setup", "rm -rf out.zarr out.zarr.partial-*"),
        *("--check", f"if [ -e out.zarr ]; then {verify}; fi"),
        *("--resume", f"if [ ! -e out.zarr ]; then {line} --resume; fi"),
        *("--final", verify),
        *options,
    ]
    loop = [str(part) for part in [sys.executable, CRASHLOOP, *arguments, "--", *command]]
    done = subprocess.run(loop, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


def test_killed_at_random_moments(source, tmp_path, figure):
    command = [arrayctl_path(), "rechunk", source, "out.zarr", "--chunks", TARGET, "--memory", "96MiB"]
    succeed("rechunk", source, tmp_path / "reference.zarr", "--chunks", TARGET)
    seen = crashloop(tmp_path, command, "--rounds", KILLS, "--again", "0.3")
    assert seen["passed"] == KILLS and seen["killed"] >= KILLS // 4, seen
    np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr"), read_zarr(source))
    figure(f"F2 random kills ({seen['killed']} in the run, the rest after it)", seen["passed"], seen["tried"])


def test_interrupted_ends_soon_and_resumes(source, tmp_path):
    command = [arrayctl_path(), "rechunk", source, "out.zarr", "--chunks", TARGET, "--memory", "96MiB"]
    succeed("rechunk", source, tmp_path / "reference.zarr", "--chunks", TARGET)
    crashloop(tmp_path, command, "--rounds", "3", "--signal", "TERM", "--stop-secs", "5")


@pytest.mark.parametrize("sent, wanted", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_exit_codes(source, tmp_path, sent, wanted):
    command = [arrayctl_path(), "rechunk", source, "out.zarr", "--chunks", TARGET, "--codec", "gzip:9"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(tmp_path.glob("out.zarr.partial-*")):
        time.sleep(0.01)
    process.send_signal(sent)
    _, message = process.communicate(timeout=30)
    assert process.returncode == wanted, message
    assert not (tmp_path / "out.zarr").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 24 MB that can be resized: (folder, resize)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"mounting a small disk needs root: {mount.stderr.strip()}")
    yield folder, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    subprocess.run(["umount", "-l", folder], check=True)


def assert_names_bytes(run):
    """The message says how many bytes were needed and how many are free."""
    sizes = re.findall(r"\d[\d.]* (?:[KMGT]i)?B\b|\d+ bytes|\d+ are free", run.stderr)
    assert len(sizes) >= 2 and "need" in run.stderr and "free" in run.stderr, str(run)


def test_output_disk_full_then_resumed(source, small_disk):
    folder, resize = small_disk
    # A codec: its output cannot be known beforehand, so the disk fills in the middle of the run.
    command = (
        "rechunk",
        source,
        folder / "out.zarr",
        "--chunks",
        TARGET,
        "--codec",
        "zstd:1",
        "--memory",
        "96MiB",
    )
    run = arrayctl(*command, "--spill-dir", folder.parent, timeout_secs=60)
    assert_refusal(run, (1, 3))
    assert_names_bytes(run)
    assert not (folder / "out.zarr").exists()
    resize("400m")
    succeed(*command, "--spill-dir", folder.parent, "--resume")
    np.testing.assert_array_equal(read_zarr(folder / "out.zarr"), read_zarr(source))


def test_spill_disk_full_then_resumed(source, small_disk, tmp_path):
    folder, resize = small_disk
    command = (
        "rechunk",
        source,
        tmp_path / "out.zarr",
        "--chunks",
        TARGET,
        "--memory",
        "40MiB",
        "--spill-dir",
        folder,
    )
    run = arrayctl(*command, timeout_secs=60)
    if run.code != 0:  # a plan that needs no temporary disk is as good
        assert_refusal(run, (1, 3))
        assert_names_bytes(run)
        assert not (tmp_path / "out.zarr").exists()
        resize("400m")
        succeed(*command, "--resume")
    np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr"), read_zarr(source))
