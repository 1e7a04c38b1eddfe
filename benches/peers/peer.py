"""One workload by one Python peer; prints one JSON line {"secs": ...}, imports not counted.

usage: peer.py ENGINE WORKLOAD SOURCE DESTINATION CODEC CHUNKS WORK_DIR

ENGINE: dask, tensorstore, cubed. WORKLOAD: `zarr` (Zarr to Zarr in CHUNKS) or `hdf5` (the dataset t2m to Zarr in CHUNKS).
CODEC is arrayctl's spelling of the codec that every engine must write, one of CODECS.
"""

import json
import os
import sys
import time

import numpy as np

# arrayctl's name: Zarr v3 metadata of the codec behind the bytes codec
CODECS = {
    "blosc:zstd:3:shuffle": {
        "name": "blosc",
        "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
    },
    "zstd:1": {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
    "none": None,
}
THREADS = os.cpu_count()


def for_items(codec, dtype):
    """The codec as it is for numbers of `dtype`: Blosc shuffles their bytes."""
    if codec and codec["name"] == "blosc":
        codec = {**codec, "configuration": {**codec["configuration"], "typesize": dtype.itemsize}}
    return codec


def create(destination, shape, chunks, codec, dtype="f4"):
    """An empty Zarr v3 array with the codec, or none, by zarr-python."""
    import zarr

    kinds = {"blosc": zarr.codecs.BloscCodec, "zstd": zarr.codecs.ZstdCodec}
    codec = for_items(codec, np.dtype(dtype))
    made = codec and kinds[codec["name"]](**codec["configuration"])
    return zarr.create_array(destination, shape=shape, chunks=chunks, dtype=dtype, compressors=made)


def dask_engine(workload, source, destination, codec, chunks, work_dir):
    import dask
    import dask.array as da
    import h5py

    dask.config.set(scheduler="threads", num_workers=THREADS)

    def run():
        if workload == "hdf5":
            with h5py.File(source) as file:
                x = da.from_array(file["t2m"], chunks=chunks)
                da.store(x, create(destination, x.shape, chunks, codec), lock=False)
        else:
            x = da.from_zarr(source).rechunk(chunks)
            da.store(x, create(destination, x.shape, chunks, codec), lock=False)

    return run


def tensorstore_engine(workload, source, destination, codec, chunks, work_dir):
    import tensorstore

    limits = {"data_copy_concurrency": {"limit": THREADS}, "cache_pool": {"total_bytes_limit": 0}}

    def run():
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": source}, "context": limits}
        x = tensorstore.open(spec, read=True).result()
        grid = {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, codec]
        if codec["name"] == "zstd":
            codecs[1] = {"name": "zstd", "configuration": {"level": codec["configuration"]["level"]}}
        target = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": destination},
            # its rechunk gathers outputs in this cache: given what the whole array takes
            "context": {**limits, "cache_pool": {"total_bytes_limit": 4_000_000_000}},
            "metadata": {
                "shape": list(x.shape),
                "data_type": "float32",
                "chunk_grid": grid,
                "codecs": codecs,
            },
        }
        out = tensorstore.open(target, create=True).result()
        if chunks == tuple(x.chunk_layout.read_chunk.shape):
            out.write(x).result()
        else:
            with tensorstore.Transaction() as transaction:
                out.with_transaction(transaction).write(x).result()

    return run


def cubed_engine(workload, source, destination, codec, chunks, work_dir):
    import cubed

    options = dict(max_workers=THREADS)
    spec = cubed.Spec(work_dir, allowed_mem="2GB", executor_name="threads", executor_options=options)

    def run():
        x = cubed.from_zarr(source, spec=spec).rechunk(chunks)
        cubed.store(x, create(destination, x.shape, chunks, codec))

    return run


def main():
    engine, workload, source, destination, codec, chunks, work_dir = sys.argv[1:]
    chunks = tuple(int(size) for size in chunks.split(","))
    engines = {"dask": dask_engine, "tensorstore": tensorstore_engine, "cubed": cubed_engine}
    run = engines[engine](workload, source, destination, CODECS[codec], chunks, work_dir)
    start = time.perf_counter()
    run()
    print(json.dumps({"secs": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
