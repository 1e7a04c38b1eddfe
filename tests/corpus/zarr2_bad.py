"""Zarr v2 stores that must be refused: damaged metadata and chunks, bombs, escapes, special files."""

import json
import os
import struct
import zlib

import numpy as np
from cases import P, bad, data, stats, wb, wj
from numcodecs import LZ4
from zarr2 import BL, comp2, v2


def bad_stores():
    A = data((64,), "<i4")

    def b(name, why, stage, meta=None, comp=None, chunk=None, raw=None, tags=(), arr=A, ch=(64,), **kw):
        r = v2("bad_" + name, arr, ch, comp=comp, meta=meta)
        if raw is not None:
            wb(r + "/.zarray", raw)
        if chunk is not None:
            wb(r + "/0", chunk)
        bad("z2_bad_" + name, "zarr2/bad_" + name, "zarr2", why, stage, tags=tags, **kw)
        return r

    J = json.dumps(
        dict(
            zarr_format=2,
            shape=[64],
            chunks=[64],
            dtype="<i4",
            compressor=None,
            fill_value=0,
            order="C",
            filters=None,
        )
    )
    b("json_trunc", "truncated .zarray", "metadata", raw=J[:60].encode(), tags=["json"])
    b("json_empty", "empty .zarray (ext4 crash residue)", "metadata", raw=b"", tags=["json"])
    b("json_nul", ".zarray is all NUL bytes (crash residue)", "metadata", raw=b"\0" * 200, tags=["json"])
    b(
        "json_bom_utf16",
        "UTF-16 metadata",
        "metadata",
        raw=J.encode("utf-16"),
        tags=["json"],
        either=True,
        alt=stats(A),
    )
    b("json_list", "metadata is a list", "metadata", raw=b"[1,2,3]", tags=["json"])
    b(
        "json_deep",
        "JSON nested 200k levels in an unknown key",
        "metadata",
        raw=(J[:-1] + ', "x": ' + "[" * 200000 + "]" * 200000 + "}").encode(),
        tags=["json", "dos"],
        either=True,
        alt=stats(A),
    )
    r = b(
        "attrs_deep",
        ".zattrs nested 200k levels",
        "metadata",
        tags=["json", "dos"],
        either=True,
        alt=stats(A),
    )
    wb(r + "/.zattrs", b'{"x": ' + b"[" * 200000 + b"]" * 200000 + b"}")
    b(
        "no_chunks",
        "chunks key missing",
        "metadata",
        raw=json.dumps({k: v for k, v in json.loads(J).items() if k != "chunks"}).encode(),
        tags=["meta"],
    )
    for n, m, why in [
        ("chunk_zero", dict(chunks=[0]), "chunk size zero"),
        ("chunk_neg", dict(chunks=[-4]), "negative chunk"),
        ("shape_neg", dict(shape=[-1]), "negative shape"),
        ("shape_float", dict(shape=[64.5]), "fractional shape"),
        ("shape_str", dict(shape=["64"]), "shape is a string"),
        ("rank_mismatch", dict(chunks=[8, 8]), "rank(chunks) != rank(shape)"),
        ("format9", dict(zarr_format=9), "zarr_format 9"),
        ("order_K", dict(order="K"), "order K"),
        ("sep_x", dict(dimension_separator="x"), "bad separator"),
        ("codec_unknown", dict(compressor=dict(id="no_such_codec")), "unknown compressor"),
        ("filter_unknown", dict(filters=[dict(id="no_such_filter")]), "unknown filter"),
        ("dtype_i3", dict(dtype="<i3"), "dtype <i3"),
        ("dtype_f1", dict(dtype="<f1"), "dtype <f1"),
        ("dtype_S0", dict(dtype="|S0"), "zero-size dtype"),
        (
            "dtype_struct",
            dict(dtype=[["a", "<i4"], ["b", "<f8"]], fill_value=None),
            "structured dtype (unsupported)",
        ),
        ("dtype_U4", dict(dtype="<U4", fill_value=""), "unicode dtype (unsupported)"),
        ("dtype_M8", dict(dtype="<M8[s]"), "datetime dtype (unsupported)"),
        ("dtype_f16", dict(dtype="<f16"), "long double"),
        ("fill_str", dict(fill_value="hello"), "fill_value string for i4"),
        ("fill_range", dict(fill_value=2**40), "fill_value out of range for i4"),
        ("shape_u64", dict(shape=[2**64]), "shape does not fit u64"),
        (
            "prod_overflow",
            dict(shape=[2**40, 2**40], chunks=[2**20, 2**20]),
            "product of shape overflows u64",
        ),
        ("chunk_huge", dict(shape=[2**62], chunks=[2**62]), "chunk of 2^64 bytes"),
        ("chunk_1TB", dict(shape=[2**38], chunks=[2**38]), "1 TiB chunk: over any memory budget"),
        ("rank_1000", dict(shape=[1] * 1000, chunks=[1] * 1000), "rank 1000"),
    ]:
        st = "plan" if n in ("chunk_1TB", "prod_overflow") else "metadata"
        b(
            n,
            why,
            st,
            meta=m,
            tags=["meta"]
            + (
                ["dos"] if n in ("chunk_huge", "chunk_1TB", "rank_1000", "prod_overflow", "shape_u64") else []
            ),
        )
    b(
        "many_chunks",
        "2^40 missing chunks of 1 element: must be refused by a task-count limit, not enumerated (info works)",
        "plan",
        meta=dict(shape=[2**40], chunks=[1]),
        tags=["dos", "plan"],
    )
    b(
        "pickle",
        "object dtype with pickle filter: code execution in numcodecs readers",
        "metadata",
        meta=dict(dtype="|O", fill_value=None, filters=[dict(id="pickle", protocol=5)]),
        tags=["security"],
        chunk=b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06getpid\x94\x93\x94)R\x94.",
    )
    raw = A.tobytes()
    b("raw_short", "uncompressed chunk 10 bytes short", "read", chunk=raw[:-10], tags=["chunk"])
    b("raw_long", "uncompressed chunk 10 bytes long", "read", chunk=raw + b"x" * 10, tags=["chunk"])
    b(
        "raw_empty",
        "zero-byte chunk file (crash residue) must not read as fill",
        "read",
        chunk=b"",
        tags=["chunk", "silent"],
    )
    for nm, c in [
        ("gzip", dict(id="gzip", level=5)),
        ("zlib", dict(id="zlib", level=5)),
        ("zstd", dict(id="zstd", level=1)),
        ("blosc", BL("lz4")),
        ("blosc_zstd", BL("zstd")),
    ]:
        R = data((4096,), "<i4")
        e = comp2(c, R.tobytes(), R.dtype)
        b(
            nm + "_trunc",
            nm + " chunk cut in half",
            "read",
            comp=c,
            chunk=e[: len(e) // 2],
            tags=["chunk", "codec"],
            arr=R,
            ch=(4096,),
        )
        b(
            nm + "_empty",
            nm + " chunk of zero bytes",
            "read",
            comp=c,
            chunk=b"",
            tags=["chunk", "codec", "silent"],
            arr=R,
            ch=(4096,),
        )
        b(
            nm + "_short",
            nm + " chunk decodes to fewer bytes than the chunk",
            "read",
            comp=c,
            chunk=comp2(c, R.tobytes()[:8192], R.dtype),
            tags=["chunk", "codec", "silent"],
            arr=R,
            ch=(4096,),
        )
        b(
            nm + "_long",
            nm + " chunk decodes to more bytes than the chunk",
            "read",
            comp=c,
            chunk=comp2(c, R.tobytes() + b"\1" * 4096, R.dtype),
            tags=["chunk", "codec", "silent"],
            arr=R,
            ch=(4096,),
        )
        m = bytearray(e)
        k = (len(e) * 2) // 3
        for i in range(8):
            m[k + i] ^= 0xA5
        det = nm in ("gzip", "zlib")
        if det:
            b(
                nm + "_flip",
                nm + " payload bytes flipped (codec has a checksum)",
                "read",
                comp=c,
                chunk=bytes(m),
                tags=["chunk", "codec", "checksum"],
                arr=R,
                ch=(4096,),
            )
    e = comp2(dict(id="gzip"), raw, A.dtype)
    b(
        "gzip_crc",
        "gzip trailer CRC wrong, payload intact",
        "read",
        comp=dict(id="gzip", level=5),
        chunk=e[:-8] + b"\0\0\0\0" + e[-4:],
        tags=["chunk", "checksum"],
    )
    b(
        "zstd_fcs_huge",
        "zstd header claims 2^60 bytes",
        "read",
        comp=dict(id="zstd", level=1),
        chunk=b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\x00\x00",
        tags=["bomb", "codec"],
    )
    b(
        "zlib_bomb",
        "256 B chunk, payload inflates to 256 MiB",
        "read",
        comp=dict(id="zlib", level=9),
        chunk=zlib.compress(b"\0" * (256 << 20), 9),
        tags=["bomb", "codec"],
    )
    W = np.arange(4096, dtype="<i4")
    bl = bytearray(comp2(BL("lz4"), W.tobytes(), W.dtype))
    kw = dict(arr=W, ch=(4096,))
    x = bytearray(bl)
    x[4:8] = struct.pack("<I", 0x7FFFFFFF)
    b(
        "blosc_nbytes_huge",
        "blosc header nbytes 2 GiB",
        "read",
        comp=BL("lz4"),
        chunk=bytes(x),
        **kw,
        tags=["bomb", "codec"],
    )
    x = bytearray(bl)
    x[3] = 0
    b("blosc_typesize0", "blosc typesize 0", "read", comp=BL("lz4"), chunk=bytes(x), **kw, tags=["codec"])
    x = bytearray(bl)
    x[8:12] = struct.pack("<I", 0)
    b(
        "blosc_blocksize0",
        "blosc blocksize 0 (division by zero)",
        "read",
        comp=BL("lz4"),
        chunk=bytes(x),
        **kw,
        tags=["codec"],
    )
    x = bytearray(bl)
    x[12:16] = struct.pack("<I", 15)
    b(
        "blosc_cbytes_lie",
        "blosc cbytes smaller than file",
        "read",
        comp=BL("lz4"),
        chunk=bytes(x),
        **kw,
        tags=["codec"],
    )
    x = bytearray(bl)
    x[2] |= 0xE0
    b(
        "blosc_codec7",
        "blosc inner codec number 7",
        "read",
        comp=BL("lz4"),
        chunk=bytes(x),
        **kw,
        tags=["codec"],
    )
    b(
        "lz4_size_huge",
        "numcodecs lz4 header claims 2 GiB",
        "read",
        comp=dict(id="lz4", acceleration=1),
        chunk=struct.pack("<I", 0x7FFFFFFF) + bytes(LZ4().encode(np.frombuffer(raw, "u1")))[4:],
        tags=["bomb", "codec"],
    )
    r = b(
        "bool_bytes",
        "bool chunk holding bytes 2 and 255 (invalid value; UB if transmuted to Rust bool)",
        "read",
        arr=data((8,), "|b1"),
        ch=(8,),
        chunk=bytes([0, 1, 2, 255, 1, 0, 7, 1]),
        tags=["chunk", "ub"],
        either=True,
        alt=stats(np.array([0, 1, 1, 1, 1, 0, 1, 1], "?")),
    )
    r = b("chunk_is_dir", "a directory where the chunk file should be", "read", tags=["fs"])
    os.unlink(r + "/0")
    os.makedirs(r + "/0")
    r = P("zarr2", "bad_array_and_group")
    v2("bad_array_and_group", A, (64,))
    os.rename(r + "/.zarray", r + "/.zarray_")
    wj(r + "/.zgroup", dict(zarr_format=2))
    bad(
        "z2_bad_group_as_array",
        "zarr2/bad_array_and_group",
        "zarr2",
        "array requested, node is a group",
        "open",
        tags=["meta"],
    )
    os.makedirs(P("zarr2", "bad_nothing"))
    bad("z2_bad_nothing", "zarr2/bad_nothing", "zarr2", "empty directory", "open", tags=["meta"])
    bad("z2_bad_absent", "zarr2/does_not_exist", "zarr2", "path does not exist", "open", tags=["meta"])
    r = P("zarr2", "bad_consolidated_traversal")
    os.makedirs(r)
    wj(r + "/.zgroup", dict(zarr_format=2))
    wj(
        r + "/.zmetadata",
        dict(
            zarr_consolidated_format=1,
            metadata={
                ".zgroup": dict(zarr_format=2),
                "../codec_none/.zarray": json.load(open(P("zarr2", "codec_none", ".zarray"))),
            },
        ),
    )
    bad(
        "z2_bad_traversal",
        "zarr2/bad_consolidated_traversal",
        "zarr2",
        "node name ../codec_none escapes the store root",
        "open",
        node="../codec_none",
        tags=["security", "name"],
    )
    v2("", A, (64,), root=P("zarr2", "bad_sneaky", "x"))
    wj(P("zarr2", "bad_sneaky", ".zgroup"), dict(zarr_format=2))
    bad(
        "z2_bad_dotdot",
        "zarr2/bad_sneaky",
        "zarr2",
        "node path x/../../codec_none",
        "open",
        node="x/../../codec_none",
        tags=["security", "name"],
    )


def special():
    A = data((64,), "<i4")
    r = v2("bad_fifo", A, (64,))
    os.unlink(r + "/0")
    os.mkfifo(r + "/0")
    bad(
        "z2_bad_fifo",
        "zarr2/bad_fifo",
        "zarr2",
        "chunk file is a named pipe: reading must not hang",
        "read",
        tags=["fs", "hang"],
    )
    r = v2("bad_symlink", A, (64,))
    os.unlink(r + "/0")
    wb(P("outside", "secret.bin"), A.tobytes())
    os.symlink("../../outside/secret.bin", r + "/0")
    bad(
        "z2_bad_symlink",
        "zarr2/bad_symlink",
        "zarr2",
        "chunk is a symlink leaving the store root (policy: refuse unless --follow-symlinks)",
        "read",
        tags=["security", "fs"],
    )
    r = P("zarr2", "bad_symloop")
    os.makedirs(r)
    wj(r + "/.zgroup", dict(zarr_format=2))
    os.symlink(".", r + "/loop")
    bad(
        "z2_bad_symloop",
        "zarr2/bad_symloop",
        "zarr2",
        "group directory contains a link to itself: listing must end",
        "open",
        node="loop/loop/loop/loop/x",
        tags=["fs", "hang"],
    )
    p = P("zarr2", "bad_meta_huge", ".zarray")
    os.makedirs(os.path.dirname(p), exist_ok=True)
    with open(p, "wb") as f:
        f.truncate(64 << 20)
    bad(
        "z2_bad_meta_huge",
        "zarr2/bad_meta_huge",
        "zarr2",
        "64 MiB (sparse) metadata file: over a 16 MiB limit",
        "metadata",
        tags=["dos", "json"],
    )
