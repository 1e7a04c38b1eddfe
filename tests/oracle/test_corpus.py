"""Every case of the corpus through `arrayctl`: good ones bit-exact in every format, bad ones refused cleanly.

The runs of all selected cases go through two threads ahead of the tests, which only compare.
"""

import concurrent.futures
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import pytest
from driver import (
    BASELINE_BYTES,
    MIB,
    ROOT,
    Run,
    arrayctl,
    assert_refusal,
    digest,
    read_h5py,
    read_netcdf,
    read_tensorstore,
    read_zarr,
    succeed,
)

REFUSED = (3, 4)  # refused before running, bad input data
BUDGET_BYTES = 256 * MIB
# What a format cannot say, or says in more than one way: there a clean refusal is accepted, wrong values never are.
UNSAYABLE = {
    "out.nc": {"bool", "float16", "complex64", "complex128"},
    "out.h5": {"bool", "complex64", "complex128"},
}
READERS = {
    "out.zarr": [read_zarr, read_tensorstore],
    "out.npy": [lambda path, name: np.load(path)],
    "out.nc": [read_netcdf, read_h5py],
    "out.h5": [read_h5py],
}


@functools.cache
def corpus():
    """Generates the corpus, once a session; its folder (which lives as long as the object) and its cases."""
    folder = tempfile.TemporaryDirectory(prefix="blockwise-corpus-")
    files = pathlib.Path(folder.name) / "files"
    generator = ROOT / "tests" / "corpus" / "make_corpus.py"
    subprocess.run([sys.executable, generator, files], check=True, stdout=subprocess.DEVNULL)
    return folder, json.loads((files / "manifest.json").read_text())["cases"]


def source_of(case):
    """The case as arrayctl names it."""
    path = pathlib.Path(corpus()[0].name) / "files" / case["path"]
    return f"{path}::{case['node']}" if case["node"] else str(path)


@dataclasses.dataclass
class Outcome:
    """What the runs of one case gave."""

    folder: pathlib.Path
    runs: dict[str, Run]  # by the name of their destination


def run_good(case, folder):
    source = source_of(case)
    runs = {name: arrayctl("convert", source, folder / name) for name in READERS}
    if "strict" in case:
        runs["strict.zarr"] = arrayctl("convert", source, folder / "strict.zarr", case["strict"]["flag"])
    return Outcome(folder, runs)


def destination_of(bad_case):
    """Zarr; a format of one array where the fault is that a group was named as an array."""
    return "out.npy" if "node is a group" in bad_case["why"] else "out.zarr"


def run_bad(case, folder):
    """Under a limit on memory and time: some of these ask for 2^60 bytes, or wait for ever."""
    limits = dict(timeout_secs=20, address_space_bytes=2 << 30)
    budget = ("--memory", f"{BUDGET_BYTES // MIB}MiB")
    runs = {
        "out": arrayctl("convert", source_of(case), folder / destination_of(case), *budget, **limits),
        "info": arrayctl("info", source_of(case), **limits),
    }
    return Outcome(folder, runs)


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    """Outcomes of all selected cases by id, as futures."""
    wanted = {}
    for item in request.session.items:
        if item.module is request.module and hasattr(item, "callspec") and "case" in item.callspec.params:
            case = item.callspec.params["case"]
            wanted[case["id"]] = case
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = {}
        for name, case in wanted.items():
            run = run_good if case["expect"] == "ok" else run_bad
            futures[name] = pool.submit(run, case, tmp_path_factory.mktemp(name))
        yield futures
        pool.shutdown(cancel_futures=True)


def pytest_generate_tests(metafunc):
    expect = {"test_good": "ok", "test_bad": "error"}.get(metafunc.function.__name__)
    if expect:
        cases = [case for case in corpus()[1] if case["expect"] == expect]
        metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


def assert_values(case, values, how):
    """Values are those of the manifest, or its accepted second reading."""
    got = dict(shape=list(values.shape), dtype=values.dtype.newbyteorder("=").name, sha256=digest(values))
    accepted = [{key: case[key] for key in got}] if "sha256" in case else []
    accepted += [{key: case["alt"][key] for key in got}] if "alt" in case else []
    if how.startswith(("out.nc", "out.h5")) and case.get("dtype") == "bool":
        got["dtype"] = "bool"  # stored as a byte
    assert got in accepted, f"{case['id']} as {how}: got {got}, wanted one of {accepted}"


def assert_texts(case, destination):
    """Strings are not computed with, but may be copied: then they are those of the source."""
    path = pathlib.Path(corpus()[0].name) / "files" / case["path"]
    with h5py.File(path) as file:
        texts = [
            text.decode() if isinstance(text, bytes) else text for text in file[case["node"]][...].ravel()
        ]
    copies = [
        text.decode() if isinstance(text, bytes) else str(text) for text in read_zarr(destination).ravel()
    ]
    assert copies == texts, case["id"]


def test_good(case, outcomes):
    outcome = outcomes[case["id"]].result()
    for name, readers in READERS.items():
        run = outcome.runs[name]
        if run.code != 0 and (case.get("optional") or case["dtype"] in UNSAYABLE.get(name, ())):
            assert_refusal(run, REFUSED)
            continue
        assert run.code == 0, str(run)
        for reader in readers:
            assert_values(case, reader(outcome.folder / name, case["node"]), f"{name} by {reader.__name__}")
    if "strict" in case:
        assert_refusal(outcome.runs["strict.zarr"], (4,))
        assert not (outcome.folder / "strict.zarr").exists()


def test_bad(case, outcomes):
    outcome = outcomes[case["id"]].result()
    run, destination = outcome.runs["out"], outcome.folder / destination_of(case)
    if run.code == 0 and "alt" in case:
        assert_values(case, read_zarr(destination, case["node"]), "out.zarr")
    elif run.code == 0 and "string" in case["why"] and case["kind"] in ("hdf5", "netcdf4"):
        assert_texts(case, destination)
    elif not (run.code == 0 and case.get("optional_ok")):
        assert_refusal(run, REFUSED, names=[pathlib.Path(case["path"]).name])
        assert not destination.exists(), f"a refused run left its destination\n{run}"
    limit = BUDGET_BYTES + BASELINE_BYTES
    assert run.peak_bytes <= limit, f"took {run.peak_bytes / MIB:.0f} MiB, limit {limit / MIB:.0f}\n{run}"
    info = outcome.runs["info"]
    if info.code != 0:  # a fault in a chunk is none of info's business
        assert_refusal(info, REFUSED)


@pytest.mark.parametrize(
    "path", ["hdf5/dtypes.h5", "hdf5/layout.h5", "netcdf4/cf.nc", "zarr2/tree", "zarr3/tree"]
)
def test_whole_containers(path, tmp_path):
    """A container converts as one, every array of it keeping its place."""
    folder, cases = corpus()
    inside = [case for case in cases if case["path"] == path and case["expect"] == "ok"]
    inside = [case for case in inside if "hang" not in case["tags"]]  # a name through a cycle of links
    strange = [case["node"] for case in cases if case["path"] == path and case["expect"] == "error"]
    exclude = [argument for node in strange for argument in ("--exclude", node)]
    succeed("convert", pathlib.Path(folder.name) / "files" / path, tmp_path / "out.zarr", *exclude)
    for case in inside:
        for reader in (read_zarr, read_tensorstore):
            values = reader(tmp_path / "out.zarr" / case["node"])
            assert_values(case, values, f"{case['node']} by {reader.__name__}")


def test_strings_of_gigabytes_take_no_memory_to_list(tmp_path):
    """Never written, so that the file is small; found by fuzzing."""
    long = h5py.h5t.C_S1.copy()
    long.set_size((1 << 31) + 12)  # NumPy has no such type
    with h5py.File(tmp_path / "long.h5", "w") as file:
        for name in [b"one", b"three"]:
            h5py.h5d.create(file.id, name, long, h5py.h5s.create_simple((len(name) - 2,)))
        file.create_dataset("x", data=np.arange(3.0))
    run = arrayctl("ls", tmp_path / "long.h5", timeout_secs=20, address_space_bytes=1 << 30)
    assert run.code == 0 and "bytes2147483660" in run.stdout and "float64" in run.stdout, str(run)
    run = arrayctl("stats", tmp_path / "long.h5::x", timeout_secs=20, address_space_bytes=1 << 30)
    assert run.code == 0, str(run)


def test_strings_that_were_never_written_are_empty(tmp_path):
    """Longer than any number, in chunks of which one was written, and without storage."""
    with h5py.File(tmp_path / "strings.h5", "w") as file:
        cut = file.create_dataset("cut", (7,), "S21", chunks=(2,))
        cut[2:4] = [b"some", b"text of 21 letters.."]
        file.create_dataset("whole", (5,), "S40")
        file.create_dataset("short", (5,), "S3", fillvalue=b"abc")
    for name, wanted in [("cut", [b"", b"", b"some", b"text of 21 letters..", b"", b"", b""]), ("whole", [b""] * 5), ("short", [b"abc"] * 5)]:
        run = arrayctl("convert", f"{tmp_path / 'strings.h5'}::{name}", tmp_path / f"{name}.h5")
        assert run.code == 0, str(run)
        with h5py.File(tmp_path / f"{name}.h5") as file:
            assert file[name][:].tolist() == wanted
