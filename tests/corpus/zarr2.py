"""Zarr v2 stores, written by hand: the good ones."""

import bz2
import json
import lzma
import os
import struct
import zlib

import numcodecs
import numcodecs.blosc
import numpy as np
from cases import P, chunks_of, data, gz, jfill, ok, padded, wb, wj
from numcodecs import LZ4, Blosc, Zstd

numcodecs.blosc.use_threads = False


def comp2(c, b, dt):
    if c is None:
        return bytes(b)
    i = c["id"]
    if i == "zlib":
        return zlib.compress(bytes(b), c.get("level", 1))
    if i == "gzip":
        return gz(b, c.get("level", 5))
    if i == "bz2":
        return bz2.compress(bytes(b), c.get("level", 9))
    if i == "lzma":
        return lzma.compress(bytes(b), format=lzma.FORMAT_XZ, check=-1, preset=1)
    if i == "zstd":
        return bytes(Zstd(level=c.get("level", 1)).encode(np.frombuffer(bytes(b), "u1")))
    if i == "lz4":
        return bytes(LZ4(acceleration=1).encode(np.frombuffer(bytes(b), "u1")))
    if i == "blosc":
        return blosc(b, dt.itemsize, c["cname"], c["clevel"], c["shuffle"])
    raise KeyError(i)


def blosc(b, ts, cname, clevel, shuffle):
    v = np.frombuffer(bytes(b), np.dtype("V%d" % ts) if ts not in (1, 2, 4, 8) else "u%d" % ts)
    return bytes(
        Blosc(cname=cname, clevel=clevel, shuffle=shuffle).encode(
            v.view("u%d" % ts) if ts in (1, 2, 4, 8) else v
        )
    )


def v2(
    name,
    a,
    ch,
    order="C",
    comp=None,
    filt=None,
    fenc=None,
    fill=0,
    sep=".",
    skip=(),
    attrs=None,
    meta=None,
    sepkey=True,
    root=None,
):
    root = root or P("zarr2", name)
    os.makedirs(root, exist_ok=True)
    dt = a.dtype
    if dt.kind == "b" and fill is not None:
        fill = bool(fill)
    m = dict(
        zarr_format=2,
        shape=list(a.shape),
        chunks=list(ch),
        dtype=dt.str,
        compressor=comp,
        fill_value=jfill(fill),
        order=order,
        filters=filt,
    )
    if sepkey and sep != ".":
        m["dimension_separator"] = sep
    if meta:
        m.update(meta)
    wj(os.path.join(root, ".zarray"), m)
    if attrs is not None:
        wj(os.path.join(root, ".zattrs"), attrs)
    f0 = 0 if fill is None else fill
    if a.size:
        for idx in chunks_of(a.shape, ch):
            if idx in skip:
                continue
            blk = padded(a, ch, idx, f0)
            b = blk.tobytes(order=order)
            if fenc:
                b = fenc(b, dt)
            wb(os.path.join(root, sep.join(map(str, idx)) if idx else "0"), comp2(comp, b, dt))
    return root


BL = lambda c, s=1, l=5: dict(id="blosc", cname=c, clevel=l, shuffle=s, blocksize=0)


def good():
    for d in [
        "|b1",
        "|i1",
        "<i2",
        "<i4",
        "<i8",
        "|u1",
        "<u2",
        "<u4",
        "<u8",
        "<f2",
        "<f4",
        "<f8",
        "<c8",
        "<c16",
    ]:
        a = data((7, 10), d)
        n = "dt_" + d[1:]
        v2(n, a, (3, 4), comp=BL("lz4"), meta=dict(fill_value=[0.0, 0.0]) if "c" in d else None)
        ok(
            "z2_" + n,
            "zarr2/" + n,
            "zarr2",
            a,
            (3, 4),
            "dtype %s, edge chunks, blosc lz4" % d,
            tags=["dtype", "blosc", "edge"],
        )
    for d in [">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8", ">c16"]:
        a = data((7, 10), d)
        n = "be_" + d[1:]
        v2(
            n,
            a,
            (3, 4),
            comp=dict(id="zstd", level=1),
            meta=dict(fill_value=[0.0, 0.0]) if "c" in d else None,
        )
        ok("z2_" + n, "zarr2/" + n, "zarr2", a, (3, 4), "big-endian %s" % d, tags=["dtype", "bigendian"])
    a = data((6, 5, 4), "<i4")
    v2("order_F", a, (4, 3, 2), order="F", comp=dict(id="zstd", level=1))
    ok("z2_order_F", "zarr2/order_F", "zarr2", a, (4, 3, 2), "F order chunks", tags=["order"])
    a = data((6, 5, 4), ">f8")
    v2("order_F_be", a, (4, 3, 2), order="F", comp=BL("zstd", 2))
    ok(
        "z2_order_F_be",
        "zarr2/order_F_be",
        "zarr2",
        a,
        (4, 3, 2),
        "F order + big-endian + bitshuffle",
        tags=["order", "bigendian"],
    )
    for c, nm in [
        (dict(id="gzip", level=5), "gzip"),
        (dict(id="zlib", level=9), "zlib"),
        (dict(id="zstd", level=3), "zstd"),
        (None, "none"),
        (BL("lz4", 1), "blosc_lz4"),
        (BL("zstd", 1), "blosc_zstd"),
        (BL("blosclz", 1), "blosc_blosclz"),
        (BL("lz4hc", 1), "blosc_lz4hc"),
        (BL("zlib", 1), "blosc_zlib"),
        (BL("lz4", 2), "blosc_bitshuffle"),
        (BL("zstd", 0), "blosc_noshuffle"),
        (BL("lz4", 1, 0), "blosc_clevel0"),
    ]:
        a = data((40, 33), "<f4")
        v2("codec_" + nm, a, (16, 16), comp=c)
        ok("z2_codec_" + nm, "zarr2/codec_" + nm, "zarr2", a, (16, 16), "compressor " + nm, tags=["codec"])
    for c, nm in [
        (dict(id="bz2", level=1), "bz2"),
        (dict(id="lzma", format=1, check=-1, preset=1, filters=None), "lzma"),
        (dict(id="lz4", acceleration=1), "lz4"),
    ]:
        a = data((40, 33), "<f4")
        v2("codec_" + nm, a, (16, 16), comp=c)
        ok(
            "z2_codec_" + nm,
            "zarr2/codec_" + nm,
            "zarr2",
            a,
            (16, 16),
            "numcodecs compressor " + nm,
            tags=["codec"],
            optional=True,
        )

    def fl(c):
        return lambda b, dt: bytes(numcodecs.get_codec(c).encode(np.frombuffer(b, dt)))

    a = np.cumsum(data((50,), "<i4") % 100).astype("<i4")
    c = dict(id="delta", dtype="<i4", astype="<i4")
    v2("filter_delta", a, (20,), filt=[c], fenc=fl(c), comp=dict(id="zlib", level=1))
    ok(
        "z2_filter_delta",
        "zarr2/filter_delta",
        "zarr2",
        a,
        (20,),
        "delta filter",
        tags=["codec"],
        optional=True,
    )
    a = data((50,), "<f8")
    a = np.round(a, 1)
    c = dict(id="fixedscaleoffset", scale=10, offset=0, dtype="<f8", astype="<i4")
    q = numcodecs.get_codec(c)
    ar = np.concatenate(
        [q.decode(q.encode(np.ascontiguousarray(padded(a, (20,), (i,), 0.0)))) for i in range(3)]
    )[:50].astype("<f8")
    v2("filter_fso", a, (20,), filt=[c], fenc=fl(c), comp=dict(id="zlib", level=1))
    ok(
        "z2_filter_fso",
        "zarr2/filter_fso",
        "zarr2",
        ar,
        (20,),
        "fixedscaleoffset filter (values after decode)",
        tags=["codec"],
        optional=True,
    )
    c = dict(id="shuffle", elementsize=4)
    a = data((50,), "<i4")
    v2(
        "filter_shuffle",
        a,
        (20,),
        filt=[c],
        fenc=lambda b, dt: bytes(numcodecs.get_codec(c).encode(np.frombuffer(b, "u1"))),
        comp=dict(id="zlib", level=1),
    )
    ok(
        "z2_filter_shuffle",
        "zarr2/filter_shuffle",
        "zarr2",
        a,
        (20,),
        "numcodecs shuffle filter",
        tags=["codec"],
        optional=True,
    )
    c2 = dict(id="crc32")
    a = data((50,), "<i4")
    v2("filter_crc32", a, (20,), filt=[c2], fenc=lambda b, dt: struct.pack("<I", zlib.crc32(b)) + b)
    ok(
        "z2_filter_crc32",
        "zarr2/filter_crc32",
        "zarr2",
        a,
        (20,),
        "numcodecs crc32 filter (checksum first)",
        tags=["codec", "checksum"],
        optional=True,
    )
    for f, nm, d in [
        (float("nan"), "nan", "<f8"),
        (float("inf"), "inf", "<f4"),
        (float("-inf"), "ninf", "<f8"),
        (-7, "neg", "<i2"),
        (True, "true", "|b1"),
        (1.5, "f16", "<f2"),
        (18446744073709551615, "u64max", "<u8"),
        (-9223372036854775808, "i64min", "<i8"),
    ]:
        a = data((6, 6), d)
        a[0:3, 3:6] = f
        v2("fill_" + nm, a, (3, 3), fill=f, skip={(0, 1)}, comp=BL("lz4"))
        ok(
            "z2_fill_" + nm,
            "zarr2/fill_" + nm,
            "zarr2",
            a,
            (3, 3),
            "missing chunk (0,1) reads as fill_value %r" % f,
            tags=["fill", "missing"],
            strict=dict(flag="--missing-chunk=error", expect="error"),
        )
    a = data((6, 6), "<i4")
    v2("fill_null", a, (3, 3), fill=None)
    ok(
        "z2_fill_null",
        "zarr2/fill_null",
        "zarr2",
        a,
        (3, 3),
        "fill_value null, all chunks present",
        tags=["fill"],
    )
    a = np.full((1000, 1000), 3, "<i4")
    v2("all_missing", a, (100, 100), fill=3, skip=set(chunks_of(a.shape, (100, 100))))
    ok(
        "z2_all_missing",
        "zarr2/all_missing",
        "zarr2",
        a,
        (100, 100),
        "no chunk stored at all",
        tags=["missing"],
    )
    a = data((6, 6), "<i4")
    v2("sep_slash", a, (3, 4), sep="/")
    ok("z2_sep_slash", "zarr2/sep_slash", "zarr2", a, (3, 4), "dimension_separator /", tags=["layout"])
    a = data((), "<f8")
    v2("scalar", a, ())
    ok("z2_scalar", "zarr2/scalar", "zarr2", a, (), "0-d array, key 0", tags=["shape"])
    a = data((0, 5), "<i4")
    v2("zero_len", a, (3, 4))
    ok("z2_zero_len", "zarr2/zero_len", "zarr2", a, (3, 4), "zero-length dimension", tags=["shape"])
    a = data((3,), "<i4")
    v2("chunk_gt_shape", a, (10,))
    ok(
        "z2_chunk_gt_shape",
        "zarr2/chunk_gt_shape",
        "zarr2",
        a,
        (10,),
        "chunk larger than array",
        tags=["shape", "edge"],
    )
    for n in range(1, 7):
        sh = (5, 4, 3, 3, 2, 3)[:n]
        ch = (2, 3, 2, 2, 2, 2)[:n]
        a = data(sh, "<i2")
        v2("nd%d" % n, a, ch, comp=BL("zstd"))
        ok("z2_nd%d" % n, "zarr2/nd%d" % n, "zarr2", a, ch, "%d-d" % n, tags=["shape"])
    r = P("zarr2", "tree")
    os.makedirs(r)
    wj(r + "/.zgroup", dict(zarr_format=2))
    wj(r + "/g/.zgroup", dict(zarr_format=2))
    wj(r + "/g/h/.zgroup", dict(zarr_format=2))
    a = data((4, 4), "<f4")
    v2("", a, (2, 2), root=r + "/g/h/x")
    ok("z2_nested", "zarr2/tree", "zarr2", a, (2, 2), "nested group path", node="g/h/x", tags=["tree"])
    a = data((4, 4), "<i8")
    v2("", a, (2, 2), root=r + "/température/日本")
    wj(r + "/température/.zgroup", dict(zarr_format=2))
    ok(
        "z2_nonascii",
        "zarr2/tree",
        "zarr2",
        a,
        (2, 2),
        "non-ASCII node names",
        node="température/日本",
        tags=["tree", "name"],
    )
    a = data((5,), "<i4")
    v2("", a, (5,), root=r + "/with space & #%")
    ok(
        "z2_name_odd",
        "zarr2/tree",
        "zarr2",
        a,
        (5,),
        "name with space and URL characters",
        node="with space & #%",
        tags=["tree", "name"],
    )
    meta = {}
    for d, _, fs in sorted(os.walk(r)):
        for f in sorted(fs):
            if f.startswith(".z") and f != ".zmetadata":
                meta[os.path.relpath(os.path.join(d, f), r)] = json.load(open(os.path.join(d, f)))
    wj(r + "/.zmetadata", dict(zarr_consolidated_format=1, metadata=meta))
    a = data((6,), "<f8")
    rr = v2("nan_attr", a, (3,))
    wb(rr + "/.zattrs", b'{"_FillValue": NaN, "x": 1}')
    ok(
        "z2_nan_attr",
        "zarr2/nan_attr",
        "zarr2",
        a,
        (3,),
        "attributes hold a bare NaN token (older zarr-python/xarray wrote this)",
        tags=["json"],
        optional=True,
    )
    a = data((64,), "<i4")
    b = a.tobytes()
    rr = v2("zstd_nosize", a, (64,), comp=dict(id="zstd", level=1))
    wb(rr + "/0", b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x58]) + struct.pack("<I", (len(b) << 3) | 1)[:3] + b)
    ok(
        "z2_zstd_nosize",
        "zarr2/zstd_nosize",
        "zarr2",
        a,
        (64,),
        "zstd frame without content size (streaming writers; numcodecs#707)",
        tags=["codec"],
    )
    rr = v2("gzip_multi", a, (64,), comp=dict(id="gzip", level=1))
    wb(rr + "/0", gz(b[:100]) + gz(b[100:]))
    ok(
        "z2_gzip_multi",
        "zarr2/gzip_multi",
        "zarr2",
        a,
        (64,),
        "two gzip members in one chunk",
        tags=["codec"],
        optional=True,
    )
    z = np.zeros((1 << 20,), "|u1")
    v2("ratio_1000", z, (1 << 20,), comp=dict(id="gzip", level=9))
    ok(
        "z2_ratio_1000",
        "zarr2/ratio_1000",
        "zarr2",
        z,
        (1 << 20,),
        "honest 1000:1 chunk must not be refused as a bomb",
        tags=["bomb"],
    )
