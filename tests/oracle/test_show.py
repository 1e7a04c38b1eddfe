"""`arrayctl show`: pictures read by Pillow, their colours against what xarray and NumPy say that the data are."""

import base64
import io
import json
import re

import numpy as np
import pytest
import tifffile
import xarray
import zarr
from driver import MIB, arrayctl, assert_refusal, succeed
from PIL import Image

VIRIDIS = {0.0: (68, 1, 84), 0.5: (33, 145, 140), 1.0: (253, 231, 37)}  # matplotlib's
MISSING = (216, 216, 216)


def shown(picture, source, *options):
    """The colours of the cells, upper row first, and what the program says of the picture."""
    result = json.loads(succeed("show", source, "-o", picture, "--json", *options).stdout)
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        assert image.size == (result["width"], result["height"])
        pixels = np.asarray(image)
    rows, columns = result["cells"]
    (left, right), (top, bottom) = result["area"]["x"], result["area"]["y"]
    y = top + (bottom - top) * (2 * np.arange(rows) + 1) // (2 * rows)
    x = left + (right - left) * (2 * np.arange(columns) + 1) // (2 * columns)
    return pixels[np.ix_(y, x)], result, pixels


def gray(values, low, high):
    """Shares of the range, NaN where a colour is none of `gray`."""
    shares = np.clip((values - low) / (high - low), 0, 1)
    return np.where(np.isnan(values), np.nan, shares)


def assert_colours(cells, values, low, high):
    """Cells drawn with `--cmap gray` are brighter where values are larger, and as wanted at both ends."""
    wanted = gray(values, low, high)
    missing = np.isnan(wanted)
    assert np.all(cells[missing] == MISSING)
    brightness = cells.astype("i4").sum(-1)[~missing]
    order = np.argsort(wanted[~missing], kind="stable")
    assert np.all(np.diff(brightness[order]) >= -3)  # means may differ by a rounding error, colours by a step
    assert np.all(cells[~missing & (wanted == 0)] == 0) and np.all(cells[~missing & (wanted == 1)] == 255)


def test_maps_lie_as_their_coordinates_say(tmp_path, coads):
    sst = xarray.open_dataset(coads, decode_times=False)["SST"]
    for month in (0, -1):
        picture = tmp_path / f"{month}.png"
        cells, result, pixels = shown(picture, f"{coads}::SST", "--slice", f"TIME={month}", "--cmap", "gray")
        values = sst[month].values.astype("f8")[::-1]  # latitudes rise: north is above
        low, high = np.nanmin(values), np.nanmax(values)
        assert result["vmin"] == low and result["vmax"] == high and result["cells"] == [90, 180]
        assert_colours(cells, values, low, high)
        assert "SEA SURFACE TEMPERATURE, TIME=" in result["title"]
        # Degrees are as long in both directions.
        (left, right), (top, bottom) = result["area"]["x"], result["area"]["y"]
        assert abs((right - left) - 2 * (bottom - top)) <= 2
    # A box of it, and longitude down the rows in the file, is the same map.
    turned = sst.transpose("COADSX", "TIME", "COADSY").isel(COADSX=slice(20, 60)).to_dataset()
    turned.to_zarr(tmp_path / "turned.zarr", consolidated=False)
    cells, _, _ = shown(tmp_path / "a.png", f"{tmp_path}/turned.zarr::SST", "--slice", "TIME=3", "--cmap", "gray")
    again, _, _ = shown(tmp_path / "b.png", f"{coads}::SST", "--slice", "TIME=3,COADSX=20:60", "--cmap", "gray")
    np.testing.assert_array_equal(cells, again)


def test_colour_maps_are_matplotlibs(tmp_path):
    store = tmp_path / "ramp.zarr"
    zarr.create_array(store, data=np.linspace(0, 1, 101)[None, :] * np.ones((40, 1)), chunks=(40, 30))
    for options, turn in [((), False), (("--cmap", "viridis_r"), True)]:
        cells, _, _ = shown(tmp_path / "ramp.png", store, "--overwrite", *options)
        for share, colour in VIRIDIS.items():
            found = cells[3, round(100 * (1 - share if turn else share))]
            assert np.all(np.abs(found.astype(int) - colour) <= 2), (share, found)
    zarr.create_array(tmp_path / "two.zarr", data=np.linspace(-2, 3, 101)[None, :] * np.ones((40, 1)))
    cells, result, _ = shown(tmp_path / "two.png", tmp_path / "two.zarr")
    assert (result["vmin"], result["vmax"]) == (-3, 3)
    below, middle, above = cells[0, 0].astype(int), cells[0, 40].astype(int), cells[0, 100].astype(int)
    assert below[2] > below[0] + 50 and above[0] > above[2] + 50 and middle.min() > 230


def test_large_planes_are_averaged_within_a_small_budget(tmp_path):
    store = tmp_path / "large.zarr"
    rng = np.random.default_rng(2)
    values = np.add.outer(np.arange(4, dtype="f4"), rng.random((6000, 5000), dtype="f4") + np.linspace(0, 9, 5000, dtype="f4"))
    values[:, 1000:1100, 2000:2100] = np.nan
    zarr.create_array(store, data=values, chunks=(1, 700, 900))
    source, options = store, ("--memory", 64 * MIB, "--cmap", "gray", "--slice", "0=2")
    cells, result, _ = shown(tmp_path / "large.png", source, *options)
    down, across = (-(-extent // cells) for extent, cells in zip((6000, 5000), result["cells"]))
    assert (down, across) == (9, 9) and result["width"] <= 960
    assert result["area"]["y"][1] - result["area"]["y"][0] >= 667 and result["cells"] == [667, 556]
    blocks = np.pad(values[2].astype("f8"), ((0, 3), (0, 4)), constant_values=np.nan).reshape(667, 9, 556, 9)
    with np.errstate(invalid="ignore"):
        means = np.nansum(blocks, (1, 3)) / (~np.isnan(blocks)).sum((1, 3))
    assert abs(result["vmin"] - np.nanmin(means)) < 1e-9 and abs(result["vmax"] - np.nanmax(means)) < 1e-9
    assert_colours(cells, means, result["vmin"], result["vmax"])
    # Only the plane is read: others are no chunks any more.
    for chunk in (path for index in "013" for path in (store / "c" / index).rglob("*") if path.is_file()):
        chunk.write_bytes(b"damaged")
    again, _, _ = shown(tmp_path / "again.png", source, *options)
    np.testing.assert_array_equal(cells, again)
    assert arrayctl("show", source, "-o", tmp_path / "no.png", "--slice", "0=1").code == 4
    assert not (tmp_path / "no.png").exists()


def test_colours_of_samples(tmp_path):
    """A picture of three or four samples a pixel has its own colours, in a TIFF as in the image made of it."""
    rng = np.random.default_rng(4)
    for dtype, full, samples in [("u1", 255, 3), ("u2", 65535, 3), ("u1", 255, 4)]:
        values = rng.integers(0, full + 1, (60, 80, samples)).astype(dtype)
        picture = tmp_path / f"{dtype}{samples}.tif"
        tifffile.imwrite(picture, values, photometric="rgb", compression="lzw", extrasamples=["unassalpha"] if samples == 4 else None)
        wanted = np.rint(values[..., :3] / full * 255).astype(int)
        cells, result, _ = shown(tmp_path / "tiff.png", picture, "--overwrite")
        assert result["cells"] == [60, 80] and (result["vmin"], result["vmax"]) == (0, full)
        assert np.abs(cells - wanted).max() <= 1 and "sample" not in result["title"]
        succeed("pyramid", picture, tmp_path / "image.zarr", "--overwrite")
        cells, *_ = shown(tmp_path / "zarr.png", tmp_path / "image.zarr" / "0", "--overwrite")
        assert np.abs(cells - wanted).max() <= 1
        # One of them, and numbers that are to be seen as such.
        for options in [("--slice", "sample=0"), ()]:
            cells, result, _ = shown(tmp_path / "red.png", picture, "--cmap", "gray", "--overwrite", *options)
            assert_colours(cells, values[..., 0].astype("f8"), result["vmin"], result["vmax"])
            assert "sample=0" in result["title"]
    two = tmp_path / "two.zarr"
    zarr.create_array(two, data=values[..., :2], dimension_names=["y", "x", "sample"])
    _, result, _ = shown(tmp_path / "two.png", two)
    assert result["cells"] == [60, 80] and "sample=0" in result["title"]


def test_projections_are_numpys(tmp_path):
    values = np.random.default_rng(5).normal(size=(6, 7, 30, 20)).astype("f4")
    values[2, 3, 4, 5] = np.nan
    zarr.create_array(tmp_path / "a.zarr", data=values, chunks=(2, 3, 30, 20))
    for name in ("mean", "max", "min", "sum", "std"):
        options = ("--project", name, "--slice", "1=1:5", "--cmap", "gray", "--overwrite")
        cells, result, _ = shown(tmp_path / "a.png", tmp_path / "a.zarr", *options)
        wanted = getattr(np, f"nan{name}")(values[:, 1:5].astype("f8"), axis=(0, 1))
        np.testing.assert_allclose([result["vmin"], result["vmax"]], [wanted.min(), wanted.max()], rtol=2e-6)
        shares = (wanted - wanted.min()) / np.ptp(wanted)
        assert np.corrcoef(cells.sum(-1).ravel(), shares.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--slice", "foo=1"], "no axis 'foo'"),
        (["--slice", "TIME=99"], "position 99"),
        (["--slice", "TIME"], "time=0"),
        (["--slice", "TIME=0:3"], "--project"),
        (["--cmap", "jet"], "viridis"),
        (["--vmin", "3", "--vmax", "2"], "smaller"),
        (["--project", "mode"], "mean, max"),
        (["--width", "20"], "240"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, coads, options, says):
    run = arrayctl("show", f"{coads}::SST", "-o", tmp_path / "a.png", *options)
    assert_refusal(run, [2, 3], [says])
    assert list(tmp_path.iterdir()) == []


def test_other_outputs_and_arrays_are_refused(tmp_path, coads):
    assert_refusal(arrayctl("show", f"{coads}::SST", "-o", tmp_path / "a.jpg"), [2], [".png"])
    assert_refusal(arrayctl("show", f"{coads}::TIME", "-o", tmp_path / "a.png"), [2], ["two dimensions"])
    zarr.create_array(tmp_path / "c.zarr", data=np.ones((4, 4), "c8"))
    assert_refusal(arrayctl("show", tmp_path / "c.zarr", "-o", tmp_path / "a.png"), [2], ["abs(x)"])
    (tmp_path / "there.png").write_bytes(b"mine")
    assert_refusal(arrayctl("show", f"{coads}::SST", "-o", tmp_path / "there.png"), [3], ["--overwrite"])
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_times_in_titles_are_dates(tmp_path):
    values = np.arange(400 * 6 * 8, dtype="f4").reshape(400, 6, 8)
    times = xarray.date_range("1999-12-30", periods=400, freq="6h", calendar="noleap", use_cftime=True)
    coordinates = {"time": times, "lat": np.linspace(-50, 50, 6)}
    xarray.DataArray(values, coordinates, ("time", "lat", "x"), "t").to_netcdf(tmp_path / "t.nc")
    for at in (0, 5, 399):
        _, result, _ = shown(tmp_path / "a.png", tmp_path / "t.nc", "--slice", f"time={at}", "--overwrite")
        date = times[at].strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
        assert result["title"] == f"t, time={at} ({date})"
    # Dates stand beside a side of times: wider than its numbers would be.
    _, dates, _ = shown(tmp_path / "a.png", tmp_path / "t.nc", "--slice", "x=0", "--overwrite")
    xarray.DataArray(values, dims=("time", "lat", "x"), name="t").to_netcdf(tmp_path / "u.nc")
    _, plain, _ = shown(tmp_path / "a.png", tmp_path / "u.nc", "--slice", "x=0", "--overwrite", "--width", "960")
    assert dates["area"]["x"][0] > plain["area"]["x"][0] + 20


def report_of(tmp_path, *args):
    page = tmp_path / "report.html"
    succeed(*args, "--report", page)
    text = page.read_text()
    found = re.findall(r'src="data:image/png;base64,([^"]*)"><figcaption>([^<]*)', text)
    return [(Image.open(io.BytesIO(base64.b64decode(png))), caption) for png, caption in found], text


def test_report_pages_show_what_was_stored(tmp_path, coads):
    out = tmp_path / "out.zarr"
    [(picture, caption)], _ = report_of(tmp_path, "eval", "sst * 2", "-i", f"sst={coads}::SST", "-o", out)
    assert picture.format == "PNG" and "TIME=6" in caption
    colours = np.unique(np.asarray(picture).reshape(-1, 3), axis=0)
    assert len(colours) > 50
    pictures, _ = report_of(tmp_path, "convert", coads, tmp_path / "all.zarr")
    assert len(pictures) == 4  # of seven fields
    [(_, caption)], _ = report_of(tmp_path, "eval", "fft(x)", "-i", f"x={coads}::SST", "-o", tmp_path / "f.zarr")
    assert "size of" in caption
    none, text = report_of(tmp_path, "eval", "mean(x)", "-i", f"x={coads}::SST", "-o", tmp_path / "m.zarr")
    assert not none and "a picture has two dimensions" in text


def test_thumbnails_read_a_few_chunks(tmp_path):
    """Of 900 chunks of a map, at most sixteen are read; of chunks of 160 MiB, none."""
    values = np.arange(3 * 600 * 600, dtype="f4").reshape(3, 600, 600)
    zarr.create_array(tmp_path / "x.zarr", data=values, chunks=(1, 20, 20))
    [(_, caption)], _ = report_of(tmp_path, "convert", tmp_path / "x.zarr", tmp_path / "y.zarr")
    assert "a part" in caption
    large = np.zeros((40, 1 << 20), "f4")
    zarr.create_array(tmp_path / "l.zarr", data=large, chunks=(40, 1 << 20))
    none, text = report_of(
        tmp_path, "convert", tmp_path / "l.zarr", tmp_path / "k.zarr", "--no-check", "--memory", "2GiB"
    )
    assert not none and "too much for a look" in text
