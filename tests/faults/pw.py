"""pw.py FOLDER MODE: sample writers for powercut.sh, 16 chunks of 32 KiB and a small metadata file.

MODE: rename (temporary + rename, no fsync: the control that must lose data), fsync (fsync of file and folder, rename),
zarr (zarr-python), tensorstore.
"""

import os
import sys

folder, mode = sys.argv[1:3]
if mode in ("rename", "fsync"):
    os.makedirs(folder)
    for name, body in [(str(i), b"\x3f" * 32768) for i in range(16)] + [("zarr.json", b"{}")]:
        tmp = os.path.join(folder, ".tmp-" + name)
        with open(tmp, "wb") as f:
            f.write(body)
            f.flush()
            if mode == "fsync":
                os.fsync(f.fileno())
        os.rename(tmp, os.path.join(folder, name))
    if mode == "fsync":
        for p in (folder, os.path.dirname(folder)):
            fd = os.open(p, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
else:
    import numpy as np

    if mode == "zarr":
        import zarr

        z = zarr.create_array(
            folder, shape=(64, 1024), chunks=(4, 1024), dtype="f8", compressors=None, overwrite=True
        )
        z[:] = np.ones((64, 1024))
    elif mode == "tensorstore":
        import tensorstore as ts

        grid = {"name": "regular", "configuration": {"chunk_shape": [4, 1024]}}
        s = ts.open(
            {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": folder + "/"},
                "metadata": {"shape": [64, 1024], "data_type": "float64", "chunk_grid": grid},
            },
            create=True,
            delete_existing=True,
        ).result()
        s.write(np.ones((64, 1024))).result()
