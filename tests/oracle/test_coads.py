"""A real file through every format and back: xarray must see the same dataset, raw and decoded."""

import numbers
import warnings

import netCDF4
import pytest
import xarray
from driver import succeed

# One chain of conversions a line; the last file is compared with the original, and so is each on the way.
CHAINS = [["coads.zarr", "coads.nc"], ["coads-v2.zarr", "coads.nc"], ["coads.nc", "coads.zarr"]]


def open_dataset(path, decode_cf):
    """Times stay numbers: xarray cannot decode the year 0 that the TIME of COADS counts from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # groups without consolidated metadata
        if path.suffix == ".zarr":
            return xarray.open_zarr(path, decode_cf=decode_cf, decode_times=False).load()
        return xarray.open_dataset(path, decode_cf=decode_cf, decode_times=False, engine="netcdf4").load()


def same(a, b):
    """Equal as values: NetCDF gives NumPy scalars, Zarr Python's numbers; NaN equals NaN."""
    return a == b or (isinstance(a, numbers.Real) and isinstance(b, numbers.Real) and a != a and b != b)


def assert_same_dataset(original, copy):
    raw, raw_copy = open_dataset(original, decode_cf=False), open_dataset(copy, decode_cf=False)
    xarray.testing.assert_identical(raw, raw_copy)
    decoded, decoded_copy = open_dataset(original, decode_cf=True), open_dataset(copy, decode_cf=True)
    xarray.testing.assert_identical(decoded, decoded_copy)
    for name, variable in decoded.variables.items():
        again = decoded_copy.variables[name]
        assert variable.dtype == again.dtype, name
        for key in ("_FillValue", "missing_value", "units", "calendar", "scale_factor", "add_offset"):
            assert same(variable.encoding.get(key), again.encoding.get(key)), f"{name}: {key}"


@pytest.mark.parametrize("chain", CHAINS, ids=[" ".join(chain) for chain in CHAINS])
def test_survives_conversion(coads, tmp_path, chain):
    source = coads
    for name in chain:
        options = ["--zarr-format", "2"] if "-v2" in name else []
        succeed("convert", source, tmp_path / name, *options)
        assert_same_dataset(coads, tmp_path / name)
        source = tmp_path / name


def test_unlimited_dimension_stays_unlimited(coads, tmp_path):
    succeed("convert", coads, tmp_path / "coads.nc")
    with netCDF4.Dataset(coads) as before, netCDF4.Dataset(tmp_path / "coads.nc") as after:
        unlimited = {name: dimension.isunlimited() for name, dimension in before.dimensions.items()}
        assert {name: dimension.isunlimited() for name, dimension in after.dimensions.items()} == unlimited
        assert unlimited["TIME"]


def test_packed_data_survives(tmp_path):
    """CF packing written by xarray: the stored integers and their scale come through, not the decoded floats."""
    source, copy, back = tmp_path / "packed.nc", tmp_path / "packed.zarr", tmp_path / "back.nc"
    values = xarray.DataArray([[1.5, float("nan")], [2.5, 3.0]], dims=("lat", "lon"), attrs={"units": "K"})
    dataset = xarray.Dataset(
        {"t": values}, coords={"lat": [10.0, 20.0], "lon": [1.0, 2.0]}, attrs={"title": "packed"}
    )
    packing = dict(dtype="int16", scale_factor=0.5, add_offset=1.0, _FillValue=-999)
    dataset.to_netcdf(source, encoding={"t": packing})
    succeed("convert", source, copy)
    succeed("convert", copy, back)
    for path in (copy, back):
        assert_same_dataset(source, path)
    assert open_dataset(copy, decode_cf=False)["t"].dtype == "int16"


def test_unpack_gives_floats(tmp_path):
    source, copy = tmp_path / "packed.nc", tmp_path / "unpacked.zarr"
    values = xarray.DataArray([1.5, float("nan"), 3.0], dims="x")
    packing = dict(dtype="int16", scale_factor=0.5, add_offset=1.0, _FillValue=-999)
    xarray.Dataset({"t": values}).to_netcdf(source, encoding={"t": packing})
    succeed("convert", source, copy, "--unpack")
    raw = open_dataset(copy, decode_cf=False)["t"]
    assert raw.dtype.kind == "f" and "scale_factor" not in raw.attrs
    xarray.testing.assert_equal(open_dataset(copy, decode_cf=True)["t"].astype("f8"), values)
