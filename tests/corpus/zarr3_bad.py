"""Zarr v3 stores that must be refused: metadata, codecs, shard indexes."""

import json
import os

import numpy as np
from cases import bad, crc, data, wb, wj
from zarr3 import B_, CRC, GZ, SH, TR, enc3, v3


def bad_stores():
    A = data((8, 8), "i4")

    def b(name, why, stage, codecs=None, meta=None, chunk=None, raw=None, tags=(), a=A, ch=(8, 8), **kw):
        r = v3("bad_" + name, a, ch, codecs=codecs, **kw)
        if meta:
            m = json.load(open(r + "/zarr.json"))
            m.update(meta)
            for k in [k for k in m if m[k] == "__del__"]:
                del m[k]
            wj(r + "/zarr.json", m)
        if raw is not None:
            wb(r + "/zarr.json", raw)
        if chunk is not None:
            wb(r + "/c/0/0", chunk)
        bad("z3_bad_" + name, "zarr3/bad_" + name, "zarr3", why, stage, tags=tags)
        return r

    cg = lambda s: dict(chunk_grid=dict(name="regular", configuration=dict(chunk_shape=s)))
    deep = [B_()]
    for _ in range(300):
        deep = [SH((8, 8), deep)]
    for n, m, why, t in [
        ("no_codecs", dict(codecs="__del__"), "codecs missing", ""),
        ("codecs_empty", dict(codecs=[]), "no array->bytes codec", ""),
        ("two_ab", dict(codecs=[B_(), B_()]), "two array->bytes codecs", ""),
        ("order", dict(codecs=[GZ, B_()]), "bytes->bytes codec first", ""),
        ("no_endian", dict(codecs=[dict(name="bytes")]), "multi-byte type without endian", ""),
        ("codec_unknown", dict(codecs=[B_(), dict(name="no_such")]), "unknown codec", ""),
        ("transpose_dup", dict(codecs=[TR([0, 0]), B_()]), "transpose order not a permutation", ""),
        ("transpose_rank", dict(codecs=[TR([0, 1, 2]), B_()]), "transpose order wrong rank", ""),
        ("dtype_unknown", dict(data_type="int128"), "unknown data type", ""),
        (
            "dtype_string",
            dict(data_type="string", fill_value="", codecs=[dict(name="vlen-utf8")]),
            "string data (unsupported)",
            "",
        ),
        ("grid_unknown", dict(chunk_grid=dict(name="hexagonal", configuration={})), "unknown chunk grid", ""),
        ("chunk_zero", cg([0, 8]), "chunk size zero", ""),
        ("chunk_rank", cg([8]), "chunk rank", ""),
        ("shape_neg", dict(shape=[-8, 8]), "negative shape", ""),
        ("fill_range", dict(fill_value=2**40), "fill out of range", ""),
        ("fill_type", dict(fill_value="abc"), "fill wrong type", ""),
        ("fill_missing", dict(fill_value="__del__"), "fill_value missing", ""),
        ("must_understand", dict(new_ext=dict(name="x")), "unknown field that must be understood", ""),
        ("transformer", dict(storage_transformers=[dict(name="x")]), "unknown storage transformer", ""),
        ("transformers_number", dict(storage_transformers=1), "storage transformers are a number", ""),
        ("group", dict(node_type="group"), "array requested, node_type group with array keys", ""),
        ("key_enc", dict(chunk_key_encoding=dict(name="zzz")), "unknown chunk key encoding", ""),
        ("shape_u64", dict(shape=[2**64, 1]), "shape beyond u64", "dos"),
        (
            "prod",
            dict(shape=[2**40, 2**40], **cg([2**33, 2**33])),
            "chunk element count overflows u64",
            "dos",
        ),
        ("deep_shard", dict(codecs=deep), "sharding nested 300 deep", "dos"),
        (
            "gzip_level",
            dict(codecs=[B_(), dict(name="gzip", configuration=dict(level=99))]),
            "gzip level 99",
            "",
        ),
        ("dims_names", dict(dimension_names=["y"]), "dimension_names wrong length", ""),
        ("shard_indiv", dict(codecs=[SH((3, 8), [B_()])]), "inner chunk does not divide shard", ""),
    ]:
        b(n, why, "metadata", meta=m, tags=["meta"] + ([t] if t else []))
    b(
        "many_inner",
        "2^40 inner chunks in one shard (16 TiB index)",
        "plan",
        meta=dict(shape=[2**20, 2**20], **cg([2**20, 2**20]), codecs=[SH((1, 1), [B_()])]),
        tags=["dos", "sharding"],
    )
    b("json_dup", 'zarr.json is "null"', "metadata", raw=b"null", tags=["json"])
    e = enc3(A, [B_(), CRC], 0)
    b("crc32c", "crc32c mismatch", "read", [B_(), CRC], chunk=bytes([e[0] ^ 1]) + e[1:], tags=["checksum"])
    b("crc32c_short", "chunk of 3 bytes under crc32c", "read", [B_(), CRC], chunk=b"abc", tags=["checksum"])
    zc = dict(name="zstd", configuration=dict(level=1, checksum=True))
    e = bytearray(enc3(data((8, 8), "i4"), [B_(), zc], 0))
    e[-1] ^= 0xFF
    b("zstd_checksum", "zstd frame checksum wrong", "read", [B_(), zc], chunk=bytes(e), tags=["checksum"])
    sh = [SH((4, 8), [B_()])]
    e = bytearray(enc3(A, sh, 0))
    n = len(e)

    def idx(entries, body=bytes(e[:-36])):
        i = np.array(entries, "<u8").tobytes()
        return body + i + crc(i)

    b(
        "shard_idx_crc",
        "shard index checksum wrong",
        "read",
        sh,
        chunk=bytes(e[:-1]) + bytes([e[-1] ^ 1]),
        tags=["sharding", "checksum"],
    )
    b(
        "shard_oob",
        "index offset past end of shard",
        "read",
        sh,
        chunk=idx([(10**6, 128), (128, 128)]),
        tags=["sharding"],
    )
    b(
        "shard_wrap",
        "index offset + nbytes wraps u64",
        "read",
        sh,
        chunk=idx([(2**64 - 64, 128), (128, 128)]),
        tags=["sharding", "security"],
    )
    b(
        "shard_half_missing",
        "offset missing marker but nbytes set",
        "read",
        sh,
        chunk=idx([(2**64 - 1, 128), (128, 128)]),
        tags=["sharding"],
    )
    b(
        "shard_huge_nbytes",
        "index nbytes 2^40",
        "read",
        sh,
        chunk=idx([(0, 2**40), (128, 128)]),
        tags=["sharding", "bomb"],
    )
    b(
        "shard_inner_short",
        "inner chunk 64 of 128 bytes",
        "read",
        sh,
        chunk=idx([(0, 64), (128, 128)]),
        tags=["sharding", "silent"],
    )
    b("shard_tiny", "shard smaller than its index", "read", sh, chunk=bytes(e[:20]), tags=["sharding"])
    b(
        "shard_trunc",
        "shard cut in half (torn write)",
        "read",
        sh,
        chunk=bytes(e[: n // 2]),
        tags=["sharding", "crash"],
    )
    b("shard_empty", "zero-byte shard", "read", sh, chunk=b"", tags=["sharding", "silent"])
    r = b("json_is_dir", "zarr.json is a directory", "open", tags=["fs"])
    os.unlink(r + "/zarr.json")
    os.makedirs(r + "/zarr.json")
