"""Makes seeds for the fuzz targets from the corpus of tests: small good and bad files of every format.

usage: seeds.py CORPUS FOLDER    (CORPUS as tests/corpus/make_corpus.py writes it; FOLDER/TARGET/* are made)
"""

import json
import pathlib
import struct
import sys

import imagecodecs
import numpy as np

MOST_BYTES = 24 << 10


def rank_of(metadata):
    """The rank that metadata states, as far as a store of a target can have it."""
    try:
        return min(max(len(json.loads(metadata)["shape"]), 1), 4)
    except (ValueError, KeyError, TypeError):
        return 1


def stores(corpus, metadata_name):
    """(metadata, a chunk) of every small array."""
    for path in filter(pathlib.Path.is_file, sorted(corpus.rglob(metadata_name))):
        metadata = path.read_bytes()
        if len(metadata) >= 1 << 14:
            continue
        files = [
            file
            for file in sorted(path.parent.rglob("*"))
            if file.is_file() and not file.name.startswith((".", "zarr.json"))
        ]
        chunk = files[0].read_bytes() if files and files[0].stat().st_size <= MOST_BYTES else b""
        yield struct.pack("<H", len(metadata) | rank_of(metadata) - 1 << 14) + metadata + chunk


def files(corpus, *suffixes):
    for path in sorted(corpus.rglob("*")):
        if path.suffix in suffixes and path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield path.read_bytes()


def npy():
    """Two orders, two dtypes, a header of version 2."""
    for descr, order in (("<f4", "False"), (">i8", "True")):
        header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3), }}".encode()
        yield b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(48)
        yield b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header) + 1) + header + b"\n" + bytes(48)


def page(order, pixels, side, bits, codec, samples=1, photometric=1):
    """A classic TIFF of one square page in one strip."""
    pixels += bytes(len(pixels) % 2)
    tags = [
        (256, 4, side),
        (257, 4, side),
        (258, 3, bits),
        (259, 3, codec),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, samples),
        (278, 4, side),
        (279, 4, len(pixels)),
    ]
    directory = struct.pack(order + "H", len(tags))
    for tag, kind, value in tags:
        value = (value, 0) if kind == 3 else (value,)
        directory += struct.pack(order + "HHI" + ("HH" if kind == 3 else "I"), tag, kind, 1, *value)
    magic = b"II" if order == "<" else b"MM"
    return magic + struct.pack(order + "HI", 42, 8 + len(pixels)) + pixels + directory + bytes(4)


def tiff():
    """Classic in both byte orders and BigTIFF, plain, of few bits, as JPEG, and with codecs that are not there."""
    for order in "<>":
        for codec in (1, 5, 8, 32773, 50000):
            yield page(order, bytes(range(16)), 4, 8, codec)
        for bits in (1, 12):
            yield page(order, bytes(range(1, 13)), 4, bits, 1)
    ramp = np.arange(192, dtype="u1").reshape(8, 8, 3)
    yield page("<", imagecodecs.jpeg_encode(ramp[..., 0].copy()), 8, 8, 7)
    for options in ({}, {"subsampling": "420"}, {"outcolorspace": "rgb"}):
        photometric = 2 if "outcolorspace" in options else 6
        yield page("<", imagecodecs.jpeg_encode(ramp, **options), 8, 8, 7, 3, photometric)
    tags = [
        (256, 4, 4),
        (257, 4, 4),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 16, 16),
        (278, 4, 4),
        (279, 16, 16),
    ]
    entries = b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in tags)
    yield (
        b"II"
        + struct.pack("<HHHQ", 43, 8, 0, 32)
        + bytes(range(16))
        + struct.pack("<Q", len(tags))
        + entries
        + bytes(8)
    )


def codecs(corpus):
    """Chunks of stores behind each codec's number."""
    for number, (_, chunk) in enumerate(
        (path, path.read_bytes())
        for path in sorted(corpus.rglob("0*"))
        if path.is_file() and 0 < path.stat().st_size <= 2048
    ):
        yield bytes([number % 12, 0, 4, number % 3 * 4, 0]) + chunk


def journal():
    yield b"\x00" + b'{"object":{"key":"c/1","len":5,"crc32c":1}}\n'
    yield b"\xff" + b'{"start":{"plan":"p"}}\n{"fill":{"key":"c/4"}}\n'
    yield b"\xff"


def main():
    corpus, folder = map(pathlib.Path, sys.argv[1:])
    made = {
        "hdf5_file": files(corpus, ".h5", ".nc"),
        "netcdf_file": [data for data in files(corpus, ".nc", ".cdf") if data[:3] == b"CDF"]
        + [b"CDF\x01" + bytes(28)],
        "tiff_file": tiff(),
        "npy_file": npy(),
        "zarr2_store": stores(corpus, ".zarray"),
        "zarr3_store": stores(corpus, "zarr.json"),
        "codec_chain": codecs(corpus),
        "journal": journal(),
    }
    for target, seeds in made.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        count = 0
        for count, data in enumerate(seeds, 1):
            (folder / target / f"seed-{count:03}").write_bytes(data)
        print(f"{target}: {count} seeds")


main()
