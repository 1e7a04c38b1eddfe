"""Runs on HyperQueue: the bits of one process, whatever happens to workers, the driver and the server.

The tests start a server and two workers of their own with the `hq` of the PATH; where there is none, they are skipped and say so.

usage: BLOCKWISE_ARRAYCTL=.../arrayctl pytest tests/slurm/test_hq.py -rs
"""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from test_cluster import ARRAYCTL, JOBS, PATIENCE_SECS, Driver, data, engine, environment, expect_same, job, kill, run  # noqa: F401


class Cluster:
    """A private HyperQueue: a server, and workers of two cores each."""

    def __init__(self, folder):
        self.folder = folder
        self.env = environment({"HQ_SERVER_DIR": str(folder / "server")})
        self.started = []
        self.serve()
        for _ in range(2):
            self.add_worker()

    def start(self, name, *words):
        log = open(self.folder / f"{name}.log", "a")
        process = subprocess.Popen(["hq", *words], env=self.env, stdout=log, stderr=log, cwd=self.folder)
        self.started.append(process)
        return process

    def serve(self):
        self.server = self.start("server", "server", "start", f"--server-dir={self.folder / 'server'}")
        self.wait_for(lambda: self.answer("server", "info") is not None)
        self.workers = []

    def add_worker(self):
        self.workers.append(self.start(f"worker-{len(self.started)}", "worker", "start", "--cpus=2"))
        self.wait_for(lambda: len(self.answer("worker", "list") or []) >= len(self.workers))

    def answer(self, *words):
        asked = ["hq", "--output-mode=json", *words]
        done = subprocess.run(asked, env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_for(self, condition):
        end = time.monotonic() + PATIENCE_SECS
        while not condition():
            assert time.monotonic() < end, [path.read_text()[-500:] for path in self.folder.glob("*.log")]
            time.sleep(0.1)

    def expect_no_jobs(self):
        self.wait_for(lambda: self.answer("job", "list") == [])

    def stop(self):
        for process in reversed(self.started):
            process.kill()
            process.wait()


@pytest.fixture
def hq():
    if not shutil.which("hq"):
        pytest.skip("no `hq` on the PATH: the engine for HyperQueue is not tested here")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="blockwise-hq-"))
    cluster = Cluster(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", JOBS)
def test_same_bits(name, hq, data, tmp_path):  # noqa: F811
    run(*job(JOBS[name], data, tmp_path / name), *engine("hq", tmp_path), "--time", "10", env=hq.env)
    hq.expect_no_jobs()
    expect_same(data, tmp_path, name, {})


def kill_a_worker_of_hyperqueue(hq, driver):
    driver.wait_for_marks(1)
    hq.workers[0].kill()


def kill_a_task(hq, driver):
    hq.wait_for(driver.workers)
    kill(driver.workers()[0])


def start_the_server_anew(hq, driver):
    driver.wait_for_marks(1)
    hq.server.kill()
    hq.server.wait()
    hq.serve()
    hq.add_worker()


def kill_the_driver(hq, driver):
    driver.wait_for_marks(1)
    driver.process.kill()
    driver.process.communicate()
    driver.process = driver.start("--resume")


@pytest.mark.parametrize("fault", [kill_a_worker_of_hyperqueue, kill_a_task, start_the_server_anew, kill_the_driver])
def test_fault(fault, hq, data, tmp_path):  # noqa: F811
    driver = Driver("anomaly.zarr", "hq", hq.env, data, tmp_path)
    fault(hq, driver)
    driver.end()
    hq.expect_no_jobs()
    expect_same(data, tmp_path, "anomaly.zarr", {})


def test_interrupted(hq, data, tmp_path):  # noqa: F811
    driver = Driver("anomaly.zarr", "hq", hq.env, data, tmp_path)
    driver.wait_for_marks(1)
    driver.process.send_signal(signal.SIGINT)
    driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode == 130
    hq.expect_no_jobs()
    assert not (tmp_path / "anomaly.zarr").exists() and not list((tmp_path / "work").glob("*"))


def test_without_a_server_it_is_refused(data, tmp_path):  # noqa: F811
    """With or without `hq`: the run ends before anything is made."""
    env = environment({"HQ_SERVER_DIR": str(tmp_path / "none")})
    words = job(JOBS["anomaly.zarr"], data, tmp_path / "out.zarr") + engine("hq", tmp_path)
    done = subprocess.run([ARRAYCTL, *map(str, words)], env=env, capture_output=True, text=True, timeout=PATIENCE_SECS)
    assert done.returncode == 1 and "hq server info failed" in done.stderr, done.stderr
    assert not list((tmp_path / "work").glob("*")) and not (tmp_path / "out.zarr").exists()


def test_what_hyperqueue_does_not_have_is_refused(data, tmp_path):  # noqa: F811
    for more in (["--hold"], ["--partition", "short"], ["--account", "me"], ["--gres", "scratch:fast:1"]):
        words = job(JOBS["anomaly.zarr"], data, tmp_path / "out.zarr") + engine("hq", tmp_path) + more
        done = subprocess.run([ARRAYCTL, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE_SECS)
        assert done.returncode == 2 and more[0][2:] in done.stderr, done.stderr
    assert not (tmp_path / "out.zarr").exists()
