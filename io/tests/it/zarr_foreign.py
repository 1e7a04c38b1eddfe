"""Writes Zarr stores with zarr-python, tensorstore and xarray for `zarr_foreign.rs` to read.

Argument: the folder to write to. `manifest.json` there lists path, node, dtype, shape and sha256 of the raw values in
C order; or the texts of the array.
"""

import hashlib
import itertools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorstore
import xarray
import zarr
import zarr.codecs as zc

warnings.simplefilter("ignore")
out = Path(sys.argv[1])
random = np.random.default_rng(7)
cases = []


def note(path, node, values, **more):
    raw = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()
    record = dict(path=path, node=node, dtype=values.dtype.name, sha256=hashlib.sha256(raw).hexdigest(), **more)
    cases.append(record)


def values(shape, dtype):
    found = random.integers(0, 100, shape)
    found[found < 50] = 0
    return found.astype(dtype)


shapes = [((), ()), ((17,), (5,)), ((9, 11), (4, 3)), ((5, 6, 7), (2, 3, 4)), ((3, 4, 3, 5), (2, 2, 3, 2))]
dtypes = ["bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]
for k, ((shape, chunks), dtype) in enumerate(itertools.product(shapes, dtypes)):
    array = values(shape, dtype)
    rank = len(shape)
    size = np.dtype(dtype).itemsize
    compressors = [
        [],
        [zc.ZstdCodec(level=1, checksum=True)],
        [zc.GzipCodec(level=2), zc.Crc32cCodec()],
        [zc.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=size)],
        [zc.BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=size)],
    ][k % 5]
    order = tuple(int(axis) for axis in random.permutation(rank))
    path = f"v3_{k}"
    options = dict(
        shape=shape,
        dtype=dtype,
        fill_value=0,
        compressors=compressors,
        filters=[zc.TransposeCodec(order=order)] if k % 3 == 0 and rank else [],
        serializer=zc.BytesCodec(endian="big" if k % 2 else "little") if size > 1 else "auto",
    )
    shards = tuple(2 * chunk for chunk in chunks)
    if k % 2 and rank:
        options.update(chunks=chunks, shards=shards)
    else:
        options.update(chunks=chunks)
    stored = zarr.create_array(str(out / path), zarr_format=3, **options)
    stored[...] = array
    note(path, "", array)

    path = f"v2_{k}"
    stored = zarr.create_array(
        str(out / path),
        zarr_format=2,
        shape=shape,
        chunks=chunks,
        dtype=np.dtype(dtype).newbyteorder(">" if k % 2 else "<"),
        fill_value=0,
        order="F" if k % 3 == 0 else "C",
        chunk_key_encoding={"name": "v2", "separator": "/" if k % 4 == 0 else "."},
    )
    stored[...] = array
    note(path, "", array)

# Axes permuted at every level of nested shards: only tensorstore writes these.
for k, (first, second, third) in enumerate([([1, 2, 0], [2, 1, 0], [2, 0, 1]), ([2, 0, 1], [0, 2, 1], [1, 0, 2])]):
    array = values((17, 13, 22), "int32")
    whole, middle, inner = np.array([8, 12, 16]), np.array([4, 6, 8]), np.array([2, 3, 4])
    middle_encoded = middle[first]
    inner_encoded = inner[first][second]
    leaf = [
        {"name": "transpose", "configuration": {"order": third}},
        {"name": "bytes", "configuration": {"endian": "big"}},
        {"name": "zstd", "configuration": {"level": 1}},
    ]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]

    def shard(order, chunk, codecs, location):
        configuration = dict(chunk_shape=chunk.tolist(), codecs=codecs, index_codecs=index, index_location=location)
        return [
            {"name": "transpose", "configuration": {"order": order}},
            {"name": "sharding_indexed", "configuration": configuration},
        ]

    codecs = shard(first, middle_encoded, shard(second, inner_encoded, leaf, "end"), "start")
    path = f"nested_{k}"
    stored = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(out / path)},
            "metadata": {
                "shape": list(array.shape),
                "data_type": "int32",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": whole.tolist()}},
                "codecs": codecs,
                "fill_value": 0,
            },
            "create": True,
        }
    ).result()
    stored.write(array).result()
    note(path, "", array)

for version in [2, 3]:
    path = f"xarray_{version}"
    times = np.array(["2000-01-01", "2000-01-02", "2000-01-03"], "M8[ns]")
    dataset = xarray.Dataset(
        {
            "a": (("x", "t"), values((2, 3), "f4"), {"units": "K", "valid_range": np.array([0, 90], "f4")}),
            "S": (("x",), np.array([b"a", b"bcd"])),
            "U": (("x",), np.array(["ä", "bcd"])),
            "s": (("x",), np.array(["", "日本 text"], dtype=object)),
        },
        coords={"x": [1, 2], "t": times},
        attrs={"title": "T"},
    )
    encoding = {"a": {"_FillValue": np.float32(-9)}}
    dataset.to_zarr(out / path, zarr_format=version, encoding=encoding)
    note(path, "a", dataset.a.values.copy(), fill=-9.0)
    note(path, "S", np.frombuffer(dataset.S.values.tobytes(), "u1"))
    cases.append(dict(path=path, node="U", texts=["ä", "bcd"]))
    cases.append(dict(path=path, node="s", texts=["", "日本 text"]))
    path = f"times_{version}"
    stored = zarr.create_array(str(out / path), zarr_format=version, shape=(3,), chunks=(2,), dtype="M8[ns]")
    stored[...] = times
    note(path, "", times.view("i8"))

(out / "manifest.json").write_text(json.dumps(cases))
