"""500 random rechunks and conversions, equal to NumPy bit for bit.

Sources are written by zarr-python and h5py: 1 to 6 dimensions, the 14 NumPy dtypes, odd edges, zero-length axes, missing
chunks, shards, Zarr v2 and v3, many codecs. The seed is fixed; a failure prints the case's number, its array and the command.
"""

import concurrent.futures
import math
import pathlib
import random
import shutil
import warnings

import h5py
import numpy as np
import pytest
import zarr
from driver import arrayctl, read_h5py, read_tensorstore, read_zarr

CASES, PER_TEST, SEED = 500, 50, 20_26
DTYPES = ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
MAX_ELEMENTS = 20_000
CODECS = [
    None,
    "none",
    "zstd:1",
    "zstd:5",
    "gzip:3",
    "blosc:lz4",
    "blosc:zstd:3:shuffle",
    "blosc:lz4:5:bitshuffle",
    "zstd:1+crc32c",
]


class Case:
    """One random source array and what to do with it."""

    def __init__(self, number):
        self.number = number
        self.random = random.Random(SEED * 1_000_003 + number)
        pick = self.random.choice
        self.dtype = np.dtype(DTYPES[number % len(DTYPES)])
        self.shape = self.random_shape()
        self.chunks = self.random_chunks()
        self.source_format = pick(["v2", "v3", "v3", "sharded", "hdf5"])
        if self.source_format == "hdf5" and self.dtype.kind == "c":
            self.source_format = "v3"
        self.values = self.random_values()

    def random_shape(self):
        rank = 1 + self.number // len(DTYPES) % 6
        longest = max(2, int(MAX_ELEMENTS ** (1 / rank)) * 2)
        while True:
            shape = [self.random.randint(1, longest) for _ in range(rank)]
            if self.random.random() < 0.08:
                shape[self.random.randrange(rank)] = 0
            if math.prod(shape) <= MAX_ELEMENTS:
                return tuple(shape)

    def random_chunks(self):
        """Any sizes, also larger than the axis; not so small that there are thousands of them."""
        while True:
            chunks = tuple(self.random.randint(1, max(1, size) + 2) for size in self.shape)
            if math.prod(-(-size // chunk) for size, chunk in zip(self.shape, chunks)) <= 60:
                return chunks

    def random_values(self):
        bits = np.random.default_rng(self.number).integers(
            0, 256, math.prod(self.shape) * self.dtype.itemsize, "u1"
        )
        if self.dtype == bool:
            values = (bits & 1).astype(bool)
        elif (
            self.dtype.kind in "fc" and self.random.random() < 0.5
        ):  # otherwise any bits: NaNs with payloads, infinities
            values = np.round(bits[:: self.dtype.itemsize] / 8.0, 1).astype(self.dtype)
        else:
            values = bits.view(self.dtype)
        values = values.reshape(self.shape).copy()
        if self.random.random() < 0.4 and values.size:  # a region of fill: chunks that are not stored
            corner = tuple(slice(0, self.random.randint(1, size)) for size in self.shape)
            values[corner] = 0
        return values

    def write_source(self, folder):
        """Writes the source with zarr-python or h5py; its path."""
        if self.source_format == "hdf5":
            chunks = tuple(min(chunk, size) for chunk, size in zip(self.chunks, self.shape))
            filters = self.random.choice([{}, dict(compression="gzip", shuffle=True), dict(fletcher32=True)])
            with h5py.File(folder / "in.h5", "w") as file:
                if 0 in chunks:
                    file.create_dataset("x", data=self.values)
                else:
                    file.create_dataset("x", data=self.values, chunks=chunks, **filters)
            return folder / "in.h5"
        path = folder / "in.zarr"
        options = dict(shape=self.shape, dtype=self.dtype, fill_value=0, config={"write_empty_chunks": False})
        if self.source_format == "v2":
            from numcodecs import Blosc, GZip, Zstd

            compressor = self.random.choice([None, Zstd(1), GZip(1), Blosc("lz4", 5, 1), Blosc("zstd", 3, 2)])
            separator = {"name": "v2", "separator": self.random.choice("./")}
            options |= dict(
                zarr_format=2, chunks=self.chunks, compressors=compressor, chunk_key_encoding=separator
            )
            options["order"] = self.random.choice("CF")
        else:
            codec = self.random.choice(
                [
                    None,
                    zarr.codecs.ZstdCodec(level=1),
                    zarr.codecs.GzipCodec(level=1),
                    zarr.codecs.BloscCodec(cname="lz4"),
                ]
            )
            options |= dict(zarr_format=3, chunks=self.chunks, compressors=codec)
            if self.random.random() < 0.3:
                axes = list(range(len(self.shape)))
                self.random.shuffle(axes)
                options["filters"] = [zarr.codecs.TransposeCodec(order=tuple(axes))]
            if self.source_format == "sharded":
                options["shards"] = tuple(chunk * self.random.randint(1, 3) for chunk in self.chunks)
        array = zarr.create_array(str(path), **options)
        array[...] = self.values
        return path

    def arguments(self, source, folder):
        """The rest of the command line, and the destination."""
        pick, rank = self.random.choice, len(self.shape)
        chunks = self.random_chunks()
        text = ",".join("-1" if self.random.random() < 0.15 else str(chunk) for chunk in chunks)
        kind = pick(["zarr3", "zarr3", "zarr3", "zarr2", "sharded", "npy", "h5"])
        command = pick(["rechunk", "convert"]) if kind != "npy" else "convert"
        if kind == "h5" and (self.dtype.kind in "cb" or 0 in self.shape):
            kind = "zarr3"
        destination = folder / {"npy": "out.npy", "h5": "out.h5"}.get(kind, "out.zarr")
        arguments = [command, source, destination]
        if kind == "h5":
            text = ",".join(str(min(chunk, size)) for chunk, size in zip(chunks, self.shape))
        if kind == "sharded":
            inner = [self.random.randint(1, max(1, size)) for size in self.shape]
            while math.prod(-(-size // chunk) for size, chunk in zip(self.shape, inner)) > 200:
                axis = self.random.randrange(rank)
                inner[axis] = max(1, self.shape[axis])
            outer = [chunk * self.random.randint(1, 3) for chunk in inner]
            text = ",".join(map(str, inner))
            arguments += ["--shards", ",".join(map(str, outer))]
        if kind != "npy" and (command == "rechunk" or self.random.random() < 0.7 or kind == "sharded"):
            arguments += ["--chunks", text]
        if kind == "zarr2":
            arguments += ["--zarr-format", "2"]
        codec = pick(CODECS)
        if kind in ("zarr2", "zarr3", "sharded") and codec and not (kind == "zarr2" and "crc32c" in codec):
            arguments += ["--codec", codec]
        if kind == "h5" and self.random.random() < 0.5:
            arguments += ["--codec", pick(["none", "deflate:1", "deflate:4+shuffle", "deflate:1+fletcher32"])]
        return arguments, destination

    def fault(self, folder):
        """Runs the case; None, or what is wrong."""
        folder.mkdir()
        arguments, destination = self.arguments(self.write_source(folder), folder)
        run = arrayctl(*arguments, timeout_secs=60)
        what = (
            f"case {self.number}: {self.dtype} {self.shape} in {self.chunks} as {self.source_format}\n{run}"
        )
        if run.code != 0:
            return what
        readers = {".npy": [np.load], ".h5": [read_h5py], ".zarr": [read_zarr, read_tensorstore]}[
            destination.suffix
        ]
        for reader in readers:
            got = reader(destination)
            if got.shape != self.shape or got.dtype.newbyteorder("=") != self.dtype:
                return f"{what}{reader.__name__} sees {got.dtype} {got.shape}"
            native = np.ascontiguousarray(got.astype(self.dtype))
            if native.tobytes() != self.values.tobytes():
                differ = np.flatnonzero(native.reshape(-1).view("u1") != self.values.reshape(-1).view("u1"))
                first = np.unravel_index(differ[0] // self.dtype.itemsize, self.shape)
                return (
                    f"{what}{reader.__name__}: {differ.size} bytes differ, first at {tuple(map(int, first))}"
                )
        shutil.rmtree(folder)
        return None


@pytest.mark.parametrize("first", range(0, CASES, PER_TEST))
def test_equal_to_numpy(first, tmp_path):
    warnings.simplefilter("ignore")  # zarr-python on v2 names and on codecs outside its specification
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        cases = range(first, min(first + PER_TEST, CASES))
        faults = list(
            pool.map(lambda number: Case(number).fault(pathlib.Path(tmp_path) / str(number)), cases)
        )
    faults = [fault for fault in faults if fault]
    assert not faults, f"{len(faults)} of {PER_TEST} cases:\n\n" + "\n\n".join(faults[:5])


def test_the_cases_cover_what_they_should():
    cases = [Case(number) for number in range(CASES)]
    assert {case.dtype.name for case in cases} == {np.dtype(name).name for name in DTYPES}
    assert {len(case.shape) for case in cases} == {1, 2, 3, 4, 5, 6}
    assert {case.source_format for case in cases} == {"v2", "v3", "sharded", "hdf5"}
    assert sum(0 in case.shape for case in cases) > 20
    assert sum(not any(case.values.tobytes()) for case in cases) < CASES / 4
