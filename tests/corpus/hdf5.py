"""HDF5 files of libhdf5: the good ones."""

import zlib

import h5py
import numpy as np
from cases import P, bad, chunks_of, data, ok, padded


def h5(name, libver="earliest", **kw):
    return h5py.File(P("hdf5", name), "w", libver=libver, track_order=False, **kw)


def DCPL():
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    p.set_obj_track_times(False)
    return p


def hok(id, f, node, a, ch, why, **kw):
    ok("h5_" + id, "hdf5/" + f, "hdf5", a, ch, why, node=node, **kw)


def hbad(id, f, node, why, stage, **kw):
    bad("h5_" + id, "hdf5/" + f, "hdf5", why, stage, node=node, **kw)


def good():
    with h5("dtypes.h5") as f:
        for d in [
            "i1",
            "<i2",
            "<i4",
            "<i8",
            "u1",
            "<u2",
            "<u4",
            "<u8",
            "<f2",
            "<f4",
            "<f8",
            ">i2",
            ">i4",
            ">i8",
            ">u4",
            ">u8",
            ">f4",
            ">f8",
        ]:
            a = data((7, 10), d)
            n = ("be_" if d[0] == ">" else "") + d.strip("<>")
            f.create_dataset(n, data=a)
            hok(
                "contig_" + n,
                "dtypes.h5",
                n,
                a,
                None,
                "contiguous " + d,
                tags=["dtype"] + (["bigendian"] if d[0] == ">" else []),
            )
            f.create_dataset("c_" + n, data=a, chunks=(3, 4), compression="gzip", shuffle=True)
            hok("chunk_" + n, "dtypes.h5", "c_" + n, a, (3, 4), "chunked gzip+shuffle " + d, tags=["dtype"])
        a = data((7, 10), "bool")
        f.create_dataset("bool", data=a)
        hok("bool", "dtypes.h5", "bool", a, None, "h5py bool = enum int8 FALSE/TRUE", tags=["dtype", "enum"])
        a = data((7, 10), "c16")
        f.create_dataset("c16", data=a, chunks=(3, 4))
        hok(
            "complex",
            "dtypes.h5",
            "c16",
            a,
            (3, 4),
            "compound {r,i} f8 = complex128",
            tags=["dtype"],
            optional=True,
        )
        e = (data((9,), "u1") % 3).astype("i4")
        f.create_dataset("enum", data=e, dtype=h5py.enum_dtype(dict(A=0, B=1, C=2), basetype="<i4"))
        hok(
            "enum",
            "dtypes.h5",
            "enum",
            e,
            None,
            "enum over int32 read as int32",
            tags=["enum"],
            optional=True,
        )
    A = data((40, 33), "<f4")
    I = data((40, 33), "<i4")
    with h5("filters.h5") as f:
        for n, kw in [
            ("none", {}),
            ("gzip", dict(compression="gzip", compression_opts=4)),
            ("gzip_shuffle", dict(compression="gzip", shuffle=True)),
            ("gzip_shuffle_f32", dict(compression="gzip", shuffle=True, fletcher32=True)),
            ("fletcher32", dict(fletcher32=True)),
            ("shuffle", dict(shuffle=True)),
        ]:
            f.create_dataset(n, data=A, chunks=(16, 16), **kw)
            hok("filter_" + n, "filters.h5", n, A, (16, 16), "filter " + n, tags=["codec"])
        for n, kw, arr in [
            ("lzf", dict(compression="lzf"), A),
            ("lzf_shuffle", dict(compression="lzf", shuffle=True), A),
            ("szip_nn", dict(compression="szip", compression_opts=("nn", 8)), I),
            ("szip_ec", dict(compression="szip", compression_opts=("ec", 8)), A),
            ("scaleoffset", dict(scaleoffset=0), I),
        ]:
            f.create_dataset(n, data=arr, chunks=(16, 16), **kw)
            hok("filter_" + n, "filters.h5", n, arr, (16, 16), "filter " + n, tags=["codec"], optional=True)
        dc = DCPL()
        dc.set_chunk((16, 16))
        dc.set_deflate(4)
        ds = h5py.h5d.create(f.id, b"mask_skip", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(A.shape), dc)
        for i, j in chunks_of(A.shape, (16, 16)):
            p = padded(A, (16, 16), (i, j), 0).tobytes()
            if (i + j) % 2:
                ds.write_direct_chunk((i * 16, j * 16), p, 1)
            else:
                ds.write_direct_chunk((i * 16, j * 16), zlib.compress(p, 4), 0)
        hok(
            "filter_mask",
            "filters.h5",
            "mask_skip",
            A,
            (16, 16),
            "per-chunk filter mask: odd chunks skip gzip",
            tags=["codec", "silent"],
        )
    with h5("layout.h5") as f:
        dc = DCPL()
        dc.set_layout(h5py.h5d.COMPACT)
        a = data((5, 6), "<i4")
        ds = h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I32LE, h5py.h5s.create_simple(a.shape), dc)
        ds.write(h5py.h5s.ALL, h5py.h5s.ALL, a)
        hok("compact", "layout.h5", "compact", a, None, "compact layout", tags=["layout"])
        f.create_dataset("scalar", data=np.float64(3.25))
        hok("scalar", "layout.h5", "scalar", np.array(3.25), None, "scalar dataspace", tags=["shape"])
        f.create_dataset("zero", shape=(0, 5), dtype="<i4", chunks=(3, 4), maxshape=(None, 5))
        hok(
            "zero_len",
            "layout.h5",
            "zero",
            np.zeros((0, 5), "i4"),
            (3, 4),
            "zero-length unlimited dim",
            tags=["shape"],
        )
        d = f.create_dataset("unalloc", shape=(10, 10), dtype="<f8", chunks=(4, 4), fillvalue=-1.5)
        d[0:4, 0:4] = data((4, 4), "f8")
        x = np.full((10, 10), -1.5)
        x[0:4, 0:4] = data((4, 4), "f8")
        hok(
            "unalloc_chunks",
            "layout.h5",
            "unalloc",
            x,
            (4, 4),
            "unallocated chunks read as fill value",
            tags=["fill", "missing"],
        )
        f.create_dataset("contig_unalloc", shape=(10,), dtype="<i4", fillvalue=7)
        hok(
            "contig_unalloc",
            "layout.h5",
            "contig_unalloc",
            np.full(10, 7, "i4"),
            None,
            "contiguous, never written",
            tags=["fill", "missing"],
        )
        f.create_dataset("nanfill", shape=(4, 4), dtype="<f4", chunks=(2, 2), fillvalue=np.nan)
        hok(
            "nanfill",
            "layout.h5",
            "nanfill",
            np.full((4, 4), np.nan, "f4"),
            (2, 2),
            "NaN fill",
            tags=["fill"],
        )
        f.create_dataset("many", data=data((200, 50), "<i2"), chunks=(3, 7))
        hok(
            "btree_deep",
            "layout.h5",
            "many",
            data((200, 50), "<i2"),
            (3, 7),
            "536 chunks: multi-level v1 B-tree",
            tags=["index"],
        )
        for n in range(1, 7):
            sh = (5, 4, 3, 3, 2, 3)[:n]
            ch = (2, 3, 2, 2, 2, 2)[:n]
            q = data(sh, "<i2")
            f.create_dataset("nd%d" % n, data=q, chunks=ch, compression="gzip")
            hok("nd%d" % n, "layout.h5", "nd%d" % n, q, ch, "%d-d chunked" % n, tags=["shape"])
        g = f.create_group("a/b")
        q = data((6,), "<i4")
        g.create_dataset("x", data=q)
        f["soft"] = h5py.SoftLink("/a/b/x")
        f["hard"] = g["x"]
        hok("nested", "layout.h5", "a/b/x", q, None, "nested groups", tags=["tree"])
        hok("soft", "layout.h5", "soft", q, None, "soft link", tags=["link"])
        hok("hard", "layout.h5", "hard", q, None, "hard link", tags=["link"])
        g.create_dataset("température 日本", data=q)
        hok("nonascii", "layout.h5", "a/b/température 日本", q, None, "non-ASCII name", tags=["name"])
        f["a/b/up"] = f["a"]
        hok(
            "group_cycle",
            "layout.h5",
            "a/b/up/b/x",
            q,
            None,
            "hard-link group cycle: lookup works, a tree walk must terminate",
            tags=["link", "hang"],
        )
        for i in range(60):
            f.create_group("wide/g%03d" % i)
        f["wide"].create_dataset("x", data=q)
        hok(
            "wide_group",
            "layout.h5",
            "wide/x",
            q,
            None,
            "group with 61 links: multi-node symbol table",
            tags=["index"],
        )
    with h5("latest.h5", libver="latest") as f:
        q = data((12, 10), "<i4")
        f.create_dataset("single", data=q, chunks=(12, 10), compression="gzip")
        hok("v4_single", "latest.h5", "single", q, (12, 10), "layout v4 single chunk index", tags=["index"])
        dc = DCPL()
        dc.set_chunk((3, 4))
        dc.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        ds = h5py.h5d.create(f.id, b"implicit", h5py.h5t.STD_I32LE, h5py.h5s.create_simple(q.shape), dc)
        ds.write(h5py.h5s.ALL, h5py.h5s.ALL, q)
        hok("v4_implicit", "latest.h5", "implicit", q, (3, 4), "implicit index", tags=["index"])
        f.create_dataset("fixed", data=q, chunks=(3, 4), compression="gzip")
        hok("v4_fixed", "latest.h5", "fixed", q, (3, 4), "fixed array index", tags=["index"])
        big = data((400, 40), "<i2")
        f.create_dataset("fixed_paged", data=big, chunks=(2, 5))
        hok(
            "v4_fixed_paged",
            "latest.h5",
            "fixed_paged",
            big,
            (2, 5),
            "paged fixed array (1600 chunks)",
            tags=["index"],
        )
        f.create_dataset("extensible", data=q, chunks=(3, 4), maxshape=(None, 10), compression="gzip")
        hok("v4_extensible", "latest.h5", "extensible", q, (3, 4), "extensible array index", tags=["index"])
        f.create_dataset("ext_big", data=big, chunks=(2, 40), maxshape=(None, 40))
        hok(
            "v4_ext_big",
            "latest.h5",
            "ext_big",
            big,
            (2, 40),
            "extensible array with data blocks",
            tags=["index"],
        )
        f.create_dataset(
            "btree2", data=q, chunks=(3, 4), maxshape=(None, None), compression="gzip", fletcher32=True
        )
        hok("v4_btree2", "latest.h5", "btree2", q, (3, 4), "v2 B-tree index", tags=["index"])
        for i in range(40):
            f.create_group("dense/g%02d" % i)
        f["dense"].create_dataset("x", data=q)
        hok(
            "v4_dense_group",
            "latest.h5",
            "dense/x",
            q,
            None,
            "dense group: fractal heap + v2 B-tree",
            tags=["index"],
        )
    with h5("userblock.h5", userblock_size=512) as f:
        q = data((8, 8), "<f8")
        f.create_dataset("x", data=q, chunks=(4, 4))
        hok(
            "userblock",
            "userblock.h5",
            "x",
            q,
            (4, 4),
            "512-byte user block: addresses are relative",
            tags=["layout"],
        )
    with open(P("hdf5", "userblock.h5"), "r+b") as f:
        f.write(b"#!user block text\n")
