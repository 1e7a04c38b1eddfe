"""`make bench`: blockwise beside its peers in one run, the same work and the same output codec for all.

Every engine runs in a process of its own, in turn (A B A B ...), on the same warm input; medians are reported, and the peak
memory of the worst run. Imports of Python peers are not counted. After its first run each engine's output is compared with
the source in random windows; an output that differs fails the benchmark.

usage: bench.py --arrayctl PATH [--codec-floor PATH] [--examples FOLDER] [--scale S] [--reps N] [--only TABLE,...]
                [--peers ENGINE,...] [--data FOLDER] [--out FILE.md]

Tables: rechunk, shards, codec, nc2zarr, nc2nc, memory; linalg, which is gram, matmul, svd, svdu and svdc; images, which is
gaussian, gaussian_encoded, maps, median, label and level; fourier, which is spectrum and planes; arrays, which is all of mean0,
stdall, multi, anomaly, group, median0, vorticity, quadratic_means, double_difference and program. linalg, arrays and label
are run by the programs of examples/ in FOLDER. Without --peers, every peer runs; with it, only those named.

CACHE names the folder for data and outputs (default: .cache). BLOCKWISE_BENCH_ZARRS_TOOLS=1 installs zarrs_tools there if
zarrs_reencode is not on the path (15 minutes on two cores).
"""

import argparse
import dataclasses
import datetime
import functools
import itertools
import json
import os
import pathlib
import platform
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = pathlib.Path(os.environ.get("CACHE") or ROOT / ".cache")
sys.path.insert(0, str(HERE / "peers"))
from peer import CODECS  # noqa: E402

MIB = 1 << 20
RUN_LIMIT_SECS = 1800
BLOSC, ZSTD = "blosc:zstd:3:shuffle", "zstd:1"
BASELINE_BYTES = 96 * MIB


@dataclasses.dataclass
class Engine:
    """One row of a table."""

    label: str
    command: Callable[[pathlib.Path], list]  # given the destination
    reports_secs: bool = False  # prints {"secs": ...} itself; otherwise the wall time of the process counts
    writes: bool = True
    secs_key: str = "secs"  # what it calls the seconds that count


@dataclasses.dataclass
class Workload:
    """One table."""

    name: str
    title: str
    source: pathlib.Path | None  # what is read, and warm before; None: generated
    suffix: str
    engines: list[Engine]
    floor: str = "codec floor"  # the row that no engine can be faster than
    group: str = ""
    same: Callable[[pathlib.Path, pathlib.Path], None] | None = None  # compares source and destination
    tolerance: float = 1e-5  # how far results may lie apart, relative
    expected: float | None = None  # the result, where theory tells it; else the first row's


@dataclasses.dataclass
class Sample:
    secs: float
    peak_bytes: int
    written_bytes: int
    check: float | None = None  # what became of the result, if the program tells


class Failed(Exception):
    """A run that ended badly; its message stands in the table."""


def run_once(engine, destination):
    """One measured run; the output stays."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        launcher = [sys.executable, "-S", "-E", ROOT / "tools" / "peak_rss.py", report.name, "0"]
        command = [str(part) for part in [*launcher, *engine.command(destination)]]
        os.sync()  # what others wrote must not be written back during this run
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_SECS)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {RUN_LIMIT_SECS} s") from None
        if done.returncode:
            sys.stderr.write(f"$ {shlex.join(command)}\n{done.stderr}")
            raise Failed(f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['?'])[-1][:120]}")
        measured = json.load(report)
    told = json.loads(done.stdout.splitlines()[-1]) if engine.reports_secs else {}
    secs = told.get(engine.secs_key, measured["secs"])
    return Sample(secs, measured["peak_bytes"], disk_bytes(destination), told.get("check"))


def files_of(path):
    return [file for file in [path, *path.rglob("*")] if file.is_file()]


def disk_bytes(path):
    return sum(file.stat().st_size for file in files_of(path))


def open_array(path):
    """Something to slice, whatever the format."""
    if path.suffix in (".h5", ".nc"):
        import h5py

        return h5py.File(path)["t2m"]
    import zarr

    node = zarr.open(str(path), mode="r")
    return node if isinstance(node, zarr.Array) else next(iter(node.arrays()))[1]


def check(source, destination):
    """Compares random windows of the output with the source."""
    a, b = open_array(source), open_array(destination)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise Failed(f"WRONG RESULT: {b.dtype} {b.shape}")
    pick = random.Random(1)
    for _ in range(4):
        corner = [pick.randrange(max(1, size - 48)) for size in a.shape]
        window = tuple(slice(start, start + 48) for start in corner)
        if not np.array_equal(a[window], b[window]):
            raise Failed(f"WRONG RESULT in {window}")


@functools.cache
def mean_over_time(source):
    """The mean over the first axis, chunk by chunk in float64."""
    x = open_array(source)
    step = x.chunks[0]
    total = sum(x[at : at + step].sum(0, dtype="f8") for at in range(0, x.shape[0], step))
    return total / x.shape[0]


def check_anomaly(source, destination):
    """Compares random windows of the output with the source less its mean."""
    a, b = open_array(source), open_array(destination)
    mean = mean_over_time(source)
    pick = random.Random(1)
    for _ in range(4):
        corner = [pick.randrange(max(1, size - 48)) for size in a.shape]
        window = tuple(slice(start, start + 48) for start in corner)
        if not np.allclose(a[window] - mean[window[1:]], b[window], rtol=0, atol=1e-3):
            raise Failed(f"WRONG RESULT in {window}")


def check_group(source, destination):
    """Compares random lines along time of the anomaly and of the climatology with what NumPy makes of the source's."""
    import zarr

    x = open_array(source)
    days = np.datetime64("2001-01-01") + np.arange(x.shape[0]) // 4
    months = days.astype("datetime64[M]").astype(int) % 12
    pick = random.Random(2)
    rows, columns = pick.randrange(x.shape[1] - 4), pick.randrange(x.shape[2] - 40)
    window = (slice(rows, rows + 4), slice(columns, columns + 40))
    lines = x[(slice(None), *window)].astype("f8")
    means = np.stack([lines[months == month].mean(0) for month in np.unique(months)])
    left = lines - means[np.searchsorted(np.unique(months), months)]
    for name, expected in [("climatology", means), ("anomaly", left)]:
        made = zarr.open_array(destination / name, mode="r")
        if not np.allclose(made[(slice(None), *window)], expected, rtol=0, atol=1e-3):
            raise Failed(f"WRONG {name.upper()} in {window}")


@functools.cache
def right_over_values(source):
    """What turns rows of a tall matrix into rows of its left singular vectors, but for signs."""
    x = open_array(source)
    gram = sum(block.T @ block for block in (x[at : at + x.chunks[0]] for at in range(0, x.shape[0], x.chunks[0])))
    squares, right = np.linalg.eigh(gram)
    return right[:, ::-1] / np.sqrt(squares[::-1])


def check_left_vectors(source, destination):
    """Compares random rows of the left singular vectors with the source times the right ones, but for signs."""
    import zarr

    a, stored = open_array(source), zarr.open(str(destination), mode="r")
    u = stored if isinstance(stored, zarr.Array) else stored["U"]
    pick = random.Random(1)
    for _ in range(4):
        start = pick.randrange(max(1, a.shape[0] - 48))
        expected = a[start : start + 48] @ right_over_values(source)
        if u.shape != a.shape or not np.allclose(abs(u[start : start + 48]), abs(expected), rtol=1e-6, atol=1e-9):
            raise Failed(f"WRONG RESULT in rows from {start}")


def check_result(workload, sample, first):
    """Compares what a program tells of its result with theory, or with what the first row told."""
    expected = workload.expected if workload.expected is not None else first
    if sample.check is None or expected is None:
        return
    if not abs(sample.check - expected) <= workload.tolerance * abs(expected):
        raise Failed(f"ANOTHER RESULT: {sample.check}, not {expected}")


def remove(path):
    for leftover in [path, *path.parent.glob(path.name + ".partial-*")]:
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


def measure(workload, reps, outputs):
    """All engines in turn, `reps` times: {label: [samples] or the reason of failure}."""
    results = {engine.label: [] for engine in workload.engines}
    for path in files_of(workload.source) if workload.source else []:
        path.read_bytes()  # into the page cache
    first = None
    for rep in range(reps):
        for engine in workload.engines:
            samples = results[engine.label]
            if not isinstance(samples, list):
                continue
            destination = outputs / f"out{workload.suffix}"
            remove(destination)
            try:
                sample = run_once(engine, destination)
                first = sample.check if first is None else first
                check_result(workload, sample, first)
                if rep == 0 and engine.writes:
                    (workload.same or check)(workload.source, destination)
                samples.append(sample)
            except Failed as failure:
                results[engine.label] = str(failure)
            print(f"{workload.name} {engine.label} {rep + 1}/{reps}: {results[engine.label]}", flush=True)
            remove(destination)
    return results


def table(workload, results):
    """Markdown: the first engine is what the others are compared with."""
    medians = {
        label: statistics.median(sample.secs for sample in samples)
        for label, samples in results.items()
        if isinstance(samples, list) and samples
    }
    first = medians.get(workload.engines[0].label)
    floor = medians.get(workload.floor)
    lines = [
        f"## {workload.title}",
        "",
        "| engine | seconds (all runs) | peak MB | MB written | time / first row | time / floor |",
        "|---|---|---|---|---|---|",
    ]
    for label, samples in results.items():
        if label not in medians:
            lines.append(f"| {label} | {samples or 'no run'} | | | | |")
            continue
        secs = medians[label]
        runs = ", ".join(f"{sample.secs:.2f}" for sample in samples)
        peak = max(sample.peak_bytes for sample in samples) / 1e6
        written = samples[-1].written_bytes / 1e6
        to_first = f"{secs / first:.2f}" if first else ""
        to_floor = f"{secs / floor:.2f}" if floor else ""
        lines.append(
            f"| {label} | **{secs:.2f}** ({runs}) | {peak:.0f} | {written:.0f} | {to_first} | {to_floor} |"
        )
    return "\n".join(lines) + "\n"


def workloads(args, data, work_dir, shape):
    zarr_in, hdf5_in = data / "climate.zarr", data / "climate.nc.h5"
    tall, wide = f"{shape[0]},19,36", "40,361,720"

    def ours(command, source, budget, *options):
        label = f"blockwise {budget}"
        return Engine(
            label, lambda out: [args.arrayctl, command, source, out, "--memory", budget, "-q", *options]
        )

    def peer(engine, kind, source, codec, chunks):
        program = [sys.executable, HERE / "peers" / "peer.py", engine, kind, source]
        return Engine(engine, lambda out: [*program, out, codec, chunks, work_dir], reports_secs=True)

    def floor(source, codec, chunks):
        if not args.codec_floor:
            return []
        command = [args.codec_floor, source, "--chunks", chunks, "--codec", codec]
        return [Engine("codec floor", lambda _: command, reports_secs=True, writes=False)]

    rechunk = ("--chunks", tall, "--codec", BLOSC)
    # Shards of the same extent as the plain chunks, each of inner chunks an eighth of its length.
    shards = ("--chunks", f"{max(1, shape[0] // 8)},19,36", "--shards", f"{max(1, shape[0] // 8) * 8},19,36")
    yield Workload(
        "rechunk",
        f"Rechunk Zarr to Zarr, (40, 361, 720) to ({shape[0]}, 19, 36), {BLOSC}",
        zarr_in,
        ".zarr",
        [
            ours("rechunk", zarr_in, "512MiB", *rechunk),
            ours("rechunk", zarr_in, "6GiB", *rechunk),
            *(peer(name, "zarr", zarr_in, BLOSC, tall) for name in ("dask", "tensorstore", "cubed")),
            *floor(zarr_in, BLOSC, tall),
        ],
    )
    yield Workload(
        "shards",
        f"Rechunk into plain chunks and into shards of the same extent, {BLOSC}",
        zarr_in,
        ".zarr",
        [
            ours("rechunk", zarr_in, "1GiB", *rechunk),
            dataclasses.replace(
                ours("rechunk", zarr_in, "1GiB", *shards, "--codec", BLOSC), label="blockwise 1GiB, shards"
            ),
        ],
    )
    same_grid = [
        ours("convert", zarr_in, "512MiB", "--codec", ZSTD),
        *(peer(name, "zarr", zarr_in, ZSTD, wide) for name in ("dask", "tensorstore", "cubed")),
        *floor(zarr_in, ZSTD, wide),
    ]
    if reencode := zarrs_reencode():
        codecs = json.dumps([CODECS[ZSTD]])
        command = [reencode, zarr_in]
        same_grid.insert(
            1, Engine("zarrs_reencode", lambda out: [*command, out, "--bytes-to-bytes-codecs", codecs])
        )
    yield Workload("codec", f"Another codec on the same grid, {BLOSC} to {ZSTD}", zarr_in, ".zarr", same_grid)
    yield Workload(
        "nc2zarr",
        f"NetCDF4 (10, 361, 720), deflate 4 and shuffle, to Zarr (40, 361, 720), {BLOSC}",
        hdf5_in,
        ".zarr",
        [
            ours("convert", hdf5_in, "512MiB", "--chunks", wide, "--codec", BLOSC),
            peer("dask", "hdf5", hdf5_in, BLOSC, wide),
            *floor(hdf5_in, BLOSC, wide),
        ],
    )
    to_nc = [ours("convert", hdf5_in, "512MiB", "--chunks", wide, "--codec", "deflate:1+shuffle")]
    if nccopy := find_nccopy():
        sizes = [f"phony_dim_{axis}/{size}" for axis, size in enumerate(wide.split(","))]
        command = [nccopy, "-4", "-d", "1", "-s", "-c", ",".join(sizes), hdf5_in]
        to_nc.append(Engine("nccopy", lambda out: [*command, out]))
    yield Workload(
        "nc2nc", "NetCDF4 to NetCDF4 in (40, 361, 720), deflate 1 and shuffle", hdf5_in, ".nc", to_nc
    )


def array_workloads(args, data, work_dir):
    """Lazy arrays: reductions, what is computed from them, and public workloads on generated fields."""
    source = data / "climate.zarr"

    def ours(program, *arguments, budget=None, writes=False):
        memory = ["--memory", budget] if budget else []
        command = [args.examples / program, *arguments]
        label = f"blockwise {budget}" if budget else "blockwise"
        return Engine(
            label, lambda out: [*command, *([out] if writes else []), *memory], reports_secs=True, writes=writes
        )

    def peer(engine, name, reads=False, writes=False):
        program = [sys.executable, HERE / "peers" / "array_peer.py", engine, name]
        return Engine(
            engine, lambda out: [*program, *([source, out, work_dir] if reads else [])], True, writes
        )

    def climate(name, title, budgets, peers, floors=(), **options):
        writes = name in ("anomaly", "group")
        engines = [ours("array_workloads", name, source, budget=budget, writes=writes) for budget in budgets]
        engines += [peer(other, name, True, writes) for other in peers]
        return Workload(name, title, source, ".zarr", [*engines, *floors], group="arrays", **options)

    def generated(name, title, expected):
        engines = [ours(name), peer("dask", name)]
        return Workload(name, title, None, "", engines, group="arrays", tolerance=2e-3, expected=expected)

    floors = []
    if args.codec_floor:
        command = [args.codec_floor, source, "--decode-only"]
        floors = [Engine("codec floor", lambda _: command, reports_secs=True, writes=False)]
    yield climate("mean0", "Mean over time", ["2GiB"], ["dask", "tensorstore", "cubed"], floors)
    yield climate("stdall", "Standard deviation of (x - 273.15) * 1.8 + 32", ["2GiB"], ["dask", "cubed"], floors)
    yield climate(
        "multi", "Mean, std, min, max, and nanmean over time, in one run", ["2GiB"], ["dask", "cubed"], floors
    )
    yield climate(
        "anomaly",
        f"Anomaly from the mean over time, written, {BLOSC}",
        ["2GiB", "512MiB"],
        ["dask", "cubed"],
        same=check_anomaly,
    )
    yield climate(
        "group",
        f"Monthly climatology and anomaly, written, {BLOSC} (dask with xarray and flox)",
        ["2GiB", "512MiB"],
        ["dask"],
        same=check_group,
    )
    yield climate("median0", "Exact median over time", ["2GiB", "512MiB"], ["dask"])
    yield generated("vorticity", "Vorticity, fields of (2500, 2500, 48) f64, padded and rechunked", 7 / 72)
    yield generated("quadratic_means", "Means of u*u, v*v and u*v, (100, 1, 987, 1920) f64", 11 / 12)
    yield generated("double_difference", "a[1:, 1:] - b[:-1, :-1], (16384, 16384) f64", 1 / 6)
    copy = dataclasses.replace(ours("array_workloads", "program"), label="one copy", secs_key="copy_secs")
    engines = [ours("array_workloads", "program"), peer("numpy", "program"), peer("numexpr", "program"), copy]
    title = "Ten operations on 1 GB of f64 in memory, inputs and output, one thread"
    yield Workload("program", title, None, "", engines, floor="one copy", group="arrays")


def zarrs_reencode():
    installed = CACHE / "cargo" / "bin" / "zarrs_reencode"
    if os.environ.get("BLOCKWISE_BENCH_ZARRS_TOOLS") == "1" and not installed.exists():
        command = ["cargo", "install", "--root", CACHE / "cargo", "--locked", "zarrs_tools@0.8.1"]
        subprocess.run(command, check=True)
    return str(installed) if installed.exists() else shutil.which("zarrs_reencode")


def find_nccopy():
    if not shutil.which("nccopy"):
        subprocess.run([ROOT / "tools" / "apt.sh", "netcdf-bin"])
    return shutil.which("nccopy")


def chosen(engines, peers):
    """Those of `engines` that are ours, a floor, or named."""
    others = {"dask", "tensorstore", "cubed", "zarrs_reencode", "nccopy", "numpy", "numexpr"}
    others |= {"scikit-learn", "dask-image"}
    return [engine for engine in engines if not peers or engine.label not in others or engine.label in peers.split(",")]


def memory_table(args, data, shape, outputs):
    """Peak memory of the rechunk for each budget and codec."""
    lines = [
        "## Peak memory of the rechunk against its budget",
        "",
        f"The law: peak <= budget + {BASELINE_BYTES // MIB} MiB.",
        "",
        "| budget | codec | seconds | peak MiB | over budget, MiB | law |",
        "|---|---|---|---|---|---|",
    ]
    for budget_mib in (256, 1024, 4096):
        for codec in ("none", ZSTD, BLOSC, "gzip:1"):
            options = [
                "--chunks",
                f"{shape[0]},19,36",
                "--codec",
                codec,
                "--memory",
                f"{budget_mib}MiB",
                "-q",
            ]
            source = data / "climate.zarr"
            engine = Engine("ours", lambda out: [args.arrayctl, "rechunk", source, out, *options])
            try:
                sample = run_once(engine, outputs / "out.zarr")
                check(source, outputs / "out.zarr")
            except Failed as failure:
                lines.append(f"| {budget_mib} MiB | {codec} | {failure} | | | |")
            else:
                peak = sample.peak_bytes / MIB
                kept = "kept" if sample.peak_bytes <= budget_mib * MIB + BASELINE_BYTES else "BROKEN"
                lines.append(
                    f"| {budget_mib} MiB | {codec} | {sample.secs:.2f} | {peak:.0f} | {peak - budget_mib:+.0f} | {kept} |"
                )
            print(lines[-1], flush=True)
            remove(outputs / "out.zarr")
    return "\n".join(lines) + "\n"


def linalg_workloads(args, data, work_dir):
    """Products and decompositions; their floors are reading the input, and the arithmetic alone on data in memory."""
    tall, lowrank = data / "tall.zarr", data / "lowrank.zarr"

    def ours(program, name, *source, writes=False):
        command = [args.examples / program, name, *source]
        memory = ["--memory", "2GiB"]
        return Engine("blockwise 2GiB", lambda out: [*command, *([out] if writes else []), *memory], True, writes)

    def floor(label, program, name, *source):
        return Engine(label, lambda _: [args.examples / program, name, *source], True, False)

    def peer(label, name, source, writes=False):
        program = [sys.executable, HERE / "peers" / "array_peer.py", label, name]
        return Engine(label, lambda out: [*program, source, out, work_dir], True, writes)

    def workload(name, title, source, engines, **options):
        return Workload(name, title, source, ".zarr", engines, "arithmetic floor", group="linalg", **options)

    def read(source):
        return floor("read floor", "svd_workloads", "read", source)

    shape = "(2000000, 100) f64, no codec"
    rows = [ours("products", "gram", tall), peer("dask", "gram", tall), peer("numpy", "gram", tall)]
    rows += [read(tall), floor("arithmetic floor", "products", "gram_floor", tall)]
    # Both floors take all cores: a run that does both cannot be faster than their sum.
    yield workload("gram", f"Gram matrix of {shape}", tall, rows, tolerance=1e-9)
    rows = [ours("products", "matmul"), peer("dask", "matmul", "none")]
    rows += [floor("arithmetic floor", "products", "matmul_floor")]
    title = "Mean of a @ b, (8000, 8000) f32 each, random, in chunks of (2000, 2000)"
    yield workload("matmul", title, None, rows, tolerance=2e-3, expected=2000.0)
    floors = [read(tall), floor("arithmetic floor", "svd_workloads", "svd_floor", tall)]
    rows = [ours("svd_workloads", "svd", tall), peer("dask", "svd", tall), peer("numpy", "svd", tall)]
    yield workload("svd", f"Singular values and V of {shape}", tall, [*rows, *floors], tolerance=1e-9)
    rows = [ours("svd_workloads", "svdu", tall, writes=True), peer("dask", "svdu", tall, writes=True)]
    title = f"Singular values, V, and U written, of {shape}"
    yield workload("svdu", title, tall, [*rows, *floors], tolerance=1e-9, same=check_left_vectors)
    rows = [ours("svd_workloads", "svdc", lowrank)]
    rows += [peer(other, "svdc", lowrank) for other in ("dask", "scikit-learn")]
    floors = [read(lowrank), floor("arithmetic floor", "svd_workloads", "svdc_floor", lowrank)]
    title = "50 singular values of (40000, 10000) f32, no codec, by one power iteration; U and V held"
    # What is left of the matrix is compared: ours may be at most a thousandth more.
    yield workload("svdc", title, lowrank, [*rows, *floors], tolerance=1e-3)


def check_windows(wanted, reach, source, destination):
    """Compares random windows of the output with what `wanted` makes of the source around them."""
    a, b = open_array(source), open_array(destination)
    pick = random.Random(1)
    for _ in range(4):
        start = [pick.randrange(max(1, size - 24)) for size in b.shape]
        stop = [min(at + 24, size) for at, size in zip(start, b.shape)]
        found = b[tuple(slice(*ends) for ends in zip(start, stop))]
        if not np.allclose(found, wanted(a, start, stop, reach), rtol=1e-5, atol=1e-4):
            raise Failed(f"WRONG RESULT in {start}:{stop}")


def smoothed(a, start, stop, reach):
    """A window of a Gaussian filter of deviation 2, by SciPy from the source around it."""
    import scipy.ndimage

    first = [max(at - reach, 0) for at in start]
    around = a[tuple(slice(at, end + reach) for at, end in zip(first, stop))].astype("f4")
    inside = tuple(slice(at - own, end - own) for at, end, own in zip(start, stop, first))
    return scipy.ndimage.gaussian_filter(around, 2)[inside]


def medians(a, start, stop, reach):
    """A window of medians of 3 x 3 x 3 elements of the planes that are filtered, by SciPy from the source around it."""
    import scipy.ndimage
    from array_peer import MEDIAN_PLANES

    first = [max(at - reach, 0) for at in start]
    last = [min(end + reach, most) for end, most in zip(stop, [MEDIAN_PLANES, *a.shape[1:]])]
    around = a[tuple(slice(*ends) for ends in zip(first, last))]
    inside = tuple(slice(at - own, end - own) for at, end, own in zip(start, stop, first))
    return scipy.ndimage.median_filter(around, 3)[inside]


def halved(a, start, stop, _):
    """A window of the means of boxes of 2 elements along each axis, fewer at the ends."""
    part = a[tuple(slice(2 * at, 2 * end) for at, end in zip(start, stop))].astype("f8")
    padded = np.pad(part, [(0, size % 2) for size in part.shape], constant_values=np.nan)
    boxes = padded.reshape([n for size in padded.shape for n in (size // 2, 2)])
    means = np.nanmean(boxes, axis=(1, 3, 5))
    return np.rint(means) if a.dtype.kind in "iu" else means


def check_labels(source, destination):
    """That labels are where the source is above the threshold, and that they hang together in windows as SciPy's do."""
    import scipy.ndimage
    from array_peer import LABELLED_ABOVE

    a, b = open_array(source), open_array(destination)
    pick = random.Random(1)
    for _ in range(4):
        start = [pick.randrange(max(1, size - 64)) for size in b.shape]
        window = tuple(slice(at, at + 64) for at in start)
        labels, count = scipy.ndimage.label(a[window] > LABELLED_ABOVE)
        found = b[window]
        # What hangs together within the window does so in the whole: one number each.
        own = scipy.ndimage.minimum(found, labels, range(1, count + 1))
        most = scipy.ndimage.maximum(found, labels, range(1, count + 1))
        if ((found > 0) != (labels > 0)).any() or (own != most).any():
            raise Failed(f"WRONG RESULT in {start}")


def image_workloads(args, data, work_dir):
    """Filters of neighbourhoods, labels and levels of pyramids, written with the same codec."""
    from array_peer import LABELLED_ABOVE, MEDIAN_PLANES

    def ours(expression, source, codec=BLOSC):
        command = [args.arrayctl, "eval", expression, "-i", f"x={source}", "--codec", codec, "--memory", "2GiB", "-q"]
        return Engine("blockwise 2GiB", lambda out: [*command, "-o", out])

    def peer(engine, name, source, codec=BLOSC):
        program = [sys.executable, HERE / "peers" / "array_peer.py", engine, name, source]
        return Engine(engine, lambda out: [*program, out, work_dir, codec], reports_secs=True)

    # Without a codec for the result most of the time is the filter's; with one most is the codec's, for all engines.
    for name, file, codec in [
        ("gaussian", "volume", "none"),
        ("gaussian_encoded", "volume", BLOSC),
        ("maps", "climate", BLOSC),
    ]:
        source = data / f"{file}.zarr"
        expression = "gaussian_filter(x, 2, output='float32')"
        yield Workload(
            name,
            f"Gaussian filter of deviation 2 along three axes of {file}.zarr, to f32, codec {codec}",
            source,
            ".zarr",
            [ours(expression, source, codec), peer("dask", "gaussian", source, codec)],
            group="images",
            same=functools.partial(check_windows, smoothed, 20),
        )
    source = data / "volume.zarr"
    yield Workload(
        "median",
        f"Medians of 3 x 3 x 3 elements of the first {MEDIAN_PLANES} planes of volume.zarr, without a codec",
        source,
        ".zarr",
        [ours(f"median_filter(x[:{MEDIAN_PLANES}], 3)", source, "none"), peer("dask", "median", source, "none")],
        group="images",
        same=functools.partial(check_windows, medians, 1),
    )
    if args.examples:
        source = data / "cells.zarr"
        command = [args.examples / "label", source, str(LABELLED_ABOVE)]
        engines = [
            Engine("blockwise 2GiB", lambda out: [*command, out, "--memory", "2GiB"], reports_secs=True),
            peer("dask-image", "label", source),
        ]
        title = f"Labels of what is above {LABELLED_ABOVE} in cells.zarr, {BLOSC}; the sum is how many there are"
        yield Workload("label", title, source, ".zarr", engines, group="images", same=check_labels)
    source = data / "volume.zarr"
    yield Workload(
        "level",
        f"Means of boxes of 2 x 2 x 2 of volume.zarr, to u16, a level of a pyramid, {BLOSC}",
        source,
        ".zarr",
        [
            ours("downsample(x, [2, 2, 2])", source),
            peer("tensorstore", "level", source),
            peer("dask", "level", source),
        ],
        group="images",
        same=functools.partial(check_windows, halved, 0),
    )


def fourier_workloads(args, data, work_dir):
    """Amplitudes of Fourier transforms of the climate volume: along time, across its chunks, and of every map."""
    source = data / "climate.zarr"

    def ours(expression):
        command = [args.arrayctl, "eval", expression, "-i", f"x={source}", "--codec", BLOSC, "--memory", "2GiB", "-q"]
        return Engine("blockwise 2GiB", lambda out: [*command, "-o", out])

    def peer(name):
        program = [sys.executable, HERE / "peers" / "array_peer.py", "dask", name, source]
        return Engine("dask", lambda out: [*program, out, work_dir], reports_secs=True)

    def check(of, source, destination):
        a, b = open_array(source), open_array(destination)
        if not np.allclose(b[...], of(a[...].astype("f8")), rtol=2e-4):
            raise Failed("WRONG RESULT")

    for name, title, expression, of in [
        (
            "spectrum",
            "Mean over longitude of the amplitudes of rfft along time",
            "mean(abs(rfft(x, axis=0)), axis=2)",
            lambda x: np.abs(np.fft.rfft(x, axis=0)).mean(2),
        ),
        (
            "planes",
            "Mean over time of the amplitudes of fft2 of every map",
            "mean(abs(fft2(x)), axis=0)",
            lambda x: np.mean([np.abs(np.fft.fft2(plane)) for plane in x], axis=0),
        ),
    ]:
        same = functools.partial(check, of)
        yield Workload(name, title, source, ".zarr", [ours(expression), peer(name)], group="fourier", same=same)


def machine():
    cpu = next(line.split(":")[1] for line in open("/proc/cpuinfo") if line.startswith("model name")).strip()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} x {cpu}, {memory_gib:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arrayctl", required=True)
    parser.add_argument("--codec-floor", default="")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--only", default="rechunk,shards,codec,nc2zarr,nc2nc,memory,images,fourier,arrays,linalg")
    parser.add_argument("--examples", type=pathlib.Path, help="where the built examples lie; none: no array tables")
    parser.add_argument("--peers", default="", help="the peers that run; by default all")
    parser.add_argument("--data", type=pathlib.Path, help="made by peers/mkdata.py if absent")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "RESULTS.md")
    args = parser.parse_args()
    if args.codec_floor and not os.access(args.codec_floor, os.X_OK):
        parser.error(f"no program {args.codec_floor}")

    data = args.data or CACHE / f"bench-data-{args.scale:g}"
    if not data.exists():
        making = data.with_name(data.name + ".making")
        subprocess.run([sys.executable, HERE / "peers" / "mkdata.py", making, str(args.scale)], check=True)
        making.rename(data)
    elif absent := [name for name in ("tall", "lowrank", "volume", "cells") if not (data / f"{name}.zarr").exists()]:
        subprocess.run([sys.executable, HERE / "peers" / "mkdata.py", data, str(args.scale), *absent], check=True)
    shape = open_array(data / "climate.zarr").shape
    only = args.only.split(",")
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    sections = [
        "# Blockwise beside its peers\n",
        f"Made by `make bench` on {date} at commit {commit.stdout.strip()}.\n\nMachine: {machine()}.\n\n"
        f"Data: `climate.zarr` and `climate.nc.h5`, {shape} f32, {np.prod(shape) * 4 / 1e9:.2f} GB decoded, warm in the\n"
        f"page cache. Median of {args.reps} alternating runs, worst peak. The codec floor only decodes the input and encodes\n"
        "the output with the same codecs on all cores: no engine can be faster by doing the same work.\n",
    ]
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-out-", dir=CACHE) as folder:
        outputs = pathlib.Path(folder)
        tables = [workloads(args, data, outputs / "work", shape), image_workloads(args, data, outputs / "work")]
        tables.append(fourier_workloads(args, data, outputs / "work"))
        if args.examples:
            tables.append(array_workloads(args, data, outputs / "work"))
            tables.append(linalg_workloads(args, data, outputs / "work"))
        for workload in itertools.chain(*tables):
            if workload.name in only or workload.group in only:
                workload.engines = chosen(workload.engines, args.peers)
                sections.append(table(workload, measure(workload, args.reps, outputs)))
        if "memory" in only:
            sections.append(memory_table(args, data, shape, outputs))
    args.out.write_text("\n".join(sections))
    print("\n".join(sections))


if __name__ == "__main__":
    main()
