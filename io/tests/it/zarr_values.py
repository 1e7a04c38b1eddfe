"""Reads the stores that `zarr_write.rs` wrote with zarr-python, tensorstore and xarray, and compares.

Arguments: the sample store, the store of all types, the folder with the raw bytes of each array, the Zarr version.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorstore
import xarray
import zarr

warnings.simplefilter("ignore")
sample, types, folder, version = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])


def document(path):
    return json.loads((path / (".zarray" if version == 2 else "zarr.json")).read_text())


def is_plain(path):
    """Whether tensorstore knows all codecs of the array."""
    text = json.dumps(document(path))
    return "numcodecs." not in text and not document(path).get("filters")


def compare(path, group, name):
    expected = (folder / path.name).read_bytes()
    array = group[name]
    found = np.asarray(array[...])
    assert np.ascontiguousarray(found).tobytes() == expected, (path, found)
    if is_plain(path) and found.dtype.kind != "S":
        driver = "zarr" if version == 2 else "zarr3"
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(path)}}
        read = tensorstore.open(spec, open=True).result().read().result()
        assert np.ascontiguousarray(read).tobytes() == expected, path
        return 1
    return 0


group = zarr.open_group(str(types), mode="r")
count = 0
for path in sorted(types.glob("d*")):
    if version == 3 and document(path)["data_type"] == "bfloat16":
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
        read = tensorstore.open(spec, open=True).result().read().result()
        assert read.tobytes() == (folder / path.name).read_bytes()
        continue
    count += compare(path, group, path.name)
assert count >= 8, count

group = zarr.open_group(str(sample), mode="r")
assert dict(group.attrs) == {"title": "sample", "levels": [1, 2]}
for name in ["packed", "float", "time", "scalar", "strings", "zeros"]:
    compare(sample / "ocean" / name, group, f"ocean/{name}")
names = [str(text) for text in group["ocean/names"][...]]
assert names == ["stä" + "x" * k for k in range(12)], names
consolidated = zarr.open_consolidated(str(sample))
assert sorted(name for name, _ in consolidated["ocean"].arrays()) == [
    "float",
    "names",
    "packed",
    "scalar",
    "strings",
    "time",
    "zeros",
]

raw = xarray.open_zarr(str(sample), group="ocean", consolidated=False, mask_and_scale=False)
assert raw.packed.dims == ("time", "x") and raw.time.dims == ("time",)
assert raw.packed.attrs["_FillValue"] == -1 and raw.packed.attrs["scale_factor"] == 0.5, raw.packed.attrs
assert list(raw.packed.attrs["valid_range"]) == [0, 100]
assert raw["float"].attrs["_FillValue"] == -999 and np.isnan(float(raw["float"].attrs["missing_value"]))
assert "_FillValue" not in raw.time.attrs and "_FillValue" not in raw.scalar.attrs, (raw.time.attrs, raw.scalar.attrs)
decoded = xarray.open_zarr(str(sample), group="ocean", consolidated=True)
assert decoded.time.values[1] == np.datetime64("2000-01-02")
assert float(decoded.packed[0, 3]) == 1.5
assert raw.attrs == {"title": "sample", "levels": [1, 2]}
