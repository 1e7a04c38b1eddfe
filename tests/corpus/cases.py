"""What every part of the corpus uses: the list of cases, the folder they go to, values and their checksums.

`make_corpus.py` sets `ROOT` and then calls the functions of `zarr2`, `zarr3`, `hdf5` and `netcdf`, good and bad;
each writes its files with `P`, `wb` (bytes), `wj` (JSON) and records its cases with `ok` and `bad`.
"""

import hashlib
import itertools
import json
import math
import os
import struct
import zlib

import google_crc32c
import numpy as np

CASES = []
ROOT = None


def crc(b):
    """CRC-32C, little endian."""
    return struct.pack("<I", google_crc32c.value(bytes(b)))


def gz(b, level=5):
    """gzip with a header that does not depend on time or platform."""
    c = zlib.compressobj(level, zlib.DEFLATED, 31)
    r = c.compress(bytes(b)) + c.flush()
    return r[:4] + b"\0\0\0\0" + r[8:9] + b"\xff" + r[10:]


def P(*a):
    """A path below the corpus root, its folder made."""
    p = os.path.join(ROOT, *a)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def wb(path, b):
    """Write bytes."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(b)


def wj(path, o):
    """Write JSON."""
    wb(path, json.dumps(o, indent=1, ensure_ascii=False).encode())


def data(shape, dtype):
    """Values that differ everywhere and use every byte of their type."""
    dt = np.dtype(dtype)
    n = int(np.prod(shape, dtype=np.int64)) if len(shape) else 1
    k = (np.arange(n, dtype=np.int64) * 7919 + 13) % 65521
    if dt.kind == "b":
        a = k % 3 == 0
    elif dt.kind == "u":
        a = (
            (k.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - 8 * dt.itemsize)
            if dt.itemsize < 8
            else (k.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
        )
    elif dt.kind == "i":
        a = (k.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64) >> (64 - 8 * dt.itemsize)
    elif dt.kind == "f":
        a = (k - 32000) / 64.0
    elif dt.kind == "c":
        a = (k - 32000) / 64.0 + 1j * ((k * 3) % 1000) / 8.0
    return a.astype(dt).reshape(shape)


def stats(a):
    """What the manifest says of values: shape, dtype, sum, min, max, NaN count, sha256 of the raw little-endian bytes."""
    a = np.asarray(a)
    le = np.ascontiguousarray(a.astype(a.dtype.newbyteorder("<"))).reshape(a.shape)
    d = dict(
        shape=list(a.shape),
        dtype=a.dtype.newbyteorder("=").name,
        nan_count=0,
        sum=None,
        min=None,
        max=None,
        sha256=hashlib.sha256(le.tobytes()).hexdigest(),
    )
    k = a.dtype.kind
    if k in "biu":
        v = [int(x) for x in a.reshape(-1)]
        d["sum"] = str(sum(v))
        if v:
            d["min"], d["max"] = str(min(v)), str(max(v))
    elif k in "fc":
        v = a.reshape(-1).astype("c16" if k == "c" else "f8")
        nn = np.isnan(v)
        d["nan_count"] = int(nn.sum())
        v = v[~nn]
        if k == "c":
            d["sum"] = [repr(math.fsum(v.real)), repr(math.fsum(v.imag))]
        else:
            try:
                d["sum"] = repr(math.fsum(v))
            except (OverflowError, ValueError):
                d["sum"] = repr(float(np.sum(v)))
            if v.size:
                d["min"], d["max"] = repr(float(v.min())), repr(float(v.max()))
    return d


def ok(id, path, kind, arr, chunks, why, node="", tags=(), optional=False, **kw):
    """Record a case that must be read to exactly `arr`."""
    r = dict(id=id, path=path, node=node, kind=kind, expect="ok", why=why, tags=list(tags))
    r.update(stats(arr))
    r["chunks"] = list(chunks) if chunks is not None else None
    if optional:
        r["optional"] = True
    r.update(kw)
    CASES.append(r)


def bad(id, path, kind, why, stage, node="", tags=(), **kw):  # kw: either, optional_ok, ...
    """Record a case that must be refused, at `stage` at the latest."""
    r = dict(id=id, path=path, node=node, kind=kind, expect="error", stage=stage, why=why, tags=list(tags))
    r.update(kw)
    CASES.append(r)


def chunks_of(shape, ch):
    """Indices of all chunks, C order."""
    return itertools.product(*[range(-(-s // c)) for s, c in zip(shape, ch)])


def padded(a, ch, idx, fill):
    """One chunk at full size, the part beyond the edge filled."""
    full = np.full(ch, fill, a.dtype)
    sl = tuple(slice(i * c, min((i + 1) * c, s)) for i, c, s in zip(idx, ch, a.shape))
    blk = a[sl]
    full[tuple(slice(0, n) for n in blk.shape)] = blk
    return full


def jfill(f):
    """A fill value as JSON says it."""
    if f is None:
        return None
    if isinstance(f, float):
        if math.isnan(f):
            return "NaN"
        if math.isinf(f):
            return "Infinity" if f > 0 else "-Infinity"
    return f
