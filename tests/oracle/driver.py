"""Runs `arrayctl` as a user would, and reads what it wrote with other people's libraries."""

import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import netCDF4
import numpy as np
import tensorstore
import zarr

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
# Memory that a run may hold beyond its budget: the program itself, its threads' stacks, allocator slack.
BASELINE_BYTES = 96 * MIB


@dataclasses.dataclass
class Run:
    """One finished run."""

    command: list
    code: int  # negative: killed by that signal
    stdout: str
    stderr: str
    peak_bytes: int  # 0 unless measured

    def __str__(self):
        return f"$ {' '.join(map(str, self.command))}\nexit {self.code}\n{self.stdout}{self.stderr}"


def arrayctl_path():
    path = os.environ.get("BLOCKWISE_ARRAYCTL")
    if not path or not os.access(path, os.X_OK):
        raise RuntimeError(
            f"BLOCKWISE_ARRAYCTL must name the built arrayctl, it is {path!r}: run `make test`"
        )
    return path


def started(command, **options):
    """`Popen`, tried again where the system fails to start any program: Linux 6.18 in a virtual machine was seen to answer
    `execve` of sound arguments with EFAULT now and then, about once in 170 cases of the corpus; why is not known."""
    for _ in range(4):
        try:
            return subprocess.Popen(command, **options)
        except OSError as error:
            if error.errno != errno.EFAULT:
                raise
        time.sleep(0.05)
    return subprocess.Popen(command, **options)


def arrayctl(*args, timeout_secs=120, address_space_bytes=0, measure=False, cwd=None):
    """Runs `arrayctl ARGS`, with its peak memory if `measure`. A run past its time is a hang and fails the test."""
    command = [arrayctl_path(), *map(str, args)]
    wrapped, report = command, None
    if measure or address_space_bytes:
        report = tempfile.NamedTemporaryFile(suffix=".json")
        launcher = [sys.executable, "-S", "-E", str(ROOT / "tools" / "peak_rss.py")]
        wrapped = [*launcher, report.name, str(address_space_bytes), *command]
    process = started(
        wrapped,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=cwd,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout_secs)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"hang: no end within {timeout_secs} s: {' '.join(command)}") from None
    code, peak_bytes = process.returncode, 0
    if report:
        measured = json.loads(pathlib.Path(report.name).read_text())
        code, peak_bytes = measured["code"], measured["peak_bytes"]
    return Run(command, code, stdout, stderr, peak_bytes)


def succeed(*args, **kwargs):
    """Runs `arrayctl ARGS` and demands exit 0."""
    run = arrayctl(*args, **kwargs)
    assert run.code == 0, str(run)
    return run


def assert_refusal(run, codes, names=()):
    """A clean refusal: one of the exit codes, one paragraph on standard error, no panic, the names mentioned."""
    assert run.code >= 0, f"killed by signal {-run.code}\n{run}"
    assert run.code in codes, f"exit {run.code}, wanted one of {codes}\n{run}"
    message = run.stderr.strip()
    assert message, f"nothing on standard error\n{run}"
    for trouble in ("panicked", "internal error", "backtrace"):
        assert trouble not in message.lower(), str(run)
    assert "\n\n" not in message, f"more than one paragraph\n{run}"
    for name in names:
        assert name in message, f"the message does not name {name!r}\n{run}"


def digest(values):
    """sha256 of the values in C order, little endian: what the corpus's manifest holds."""
    values = np.asarray(values)
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
    return hashlib.sha256(little.tobytes()).hexdigest()


def read_zarr(path, name=None):
    """The array at `path`, or the one in the group there (that called `name`, if there are several): zarr-python."""
    return sole_zarr(path, name)[...]


def sole_zarr(path, name=None):
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return node
    arrays = {key: member for key, member in node.members(max_depth=None) if isinstance(member, zarr.Array)}
    return pick(arrays, name, path)


def read_tensorstore(path, name=None):
    """As `read_zarr`, by tensorstore."""
    array = sole_zarr(path, name)
    where = os.path.join(str(path), array.path) if array.path else str(path)
    spec = {
        "driver": "zarr3" if array.metadata.zarr_format == 3 else "zarr",
        "kvstore": {"driver": "file", "path": where + "/"},
    }
    return tensorstore.open(spec, read=True).result().read().result()


def read_h5py(path, name=None):
    """The dataset of an HDF5 or NetCDF4 file that is no dimension scale (that called `name`, if several)."""
    with h5py.File(path, "r") as file:
        found = {}
        file.visititems(
            lambda key, item: found.update({key: item}) if isinstance(item, h5py.Dataset) else None
        )
        arrays = {key: item for key, item in found.items() if item.attrs.get("CLASS") != b"DIMENSION_SCALE"}
        return pick(arrays or found, name, path)[...]


def read_netcdf(path, name=None):
    """The variable of a NetCDF file that is no coordinate (that called `name`, if several), raw stored values."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        found, groups = {}, [file]
        while groups:
            group = groups.pop()
            groups += group.groups.values()
            found |= {os.path.join(group.path, key).strip("/"): item for key, item in group.variables.items()}
        arrays = {key: item for key, item in found.items() if key not in item.dimensions}
        return np.asarray(pick(arrays or found, name, path)[...])


def pick(arrays, name, path):
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    matching = [item for key, item in arrays.items() if name and key.split("/")[-1] == name.split("/")[-1]]
    assert len(matching) == 1, f"{path} holds {sorted(arrays)}, wanted {name!r}"
    return matching[0]
