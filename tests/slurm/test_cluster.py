"""Runs of several processes: the bits of one process, whatever happens to workers, nodes, the controller and the driver.

On a private Slurm of three virtual nodes (up.sh), and with worker processes of this machine. Without root, or where Slurm cannot be
installed, the tests that need it are skipped and say so. BLOCKWISE_FAULT_ROUNDS repeats each fault.

usage: BLOCKWISE_ARRAYCTL=.../arrayctl BLOCKWISE_MANY_NODES=.../examples/many_nodes pytest tests/slurm
"""

import contextlib
import filecmp
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
ARRAYCTL = os.environ["BLOCKWISE_ARRAYCTL"]
MANY_NODES = os.environ.get("BLOCKWISE_MANY_NODES")
ROUNDS = int(os.environ.get("BLOCKWISE_FAULT_ROUNDS", "1"))
PATIENCE_SECS = 300


@contextlib.contextmanager
def operator(env):
    """Somebody who looks after nodes. A controller that is restarted may have forgotten jobs of its last seconds, whose numbers it gives to
    others, also much later: nodes that know such a number drain."""

    def look_after():
        while not is_over.wait(0.5):
            state = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %t"], env=env, capture_output=True, text=True)
            for name, what in (line.split() for line in state.stdout.splitlines()):
                if what.startswith("dr"):
                    subprocess.run(["scontrol", "update", f"NodeName={name}", "State=RESUME"], env=env, capture_output=True)

    is_over = threading.Event()
    somebody = threading.Thread(target=look_after, daemon=True)
    somebody.start()
    try:
        yield
    finally:
        is_over.set()
        somebody.join()


@contextlib.contextmanager
def private_slurm(nodes, cores, more=None):
    """The environment of a private Slurm of so many nodes with so many cores each; `more` is for up.sh."""
    if os.geteuid() != 0:
        pytest.skip("a private Slurm needs root")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="blockwise-slurm-"))
    env = {**os.environ, **(more or {})}
    up = subprocess.run([HERE / "up.sh", folder, str(nodes), str(cores)], env=env, capture_output=True, text=True)
    try:
        if up.returncode:
            pytest.skip(f"no private Slurm here: {up.stderr.strip()[-300:]}")
        with operator({**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}):
            yield {"SLURM_CONF": str(folder / "slurm.conf")}
    finally:
        subprocess.run([HERE / "down.sh", folder])
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm():
    with private_slurm(3, 2) as env:
        yield env


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A chunked array of 7 MB, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("data")
    values = np.random.default_rng(7).standard_normal((96, 120, 160)).astype("f4")
    np.save(folder / "x.npy", values)
    run("convert", folder / "x.npy", folder / "x.zarr", "--chunks", "6,120,160")
    for name, arguments in JOBS.items():
        run(*job(arguments, folder, folder / name))
    return folder


JOBS = {
    "series.zarr": ["rechunk", "X", "OUT", "--chunks", "96,12,16"],
    "anomaly.zarr": ["eval", "x - mean(x, 0)", "-i", "x=X", "-o", "OUT"],
    "spread.nc": ["reduce", "std", "X", "--axis", "0", "-o", "OUT"],
    "svd.zarr": ["svd", "X", "-k", "4", "-o", "OUT", "--power-iter", "1"],
}


def job(arguments, folder, out):
    """A job's arguments, with paths."""
    known = {"X": str(folder / "x.zarr"), "OUT": str(out)}
    return [known.get(word, word.replace("=X", "=" + known["X"])) for word in arguments]


def run(*words, **options):
    """Runs arrayctl to its end."""
    words = [ARRAYCTL, *map(str, words), "--memory", "64MiB", "--threads", "1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECS, **options)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def environment(extra=None):
    return {**os.environ, "BLOCKWISE_BATCH_BYTES": "300000", **(extra or {})}


def same(one, other):
    """Whether two files, or all files of two folders, are the same byte by byte."""
    if one.is_file():
        return filecmp.cmp(one, other, shallow=False)
    found = filecmp.dircmp(one, other)
    assert not found.left_only and not found.right_only, (found.left_only, found.right_only)
    assert all(filecmp.cmp(one / name, other / name, shallow=False) for name in found.common_files)
    return all(same(one / name, other / name) for name in found.common_dirs)


def leftovers(folder, env):
    """What a run has left: jobs, folders, temporaries."""
    left = [str(path) for path in folder.rglob("*") if "partial" in path.name or path.name.endswith(".tmp")]
    left += [str(path) for path in (folder / "work").glob("*")]
    end = time.monotonic() + 60
    while "SLURM_CONF" in env:
        # A controller that is killed forgets what it was told in its last seconds; its nodes tell it again.
        queue = subprocess.run(["squeue", "-h", "-o", "%i %j %T %M"], env=env, capture_output=True, text=True, check=True)
        if not queue.stdout or time.monotonic() > end:
            return left + queue.stdout.splitlines()
        time.sleep(0.2)
    return left


def expect_same(data, folder, name, env):
    if name.endswith(".nc"):  # libhdf5 notes when a file was made
        report = json.loads(run("verify", data / name, folder / name, "--equal-nan", "--json"))
        assert report["equal"], report
    else:
        assert same(data / name, folder / name)
    assert not leftovers(folder, env)


def engine(kind, folder):
    words = ["--engine", kind.split("-")[0], "--work-dir", folder / "work", "--workers", "3"]
    return [*words, "--hold"] if kind.endswith("hold") else words


@pytest.fixture(params=["processes", "slurm", "slurm-hold"])
def kind(request):
    """An engine and the environment that it needs."""
    extra = request.getfixturevalue("slurm") if request.param.startswith("slurm") else {}
    return request.param, environment(extra)


@pytest.mark.parametrize("name", JOBS)
def test_same_bits(name, kind, data, tmp_path):
    kind, env = kind
    run(*job(JOBS[name], data, tmp_path / name), *engine(kind, tmp_path), env=env)
    expect_same(data, tmp_path, name, env)


EXPRESSIONS = ["x * 2", "x - mean(x, 0)", "x.T"]


@pytest.mark.parametrize("suffix", ["zarr", "nc", "h5", "npy"])
def test_every_kind_of_output(suffix, data, tmp_path):
    for number, expression in enumerate(EXPRESSIONS):
        words = ["eval", expression, "-i", f"x={data / 'x.zarr'}", "-o"]
        run(*words, data / f"{number}.{suffix}")
        run(*words, tmp_path / f"{number}.{suffix}", *engine("processes", tmp_path), env=environment())
        report = json.loads(run("verify", data / f"{number}.{suffix}", tmp_path / f"{number}.{suffix}", "--json"))
        assert report["equal"], report
    if suffix != "npy":  # which holds one array
        words = ["svd", data / "x.zarr", "-k", "2", "-o"]
        run(*words, tmp_path / f"svd.{suffix}", *engine("processes", tmp_path), env=environment())
    assert not leftovers(tmp_path, {})


def test_a_program_with_closures(kind, tmp_path):
    if not MANY_NODES:
        pytest.skip("BLOCKWISE_MANY_NODES is not set: the example is not built")
    kind, env = kind
    here = subprocess.run([MANY_NODES, "600", "800", tmp_path / "a.zarr"], capture_output=True, text=True)
    env |= {"BLOCKWISE_ENGINE": kind.split("-")[0], "BLOCKWISE_WORK_DIR": str(tmp_path / "work"), "BLOCKWISE_WORKERS": "3"}
    env |= {"BLOCKWISE_THREADS": "1", "BLOCKWISE_MEMORY": str(256 << 20)}
    env |= {"BLOCKWISE_SLURM_HOLD": "1"} if kind.endswith("hold") else {}
    there = subprocess.run([MANY_NODES, "600", "800", tmp_path / "b.zarr"], capture_output=True, text=True, env=env)
    assert here.returncode == 0 and there.returncode == 0, here.stderr + there.stderr
    assert here.stdout == there.stdout and len(here.stdout) == 34
    assert same(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert not leftovers(tmp_path, env)


class Driver:
    """A run under way, to be disturbed."""

    def __init__(self, name, kind, env, data, folder, *more):
        self.words = job(JOBS[name], data, folder / name)
        self.words = [ARRAYCTL, *map(str, [*self.words, *engine(kind, folder)]), "--memory", "64MiB", "--threads", "1"]
        self.folder, self.env = folder, env
        self.process = self.start(*more)

    def start(self, *more):
        return subprocess.Popen([*self.words, *more], env=self.env, stderr=subprocess.PIPE, text=True)

    def marks(self, stage="*"):
        return sorted(self.folder.glob(f"work/run-*/plan-*/stage-{stage}/done/[0-9]*"))

    def wait_for_marks(self, count, stage="*"):
        end = time.monotonic() + PATIENCE_SECS
        while len(self.marks(stage)) < count and self.process.poll() is None:
            assert time.monotonic() < end, "no batch is done"
            time.sleep(0.01)
        assert self.process.poll() is None, "over before it could be disturbed: " + self.process.stderr.read()

    def workers(self):
        """Process numbers of the workers, wherever they run."""
        mark = b"BLOCKWISE_WORKER_RUN=" + str(self.folder / "work").encode()
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                is_worker = mark in path.read_bytes() and os.readlink(path.parent / "exe") == os.path.realpath(ARRAYCTL)
            except OSError:
                continue
            if is_worker:
                found.append(int(path.parent.name))
        return found

    def end(self):
        _, errors = self.process.communicate(timeout=PATIENCE_SECS)
        assert self.process.returncode == 0, errors


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_until_up(env):
    """Waits until all nodes take jobs."""
    end = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < end:
        states = subprocess.run(["sinfo", "-h", "-N", "-o", "%t"], env=env, capture_output=True, text=True).stdout.split()
        if states and all(state == "idle" for state in states):
            return
        time.sleep(0.2)
    raise AssertionError(f"nodes are {states}")


def of_node(folder, node):
    """Process numbers of a node: its daemon, its tasks, and the daemons between them."""
    found = {int((folder / f"run/slurmd.{node}.pid").read_text())}
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes()
            if f"SLURMD_NODENAME={node}\0".encode() not in variables or bytes(folder) not in variables:
                continue
            found.add(int(path.parent.name))
            parent = (path.parent / "stat").read_text().rpartition(")")[2].split()[1]
            if b"slurmstepd" in pathlib.Path(f"/proc/{parent}/cmdline").read_bytes():
                found.add(int(parent))
        except OSError:
            continue
    return found


def rounds(test):
    return pytest.mark.parametrize("round", range(ROUNDS))(test)


@pytest.fixture(params=["slurm", "slurm-hold"])
def jobs(request, slurm):
    """An engine whose workers are jobs, its environment, and the cluster's folder."""
    return request.param, environment(slurm), pathlib.Path(slurm["SLURM_CONF"]).parent


def test_a_driver_in_an_element_of_an_array(jobs, data, tmp_path):
    kind, env, _ = jobs
    of_job = {"SLURM_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_MEM_PER_NODE": "10"}
    name = "anomaly.zarr"
    run(*job(JOBS[name], data, tmp_path / name), *engine(kind, tmp_path), env={**env, **of_job})
    expect_same(data, tmp_path, name, env)


@rounds
def test_killed_tasks(kind, data, tmp_path, round):
    kind, env = kind
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    end = time.monotonic() + PATIENCE_SECS
    while not (workers := driver.workers()) and time.monotonic() < end:
        time.sleep(0.01)
    kill(workers[0])
    driver.end()
    expect_same(data, tmp_path, "anomaly.zarr", env)


@rounds
def test_killed_driver(kind, data, tmp_path, round):
    kind, env = kind
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    driver.wait_for_marks(1)
    driver.process.kill()
    driver.process.communicate()
    driver.process = driver.start("--resume")
    driver.end()
    if kind == "processes":  # those of the first driver may still be at work
        while driver.workers():
            time.sleep(0.05)
    expect_same(data, tmp_path, "anomaly.zarr", env)


@rounds
def test_half_of_the_marks_are_lost(kind, data, tmp_path, round):
    kind, env = kind
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    driver.wait_for_marks(4)
    driver.process.kill()
    driver.process.communicate()
    for mark in driver.marks()[::2]:
        mark.unlink()
    for mark in driver.marks()[:1]:
        mark.write_text(mark.read_text()[:-5])  # torn
    driver.process = driver.start("--resume")
    driver.end()
    while driver.workers():
        time.sleep(0.05)
    expect_same(data, tmp_path, "anomaly.zarr", env)


@rounds
def test_a_batch_is_carried_out_twice(kind, data, tmp_path, round):
    kind, env = kind
    driver = Driver("series.zarr", kind, env, data, tmp_path)
    end = time.monotonic() + PATIENCE_SECS
    while not (orders := sorted(tmp_path.glob("work/run-*/orders/0.json"))) and time.monotonic() < end:
        time.sleep(0.005)
    twin = {"BLOCKWISE_WORKER_RUN": str(orders[0].parent.parent), "BLOCKWISE_WORKER_ORDER": "0", "BLOCKWISE_WORKER_SHARE": "0"}
    twins = [subprocess.Popen(driver.words, env={**env, **twin}, stderr=subprocess.DEVNULL) for _ in range(2)]
    driver.end()
    for twin in twins:
        twin.wait(PATIENCE_SECS)
    expect_same(data, tmp_path, "series.zarr", env)


@rounds
def test_interrupted(kind, data, tmp_path, round):
    kind, env = kind
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    driver.wait_for_marks(1)
    driver.process.send_signal(signal.SIGINT)
    driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode == 130
    assert not (tmp_path / "anomaly.zarr").exists() and not leftovers(tmp_path, env)


def test_a_driver_that_is_told_to_end_is_resumed(data, tmp_path):
    env = environment()
    shutil.copytree(data / "x.zarr", tmp_path / "x.zarr")
    driver = Driver("anomaly.zarr", "processes", env, tmp_path, tmp_path)
    driver.wait_for_marks(1)
    driver.process.send_signal(signal.SIGTERM)
    driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode == 143
    marks = driver.marks()
    assert marks
    # A run that cannot begin takes nothing away either.
    (tmp_path / "x.zarr").rename(tmp_path / "away")
    driver.process = driver.start("--resume")
    driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode and driver.marks() == marks
    (tmp_path / "away").rename(tmp_path / "x.zarr")
    driver.process = driver.start("--resume")
    driver.end()
    expect_same(data, tmp_path, "anomaly.zarr", env)


@pytest.mark.parametrize("name", ["anomaly.zarr", "spread.nc"])
def test_a_failure_that_was_mended_is_resumed(name, data, tmp_path):
    env = environment()
    shutil.copytree(data / "x.zarr", tmp_path / "x.zarr")
    broken = sorted(path for path in (tmp_path / "x.zarr").rglob("*") if path.is_file() and path.name == "0")[9]
    content, times = broken.read_bytes(), broken.stat()

    def write(content):
        """As a disk that fails does: of another length or time it would be another input, and nothing to go on with."""
        broken.write_bytes(content)
        os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))

    write(bytes(100) + content[100:])
    driver = Driver(name, "processes", env, tmp_path, tmp_path)
    driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode == 4
    write(content)
    [left] = (tmp_path / "work").glob("run-*")
    marks = driver.marks()
    assert marks
    # With other options of how it is carried out.
    driver.process = driver.start("--resume", "--retries", "9", "--time=1:00", "-vv", "--report", tmp_path / "page.html")
    _, errors = driver.process.communicate(timeout=PATIENCE_SECS)
    assert driver.process.returncode == 0, errors
    assert left.name.removeprefix("run-") in errors and "starts anew" not in errors and "anew" not in errors, errors
    expect_same(data, tmp_path, name, env)


def test_workers_open_nothing_of_their_drivers(data, tmp_path):
    env = environment()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = {option: tmp_path / option for option in ["report", "trace"]}
    more = [f"--{option}={path}" for option, path in files.items()]
    driver = Driver("anomaly.zarr", "processes", env, data, tmp_path, f"--dashboard=127.0.0.1:{port}", *more)
    driver.end()
    assert all(path.stat().st_size for path in files.values())
    expect_same(data, tmp_path, "anomaly.zarr", env)


@rounds
def test_the_controller_is_restarted(jobs, data, tmp_path, round):
    kind, env, folder = jobs
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    driver.wait_for_marks(1)
    kill(int((folder / "run/slurmctld.pid").read_text()))
    time.sleep(2)
    subprocess.run(["slurmctld", "-f", env["SLURM_CONF"]], check=True)
    driver.end()
    expect_same(data, tmp_path, "anomaly.zarr", env)
    wait_until_up(env)


def test_an_error_is_shown_with_its_chunk(kind, data, tmp_path):
    kind, env = kind
    shutil.copytree(data / "x.zarr", tmp_path / "x.zarr")
    broken = sorted(path for path in (tmp_path / "x.zarr").rglob("*") if path.is_file() and path.name == "0")[3]
    broken.write_bytes(broken.read_bytes()[:100])
    words = job(JOBS["anomaly.zarr"], tmp_path, tmp_path / "out.zarr")
    words = [ARRAYCTL, *map(str, [*words, *engine(kind, tmp_path)]), "--memory", "64MiB", "--threads", "1"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=PATIENCE_SECS)
    assert done.returncode == 4 and "chunk [" in done.stderr and "x.zarr" in done.stderr, done.stderr
    listed = subprocess.run([ARRAYCTL, "runs", "--work-dir", tmp_path / "work", "--json"], capture_output=True, text=True)
    [left] = json.loads(listed.stdout)["runs"]
    assert left["driver"] is None and left["stages"][0]["failures"] >= 2
    subprocess.run([ARRAYCTL, "runs", "cancel", left["id"], "--work-dir", tmp_path / "work"], check=True, env=env)
    assert not list((tmp_path / "work").glob("run-*"))


@rounds
def test_a_node_dies(jobs, data, tmp_path, round):
    kind, env, folder = jobs
    driver = Driver("anomaly.zarr", kind, env, data, tmp_path)
    driver.wait_for_marks(1)
    for process in of_node(folder, "n1"):
        kill(process)
    try:
        driver.end()
    finally:
        subprocess.run(["slurmd", "-N", "n1", "-f", env["SLURM_CONF"]], check=True)
    expect_same(data, tmp_path, "anomaly.zarr", env)
    wait_until_up(env)


FULL = """mount -t tmpfs -o size=64k tmpfs "$1"; mkdir "$1/upper" "$1/work"
mount -t overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" overlay "$2"
dd if=/dev/zero of="$1/filler" bs=4k 2>/dev/null || [ -s "$1/filler" ]
exec slurmd -N n1 -f "$3" """


@rounds
def test_the_disk_of_one_node_is_full(jobs, data, tmp_path, round):
    kind, env, folder = jobs
    (shared := tmp_path / "shared").mkdir()
    (tiny := tmp_path / "tiny").mkdir()
    daemon, log = folder / "run/slurmd.n1.pid", folder / "log/slurmd.n1.log"
    kill(int(daemon.read_text()))
    # Node n1 sees the shared folder, but has room for nothing there: the rest of its file system, in memory, is full.
    words = ["unshare", "--mount", "sh", "-ec", FULL, "sh", tiny, shared, env["SLURM_CONF"]]
    full = subprocess.run(words, capture_output=True, text=True)
    began = len(log.read_text())
    try:
        if full.returncode:
            pytest.skip(f"no file system over another here: {full.stderr.strip()}")
        wait_until_up(env)
        driver = Driver("anomaly.zarr", kind, env, data, shared)
        driver.end()
    finally:
        if not full.returncode:
            kill(int(daemon.read_text()))
        subprocess.run(["slurmd", "-N", "n1", "-f", env["SLURM_CONF"]], check=True)
        wait_until_up(env)
    assert "aunch" in log.read_text()[began:], "node n1 had nothing to do"
    expect_same(data, shared, "anomaly.zarr", env)
