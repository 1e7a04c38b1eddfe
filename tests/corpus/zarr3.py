"""Zarr v3 stores, written by hand: the good ones, sharded ones among them."""

import bz2
import os
import struct

import numpy as np
from cases import P, chunks_of, crc, data, gz, jfill, ok, padded, wb, wj
from numcodecs import Zstd
from zarr2 import blosc


def dt3(dt):
    return "bool" if dt.kind == "b" else dt.newbyteorder("=").name


B_ = lambda e="little": dict(name="bytes", configuration=dict(endian=e))
GZ = dict(name="gzip", configuration=dict(level=5))
ZS = dict(name="zstd", configuration=dict(level=1, checksum=False))
CRC = dict(name="crc32c")
BL3 = lambda c, ts, s="shuffle": dict(
    name="blosc", configuration=dict(cname=c, clevel=5, shuffle=s, typesize=ts, blocksize=0)
)
TR = lambda o: dict(name="transpose", configuration=dict(order=o))


def SH(inner, codecs, idx=(B_(), CRC), loc="end"):
    return dict(
        name="sharding_indexed",
        configuration=dict(
            chunk_shape=list(inner), codecs=list(codecs), index_codecs=list(idx), index_location=loc
        ),
    )


def enc3(blk, codecs, fill, dropfill=True):
    b = None
    for c in codecs:
        n = c["name"]
        cf = c.get("configuration", {})
        if n == "transpose":
            blk = np.ascontiguousarray(blk.transpose(cf["order"]))
        elif n == "bytes":
            b = blk.astype(blk.dtype.newbyteorder(">" if cf.get("endian") == "big" else "<")).tobytes()
        elif n == "gzip":
            b = gz(b, cf["level"])
        elif n == "zstd":
            b = bytes(
                Zstd(level=cf["level"], checksum=cf.get("checksum", False)).encode(np.frombuffer(b, "u1"))
            )
        elif n == "blosc":
            b = blosc(
                b,
                cf.get("typesize", 1),
                cf["cname"],
                cf["clevel"],
                dict(noshuffle=0, shuffle=1, bitshuffle=2)[cf["shuffle"]],
            )
        elif n == "crc32c":
            b = b + crc(b)
        elif n == "numcodecs.bz2":
            b = bz2.compress(b, 1)
        elif n == "sharding_indexed":
            inner = tuple(cf["chunk_shape"])
            body = b""
            idx = []
            start = cf.get("index_location", "end") == "start"
            nch = int(np.prod([s // i for s, i in zip(blk.shape, inner)]))
            isz = nch * 16 + (4 if any(q["name"] == "crc32c" for q in cf["index_codecs"]) else 0)
            base = isz if start else 0
            for ci in chunks_of(blk.shape, inner):
                ib = blk[tuple(slice(i * k, (i + 1) * k) for i, k in zip(ci, inner))]
                if dropfill and (ib == fill).all():
                    idx.append((2**64 - 1, 2**64 - 1))
                    continue
                e = enc3(np.ascontiguousarray(ib), cf["codecs"], fill)
                idx.append((base + len(body), len(e)))
                body += e
            ie = enc3(np.array(idx, "<u8"), cf["index_codecs"], 0)
            b = ie + body if start else body + ie
    return b


def v3(
    name,
    a,
    ch,
    codecs=None,
    fill=0,
    jf=None,
    enc="default",
    sep="/",
    skip=(),
    meta=None,
    attrs=None,
    root=None,
):
    root = root or P("zarr3", name)
    os.makedirs(root, exist_ok=True)
    codecs = codecs or [B_()]
    if a.dtype.itemsize == 1:
        codecs = [dict(name="bytes") if c == B_() else c for c in codecs]
    m = dict(
        zarr_format=3,
        node_type="array",
        shape=list(a.shape),
        data_type=dt3(a.dtype),
        chunk_grid=dict(name="regular", configuration=dict(chunk_shape=list(ch))),
        chunk_key_encoding=dict(name=enc, configuration=dict(separator=sep)),
        fill_value=jfill(fill) if jf is None else jf,
        codecs=codecs,
        attributes=attrs or {},
    )
    if meta:
        m.update(meta)
    wj(root + "/zarr.json", m)
    if a.size:
        for idx in chunks_of(a.shape, ch):
            if idx in skip:
                continue
            e = enc3(padded(a, ch, idx, fill), codecs, fill)
            k = (
                ("c" + "".join(sep + str(i) for i in idx))
                if enc == "default"
                else (sep.join(map(str, idx)) or "0")
            )
            wb(root + "/" + k, e)
    return root


def good():
    for d in ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]:
        a = data((7, 10), d)
        n = "dt_" + d
        cx = (
            dict(fill=0j, jf=[0.0, 0.0])
            if d[0] == "c"
            else dict(fill=False)
            if d == "bool"
            else dict(fill=0.0)
            if d[0] == "f"
            else {}
        )
        v3(n, a, (3, 4), [B_(), ZS], **cx)
        ok("z3_" + n, "zarr3/" + n, "zarr3", a, (3, 4), "data_type " + dt3(a.dtype), tags=["dtype", "edge"])
    for d in ["i2", "u8", "f4", "f8", "c16"]:
        a = data((7, 10), d)
        v3("be_" + d, a, (3, 4), [B_("big"), GZ], **(dict(fill=0j, jf=[0.0, 0.0]) if d[0] == "c" else {}))
        ok(
            "z3_be_" + d,
            "zarr3/be_" + d,
            "zarr3",
            a,
            (3, 4),
            "bytes codec endian big, " + d,
            tags=["bigendian"],
        )
    A = data((40, 33), "f4")
    for nm, c in [
        ("none", [B_()]),
        ("gzip", [B_(), GZ]),
        ("zstd", [B_(), ZS]),
        ("zstd_checksum", [B_(), dict(name="zstd", configuration=dict(level=1, checksum=True))]),
        ("crc32c", [B_(), CRC]),
        ("zstd_crc32c", [B_(), ZS, CRC]),
        ("blosc_lz4", [B_(), BL3("lz4", 4)]),
        ("blosc_zstd_bit", [B_(), BL3("zstd", 4, "bitshuffle")]),
        ("blosc_blosclz", [B_(), BL3("blosclz", 4)]),
        ("blosc_zlib", [B_(), BL3("zlib", 4)]),
        ("blosc_lz4hc_no", [B_(), BL3("lz4hc", 4, "noshuffle")]),
        ("transpose", [TR([1, 0]), B_(), ZS]),
        ("transpose_be", [TR([1, 0]), B_("big"), BL3("zstd", 4)]),
        ("double", [B_(), ZS, GZ]),
    ]:
        v3("codec_" + nm, A, (16, 16), c)
        ok("z3_codec_" + nm, "zarr3/codec_" + nm, "zarr3", A, (16, 16), "codec chain " + nm, tags=["codec"])
    v3("codec_nc_bz2", A, (16, 16), [B_(), dict(name="numcodecs.bz2", configuration=dict(level=1))])
    ok(
        "z3_codec_nc_bz2",
        "zarr3/codec_nc_bz2",
        "zarr3",
        A,
        (16, 16),
        "numcodecs.bz2 extension codec",
        tags=["codec"],
        optional=True,
    )
    a = data((5, 6, 4), "i4")
    v3("transpose3", a, (3, 4, 2), [TR([2, 0, 1]), B_(), ZS])
    ok(
        "z3_transpose3",
        "zarr3/transpose3",
        "zarr3",
        a,
        (3, 4, 2),
        "3-d non-self-inverse transpose",
        tags=["codec", "order"],
    )
    S = data((20, 24), "i4")
    S[0:4, 0:6] = 0
    for nm, c, why in [
        ("basic", [SH((4, 6), [B_()])], "sharding, raw inner, one inner chunk absent"),
        ("zstd", [SH((4, 6), [B_(), ZS])], "sharding, zstd inner"),
        ("crc", [SH((4, 6), [B_(), ZS, CRC])], "sharding, inner crc32c"),
        ("start", [SH((4, 6), [B_(), GZ], loc="start")], "shard index at start"),
        ("idx_nocrc", [SH((4, 6), [B_(), ZS], idx=(B_(),))], "index without checksum"),
        ("idx_big", [SH((4, 6), [B_(), ZS], idx=(B_("big"), CRC))], "big-endian index"),
        ("outer_gzip", [SH((4, 6), [B_()]), GZ], "codec after sharding: no partial read possible"),
        ("transposed", [SH((4, 6), [TR([1, 0]), B_("big"), BL3("lz4", 4)])], "transpose inside shard"),
        ("nested", [SH((4, 12), [SH((2, 6), [B_(), ZS])])], "shard in shard"),
    ]:
        v3("shard_" + nm, S, (8, 12), c)
        ok(
            "z3_shard_" + nm,
            "zarr3/shard_" + nm,
            "zarr3",
            S,
            (8, 12),
            why,
            tags=["sharding"],
            inner_chunks=c[0]["configuration"]["chunk_shape"],
        )
    v3(
        "shard_missing",
        np.where(np.add.outer(np.arange(20) // 8, np.arange(24) // 12) == 0, 0, S).astype("i4"),
        (8, 12),
        [SH((4, 6), [B_(), ZS])],
        skip={(0, 0)},
    )
    ok(
        "z3_shard_missing",
        "zarr3/shard_missing",
        "zarr3",
        np.where(np.add.outer(np.arange(20) // 8, np.arange(24) // 12) == 0, 0, S).astype("i4"),
        (8, 12),
        "one whole shard absent",
        tags=["sharding", "missing"],
        inner_chunks=[4, 6],
    )
    v3(
        "shard_f_nan",
        np.where(data((8, 8), "f8") > 0, np.nan, data((8, 8), "f8")),
        (8, 8),
        [SH((4, 4), [B_(), ZS])],
        fill=float("nan"),
    )
    ok(
        "z3_shard_f_nan",
        "zarr3/shard_f_nan",
        "zarr3",
        np.where(data((8, 8), "f8") > 0, np.nan, data((8, 8), "f8")),
        (8, 8),
        "NaN fill with NaN data in shards",
        tags=["sharding", "fill"],
        inner_chunks=[4, 4],
    )
    for f, jf, nm, d in [
        (float("nan"), None, "nan", "f8"),
        (float("inf"), None, "inf", "f4"),
        (float("-inf"), None, "ninf", "f8"),
        (float("nan"), "0x7fc00001", "hexnan", "f4"),
        (2**64 - 1, None, "u64max", "u8"),
        (-(2**63), None, "i64min", "i8"),
        (True, None, "true", "bool"),
        (1 + 2j, [1.0, 2.0], "complex", "c16"),
        (complex(float("nan"), float("inf")), ["NaN", "Infinity"], "cnan", "c8"),
    ]:
        a = data((6, 6), d)
        a[0:3, 3:6] = np.frombuffer(struct.pack("<I", 0x7FC00001), "<f4")[0] if nm == "hexnan" else f
        v3("fill_" + nm, a, (3, 3), [B_(), ZS], fill=f, jf=jf, skip={(0, 1)})
        ok(
            "z3_fill_" + nm,
            "zarr3/fill_" + nm,
            "zarr3",
            a,
            (3, 3),
            "missing chunk, fill_value " + nm,
            tags=["fill", "missing"],
            strict=dict(flag="--missing-chunk=error", expect="error"),
        )
    a = data((6, 6), "i4")
    for nm, e, s in [("default_dot", "default", "."), ("v2_dot", "v2", "."), ("v2_slash", "v2", "/")]:
        v3("key_" + nm, a, (3, 4), enc=e, sep=s)
        ok(
            "z3_key_" + nm,
            "zarr3/key_" + nm,
            "zarr3",
            a,
            (3, 4),
            "chunk key encoding %s %s" % (e, s),
            tags=["layout"],
        )
    v3("key_nocfg", a, (3, 4), meta=dict(chunk_key_encoding=dict(name="default")))
    ok(
        "z3_key_nocfg",
        "zarr3/key_nocfg",
        "zarr3",
        a,
        (3, 4),
        "chunk_key_encoding without configuration",
        tags=["layout"],
    )
    v3("scalar", data((), "f8"), ())
    ok("z3_scalar", "zarr3/scalar", "zarr3", data((), "f8"), (), '0-d, key "c"', tags=["shape"])
    v3("zero_len", data((4, 0), "f4"), (2, 2))
    ok(
        "z3_zero_len",
        "zarr3/zero_len",
        "zarr3",
        data((4, 0), "f4"),
        (2, 2),
        "zero-length dimension",
        tags=["shape"],
    )
    v3("dimnames", a, (3, 4), meta=dict(dimension_names=["y", None]))
    ok("z3_dimnames", "zarr3/dimnames", "zarr3", a, (3, 4), "dimension_names with null", tags=["meta"])
    v3("ext_ignorable", a, (3, 4), meta=dict(my_ext=dict(must_understand=False, x=1)))
    ok(
        "z3_ext_ignorable",
        "zarr3/ext_ignorable",
        "zarr3",
        a,
        (3, 4),
        "unknown field with must_understand false",
        tags=["meta"],
    )
    for n in range(1, 7):
        sh = (5, 4, 3, 3, 2, 3)[:n]
        ch = (2, 3, 2, 2, 2, 2)[:n]
        q = data(sh, "u2")
        v3("nd%d" % n, q, ch, [B_(), BL3("zstd", 2)])
        ok("z3_nd%d" % n, "zarr3/nd%d" % n, "zarr3", q, ch, "%d-d" % n, tags=["shape"])
    r = P("zarr3", "tree")
    os.makedirs(r)
    g = dict(zarr_format=3, node_type="group", attributes={"título": "ü"})
    wj(r + "/zarr.json", g)
    wj(r + "/a/zarr.json", g)
    wj(r + "/a/b/zarr.json", g)
    q = data((4, 4), "f4")
    v3("", q, (2, 2), root=r + "/a/b/x")
    ok("z3_nested", "zarr3/tree", "zarr3", q, (2, 2), "nested groups", node="a/b/x", tags=["tree"])
    q = data((4, 4), "i8")
    v3("", q, (2, 2), root=r + "/a/данные")
    ok(
        "z3_nonascii",
        "zarr3/tree",
        "zarr3",
        q,
        (2, 2),
        "non-ASCII node name",
        node="a/данные",
        tags=["tree", "name"],
    )
    v3("tmp_residue", a, (3, 4))
    wb(P("zarr3", "tmp_residue", "c", "0", "0.0123abcd.partial"), b"junk")
    wb(P("zarr3", "tmp_residue", "c", "0", "1.__lock"), b"junk")
    wb(P("zarr3", "tmp_residue", ".DS_Store"), b"junk")
    ok(
        "z3_tmp_residue",
        "zarr3/tmp_residue",
        "zarr3",
        a,
        (3, 4),
        "left-over temporaries of zarr-python/tensorstore and junk files are ignored",
        tags=["crash"],
    )
