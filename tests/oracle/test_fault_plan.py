"""The fault plan of docs/reliability.md: crash points, power cuts, full disks, I/O errors, damaged temporary files, writers at
once, limits. A few rounds of each under `make test`; all of them, with figures, under `make faults` (BLOCKWISE_FAULTS=full)."""

import json
import os
import pathlib
import random
import resource
import shlex
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import zarr
from driver import MIB, ROOT, arrayctl, arrayctl_path, assert_refusal, read_zarr, started, succeed

FAULTS = ROOT / "tests" / "faults"
FULL = os.environ.get("BLOCKWISE_FAULTS") == "full"


def rounds(short, full):
    """How often a fault is tried."""
    return full if FULL else short


def store(path, shape, chunks):
    """Random f4 behind no codec, the same ones every time."""
    values = np.random.default_rng(7).standard_normal(shape, dtype="f4")
    zarr.create_array(str(path), shape=shape, chunks=chunks, dtype="f4", compressors=None)[...] = values
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(source, target chunks) of a job of a few dozen file operations."""
    return store(tmp_path_factory.mktemp("small") / "in.zarr", (32, 40, 40), (8, 40, 40)), "32,10,40"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """As `small`, with chunks of 819 KB, large enough to be written past the cache of files."""
    return store(tmp_path_factory.mktemp("large") / "in.zarr", (32, 160, 160), (8, 160, 160)), "32,40,160"


@pytest.fixture(params=["small", "large"])
def sized(request):
    """The jobs of both sizes."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def medium(tmp_path_factory):
    """(source, target chunks, budget) of a job that takes temporary files: 31 MB."""
    folder = tmp_path_factory.mktemp("medium")
    return store(folder / "in.zarr", (240, 181, 180), (8, 181, 180)), "240,19,36", "8MiB"


def crashloop(folder, source, chunks, *options):
    """Runs crashloop.py on a rechunk of `source`; what it reports. An output is whole or not there, and a resume finishes it."""
    command = [arrayctl_path(), "rechunk", str(source), "out.zarr", "--chunks", chunks]
    line = shlex.join(command)
    verify = shlex.join([arrayctl_path(), "verify", str(source), "out.zarr"])
    arguments = [
        *("--setup", "rm -rf out.zarr out.zarr.partial-*"),
        *("--check", f"if [ -e out.zarr ]; then {verify}; fi"),
        *("--resume", f"if [ ! -e out.zarr ]; then {line} --resume; fi"),
        *("--final", verify),
        *("--round-secs", "60"),
        "--keep-going",
        *options,
    ]
    loop = [sys.executable, str(FAULTS / "crashloop.py"), *arguments, "--", *command]
    done = subprocess.run(loop, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.stdout.lstrip().startswith("{"), done.stdout
    seen = json.loads(done.stdout)
    assert not seen["failures"], done.stdout
    return seen


def test_killed_before_every_file_operation(small, tmp_path, figure):
    options = [] if FULL else ["--rounds", "6"]
    seen = crashloop(tmp_path, *small, "--mode", "nth", "--path", "out.zarr", *options)
    assert seen["killed"] > 0, seen
    figure(f"F1 crash points (of {seen['operations']})", seen["passed"], seen["tried"])


def traced(command, inject, path=None, **options):
    """A finished run of `command` under strace, which meddles with system calls however they are made; skips the test where no
    process may be traced. strace counts the calls of each thread by itself."""
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    only = ["-P", str(path)] if path else []
    tracer = ["strace", "-f", "-qq", "-o", "/dev/null", *only, "-e", f"inject={inject}"]
    done = subprocess.run([*tracer, *command], capture_output=True, text=True, timeout=60, **options)
    if "PTRACE" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:200]}")
    return done


CHANGING = "write,pwrite64,openat,openat2,?rename,renameat,renameat2,fsync,fdatasync,syncfs,unlinkat,?mkdir,mkdirat,ftruncate"


def test_killed_before_every_system_call(small, tmp_path, figure):
    """The nth call of a thread that opens, makes, writes, syncs, renames or removes something, for n = 1 to the last."""
    source, chunks = small
    command = ["rechunk", source, "out.zarr", "--chunks", chunks]
    tried = 0
    for number in range(1, 1000, 1 if FULL else 17):
        subprocess.run("rm -rf out.zarr*", shell=True, cwd=tmp_path, check=True)
        arguments = [arrayctl_path(), *map(str, command), "--threads", "1"]
        run = traced(arguments, f"{CHANGING}:signal=KILL:when={number}", cwd=tmp_path)
        if run.returncode == 0:
            break
        assert run.returncode in (-9, 137), run.stderr
        tried += 1
        # The output is there before its partial folder is gone: whoever is killed between the two resumes to tidy up.
        if not (tmp_path / "out.zarr").exists() or list(tmp_path.glob("out.zarr.*")):
            succeed(*command, "--resume", cwd=tmp_path)
        np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr"), read_zarr(source))
        assert not list(tmp_path.glob("out.zarr.*")), (
            f"something was left behind after a kill at call {number}"
        )
    figure("F1 crash points (system calls)", tried, tried)


def assert_told_or_right(run, source, out, chunks):
    """A run that met an error says so and leaves nothing under the output's name, or its values are right; then a resume works."""
    for trouble in ("panicked", "internal error"):
        assert trouble not in run.stderr, run.stderr
    if run.returncode != 0:
        assert run.returncode in (1, 3, 4) and run.stderr.strip(), (run.returncode, run.stderr)
        assert not out.exists()
        succeed("rechunk", source, out, "--chunks", chunks, "--resume")
    np.testing.assert_array_equal(read_zarr(out), read_zarr(source))


@pytest.mark.parametrize("name", ["zarr.json", "c/0/0/0", "c/3/0/0"])
@pytest.mark.parametrize("error", ["EIO", "EINTR", "ESTALE"])
def test_input_cannot_be_read(small, tmp_path, figure, name, error):
    """What stays unreadable is an error that names the file, never fill values; what passes does no harm."""
    source, chunks = small
    out = tmp_path / "out.zarr"
    command = [arrayctl_path(), "rechunk", str(source), str(out), "--chunks", chunks]
    run = traced(
        command, f"pread64,read:error={error}:when={'1' if error == 'EINTR' else '1+'}", source / name
    )
    if error != "EINTR":
        assert run.returncode in (1, 4) and name in run.stderr, (run.returncode, run.stderr)
    assert_told_or_right(run, source, out, chunks)
    figure(f"F5 read of {name} meets {error}", 1, 1)


@pytest.mark.parametrize("error", ["EIO", "EMFILE", "EACCES", "EISDIR", "ENOTDIR", "EINTR"])
def test_input_cannot_be_opened(small, tmp_path, figure, error):
    """The nth opening below a store and all later ones fail: an error, since only ENOENT means that a chunk is not stored."""
    source, chunks = small
    tried = 0
    for number in range(1, 100, 1 if FULL else 3):
        out = tmp_path / f"out-{number}.zarr"
        command = [arrayctl_path(), "rechunk", str(source), str(out), "--chunks", chunks, "--threads", "1"]
        sticky = "" if error == "EINTR" else "+"  # who is interrupted tries again, for ever
        run = traced(command, f"openat2:error={error}:when={number}{sticky}")
        if run.returncode == 0 and sticky or number > 12:
            break  # there are no more
        assert_told_or_right(run, source, out, chunks)
        tried += 1
    figure(f"F5 opening fails with {error}", tried, tried)


# Where the fault strikes: operation, error.
IO_FAULTS = [
    *[("write", error) for error in ("EIO", "EINTR", "SHORT", "ENOSPC")],
    *[("open", error) for error in ("EIO", "EMFILE", "ENOSPC")],
    *[("rename", error) for error in ("EIO", "ENOSPC")],
    ("fsync", "EIO"),
]


@pytest.mark.parametrize("operation, error", IO_FAULTS)
def test_output_cannot_be_written(sized, tmp_path, figure, operation, error):
    options = ["--mode", "nth", "--path", "out.zarr", "--op", operation, "--err", error]
    seen = crashloop(tmp_path, *sized, *options, "--rounds", str(rounds(1, 8)))
    figure(f"F5 {operation} of the output fails with {error}", seen["passed"], seen["tried"])


def mounted(folder, size, *options):
    """A file system of `size` in memory at `folder`; skips the test where it cannot be mounted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(folder)]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"mounting a file system needs root: {mount.stderr.strip()}")


@pytest.mark.parametrize("fills", ["output", "temporary", "both"])
def test_disk_of_any_size_fills(medium, tmp_path, figure, fills):
    source, chunks, memory = medium
    tried = rounds(1, 14 if fills == "output" else 13)
    needed_kib, survived = 40_000, 0
    for number in range(tried):
        disk, elsewhere = tmp_path / f"disk-{number}", tmp_path / f"elsewhere-{number}"
        elsewhere.mkdir()
        mounted(disk, f"{needed_kib * (number + 1) // (tried + 1)}k")
        try:
            output = (elsewhere if fills == "temporary" else disk) / "out.zarr"
            spill = elsewhere if fills == "output" else disk
            command = ["rechunk", source, output, "--chunks", chunks, "--memory", memory, "--codec", "zstd:1"]
            command += ["--spill-dir", spill]
            run = arrayctl(*command, timeout_secs=60)
            if run.code != 0:
                assert_refusal(run, (1, 3))
                assert "free" in run.stderr and not output.exists(), str(run)
                subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
                succeed(*command, "--resume")
            np.testing.assert_array_equal(read_zarr(output), read_zarr(source))
            survived += 1
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    figure(f"F4 disk full ({fills})", survived, tried)


def powercut(folder, writer, check, cuts):
    """Runs powercut.sh; (rounds in which nothing was lost, its output)."""
    command = ["bash", str(FAULTS / "powercut.sh"), "-n", str(cuts), "-s", "96M", "-d", str(folder), writer]
    done = subprocess.run([*command, *check], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("rep=")]
    if not lines:
        pytest.skip(f"a power cut needs root and loop devices: {done.stdout.strip()[-200:]}")
    whole = [line for line in lines if "writer_rc=0" in line and "zero_length=0" in line]
    return sum("check_rc=0" in line or not check for line in whole), done.stdout


def test_power_cut(sized, tmp_path, figure):
    source, chunks = sized
    own = f"mkdir -p $MNT/z; {shlex.quote(arrayctl_path())}"
    writer = f'{own} rechunk {source} "$MNT/z/out.zarr" --chunks {chunks}'
    check = f'{shlex.quote(arrayctl_path())} verify {source} "$MNT/z/out.zarr"'
    careless = f'{sys.executable} {FAULTS / "pw.py"} "$MNT/z" rename'
    lost, text = powercut(tmp_path / "control", careless, [], 1)
    assert lost == 0, f"a writer that never syncs lost nothing: this test proves nothing\n{text}"
    cuts = rounds(1, 50)
    survived, text = powercut(tmp_path / "own", writer, [check], cuts)
    assert survived == cuts, text
    figure("F3 power cuts (the control without syncs lost its data)", survived, cuts)


def damage(process, rng):
    """Waits for a temporary file of `process` to hold something, then damages it; whether there was one."""
    while process.poll() is None:
        time.sleep(0.002)
        try:
            for descriptor in pathlib.Path(f"/proc/{process.pid}/fd").iterdir():
                if "blockwise-spill" not in os.readlink(descriptor):
                    continue
                time.sleep(rng.uniform(0, 0.3))
                size = os.stat(descriptor).st_size
                if size < 4096:
                    continue
                with open(descriptor, "r+b") as file:
                    if rng.random() < 0.3:
                        file.truncate(rng.randrange(size))
                    else:
                        file.seek(rng.randrange(size - 64))
                        file.write(rng.randbytes(rng.choice([1, 64])))
                return True
        except OSError:  # it has ended, or has closed the file
            continue
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_damaged_temporary_files(medium, tmp_path, figure):
    source, chunks, memory = medium
    rng, tried, survived, out = random.Random(5), 0, 0, tmp_path / "out.zarr"
    wanted = rounds(3, 60)
    for _ in range(3 * wanted):
        if tried == wanted:
            break
        subprocess.run(["rm", "-rf", *map(str, tmp_path.glob("out.zarr*"))], check=True)
        command = ["rechunk", source, out, "--chunks", chunks, "--memory", memory, "--codec", "gzip:1"]
        command = [arrayctl_path(), *map(str, command)]
        process = started(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        struck = damage(process, rng)
        _, message = process.communicate(timeout=60)
        if not struck:
            continue
        tried += 1
        # Computed again, or refused by name: wrong values never.
        if process.returncode == 0:
            np.testing.assert_array_equal(read_zarr(out), read_zarr(source))
        else:
            assert process.returncode == 1 and "temporary" in message and not out.exists(), message
        survived += 1
    figure("F10 damaged temporary files", survived, tried)


def test_writers_at_once(small, tmp_path, figure):
    source, _ = small
    tried = rounds(2, 20)
    for number in range(tried):
        out = tmp_path / f"out-{number}.zarr"
        runs = []
        for chunks in ("32,10,40", "5,7,11", "-1,-1,3"):
            command = [arrayctl_path(), "rechunk", str(source), str(out), "--chunks", chunks]
            runs.append(started(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        messages = [run.communicate(timeout=60)[1] for run in runs]
        codes = sorted(run.returncode for run in runs)
        assert codes[0] == 0 and set(codes) <= {0, 3} and codes.count(0) == 1, (codes, messages)
        np.testing.assert_array_equal(read_zarr(out), read_zarr(source))
        assert not list(tmp_path.glob(f"out-{number}.zarr.*")), "something was left behind"
    figure("F11 writers of one output at once", tried, tried)


def test_few_descriptors(tmp_path, figure):
    """Two thousand chunks with 24 descriptors."""
    source = store(tmp_path / "in.zarr", (2000, 10, 10), (1, 10, 10))
    command = [arrayctl_path(), "rechunk", str(source), str(tmp_path / "out.zarr"), "--chunks", "500,5,5"]
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))  # noqa: E731
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_zarr(tmp_path / "out.zarr"), read_zarr(source))
    figure("F12 24 descriptors, 2000 chunks", 1, 1)


def test_many_chunks(tmp_path, figure):
    """Metadata and listing of an array of a great many chunks take little memory."""
    count = rounds(20_000, 1_000_000)
    zarr.create_array(str(tmp_path / "in.zarr"), shape=(count,), chunks=(1,), dtype="u1", compressors=None)
    chunks = tmp_path / "in.zarr" / "c"
    chunks.mkdir()
    for number in range(count):
        os.close(os.open(chunks / str(number), os.O_CREAT | os.O_WRONLY))
    run = succeed("info", tmp_path / "in.zarr", measure=True)
    assert run.peak_bytes < 200 * MIB, f"peak {run.peak_bytes / MIB:.0f} MiB"
    figure(f"F12 {count} chunks listed in {run.peak_bytes / MIB:.0f} MiB", 1, 1)


def test_read_only_output(small, tmp_path, figure):
    source, chunks = small
    mounted(tmp_path / "disk", "4m", "ro")
    try:
        run = arrayctl("rechunk", source, tmp_path / "disk" / "out.zarr", "--chunks", chunks)
        assert_refusal(run, (1, 3), ["out.zarr"])
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)
    figure("F12 read-only output refused", 1, 1)


@pytest.mark.parametrize("years", [-10, 10])
def test_clocks_do_not_matter(small, tmp_path, figure, years):
    """Files of an interrupted run from another time are resumed like any."""
    source, chunks = small
    options = ["--mode", "nth", "--path", "out.zarr", "--rounds", "2"]
    when = time.time() + years * 365 * 86400
    aged = f"find . -exec touch -h -d @{when:.0f} {{}} +"
    seen = crashloop(tmp_path, source, chunks, *options, "--check", aged)
    figure(f"F12 clock off by {years} years", seen["passed"], seen["tried"])
