"""HDF5 files that must be refused: unsupported types, links that leave the file, bytes patched."""

import os
import shutil
import struct
import zlib

import h5py
import numpy as np
from cases import P, data, wb
from hdf5 import DCPL, h5, hbad


def patch(src, dst, fn):
    b = bytearray(open(P("hdf5", src), "rb").read())
    b = fn(b)
    wb(P("hdf5", dst), bytes(b))


def bad_files():
    with h5("unsup.h5") as f:
        f.create_dataset("compound", data=np.zeros(4, [("a", "<i4"), ("b", "<f8")]))
        hbad("compound", "unsup.h5", "compound", "compound type (unsupported)", "open", tags=["dtype"])
        f.create_dataset("vlen", data=["a", "bb"], dtype=h5py.string_dtype())
        hbad("vlen_str", "unsup.h5", "vlen", "variable-length string (unsupported)", "open", tags=["dtype"])
        f.create_dataset("fixstr", data=np.array([b"ab", b"cd"]))
        hbad("fixed_str", "unsup.h5", "fixstr", "fixed string (unsupported)", "open", tags=["dtype"])
        f.create_dataset("opaque", data=np.zeros(3, "V5"))
        hbad("opaque", "unsup.h5", "opaque", "opaque (unsupported)", "open", tags=["dtype"])
        f.create_dataset("ref", data=np.array([f.ref, f.ref], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
        hbad("reference", "unsup.h5", "ref", "object reference (unsupported)", "open", tags=["dtype"])
        f.create_dataset("arr", shape=(4,), dtype=np.dtype("(3,)<i4"))
        hbad("array_type", "unsup.h5", "arr", "array datatype (unsupported)", "open", tags=["dtype"])
        f.create_dataset("null", data=h5py.Empty("<f4"))
        hbad("null_space", "unsup.h5", "null", "null dataspace", "open", tags=["shape"])
        f.create_group("grp")
        hbad("group", "unsup.h5", "grp", "dataset requested, node is a group", "open", tags=["meta"])
        hbad("absent", "unsup.h5", "no/such", "no such dataset", "open", tags=["meta"])
        f["dangling"] = h5py.SoftLink("/nowhere")
        hbad("dangling", "unsup.h5", "dangling", "dangling soft link", "open", tags=["link"])
        f["l1"] = h5py.SoftLink("/l2")
        f["l2"] = h5py.SoftLink("/l1")
        hbad("soft_loop", "unsup.h5", "l1", "soft-link loop", "open", tags=["link", "hang"])
        f["ext"] = h5py.ExternalLink("layout.h5", "/nd2")
        hbad(
            "external_link",
            "unsup.h5",
            "ext",
            "external link: refused by default policy",
            "open",
            tags=["link", "security"],
        )
        f["ext_abs"] = h5py.ExternalLink("/etc/passwd", "/x")
        hbad(
            "external_abs",
            "unsup.h5",
            "ext_abs",
            "external link to an absolute path",
            "open",
            tags=["link", "security"],
        )
        f["ext_grp"] = h5py.ExternalLink("layout.h5", "/a")
        hbad(
            "external_mid",
            "unsup.h5",
            "ext_grp/b/x",
            "external link as a middle path component",
            "open",
            tags=["link", "security"],
        )
        f.create_dataset("extraw", shape=(16,), dtype="u1", external=[("/etc/passwd", 0, 16)])
        hbad(
            "external_raw",
            "unsup.h5",
            "extraw",
            "external raw storage pointing at /etc/passwd (h5py#2891)",
            "open",
            tags=["security"],
        )
        dc = DCPL()
        sp = h5py.h5s.create_simple((40, 33))
        dc.set_virtual(sp, b"filters.h5", b"/gzip", sp)
        h5py.h5d.create(f.id, b"vds", h5py.h5t.IEEE_F32LE, sp, dc)
        hbad(
            "vds",
            "unsup.h5",
            "vds",
            "virtual dataset to another file: refused by default policy",
            "open",
            tags=["security"],
        )
        f.create_dataset("sparse", shape=(2**40, 2**20), dtype="<f8", chunks=(1024, 1024))
        hbad(
            "sparse_huge",
            "unsup.h5",
            "sparse",
            "2^60 elements, no chunk allocated: info works, whole read refused at plan time",
            "plan",
            tags=["dos"],
        )
    wb(P("hdf5", "bad_text.h5"), b"this is not hdf5\n" * 50)
    hbad("bad_text", "bad_text.h5", "x", "text file", "open", tags=["super"])
    wb(P("hdf5", "bad_empty.h5"), b"")
    hbad("bad_empty", "bad_empty.h5", "x", "empty file", "open", tags=["super"])
    wb(P("hdf5", "bad_sig_only.h5"), b"\x89HDF\r\n\x1a\n")
    hbad("bad_sig_only", "bad_sig_only.h5", "x", "signature only", "open", tags=["super"])
    wb(P("hdf5", "netcdf3.nc"), b"CDF\x01" + b"\0" * 200)
    hbad("bad_netcdf3", "netcdf3.nc", "x", "NetCDF-3 classic, not HDF5: say so", "open", tags=["super"])
    for n, lv in [("v0", "earliest"), ("v3", "latest")]:
        with h5("_s_%s.h5" % n, libver=lv) as f:
            f.create_dataset(
                "x", data=data((64, 64), "<i4"), chunks=(16, 16), compression="gzip", fletcher32=True
            )
            f.create_dataset("c", data=data((64,), "<i4"))
    L = len(open(P("hdf5", "_s_v0.h5"), "rb").read())
    for fr in (10, 50, 90):
        patch("_s_v0.h5", "bad_trunc%d.h5" % fr, lambda b: b[: L * fr // 100])
        hbad(
            "bad_trunc%d" % fr,
            "bad_trunc%d.h5" % fr,
            "x",
            "file cut to %d%% (interrupted copy)" % fr,
            "open",
            tags=["trunc"],
        )

    def setb(off, v):
        def fn(b):
            b[off : off + len(v)] = v
            return b

        return fn

    patch("_s_v0.h5", "bad_super_ver.h5", setb(8, b"\x09"))
    hbad("bad_super_ver", "bad_super_ver.h5", "x", "superblock version 9", "open", tags=["super"])
    patch("_s_v0.h5", "bad_offsize.h5", setb(13, b"\x05"))
    hbad("bad_offsize", "bad_offsize.h5", "x", "size of offsets 5", "open", tags=["super"])
    patch("_s_v0.h5", "bad_root.h5", setb(64, struct.pack("<Q", 1 << 50)))
    hbad("bad_root", "bad_root.h5", "x", "root object header beyond EOF", "open", tags=["super"])
    patch("_s_v3.h5", "bad_super_sum.h5", lambda b: setb(20, bytes([b[20] ^ 0xFF]))(b))
    hbad(
        "bad_super_sum",
        "bad_super_sum.h5",
        "x",
        "v3 superblock checksum wrong",
        "open",
        tags=["super", "checksum"],
    )

    def v3flag(b):
        b[11] = 0x01

        return b

    patch("_s_v3.h5", "bad_open_flag_nosum.h5", v3flag)
    hbad(
        "bad_open_flag",
        "bad_open_flag_nosum.h5",
        "x",
        "write-open flag set, checksum stale",
        "open",
        tags=["super", "crash"],
    )

    def ohdr(b):
        i = b.index(b"OHDR")
        b[i + 20] ^= 0xFF
        return b

    patch("_s_v3.h5", "bad_ohdr.h5", ohdr)
    hbad("bad_ohdr", "bad_ohdr.h5", "x", "v2 object header checksum wrong", "open", tags=["checksum"])

    def tree(sub, off, v):
        def fn(b):
            i = -1
            k = None
            while True:
                i = b.find(b"TREE", i + 1)
                if i < 0:
                    break
                if b[i + 4] == 1:
                    k = i
                    break
            b[k + off : k + off + len(v)] = v
            return b

        return fn

    def key0(b):  # first raw-data B-tree: header 24, key = size u4, mask u4, offsets 3*u8 ; child u8
        i = -1
        while True:
            i = b.find(b"TREE", i + 1)
            if b[i + 4] == 1:
                return i

    patch("_s_v0.h5", "bad_btree_sig.h5", tree("x", 0, b"EERT"))
    hbad("bad_btree_sig", "bad_btree_sig.h5", "x", "chunk B-tree signature destroyed", "read", tags=["index"])
    patch("_s_v0.h5", "bad_btree_size.h5", tree("x", 24, struct.pack("<I", 0xFFFFFFF0)))
    hbad(
        "bad_btree_size", "bad_btree_size.h5", "x", "stored chunk size 4 GiB", "read", tags=["index", "bomb"]
    )
    patch("_s_v0.h5", "bad_btree_addr.h5", tree("x", 24 + 32, struct.pack("<Q", 1 << 48)))
    hbad("bad_btree_addr", "bad_btree_addr.h5", "x", "chunk address beyond EOF", "read", tags=["index"])
    patch(
        "_s_v0.h5",
        "bad_btree_self.h5",
        lambda b: setb(key0(b) + 5, b"\x01")(setb(key0(b) + 24 + 32, struct.pack("<Q", key0(b)))(b)),
    )
    hbad(
        "bad_btree_self",
        "bad_btree_self.h5",
        "x",
        "B-tree node that is its own child",
        "read",
        tags=["index", "hang"],
    )
    patch("_s_v0.h5", "bad_btree_dup.h5", tree("x", 24 + 40 + 8, struct.pack("<QQ", 0, 0)))
    hbad(
        "bad_btree_dup",
        "bad_btree_dup.h5",
        "x",
        "two index entries for chunk (0,0), one chunk lost",
        "read",
        tags=["index", "silent"],
    )

    def chunkaddr(b):
        k = key0(b)
        return struct.unpack_from("<I", b, k + 24)[0], struct.unpack_from("<Q", b, k + 24 + 32)[0]

    def flipchunk(b):
        s, a = chunkaddr(b)
        b[a + s // 2] ^= 0xFF
        return b

    patch("_s_v0.h5", "bad_fletcher.h5", flipchunk)
    hbad(
        "bad_fletcher",
        "bad_fletcher.h5",
        "x",
        "chunk byte flipped under fletcher32",
        "read",
        tags=["checksum"],
    )
    with h5("_s_gz.h5") as f:
        f.create_dataset("x", data=data((64, 64), "<i4"), chunks=(16, 16), compression="gzip")
    patch("_s_gz.h5", "bad_gzip.h5", flipchunk)
    hbad(
        "bad_gzip",
        "bad_gzip.h5",
        "x",
        "chunk byte flipped under deflate (adler32)",
        "read",
        tags=["checksum"],
    )

    def filt(b):
        i = b.find(b"deflate")
        b[i - 8 : i - 6] = struct.pack("<H", 0x7A01)
        return b

    patch("_s_gz.h5", "bad_filter.h5", filt)
    hbad("bad_filter", "bad_filter.h5", "x", "filter id 31233 unknown: name the id", "open", tags=["codec"])
    with h5("_s_short.h5") as f:
        dc = DCPL()
        dc.set_chunk((64,))
        dc.set_deflate(4)
        ds = h5py.h5d.create(f.id, b"x", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((64,)), dc)
        ds.write_direct_chunk((0,), zlib.compress(data((32,), "<i4").tobytes()), 0)
        ds = h5py.h5d.create(f.id, b"bomb", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((64,)), dc)
        ds.write_direct_chunk((0,), zlib.compress(b"\0" * (256 << 20), 9), 0)
    shutil.copy(P("hdf5", "_s_short.h5"), P("hdf5", "bad_short.h5"))
    hbad(
        "bad_short",
        "bad_short.h5",
        "x",
        "deflate chunk decodes to half a chunk (uninitialised memory in libhdf5?)",
        "read",
        tags=["silent", "security"],
    )
    hbad("bad_bomb", "bad_short.h5", "bomb", "256 B chunk inflates to 256 MiB", "read", tags=["bomb"])

    def dim(b):  # dataspace message of /c: version1 rank1 dims 64 max 64
        i = b.find(struct.pack("<BBB5xQQ", 1, 1, 1, 64, 64))
        b[i + 8 : i + 24] = struct.pack("<QQ", 2**61, 2**61)
        return b

    patch("_s_v0.h5", "bad_dim_huge.h5", dim)
    hbad(
        "bad_dim_huge",
        "bad_dim_huge.h5",
        "c",
        "contiguous dataset claims 2^63 bytes, storage holds 256",
        "open",
        tags=["dos"],
    )

    def dim2(b):
        i = b.find(struct.pack("<BBB5xQQ", 1, 1, 1, 64, 64))
        b[i + 8 : i + 24] = struct.pack("<QQ", 6400, 6400)
        return b

    patch("_s_v0.h5", "bad_dim_past.h5", dim2)
    hbad(
        "bad_dim_past",
        "bad_dim_past.h5",
        "c",
        "dataspace larger than contiguous storage (reads past the data)",
        "open",
        tags=["silent", "security"],
    )

    def rank(b):
        i = b.find(struct.pack("<BBB5xQQ", 1, 1, 1, 64, 64))
        b[i + 1] = 200
        return b

    patch("_s_v0.h5", "bad_rank.h5", rank)
    hbad("bad_rank", "bad_rank.h5", "c", "dataspace rank 200", "open", tags=["meta"])

    def zchunk(b):  # layout v3 chunked message: version 3 class 2 rank 3 btree addr, dims 16,16,4
        i = b.find(struct.pack("<III", 16, 16, 4))
        b[i : i + 4] = b"\0\0\0\0"
        return b

    patch("_s_v0.h5", "bad_chunk0.h5", zchunk)
    hbad("bad_chunk0", "bad_chunk0.h5", "x", "chunk dimension zero", "open", tags=["meta", "div0"])
    for n in ("_s_v0.h5", "_s_v3.h5", "_s_gz.h5", "_s_short.h5"):
        os.unlink(P("hdf5", n))
