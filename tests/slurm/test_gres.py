"""GPUs of workers, on a private Slurm of two virtual nodes with two cards each that do not exist: Slurm counts them and tells jobs theirs.

usage: BLOCKWISE_ARRAYCTL=.../arrayctl BLOCKWISE_MANY_NODES=.../examples/many_nodes pytest tests/slurm/test_gres.py -rs
"""

import os
import pathlib
import subprocess
import time

import pytest
from test_cluster import ARRAYCTL, HERE, JOBS, MANY_NODES, PATIENCE_SECS, data, engine, environment, job, private_slurm, run, same  # noqa: F401


@pytest.fixture(scope="module")
def slurm():
    """A Slurm with cards, beside that of the other tests."""
    with private_slurm(2, 8, {"SLURM_PORT": "16957", "SLURM_CARDS": "2"}) as env:
        yield env


def cards(work):
    """The cards that each worker of a run was given, by process."""
    mark = b"BLOCKWISE_WORKER_RUN=" + str(work).encode()
    found = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            env = path.read_bytes().split(b"\0")
            if not any(word.startswith(mark) for word in env) or os.readlink(path.parent / "exe") != os.path.realpath(MANY_NODES):
                continue
        except OSError:
            continue
        words = dict(word.split(b"=", 1) for word in env if b"=" in word)
        found[path.parent.name] = (words.get(b"SLURMD_NODENAME"), words.get(b"CUDA_VISIBLE_DEVICES"))
    return found


@pytest.mark.parametrize("hold", ["0", "1"], ids=["arrays", "hold"])
def test_each_worker_has_a_card_of_its_own(hold, slurm, tmp_path):
    if not MANY_NODES:
        pytest.skip("BLOCKWISE_MANY_NODES is not set: the example is not built")
    here = subprocess.run([MANY_NODES, "600", "800", tmp_path / "a.zarr"], capture_output=True, text=True)
    workers = "4" if hold == "1" else "6"
    env = environment({**slurm, "BLOCKWISE_ENGINE": "slurm", "BLOCKWISE_WORK_DIR": str(tmp_path / "work"), "BLOCKWISE_WORKERS": workers})
    env |= {"BLOCKWISE_THREADS": "1", "BLOCKWISE_MEMORY": str(256 << 20), "BLOCKWISE_SLURM_HOLD": hold, "BLOCKWISE_GRES": "gpu:1"}
    run = subprocess.Popen([MANY_NODES, "600", "800", tmp_path / "b.zarr"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen, end = {}, time.monotonic() + PATIENCE_SECS
    while run.poll() is None and time.monotonic() < end:
        now = cards(tmp_path / "work")
        assert len(set(now.values())) == len(now) <= 4, now
        seen |= now
        time.sleep(0.005)
    out, errors = run.communicate(timeout=PATIENCE_SECS)
    assert run.returncode == 0 and out == here.stdout, errors
    assert same(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert seen and all(card in (b"0", b"1") for _, card in seen.values()), seen
    assert not list((tmp_path / "work").glob("*"))


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """The environment of a driver and a compiler of kernels that compute on the CPU."""
    folder, host = tmp_path_factory.mktemp("stand-ins"), HERE.parent.parent / "gpu/tests/host"
    built = subprocess.run([host / "build.sh", folder], capture_output=True, text=True)
    if built.returncode == 77:
        pytest.skip("no C++ compiler: nothing stands in for devices")
    assert built.returncode == 0, built.stderr
    env = {"LD_LIBRARY_PATH": str(folder), "FAKE_CUDA_HEADERS": str(host), "XDG_CACHE_HOME": str(folder / "cache")}
    return {**env, "BLOCKWISE_DEVICE_ALWAYS": "1", "BLOCKWISE_CUDA_LIBRARIES": "", "CUDA_PATH": ""}


def test_workers_compute_on_their_cards(slurm, stand_ins, data, tmp_path):  # noqa: F811
    """The bits of a device of one machine; the driver has none."""
    words = [*job(JOBS["anomaly.zarr"], data, tmp_path / "here.zarr"), "--device", "cuda"]
    run(*words, env=environment(stand_ins))
    words = [*job(JOBS["anomaly.zarr"], data, tmp_path / "anomaly.zarr"), "--device", "cuda", "--gres", "gpu:1"]
    counts = {"FAKE_CUDA_COUNTS": str(tmp_path / "counts")}
    run(*words, *engine("slurm", tmp_path), env=environment({**slurm, **stand_ins, **counts}))
    assert same(tmp_path / "here.zarr", tmp_path / "anomaly.zarr")
    launched = [int(line.split()[1]) for line in (tmp_path / "counts").read_text().splitlines() if line.startswith("launches")]
    assert len(launched) >= 2 and sum(launched) > 0, launched


def test_cards_are_not_left_idle(tmp_path):
    for kind in ("slurm", "hq", "processes"):
        words = ["convert", "no.npy", tmp_path / "out.zarr", *engine(kind, tmp_path), "--gres", "gpu:1"]
        done = subprocess.run([ARRAYCTL, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_SECS)
        assert done.returncode == 3 and "leave the GPUs idle; add --device cuda" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
