"""Files for the reading tests, and what h5py and netCDF4 see in them.

    hdf_reading.py random OUT SEED    random HDF5, NetCDF-4 and NetCDF classic files in OUT, described in OUT/seen.json
    hdf_reading.py describe FILE OUT  OUT/seen.json for one NetCDF file
"""

import hashlib
import json
import pathlib
import random
import sys

import h5py
import netCDF4
import numpy as np

CLASSIC = {"NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"}
DTYPES = ["i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", ">i2", ">i4", ">i8", ">u4", ">f4", ">f8",
          "?", "<c8", "<c16", ">c16"]
NC4_DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", ">i4", ">f8", "S1"]
NC3_DTYPES = ["i1", "i2", "i4", "f4", "f8", "S1"]
NC5_DTYPES = [*NC3_DTYPES, "u1", "u2", "u4", "i8", "u8"]


def values(rng, shape, dtype):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.kind == "S":
        return np.array([b"abc \0xyz"[i:i + 1] for i in rng.integers(0, 8, count)], "S1").reshape(shape)
    if dtype.kind in "fc":
        return rng.normal(size=(*shape, 2)).view("c16")[..., 0].astype(dtype) if dtype.kind == "c" else (
            rng.normal(size=shape) * 1e3).round(2).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return rng.integers(-100, 100, shape).astype(np.int64).astype(dtype)


def plain(array):
    """Bytes of `array`, C order, little-endian."""
    array = np.ascontiguousarray(array)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def seen_values(array):
    array = np.asarray(array)
    if array.dtype.kind == "O":
        return {"type": "text", "texts": [t.decode() if isinstance(t, bytes) else t for t in array.ravel().tolist()]}
    if array.dtype.kind == "S":
        name = f"bytes{array.dtype.itemsize}"
        return {"type": name, "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}
    return {"type": array.dtype.newbyteorder("=").name, "sha256": hashlib.sha256(plain(array)).hexdigest()}


def seen_attribute(value):
    if isinstance(value, (str, bytes)):
        return {"texts": [value.decode() if isinstance(value, bytes) else value]}
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        return {"texts": [t.decode() if isinstance(t, bytes) else str(t) for t in array.ravel().tolist()]}
    return {"dtype": array.dtype.newbyteorder("=").name, "hex": plain(array).hex()}


def seen_netcdf(path):
    groups, arrays = {}, {}

    def visit(group, prefix):
        group.set_auto_maskandscale(False)
        groups[prefix] = {
            "dimensions": [[n, len(d), d.isunlimited()] for n, d in group.dimensions.items()],
            "attributes": {n: seen_attribute(group.getncattr(n)) for n in group.ncattrs()},
        }
        for name, var in group.variables.items():
            var.set_auto_chartostring(False)
            chunks = var.chunking() if group.data_model not in CLASSIC else None
            arrays[f"{prefix}/{name}".lstrip("/")] = {
                "shape": list(var.shape),
                "dimensions": list(var.dimensions),
                "chunks": chunks if isinstance(chunks, list) else None,
                "attributes": {n: seen_attribute(var.getncattr(n)) for n in var.ncattrs()},
                **seen_values(var[...]),
            }
        for name, child in group.groups.items():
            visit(child, f"{prefix}/{name}".lstrip("/"))

    with netCDF4.Dataset(path) as root:
        visit(root, "")
        kind = "NetCDF classic" if root.data_model in CLASSIC else "NetCDF-4"
    return {"path": str(path), "format": kind, "groups": groups, "arrays": arrays}


def seen_hdf5(path):
    groups, arrays = {}, {}

    def visit(group, prefix):
        groups[prefix] = {"attributes": {n: seen_attribute(v) for n, v in group.attrs.items()}}
        for name, node in group.items():
            if isinstance(node, h5py.Group):
                visit(node, f"{prefix}/{name}".lstrip("/"))
                continue
            fill = seen_attribute(np.asarray(node.fillvalue)) if node.dtype.kind not in "OS" else None
            arrays[f"{prefix}/{name}".lstrip("/")] = {
                "shape": list(node.shape),
                "chunks": list(node.chunks) if node.chunks else None,
                "unlimited": [m is None for m in node.maxshape],
                "fill": fill,
                "attributes": {n: seen_attribute(v) for n, v in node.attrs.items()},
                **seen_values(node[...]),
            }

    with h5py.File(path) as root:
        visit(root, "")
    return {"path": str(path), "format": "HDF5", "groups": groups, "arrays": arrays}


def shape_and_chunk(rng, least_rank=0):
    rank = int(rng.integers(least_rank, 5))
    shape = [int(rng.choice([0, 1, *range(2, 12)], p=[0.03, 0.07, *[0.09] * 10])) for _ in range(rank)]
    return shape, [int(rng.integers(1, max(2, s + 3))) for s in shape]


def random_hdf5(path, rng):
    options = {"libver": str(rng.choice(["earliest", "latest"])), "userblock_size": int(rng.choice([0, 512, 2048]))}
    with h5py.File(path, "w", track_order=bool(rng.integers(2)), **options) as root:
        root.attrs["title"] = "größe"
        root.attrs["numbers"] = np.arange(int(rng.integers(0, 5)), dtype=">i4")
        if rng.integers(2):
            for i in range(100):  # dense attributes and links
                root.attrs[f"a{i}"] = np.float32(i)
                root.create_group(f"wide/g{i}")
        for i in range(12):
            group = root.require_group(str(rng.choice(["/", "a", "a/ü", "b c"])))
            dtype = np.dtype(str(rng.choice(DTYPES)))
            shape, chunk = shape_and_chunk(rng)
            make = {}
            if shape and rng.integers(3):
                make["chunks"] = tuple(chunk)
                make["maxshape"] = tuple(None if rng.integers(3) == 0 else max(s, c) + int(rng.integers(9))
                                         for s, c in zip(shape, chunk))
                make["compression"] = rng.choice([None, "gzip", "lzf"])
                make["shuffle"], make["fletcher32"] = bool(rng.integers(2)), bool(rng.integers(2))
                if dtype.kind in "iu" and dtype.itemsize > 1 and not rng.integers(4):
                    make.update(scaleoffset=0, fletcher32=False, shuffle=False, compression=None)
            if dtype.kind in "iuf" and rng.integers(2):
                make["fillvalue"] = dtype.type(7)
            node = group.create_dataset(f"d{i}", tuple(shape), dtype, **make)
            data = values(rng, shape, dtype)
            if not shape:
                node[()] = data
            elif rng.integers(4):
                node[...] = data
            else:  # part of it: other chunks are never written
                part = tuple(slice(int(rng.integers(0, s + 1)), None) for s in shape)
                node[part] = data[part]
            node.attrs["units"] = "m"
            node.attrs.create("half", 1.5, dtype=str(rng.choice([">f8", "<f4", "<f2"])))
        root["texts"] = np.array(["", "a", "größer", "x" * 300], dtype=h5py.string_dtype())
        root.create_dataset("chunked_texts", (7,), h5py.string_dtype(), chunks=(3,), compression="gzip")[1:4] = "y"
        root["fixed"] = np.array([b"ab", b"cdef", b""], "S4")
        root["wide_chunk"] = np.arange(5)


def random_netcdf(path, rng, data_model):
    classic = data_model != "NETCDF4"
    dtypes = {"NETCDF4": NC4_DTYPES, "NETCDF3_64BIT_DATA": NC5_DTYPES}.get(data_model, NC3_DTYPES)
    with netCDF4.Dataset(path, "w", format=data_model) as root:
        root.title = "größe" if not classic else "size"
        root.setncattr("numbers", np.arange(3, dtype="i2"))
        root.setncattr("one", np.float32(0.5))
        root.createDimension("t", None)
        lengths = {d: int(rng.integers(1, 8)) for d in "xyz"}
        for dim, length in lengths.items():
            root.createDimension(dim, length)
        lengths["t"] = int(rng.integers(0, 6))
        groups = [root]
        if not classic:
            inner = root.createGroup("g").createGroup("h")
            inner.createDimension("own", 2)
            groups += [root["g"], inner]
            if rng.integers(2):
                root.createVariable("time", "f8", ("t",), chunksizes=(2,))[:] = np.arange(lengths["t"])
                root.createVariable("t", "f8", ("x",))[:] = 1  # named as a dimension, but not its coordinate
            root.createVariable("s", str, ("x",))[:] = np.array(["é" * i for i in range(lengths["x"])], dtype=object)
        root.createVariable("x", "f4", ("x",))[:] = np.arange(lengths["x"])
        if rng.integers(2):
            root.createVariable("y", "f4", ("y", "z"))[:] = 3  # a coordinate of several axes
        for i in range(8):
            group = groups[int(rng.integers(len(groups)))]
            dims = [d for d in "xyz" if rng.integers(2)]
            if rng.integers(2):
                dims.insert(0, "t")
            dtype = np.dtype(str(rng.choice(dtypes)))
            make = {}
            if not classic and dims and rng.integers(2):
                make = {"compression": str(rng.choice(["zlib", "zstd"])), "shuffle": bool(rng.integers(2)),
                        "fletcher32": bool(rng.integers(2))}
            if dtype.kind in "iuf" and rng.integers(2):
                make["fill_value"] = dtype.type(9)
            endian = "big" if dtype.byteorder == ">" else "native"
            if not classic:
                make["endian"] = endian
            var = group.createVariable(f"v{i}", dtype.newbyteorder("="), dims, **make)
            var.set_auto_maskandscale(False)
            var.set_auto_chartostring(False)
            shape = [lengths[d] for d in dims]
            if dims and dims[0] == "t" and rng.integers(4) == 0:
                shape[0] = int(rng.integers(0, lengths["t"] + 1))  # fewer records than others have
            if rng.integers(5):
                var[tuple(slice(0, s) for s in shape) if dims else ...] = values(rng, shape, dtype)
            var.units = "m"
            var.valid_range = np.array([1, 2], dtype="f8")


def main():
    mode, *arguments = sys.argv[1:]
    if mode == "describe":
        path, out = map(pathlib.Path, arguments)
        seen = [seen_netcdf(path)]
    else:
        out, seed = pathlib.Path(arguments[0]), int(arguments[1])
        rng = np.random.default_rng(seed)
        random.seed(seed)
        seen = []
        for i in range(20):
            random_hdf5(out / f"{i}.h5", rng)
            seen.append(seen_hdf5(out / f"{i}.h5"))
        for i in range(20):
            for model in ["NETCDF4", *sorted(CLASSIC)]:
                path = out / f"{model}{i}.nc"
                random_netcdf(path, rng, model)
                seen.append(seen_netcdf(path))
    (out / "seen.json").write_text(json.dumps(seen))


main()
