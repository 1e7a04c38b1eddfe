"""Several files as one input, beside xarray: what follows what, other packings and dates, stacks, and what is refused."""

import json

import netCDF4
import numpy as np
import pytest
import tifffile
import xarray
import zarr
from driver import arrayctl, assert_refusal, succeed

Y, X = np.linspace(50, 40, 5), np.arange(0, 360, 60, dtype="f4")


def joined(paths):
    """What xarray makes of the files."""
    return xarray.combine_by_coords([xarray.load_dataset(path) for path in paths], data_vars="minimal", join="exact")


def months(tmp_path, lengths=(31, 28, 31, 30), write=None, **encoding):
    """Files of a month each: t2m with time, lat, lon and bounds of time, all counted from the same date unless `encoding`."""
    random = np.random.default_rng(3)
    start, paths = np.datetime64("2001-01-01", "ns"), []
    for number, days in enumerate(lengths, 1):
        time = start + np.arange(days) * np.timedelta64(1, "D")
        start = time[-1] + np.timedelta64(1, "D")
        bounds = np.stack([time, time + np.timedelta64(1, "D")], axis=1)
        values = random.normal(280, 10, (days, 5, 6)).astype("f4")
        values[0, 0, number % 6] = np.nan
        dataset = xarray.Dataset(
            {"t2m": (("time", "lat", "lon"), values, {"units": "K"}), "time_bnds": (("time", "nv"), bounds)},
            coords={"time": ("time", time, {"bounds": "time_bnds"}), "lat": Y, "lon": X},
            attrs={"title": "a field"},
        )
        path = tmp_path / f"field_{number}.nc"
        dataset.time.encoding["units"] = "days since 2001-01-01"
        own = {name: dict(settings) for name, settings in encoding.items()}
        (write or (lambda d, p, e, n: d.to_netcdf(p, encoding=e)))(dataset, path, own, number)
        paths.append(path)
    return paths


def test_a_year_of_months_is_one_array(tmp_path):
    paths = months(tmp_path, lengths=[28 + number % 4 for number in range(12)])
    expected = joined(paths)
    pattern = str(tmp_path / "field_*.nc")
    succeed("convert", pattern, tmp_path / "all.zarr")
    succeed("convert", pattern, tmp_path / "all.nc")
    for found in (xarray.open_zarr(tmp_path / "all.zarr"), xarray.open_dataset(tmp_path / "all.nc")):
        xarray.testing.assert_identical(found.load(), expected)
    described = json.loads(succeed("info", f"{pattern}::t2m", "--json").stdout)
    assert described["shape"] == list(expected.t2m.shape) and described["files"] == 12
    printed = succeed("eval", "mean(t[40:60], axis='time')", "-i", f"t={pattern}::t2m", "--json").stdout
    found = np.array(json.loads(printed)["results"][0]["values"], "f8")  # NaN is a text
    np.testing.assert_allclose(found, expected.t2m[40:60].mean("time", skipna=False), rtol=1e-6)
    succeed("reduce", "mean", f"{pattern}::t2m", "--by", "time.month", "-o", tmp_path / "climatology.nc")
    climatology = xarray.open_dataset(tmp_path / "climatology.nc").t2m
    np.testing.assert_allclose(climatology, expected.t2m.groupby("time.month").mean(), rtol=1e-6)


@pytest.mark.parametrize("engine", ["netcdf4", "netcdf_classic", "zarr"])
def test_every_format_and_any_order_of_names(tmp_path, engine):
    names = {1: "d", 2: "b", 3: "c", 4: "a"}

    def write(dataset, path, encoding, number):
        path = path.with_name(f"{names[number]}.part")
        if engine == "zarr":
            dataset.to_zarr(path, encoding={**encoding, "t2m": {"chunks": (10, 5, 6)}})
        else:
            form = {"netcdf4": "NETCDF4", "netcdf_classic": "NETCDF3_64BIT"}[engine]
            dataset.to_netcdf(path, encoding=encoding, format=form)

    clock = {"units": "hours since 2001-01-01", "dtype": "i4"}
    paths = months(tmp_path, write=write, time=clock, time_bnds=clock)
    whole = xarray.concat(
        [xarray.open_dataset(tmp_path / f"{names[n]}.part", engine="zarr" if engine == "zarr" else None) for n in range(1, 5)],
        "time",
        data_vars="minimal",
    ).load()
    assert len(paths) == 4
    succeed("rechunk", tmp_path / "*.part", tmp_path / "out.zarr", "--chunks", "time=-1,lat=2,lon=3", "--memory", "32MiB")
    found = xarray.open_zarr(tmp_path / "out.zarr")
    xarray.testing.assert_identical(found.load(), whole)
    assert zarr.open(tmp_path / "out.zarr")["t2m"].chunks == (120, 2, 3)


def test_descending_coordinates_and_single_positions(tmp_path):
    for name, level in (("a", [1000.0]), ("b", [850.0]), ("c", [500.0, 300.0])):
        data = np.full((len(level), 3), level[0])
        xarray.Dataset({"z": (("level", "x"), data)}, coords={"level": level}).to_netcdf(tmp_path / f"{name}.nc")
    succeed("convert", tmp_path / "[abc].nc", tmp_path / "all.nc")
    assert list(xarray.open_dataset(tmp_path / "all.nc").level) == [1000, 850, 500, 300]


def test_each_month_with_its_own_packing_and_date(tmp_path):
    def write(dataset, path, encoding, number):
        values = dataset.t2m.values
        low, high = np.nanmin(values), np.nanmax(values)
        packing = {"dtype": "i2", "scale_factor": float(high - low) / 60000, "add_offset": float(high + low) / 2, "_FillValue": -32767}
        dataset.time.encoding["units"] = f"days since 2001-0{number}-01"
        dataset.to_netcdf(path, encoding={**encoding, "t2m": packing})

    paths = months(tmp_path, write=write)
    expected = joined(paths)
    succeed("convert", tmp_path / "field_*.nc", tmp_path / "all.nc", "--chunks", "time=7,lat=5,lon=6")
    found = xarray.load_dataset(tmp_path / "all.nc")
    np.testing.assert_array_equal(found.t2m, expected.t2m)
    np.testing.assert_array_equal(found.time, expected.time)
    np.testing.assert_array_equal(found.time_bnds, expected.time_bnds)
    assert found.t2m.attrs == expected.t2m.attrs and np.isnan(found.t2m).sum() == 4


def test_days_that_are_counted_each_from_its_own_midnight(tmp_path):
    def write(dataset, path, encoding, number):
        dataset.time.encoding["units"] = f"hours since 2001-01-0{1 + 2 * (number - 1)} 06:00"
        dataset.time_bnds.encoding["units"] = dataset.time.encoding["units"]
        dataset.to_netcdf(path)

    paths = months(tmp_path, lengths=(2, 2, 2), write=write)
    stored = [netCDF4.Dataset(path)["time"][:].tolist() for path in paths]
    assert stored[0] == stored[1] == stored[2]
    succeed("convert", tmp_path / "field_*.nc", tmp_path / "all.zarr")
    xarray.testing.assert_equal(xarray.open_zarr(tmp_path / "all.zarr").load(), joined(paths))


def test_files_cut_in_chunks_of_other_shapes(tmp_path):
    def write(dataset, path, encoding, number):
        chunks = [(31, 5, 6), (7, 2, 6), (9, 5, 4), (30, 1, 1)][number - 1]
        dataset.to_netcdf(path, encoding={**encoding, "t2m": {"zlib": True, "chunksizes": chunks}})

    paths = months(tmp_path, write=write)
    expected = joined(paths)
    succeed("convert", tmp_path / "field_*.nc", tmp_path / "all.zarr")
    xarray.testing.assert_equal(xarray.open_zarr(tmp_path / "all.zarr").load(), expected)


def test_encoded_chunks_pass_and_only_where_they_may(tmp_path):
    data = np.arange(50 * 8, dtype="i4").reshape(50, 8)
    for number, (start, stop) in enumerate(((0, 20), (20, 40), (40, 50))):
        for folder, chunk in (("even", 10), ("odd", 15)):
            store = zarr.create_array(tmp_path / folder / f"p{number}.zarr", name="v", shape=(stop - start, 8), chunks=(chunk, 8), dtype="i4", dimension_names=("t", "x"))
            store[:] = data[start:stop]
    for folder in ("even", "odd"):
        for chunk in (10, 15, 20):
            out = tmp_path / f"{folder}{chunk}.zarr"
            succeed("rechunk", tmp_path / folder / "p*.zarr", out, "--chunks", f"t={chunk},x=8")
            np.testing.assert_array_equal(zarr.open(out)["v"][:], data)


def test_pictures_of_a_folder_are_a_stack(tmp_path):
    planes = np.random.default_rng(5).integers(0, 4000, (12, 20, 30), dtype="u2")
    for number, plane in enumerate(planes):
        tifffile.imwrite(tmp_path / f"plane{number}.tif", plane)
    pattern = str(tmp_path / "plane*.tif")
    succeed("convert", pattern, tmp_path / "stack.zarr", "--chunks", "4,10,30")
    np.testing.assert_array_equal(zarr.open(tmp_path / "stack.zarr")[:], planes)
    succeed("eval", "gaussian_filter(x, 1, output='float32')", "-i", f"x={pattern}", "-o", tmp_path / "smooth.npy")
    assert np.load(tmp_path / "smooth.npy").shape == planes.shape
    for number, plane in enumerate(planes):
        np.save(tmp_path / f"plane{number}.npy", plane.reshape(2, 10, 30)[: 1 + number % 2])
    succeed("convert", tmp_path / "plane*.npy", tmp_path / "rows.npy")
    rows = np.concatenate([plane.reshape(2, 10, 30)[: 1 + number % 2] for number, plane in enumerate(planes)])
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), rows)


def test_members_of_an_ensemble_are_stacked(tmp_path):
    [path, *_] = months(tmp_path, lengths=(5,))
    first = xarray.load_dataset(path)
    members = [first.assign(t2m=first.t2m + number) for number in range(3)]
    for number, member in enumerate(members):
        member.to_netcdf(tmp_path / f"member{number}.nc")
    succeed("convert", tmp_path / "member*.nc", tmp_path / "all.nc")
    found = xarray.load_dataset(tmp_path / "all.nc")
    expected = xarray.concat(members, "file", data_vars=["t2m"])
    xarray.testing.assert_equal(found, expected)


def test_what_does_not_go_together_is_refused(tmp_path):
    months(tmp_path)
    pattern = str(tmp_path / "field_*.nc")
    second = xarray.load_dataset(tmp_path / "field_2.nc")

    def refused(*words, **changes):
        changes.get("dataset", second).to_netcdf(tmp_path / "field_2.nc", encoding=changes.get("encoding"))
        failed = arrayctl("convert", pattern, tmp_path / "out.zarr")
        assert_refusal(failed, {3}, words)
        assert not (tmp_path / "out.zarr").exists()

    refused("overlap along 'time'", "field_1.nc", "field_2.nc", dataset=second.assign_coords(time=second.time - np.timedelta64(5, "D")))
    refused("more than one dimension", "'lat'", "'time'", dataset=second.isel(lat=slice(3)))
    refused("more than one dimension", "'lat'", "'time'", dataset=second.assign_coords(lat=second.lat + 1))
    refused("mixed (field_2.nc has no such array)", "t2m", "--exclude", dataset=second.drop_vars("t2m"))
    refused("mixed (field_1.nc has no such array)", "other", dataset=second.assign(other=second.t2m))
    other_units = second.copy()
    other_units["t2m"] = second.t2m.assign_attrs(units="degC")
    refused("other units in field_2.nc than in field_1.nc", dataset=other_units)
    refused("float32 in field_1.nc, text in field_2.nc", dataset=second.assign(t2m=second.t2m.astype(str).astype(object)))
    refused("its axes are others in field_2.nc", dataset=second.transpose("time", "lon", "lat", "nv"))
    refused("counted otherwise in field_2.nc", dataset=second.convert_calendar("noleap"))
    (tmp_path / "field_2.nc").write_bytes((tmp_path / "field_2.nc").read_bytes()[:5000])
    failed = arrayctl("convert", pattern, tmp_path / "out.zarr")
    assert_refusal(failed, {4}, ["field_2.nc"])
    missing = arrayctl("info", tmp_path / "nothing*.nc")
    assert_refusal(missing, {4}, ["none that matches"])


def test_what_is_left_out_does_not_matter(tmp_path):
    months(tmp_path)
    second = xarray.load_dataset(tmp_path / "field_2.nc")
    second.assign(other=second.t2m).to_netcdf(tmp_path / "field_2.nc")
    succeed("convert", tmp_path / "field_*.nc", tmp_path / "out.zarr", "--exclude", "other")
    assert xarray.open_zarr(tmp_path / "out.zarr").sizes["time"] == 120
    printed = succeed("eval", "count(t)", "-i", f"t={tmp_path}/field_*.nc::t2m", "--json").stdout
    assert json.loads(printed)["results"][0]["values"] == 120 * 30 - 4


def test_an_input_is_no_output(tmp_path):
    months(tmp_path)
    for number in range(1, 5):
        xarray.open_dataset(tmp_path / f"field_{number}.nc").to_zarr(tmp_path / f"field_{number}.zarr")
    failed = arrayctl("convert", tmp_path / "field_*.zarr", tmp_path / "field_1.zarr", "--overwrite")
    assert_refusal(failed, {3}, ["one of the files that are joined"])
    inside = arrayctl("convert", tmp_path / "field_*.zarr", tmp_path / "field_1.zarr" / "x.zarr")
    assert_refusal(inside, {3}, ["inside the input"])


def test_many_more_files_than_are_open_at_once(tmp_path):
    for number in range(300):
        np.save(tmp_path / f"part{number}.npy", np.full((1 + number % 2, 4), number, "u2"))
    succeed("convert", tmp_path / "part*.npy", tmp_path / "all.zarr", "--chunks", "100,2")
    expected = np.concatenate([np.full((1 + number % 2, 4), number, "u2") for number in range(300)])
    np.testing.assert_array_equal(zarr.open(tmp_path / "all.zarr")[:], expected)


def test_axes_in_another_order_are_not_taken_for_these(tmp_path):
    for number, dims in enumerate((("time", "lat", "lon"), ("time", "lon", "lat"))):
        time = ("time", [2.0 * number, 2.0 * number + 1], {"units": "days since 2000-01-01"})
        values = np.arange(8.0).reshape(2, 2, 2)
        xarray.Dataset({"v": (dims, values)}, coords={"time": time, "lat": [1.0, 2], "lon": [1.0, 2]}).to_netcdf(tmp_path / f"p{number}.nc")
    assert_refusal(arrayctl("eval", "v", "-i", f"v={tmp_path}/p?.nc::v"), {2, 3}, ["p1.nc", "axes"])


def test_groups_have_dimensions_of_their_own(tmp_path):
    for number in range(2):
        time = np.arange(3.0) + 3 * number
        path = tmp_path / f"g{number}.nc"
        xarray.Dataset({"a": ("time", np.arange(3.0) + 10 * number)}, coords={"time": time}).to_netcdf(path, group="g1")
        xarray.Dataset({"b": ("time", np.arange(5.0))}, coords={"time": np.arange(5.0)}).to_netcdf(path, mode="a", group="g2")
    values = lambda node: json.loads(succeed("eval", "x", "-i", f"x={tmp_path}/g*.nc::{node}", "--json").stdout)["results"][0]["values"]  # noqa: E731
    assert values("g1/a") == [0, 1, 2, 10, 11, 12] and values("g2/b") == [0, 1, 2, 3, 4]
    succeed("convert", tmp_path / "g*.nc", tmp_path / "all.nc")
    assert xarray.load_dataset(tmp_path / "all.nc", group="g1").sizes == {"time": 6}
    assert xarray.load_dataset(tmp_path / "all.nc", group="g2").sizes == {"time": 5}


def test_numbers_and_times_of_other_types_are_the_same_numbers(tmp_path):
    parts = []
    for number, (hours, kind) in enumerate((([0, 6, 12], "i4"), ([18.5, 24], "f8"), ([30, 36], "i8"))):
        time = ("time", np.array(hours, kind), {"units": "hours since 2000-01-01"})
        kinds = ("i2", "i4", "u1")
        counts = ("time", np.arange(len(hours), dtype=kinds[number]))
        x = ("x", np.arange(3, dtype="f4" if number else "f8"), {"units": ("degrees_east", "degree_east", "degrees_east")[number]})
        values = np.full((len(hours), 3), number, "f4" if number else "f8")
        part = xarray.Dataset({"t": (("time", "x"), values), "n": counts}, coords={"time": time, "x": x})
        part.to_netcdf(tmp_path / f"k{number}.nc")
        parts.append(xarray.load_dataset(tmp_path / f"k{number}.nc"))
    succeed("convert", tmp_path / "k*.nc", tmp_path / "all.zarr")
    found = xarray.open_zarr(tmp_path / "all.zarr").load()
    xarray.testing.assert_equal(found, xarray.combine_by_coords(parts, data_vars="minimal", combine_attrs="override"))
    assert (found.t.dtype, found.n.dtype) == ("f8", "i4")


def test_moments_that_are_a_file_each_are_stacked(tmp_path):
    times = np.arange("2000-01-01", "2000-01-05", dtype="M8[D]").astype("M8[ns]")
    whole = xarray.Dataset({"t": (("time", "x"), np.arange(8.0).reshape(4, 2))}, coords={"time": times})
    for number in range(4):
        whole.isel(time=number).to_netcdf(tmp_path / f"scalar{number}.nc")
        whole.isel(time=[number]).to_netcdf(tmp_path / f"{'dbca'[number]}.single")
    succeed("convert", tmp_path / "scalar*.nc", tmp_path / "all.nc")
    found = xarray.load_dataset(tmp_path / "all.nc")
    np.testing.assert_array_equal(found.time, times)
    np.testing.assert_array_equal(found.t, whole.t)
    succeed("convert", tmp_path / "?.single", tmp_path / "ordered.nc")
    xarray.testing.assert_equal(xarray.load_dataset(tmp_path / "ordered.nc"), whole)


@pytest.mark.parametrize("form", ["nc", "zarr"])
def test_scalars_that_differ_are_series(tmp_path, form):
    """A forecast's time of reference counted in each file's own way, a packed level, a number that all share."""
    parts = []
    for number, length in enumerate((3, 1, 4)):
        start = np.datetime64("2001-01-01") + np.timedelta64(5 * number, "D")
        time = (start + np.arange(length) * np.timedelta64(1, "D")).astype("M8[ns]")
        coordinates = {"time": time, "reference": (start - np.timedelta64(6, "h")).astype("M8[ns]"), "member": 7}
        data = {"t": (("time", "x"), np.random.default_rng(number).normal(size=(length, 3))), "level": 850.0 + number}
        encoding = {
            "time": {"units": "days since 2001-01-01"},
            "reference": {"units": f"hours since 2001-01-0{number + 1}", "dtype": "i4"},
            "level": {"dtype": "i2", "scale_factor": 0.5, "add_offset": 100.0 * number},
        }
        path = tmp_path / f"part{number}.{form}"
        parts.append(xarray.Dataset(data, coords=coordinates))
        if form == "nc":
            parts[-1].to_netcdf(path, encoding=encoding)
        else:
            parts[-1].to_zarr(path, encoding=encoding, zarr_format=2)
    wanted = xarray.combine_by_coords(parts, data_vars="all", coords="different", compat="equals", join="outer")
    succeed("convert", tmp_path / f"part*.{form}", tmp_path / "all.zarr")
    found = xarray.open_zarr(tmp_path / "all.zarr").load()
    xarray.testing.assert_equal(found.drop_vars("level"), wanted.drop_vars("level"))
    np.testing.assert_array_equal(found.level, wanted.level)
    assert found.level.dims == found.reference.dims == ("time",) and found.member.dims == ()
    succeed("eval", "r = t - 1", "-i", f"t={tmp_path / f'part*.{form}'}::t", "-o", tmp_path / "r.nc")
    with xarray.open_dataset(tmp_path / "r.nc") as result:
        xarray.testing.assert_equal(result.r, (wanted.t - 1).rename("r"))


def test_texts_of_other_lengths_leave_the_rest_alone(tmp_path):
    for number, text in enumerate(("bb", "bbb")):
        time = ("time", [2.0 * number, 2.0 * number + 1], {"units": "days since 2000-01-01"})
        names = ("time", np.array(["a", text], dtype="S"))
        xarray.Dataset({"t": (("time", "x"), np.zeros((2, 3))), "s": names}, coords={"time": time}).to_netcdf(tmp_path / f"d{number}.nc")
    succeed("convert", tmp_path / "d*.nc", tmp_path / "all.nc", "--exclude", "s")
    assert xarray.load_dataset(tmp_path / "all.nc").t.shape == (4, 3)
    assert_refusal(arrayctl("convert", tmp_path / "d*.nc", tmp_path / "no.nc"), {3}, ["d1.nc", "--exclude"])


def test_the_same_times_counted_from_other_dates_are_the_same(tmp_path):
    for number, since in enumerate(("2000-01-01", "2000-01-01 00:00:00", "1999-12-31")):
        hours = np.arange(4.0) + (24 if number == 2 else 0)
        time = ("time", hours, {"units": f"hours since {since}"})
        xarray.Dataset({"t": ("time", np.arange(4.0) + number)}, coords={"time": time}).to_netcdf(tmp_path / f"m{number}.nc")
    succeed("convert", tmp_path / "m*.nc", tmp_path / "all.nc")
    found = xarray.load_dataset(tmp_path / "all.nc")
    assert found.t.dims == ("file", "time") and found.time.values[0] == np.datetime64("2000-01-01")
