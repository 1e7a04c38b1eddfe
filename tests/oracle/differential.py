"""Zarr stores that a seed makes: some sound, some with a bit, a byte, a chunk or a field of the metadata spoilt; and what Blockwise and
zarr-python make of them. They must agree in every value, or both refuse; where only one refuses, the reason must be known (`KNOWN`)."""

import dataclasses
import json
import pathlib
import random
import re
import shutil
import warnings

import numcodecs
import numpy as np
import zarr
import zarr.codecs
from driver import MIB, arrayctl

MOST_BYTES = 16 * MIB  # of an array as its metadata tell
DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]

# Where one of the two may refuse what the other reads: who refuses, a pattern of the message, why.
KNOWN = [
    ("blockwise", r"other bytes follow|bz2 header missing|bytes follow the|the header states \d+ encoded bytes, there are|too few for the header",
     "a chunk with more or fewer bytes than its frame is damaged; zarr-python's codecs look at the frame alone"),
    ("blockwise", r"the shard has \d+ bytes, too few for its index", "a shard without its index is damaged; zarr-python takes it for absent"),
    ("blockwise", r"0 is not a valid match offset", "no offset of LZ4 is 0; its C library takes one for what lies in memory"),
    ("blockwise", r"which is neither 0 nor 1", "other bytes are no bools; NumPy takes them for true, and hands them on as they are"),
    ("blockwise", r"'delta' with 'astype' \">|the filter 'delta' on (float16|complex)", "deltas of big-endian items, halves and complex numbers are not supported"),
    ("zarr-python", r"missing 1 required keyword-only argument: 'fill_value'", "no fill value is null"),
    ("zarr-python", r"does not have a 'configuration' key|Got <class 'NoneType'> instead|Expected (dict|int), got <class 'NoneType'>", "a codec without a setting has its default"),
    ("zarr-python", r"Zstd decompression error: invalid input data", "frames that do not state their content's size, which numcodecs cannot read"),
    ("zarr-python", r"Invalid type: .* Expected a float", "a number is a complex number without an imaginary part"),
    ("zarr-python", r"Invalid type: None", "a fill value of null is that of the type"),
    ("zarr-python", r"got an unexpected keyword argument", "settings that a codec does not have are left aside, as in other readers"),
    ("zarr-python", r"missing 1 required positional argument: 'dtype'", "a filter without a type has that of its array"),
]


@dataclasses.dataclass
class Outcome:
    """What a reader made of a store: values, or why there are none."""

    values: np.ndarray | None
    refusal: str = ""


def make(seed, folder):
    """Writes the store of `seed` to `folder`; what was done to it, as text, and what was spoilt: nothing, a chunk or the metadata."""
    rng = random.Random(seed)
    story, spoilt = sound(rng, folder), ""
    if rng.random() < 0.65:
        spoilt, how = spoil(rng, folder)
        story += f"; {how}"
    return story, spoilt


def sound(rng, folder):
    """A store by zarr-python, of random values, some of whose chunks may be missing."""
    rank = rng.choice([0, 1, 1, 2, 2, 3, 4])
    shape = tuple(rng.choice([1, 2, 3, 5, 8, 13]) for _ in range(rank))
    inner = tuple(rng.randint(1, n) for n in shape)
    dtype = np.dtype(rng.choice(DTYPES))
    values = random_values(rng, dtype, shape)
    fill = rng.choice([0, 0, 1, None, *([] if dtype.kind not in "fc" else [np.nan, np.inf, -0.0])])
    if rng.random() < 0.5:
        story = sound_v2(rng, folder, shape, inner, dtype, fill)
    else:
        story = sound_v3(rng, folder, shape, inner, dtype, fill)
    array = zarr.open_array(str(folder), mode="r+")
    for index in np.ndindex(*(-(-n // c) for n, c in zip(shape, array.shards or array.chunks, strict=True))):
        if rng.random() < 0.85:
            box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, array.shards or array.chunks, strict=True))
            array[box] = values[box]
    return story


def random_values(rng, dtype, shape):
    source = np.random.default_rng(rng.getrandbits(32))
    count = int(np.prod(shape, dtype=int))
    if dtype.kind == "b":
        return source.integers(0, 2, count).astype(dtype).reshape(shape)
    if rng.random() < 0.5:  # what compresses
        return np.arange(count).astype(dtype).reshape(shape)
    if dtype.kind in "iu":
        return np.frombuffer(source.bytes(count * dtype.itemsize), dtype).reshape(shape)
    return (source.standard_normal(count) * 100).astype(dtype).reshape(shape)


def sound_v2(rng, folder, shape, chunks, dtype, fill):
    compressor = rng.choice([
        None, numcodecs.Zlib(1), numcodecs.GZip(1), numcodecs.BZ2(1), numcodecs.LZ4(), numcodecs.Zstd(1), numcodecs.Zstd(1, checksum=True),
        *(numcodecs.Blosc(cname, 1, shuffle) for cname in ("lz4", "zstd", "zlib", "blosclz", "lz4hc") for shuffle in (0, 1, 2)),
    ])
    kinds = [None, None, None, [numcodecs.Shuffle(dtype.itemsize)], [numcodecs.CRC32()], [numcodecs.Fletcher32()]]
    if dtype.kind in "iuf":
        kinds.append([numcodecs.Delta(dtype.str)])
    filters = rng.choice(kinds)
    order = rng.choice("CF")
    big = dtype.newbyteorder(">") if rng.random() < 0.3 else dtype
    if filters and isinstance(filters[0], numcodecs.Delta):
        filters = [numcodecs.Delta(big.str)]
    zarr.create_array(
        str(folder), shape=shape, chunks=chunks, dtype=big, zarr_format=2, order=order, fill_value=fill, compressors=compressor,
        filters=filters, chunk_key_encoding={"name": "v2", "separator": rng.choice("./")},
    )
    return f"v2 {big.str} {shape} in {chunks} {order} {compressor} {filters} fill {fill}"


def sound_v3(rng, folder, shape, chunks, dtype, fill):
    fill = 0 if fill is None else fill
    compressor = rng.choice([
        None, zarr.codecs.GzipCodec(level=1), zarr.codecs.ZstdCodec(level=1), zarr.codecs.ZstdCodec(level=1, checksum=True),
        *(zarr.codecs.BloscCodec(cname=cname, clevel=1, shuffle=shuffle)
          for cname in ("lz4", "zstd", "zlib", "blosclz", "lz4hc") for shuffle in ("noshuffle", "shuffle", "bitshuffle")),
    ])
    compressors = [compressor] if compressor else []
    if rng.random() < 0.4:
        compressors.append(zarr.codecs.Crc32cCodec())
    order = list(range(len(shape)))
    rng.shuffle(order)
    filters = [zarr.codecs.TransposeCodec(order=order)] if len(shape) > 1 and rng.random() < 0.3 else []
    shards = None
    if shape and rng.random() < 0.4:
        shards = tuple(c * rng.randint(1, 3) for c in chunks)
        filters = []
    endian = rng.choice(["little", "big"])
    zarr.create_array(
        str(folder), shape=shape, chunks=chunks, shards=shards, dtype=dtype, zarr_format=3, fill_value=fill, compressors=compressors,
        filters=filters, serializer=zarr.codecs.BytesCodec(endian=endian) if dtype.itemsize > 1 else "auto",
        chunk_key_encoding={"name": "default", "separator": rng.choice("./")},
    )
    return f"v3 {dtype.str} {endian} {shape} in {chunks} of {shards} {compressors} {filters} fill {fill}"


def spoil(rng, folder):
    """Damages one file of the store, as disks, networks and other people's programs do; what was done."""
    metadata = folder / ("zarr.json" if (folder / "zarr.json").exists() else ".zarray")
    chunks = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith(".z") and f != metadata)
    if not chunks or rng.random() < 0.35:
        return "metadata", spoil_metadata(rng, metadata)
    chunk = rng.choice(chunks)
    data, name = bytearray(chunk.read_bytes()), str(chunk.relative_to(folder))
    kind = rng.choice(["bit", "byte", "cut", "longer", "empty", "other", "zeros"])
    at = rng.randrange(len(data)) if data else 0
    if kind == "bit" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte" and data:
        data[at] = rng.choice([0, 1, 2, 127, 128, 255])
    elif kind == "cut":
        del data[at:]
    elif kind == "longer":
        data += rng.randbytes(rng.randint(1, 40))
    elif kind == "empty":
        data.clear()
    elif kind == "other":
        data[:] = rng.choice(chunks).read_bytes()
    elif kind == "zeros":
        data[:] = bytes(len(data))
    chunk.write_bytes(bytes(data))
    return "chunk", f"{kind} at {at} of {name}"


def spoil_metadata(rng, path):
    """Changes, drops or doubles one value of the metadata, wherever it stands."""
    root = json.loads(path.read_text())
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(root)
    node, key = rng.choice(places)
    old = node[key]
    kind = rng.choice(["drop", "replace", "replace", "replace"])
    if kind == "drop":
        del node[key]
    elif isinstance(old, bool) or old is None:
        node[key] = rng.choice([True, False, None, 0])
    elif isinstance(old, int | float):
        node[key] = rng.choice([0, 1, 2, old + 1, -1, 3.5, "4", None, 1 << 40])
    elif isinstance(old, str):
        others = ["<f4", ">i2", "|b1", "C", "F", ".", "/", "int32", "float64", "gzip", "crc32c", "little", "big", "", "NaN", old.upper()]
        node[key] = rng.choice(others)
    else:
        node[key] = rng.choice([[], {}, None, 1, old])
    path.write_text(json.dumps(root))
    return f"metadata: {kind} {key!r} of {json.dumps(old)[:60]} -> {json.dumps(node[key])[:60] if kind != 'drop' else ''}"


def by_zarr_python(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = zarr.open_array(str(folder), mode="r")
            if array.dtype.kind not in "?biufc":
                return Outcome(None, f"a dtype that no file here has: {array.dtype}")
            if array.size * array.dtype.itemsize > MOST_BYTES or np.prod(array.chunks, dtype=float) > MOST_BYTES:
                return None
            return Outcome(np.asarray(array[...]))
        except Exception as error:  # whatever it raises is its refusal
            return Outcome(None, f"{type(error).__name__}: {error}")


def by_blockwise(folder, out):
    shutil.rmtree(out, ignore_errors=True)
    run = arrayctl("convert", folder, out, "--threads", "1", "--overwrite", timeout_secs=60)
    assert run.code in (0, 1, 3, 4), str(run)
    assert "panicked" not in run.stderr and "internal error" not in run.stderr, str(run)
    if run.code != 0:
        assert run.stderr.strip(), str(run)
        return Outcome(None, run.stderr.strip())
    return Outcome(np.load(out))


def same(ours, theirs):
    """Whether dtype, shape and every value agree; NaN is NaN."""
    theirs = theirs.astype(theirs.dtype.newbyteorder("="))
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind in "fc")


def compare(seed, folder):
    """`agree`, `both refuse`, `too large to read` or the reason of a known difference; an unknown one is an AssertionError."""
    folder = pathlib.Path(folder)
    store, out = folder / f"{seed}.zarr", folder / f"{seed}.npy"
    story, spoilt = make(seed, store)
    theirs = by_zarr_python(store)
    if theirs is None:
        return "too large to read"
    ours = by_blockwise(store, out)
    told = f"seed {seed}: {story}\nblockwise: {ours.refusal or 'values'}\nzarr-python: {theirs.refusal or 'values'}"
    if ours.values is not None and theirs.values is not None:
        assert same(ours.values, theirs.values), f"{told}\n{ours.values!r}\n{theirs.values!r}"
        verdict = "agree"
    elif ours.values is None and theirs.values is None:
        verdict = "both refuse"
    else:
        who, message = ("blockwise", ours.refusal) if ours.values is None else ("zarr-python", theirs.refusal)
        reasons = [reason for refuser, pattern, reason in KNOWN if refuser == who and re.search(pattern, message)]
        if not reasons and who == "blockwise" and spoilt == "metadata":
            reasons = ["metadata that the specification does not allow are refused"]
        assert reasons, told
        verdict = reasons[0]
    shutil.rmtree(store)
    out.unlink(missing_ok=True)
    return verdict
