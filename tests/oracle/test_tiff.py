"""TIFF: tifffile reads what we write, we read what tifffile writes, and damaged files end in an error."""

import itertools
import random
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from driver import BASELINE_BYTES, MIB, arrayctl, assert_refusal, read_zarr, succeed

RNG = np.random.default_rng(11)
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]


def values(shape, dtype):
    x = RNG.integers(0, 200, shape) + np.arange(shape[-1]) % 50
    return (x * (1.25 if dtype[0] in "fc" else 1)).astype(dtype)


def read_back(path, tmp_path, name="out"):
    out = tmp_path / f"{name}.zarr"
    succeed("convert", path, out, "--overwrite")
    return zarr.open(str(out), mode="r")


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_reads_what_tifffile_writes(tmp_path, compression, byteorder, bigtiff):
    layouts = [{"rowsperstrip": 7}, {}, {"tile": (32, 48)}]
    for number, (dtype, layout) in enumerate(itertools.product(["u1", "u2", "i4", "f4", "f8"], layouts)):
        x = values((3, 50, 70), dtype)
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(
            path, x, byteorder=byteorder, bigtiff=bigtiff, compression=compression, metadata=None, photometric="minisblack", **layout
        )  # fmt: skip
        found = read_back(path, tmp_path)
        np.testing.assert_array_equal(found[...], x, err_msg=f"{dtype} {layout}")
        assert found.metadata.dimension_names == ("page", "y", "x")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type(tmp_path, dtype):
    x = values((2, 20, 30), dtype)
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="minisblack", metadata=None)
    np.testing.assert_array_equal(read_back(tmp_path / "x.tif", tmp_path)[...], x)
    out = tmp_path / "out.tif"
    succeed("convert", tmp_path / "x.tif", out)
    found = tifffile.imread(out)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_predictors(tmp_path, compression, byteorder):
    for dtype in ["u1", "u2", "i4", "f2", "f4", "f8"]:
        for tile in [None, (16, 32)]:
            x = values((2, 40, 50, 3), dtype)
            tifffile.imwrite(
                tmp_path / "x.tif", x, compression=compression, byteorder=byteorder, predictor=True, tile=tile,
                photometric="rgb", metadata=None,
            )  # fmt: skip
            found = read_back(tmp_path / "x.tif", tmp_path)
            np.testing.assert_array_equal(found[...], x, err_msg=f"{dtype} {tile}")
            assert found.metadata.dimension_names == ("page", "y", "x", "sample")


def split_jpeg(stream):
    """A JPEG's tables as a stream of their own, and what is left: what TIFF stores once a page, and for each piece."""
    tables, rest, at = b"", b"", 2
    while stream[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        if stream[at + 1] in (0xDB, 0xC4):
            tables += stream[at:end]
        else:
            rest += stream[at:end]
        at = end
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + stream[at:]


def smooth_picture(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    planes = [127 + 90 * np.sin(y / 17 + n) * np.cos(x / (23 + 4 * n)) for n in range(shape[2] if len(shape) > 2 else 1)]
    noise = RNG.normal(0, 4, shape)
    return (np.stack(planes, -1).reshape(shape) + noise).clip(0, 255).astype("u1")


@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"rowsperstrip": 100}, {"tile": (32, 48)}])
@pytest.mark.parametrize("colours", ["gray", "rgb", "ycbcr", "ycbcr420", "planes"])
def test_jpeg(tmp_path, layout, colours):
    """Beside libjpeg-turbo: samples within a level, of which colours of YCbCr make up to three (a level of chroma is 1.8 of blue); more
    where chroma has half as many samples, which decoders double in ways of their own."""
    x = smooth_picture((100, 130) if colours == "gray" else (3, 100, 130) if colours == "planes" else (100, 130, 3))
    how = {
        "gray": {"photometric": "minisblack"},
        "rgb": {"photometric": "rgb", "compressionargs": {"level": 90, "outcolorspace": "rgb"}},
        "ycbcr": {"photometric": "ycbcr", "subsampling": (1, 1)},
        "ycbcr420": {"photometric": "ycbcr", "subsampling": (2, 2)},
        "planes": {"photometric": "minisblack", "planarconfig": "separate"},
    }[colours]
    pages = np.stack([x, x[..., ::-1] if colours in ("gray", "planes") else x[:, ::-1]])
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, pages, compression="jpeg", metadata=None, **how, **layout)
    expected = tifffile.imread(path).astype(int)
    if colours == "planes":
        expected = np.moveaxis(expected, 1, -1)
    found = read_back(path, tmp_path)
    assert found.shape == expected.shape and found.dtype == "u1"
    difference = np.abs(found[...].astype(int) - expected)
    most, mean = {"ycbcr": (3, 0.03), "ycbcr420": (8, 0.5)}.get(colours, (1, 0.02))
    assert difference.max() <= most and difference.mean() < mean


def test_jpeg_with_tables_of_the_page(tmp_path):
    """As slide scanners and libtiff write: tables once a page, tiles without, edge tiles filled up."""
    x = smooth_picture((100, 150))
    padded = np.pad(x, [(0, 28), (0, 42)], mode="edge")
    tiles = [padded[y : y + 64, z : z + 64] for y in (0, 64) for z in (0, 64, 128)]
    for quality in (60, 95):
        parts = [split_jpeg(imagecodecs.jpeg_encode(np.ascontiguousarray(tile), quality)) for tile in tiles]
        tables = {tables for tables, _ in parts}
        assert len(tables) == 1 and all(b"\xff\xdb" not in rest for _, rest in parts)
        with tifffile.TiffWriter(tmp_path / f"{quality}.tif") as file:
            file.write(
                iter([rest for _, rest in parts]), shape=x.shape, dtype="u1", tile=(64, 64), compression="jpeg",
                jpegtables=tables.pop(), photometric="minisblack", metadata=None,
            )  # fmt: skip
        found = read_back(tmp_path / f"{quality}.tif", tmp_path)
        expected = tifffile.imread(tmp_path / f"{quality}.tif")
        assert np.abs(found[...].astype(int) - expected).max() <= 2
    content = (tmp_path / "95.tif").read_bytes()
    end = content.rindex(b"\xff\xd9")
    (tmp_path / "cut.tif").write_bytes(content[: end - 40] + bytes(42) + content[end + 2 :])
    assert_refusal(arrayctl("convert", tmp_path / "cut.tif", tmp_path / "cut.zarr"), (4,), ["tile 5", "jpeg"])


def packed_tiff(path, x, bits, byteorder):
    """Elements of so many bits, most significant first, each row from a whole byte on; tifffile writes only those of one bit."""
    rows = ["".join(format(value, f"0{bits}b") for value in row) for row in x]
    packed = b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    tags = [(256, x.shape[1]), (257, x.shape[0]), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, x.shape[0]), (279, len(packed))]
    head = (b"II*\0" if byteorder == "<" else b"MM\0*") + struct.pack(byteorder + "I", 8 + len(packed) + len(packed) % 2)
    directory = struct.pack(byteorder + "H", len(tags))
    directory += b"".join(struct.pack(byteorder + "HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(head + packed + b"\0" * (len(packed) % 2) + directory + bytes(4))


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 9, 10, 12, 14, 15])
def test_elements_of_few_bits(tmp_path, bits):
    x = RNG.integers(0, 1 << bits, (37, 53))
    for byteorder in "<>":
        packed_tiff(tmp_path / "x.tif", x, bits, byteorder)
        found = read_back(tmp_path / "x.tif", tmp_path)
        assert found.dtype == ("bool" if bits == 1 else "u1" if bits <= 8 else "u2")
        np.testing.assert_array_equal(found[...], x, err_msg=f"{bits} {byteorder}")
        if bits in (1, 2, 4, 10, 12, 14):
            np.testing.assert_array_equal(tifffile.imread(tmp_path / "x.tif"), x)


@pytest.mark.parametrize("options", [{}, {"compression": "packbits"}, {"compression": "zlib", "tile": (16, 32)}, {"compression": "zstd", "rowsperstrip": 5}])
def test_masks(tmp_path, options):
    x = RNG.integers(0, 2, (3, 50, 70)).astype(bool)
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="minisblack", metadata=None, **options)
    found = read_back(tmp_path / "x.tif", tmp_path)
    assert found.dtype == bool
    np.testing.assert_array_equal(found[...], x)


def test_planes_of_samples(tmp_path):
    x = values((3, 4, 33, 47), "u2")
    for tile in [None, (16, 16)]:
        tifffile.imwrite(tmp_path / "x.tif", x, planarconfig="separate", photometric="rgb", tile=tile, metadata=None)
        np.testing.assert_array_equal(read_back(tmp_path / "x.tif", tmp_path)[...], x.transpose(0, 2, 3, 1))


def test_axes_of_imagej_ome_and_tifffile(tmp_path):
    x = values((2, 3, 4, 20, 30), "u2")  # TZCYX
    tifffile.imwrite(tmp_path / "imagej.tif", x, imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(tmp_path / "ome.ome.tif", x, ome=True, photometric="minisblack", metadata={"axes": "TZCYX"})
    tifffile.imwrite(tmp_path / "shaped.tif", x, photometric="minisblack", metadata={"axes": "TZCYX"})
    for name in ["imagej.tif", "ome.ome.tif", "shaped.tif"]:
        found = read_back(tmp_path / name, tmp_path)
        if name == "shaped.tif" and found.metadata.dimension_names[1] == "z":
            np.testing.assert_array_equal(found[...], x)  # as the file has them
        else:
            assert found.metadata.dimension_names == ("t", "c", "z", "y", "x"), name
            np.testing.assert_array_equal(found[...], x.transpose(0, 2, 1, 3, 4), err_msg=name)


def scale_and_units(pyramid):
    image = zarr.open_group(str(pyramid), mode="r").attrs["ome"]["multiscales"][0]
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    return {axis["name"]: (size, axis.get("unit")) for axis, size in zip(image["axes"], scale, strict=True)}


def test_sizes_of_pixels_and_names_of_channels_of_ome(tmp_path):
    x = values((2, 3, 4, 20, 30), "u2")  # TZCYX
    names = ["DAPI", "GFP & more", "µ", ""]
    sizes = {"PhysicalSizeX": 0.325, "PhysicalSizeY": 325.0, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2.0, "TimeIncrement": 0.1}
    tifffile.imwrite(
        tmp_path / "x.ome.tif", x, ome=True, photometric="minisblack", metadata={"axes": "TZCYX", "Channel": {"Name": names}, **sizes}
    )
    found = read_back(tmp_path / "x.ome.tif", tmp_path).attrs.asdict()
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeZUnit": "µm", "TimeIncrementUnit": "s"}
    assert found == {**sizes, **units, "ChannelNames": names}
    succeed("pyramid", tmp_path / "x.ome.tif", tmp_path / "x.ome.zarr")
    assert scale_and_units(tmp_path / "x.ome.zarr") == {
        "t": (0.1, "second"), "c": (1.0, None), "z": (2.0, "micrometer"), "y": (325.0, "nanometer"), "x": (0.325, "micrometer")
    }  # fmt: skip
    level = zarr.open_group(str(tmp_path / "x.ome.zarr"), mode="r")["0"]
    assert level.attrs.asdict() == {"ChannelNames": names}  # sizes are those of the full resolution alone
    succeed("eval", "x[..., ::2]", "-i", f"x={tmp_path / 'x.ome.tif'}", "-o", tmp_path / "half.zarr")
    assert "PhysicalSizeX" not in zarr.open_array(str(tmp_path / "half.zarr"), mode="r").attrs


def test_ome_as_bio_formats_writes_it(tmp_path):
    """A tag for every page, each with the file it is in; several images in one file."""
    x = values((2, 6, 20, 30), "u2")
    for order, shape in {"XYZCT": (2, 3), "XYCZT": (3, 2)}.items():
        for count in (1, 2):
            images = []
            for image in range(count):
                planes = "".join(
                    f'<TiffData FirstC="{n // shape[1] if order == "XYZCT" else n % shape[1]}" FirstT="0" '
                    f'FirstZ="{n % shape[1] if order == "XYZCT" else n // shape[1]}" IFD="{image * 6 + n}" PlaneCount="1">'
                    '<UUID FileName="x.ome.tif">urn:uuid:0</UUID></TiffData>'
                    for n in range(6)
                )
                images.append(
                    f'<Image ID="Image:{image}"><Pixels BigEndian="false" DimensionOrder="{order}" ID="Pixels:{image}" '
                    f'PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m" SizeC="2" SizeT="1" SizeX="30" SizeY="20" SizeZ="3" Type="uint16">'
                    f'<Channel ID="Channel:{image}:0"/>{planes}</Pixels></Image>'
                )
            xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{"".join(images)}</OME>'
            path = tmp_path / "x.ome.tif"
            tifffile.imwrite(path, x[:count].reshape(-1, 20, 30), photometric="minisblack", description=xml.encode(), metadata=None)
            found = read_back(path, tmp_path)
            for image in range(count):
                array = found if count == 1 else found[str(image)]
                expected = x[image].reshape(*shape, 20, 30)
                expected = expected if order == "XYZCT" else expected.swapaxes(0, 1)
                assert array.metadata.dimension_names == ("c", "z", "y", "x")
                np.testing.assert_array_equal(array[...], expected)
                assert array.attrs.asdict() == {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}


def ome_of(planes, path, pages):
    """Pages of their own number, where planes are said to be on those."""
    pixels = 'DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" SizeZ="3" SizeC="2" SizeT="1"'
    xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I:0"><Pixels ID="P:0" {pixels}>{planes}</Pixels></Image></OME>'
    with tifffile.TiffWriter(path, ome=False) as file:
        for n in range(pages):
            page = np.full((20, 30), n, "u2")
            file.write(page, description=xml if n == 0 else None, metadata=None, contiguous=False, photometric="minisblack")


def test_planes_of_ome_stand_where_it_says(tmp_path):
    plane = '<TiffData IFD="{}" FirstZ="{}" FirstC="{}" FirstT="0" PlaneCount="1"/>'.format
    ome_of("".join(plane(5 - i, i % 3, i // 3) for i in range(6)), tmp_path / "turned.ome.tif", 6)
    ome_of("".join(plane(i, j % 3, j // 3) for i, j in enumerate([0, 1, 3, 4, 5])), tmp_path / "gap.ome.tif", 6)
    for name in ["turned.ome.tif", "gap.ome.tif"]:
        with tifffile.TiffFile(tmp_path / name) as file:
            expected = file.series[0].asarray()
        assert expected.shape == (2, 3, 20, 30)
        source = f"{tmp_path / name}::0" if name.startswith("gap") else tmp_path / name  # beside the page that belongs to no plane
        succeed("eval", "x", "-i", f"x={source}", "-o", tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)
    # The plane that was never taken is one that is not stored.
    assert_refusal(arrayctl("convert", f"{tmp_path / 'gap.ome.tif'}::0", tmp_path / "o.zarr", "--missing-chunk", "error"), [4])
    two = "".join(
        plane(i, i, c).replace("/>", f'><UUID FileName="{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>') for c in range(2) for i in range(3)
    )
    ome_of(two, tmp_path / "several.ome.tif", 3)
    said = arrayctl("info", tmp_path / "several.ome.tif")
    assert "several files" in said.stderr and "page" in said.stdout


def test_arrays_that_tifffile_tells_apart(tmp_path):
    a, b = values((2, 3, 20, 30), "u2"), values((1, 4, 20, 30), "u2")
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(a, photometric="minisblack", metadata={"axes": "TZYX"})
        file.write(b, photometric="minisblack", metadata={"axes": "CZYX"})
    group = read_back(tmp_path / "x.tif", tmp_path)
    for name, expected, axes in [("0", a, ("t", "z", "y", "x")), ("1", b, ("c", "z", "y", "x"))]:
        np.testing.assert_array_equal(group[name][...], expected)
        assert group[name].metadata.dimension_names == axes


@pytest.mark.parametrize("names", [("x", "y", "z"), ("y", "x", "c"), ("t", "c", "z", "y", "x")])
def test_axes_come_back_as_they_were_written(tmp_path, names):
    x = values((1,) * (len(names) - 3) + (9, 20, 30), "u2")
    source = zarr.create_array(str(tmp_path / "x.zarr"), shape=x.shape, chunks=x.shape, dtype="u2", dimension_names=names)
    source[...] = x
    succeed("convert", tmp_path / "x.zarr", tmp_path / "x.tif")
    succeed("verify", tmp_path / "x.zarr", tmp_path / "x.tif", "--attributes")
    assert read_back(tmp_path / "x.tif", tmp_path).metadata.dimension_names == names


def test_fewer_pages_than_the_description_says(tmp_path):
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        for n in range(4):
            description = "ImageJ=1.53\nimages=6\nslices=3\nframes=2\nhyperstack=true\n" if n == 0 else None
            file.write(values((20, 30), "u2"), description=description, metadata=None, contiguous=False)
    said = arrayctl("info", tmp_path / "x.tif")
    assert "speaks of 6 pages, but it has 4" in said.stderr


def test_sizes_of_pixels_of_imagej_and_plain_pages(tmp_path):
    x = values((5, 20, 30), "u2")
    resolution = {"resolution": (4.0, 2.0), "resolutionunit": "NONE"}
    tifffile.imwrite(
        tmp_path / "j.tif", x, imagej=True, **resolution, metadata={"axes": "ZYX", "unit": "um", "spacing": 2.5, "finterval": 0.5}
    )
    found = read_back(tmp_path / "j.tif", tmp_path).attrs
    assert [found[f"PhysicalSize{axis}"] for axis in "XYZ"] == [0.25, 0.5, 2.5] and found["PhysicalSizeZUnit"] == "µm"
    tifffile.imwrite(tmp_path / "cm.tif", x[0], resolution=(20000.0, 10000.0), resolutionunit="CENTIMETER", metadata=None)
    succeed("pyramid", tmp_path / "cm.tif", tmp_path / "cm.zarr")
    assert scale_and_units(tmp_path / "cm.zarr") == {"y": (1.0, "micrometer"), "x": (0.5, "micrometer")}
    tifffile.imwrite(tmp_path / "inch.tif", x[0], resolution=(72.0, 72.0), resolutionunit="INCH", metadata=None)
    assert read_back(tmp_path / "inch.tif", tmp_path).attrs.asdict() == {}


def test_sizes_of_pixels_are_written(tmp_path):
    x = values((3, 20, 30), "u2")
    attributes = {f"PhysicalSize{axis}": size for axis, size in zip("XYZ", (0.325, 0.65, 2.0), strict=True)}
    attributes |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    attributes["ChannelNames"] = ["GFP", 'a "quote"']
    source = zarr.create_array(
        str(tmp_path / "x.zarr"), shape=x.shape, chunks=x.shape, dtype="u2", dimension_names=["z", "y", "x"], attributes=attributes
    )
    source[...] = x
    succeed("convert", tmp_path / "x.zarr", tmp_path / "x.tif")
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        np.testing.assert_array_equal(file.series[0].asarray(), x)
        assert file.shaped_metadata[0]["PhysicalSizeX"] == 0.325
        page = file.pages[1]
        assert page.resolutionunit == tifffile.RESUNIT.CENTIMETER
        np.testing.assert_allclose(page.resolution, (1e4 / 0.325, 1e4 / 0.65), rtol=1e-7)
    assert read_back(tmp_path / "x.tif", tmp_path).attrs.asdict() == attributes
    succeed("verify", tmp_path / "x.zarr", tmp_path / "x.tif", "--attributes")


def test_pages_without_directories(tmp_path):
    """As ImageJ writes stacks beyond 4 GiB: one directory, the other pages behind the first."""
    x = values((7, 20, 30), "u2")
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="minisblack", truncate=True)
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        assert len(file.pages) == 1
    np.testing.assert_array_equal(read_back(tmp_path / "x.tif", tmp_path)[...], x)
    tifffile.imwrite(tmp_path / "j.tif", x, imagej=True, byteorder=">", truncate=True)
    np.testing.assert_array_equal(read_back(tmp_path / "j.tif", tmp_path)[...], x)


def test_pages_that_differ_are_arrays_of_their_own(tmp_path):
    a, b = values((4, 20, 30), "u2"), values((10, 12), "u1")
    with tifffile.TiffWriter(tmp_path / "x.tif") as file:
        file.write(a, photometric="minisblack", metadata=None)
        file.write(b, photometric="minisblack", metadata=None)
        file.write(a[0, ::2, ::2], subfiletype=1, photometric="minisblack", metadata=None)
    group = read_back(tmp_path / "x.tif", tmp_path)
    np.testing.assert_array_equal(group["0"][...], a)
    np.testing.assert_array_equal(group["1"][...], b)
    assert len(list(group.arrays())) == 2


@pytest.mark.parametrize("options", [[], ["--codec", "deflate:6"], ["--codec", "zstd:3"], ["--chunks", "1,1,32,48"]])
def test_tifffile_reads_what_we_write(tmp_path, options):
    x = values((2, 3, 50, 70), "u2")
    source, out = tmp_path / "x.zarr", tmp_path / "out.tif"
    array = zarr.create_array(str(source), shape=x.shape, chunks=(1, 2, 30, 30), dtype="u2", dimension_names=["c", "z", "y", "x"])
    array[...] = x
    succeed("convert", source, out, *options)
    with tifffile.TiffFile(out) as file:
        assert not file.is_bigtiff and len(file.pages) == 6
        assert file.series[0].axes == "CZYX"
        np.testing.assert_array_equal(file.series[0].asarray(), x)
        assert file.pages[0].is_tiled == ("--chunks" in options)
    if not options:
        np.testing.assert_array_equal(tifffile.memmap(out, mode="r"), x)
    back = read_back(out, tmp_path)
    assert back.metadata.dimension_names == ("c", "z", "y", "x")
    np.testing.assert_array_equal(back[...], x)
    succeed("verify", source, out)


def test_colours(tmp_path):
    x = values((30, 40, 3), "u1")
    source, out = tmp_path / "x.zarr", tmp_path / "out.tif"
    zarr.create_array(str(source), shape=x.shape, chunks=(16, 16, 3), dtype="u1", dimension_names=["y", "x", "sample"])[...] = x
    succeed("convert", source, out, "--chunks", "16,16,3", "--codec", "deflate")
    with tifffile.TiffFile(out) as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        np.testing.assert_array_equal(file.pages[0].asarray(), x)


def test_pyramid_of_a_stack_and_results_of_eval(tmp_path):
    x = values((20, 100, 120), "u2")
    tifffile.imwrite(tmp_path / "x.tif", x, imagej=True, metadata={"axes": "ZYX"}, compression="zlib")
    succeed("pyramid", tmp_path / "x.tif", tmp_path / "p.zarr", "--chunks", "16,32,32")
    np.testing.assert_array_equal(read_zarr(tmp_path / "p.zarr" / "0"), x)
    succeed("eval", "gaussian_filter(x, 1).max('z')", "-i", f"x={tmp_path / 'x.tif'}", "-o", tmp_path / "max.tif")
    assert tifffile.imread(tmp_path / "max.tif").shape == (100, 120)


def test_bigtiff_beyond_4_gib_is_planned(tmp_path):
    """The file that is reserved for 5 GiB is BigTIFF; constant chunks make it quick."""
    source, out = tmp_path / "x.zarr", tmp_path / "out.tif"
    zarr.create_array(str(source), shape=(80, 8192, 8192), chunks=(1, 8192, 8192), dtype="u1", fill_value=7)
    succeed("convert", source, out, "--codec", "deflate:1", timeout_secs=600)
    with tifffile.TiffFile(out) as file:
        assert file.is_bigtiff and len(file.pages) == 80
        page = file.pages[79].asarray()
        assert page.shape == (8192, 8192) and (page == 7).all()


def test_refusals(tmp_path):
    source = tmp_path / "x.zarr"
    zarr.create_array(str(source), shape=(5,), chunks=(5,), dtype="u1")
    assert_refusal(arrayctl("convert", source, tmp_path / "o.tif"), (3,), ["two dimensions"])
    flags = tmp_path / "b.zarr"
    zarr.create_array(str(flags), shape=(5, 5), chunks=(5, 5), dtype="bool")
    assert_refusal(arrayctl("convert", flags, tmp_path / "o.tif"), (3,), ["--dtype"])
    tifffile.imwrite(tmp_path / "j2k.tif", values((16, 16), "u1"), compression="jpeg2000")
    assert_refusal(arrayctl("info", tmp_path / "j2k.tif"), (4,), ["JPEG 2000"])
    tifffile.imwrite(tmp_path / "four.tif", values((16, 16, 4), "u1"), compression="jpeg", photometric="separated")
    assert_refusal(arrayctl("info", tmp_path / "four.tif"), (4,), ["JPEG", "4 samples"])
    tifffile.imwrite(tmp_path / "raw.tif", values((16, 16, 3), "u1"), photometric="ycbcr")
    assert_refusal(arrayctl("info", tmp_path / "raw.tif"), (4,), ["YCbCr"])
    content = bytearray((tmp_path / "raw.tif").read_bytes())
    content[content.index(struct.pack("<HHI", 258, 3, 3)) + 2] = 4  # bits a sample as 32-bit numbers: 8/8/8 become others
    (tmp_path / "bits.tif").write_bytes(content)
    assert_refusal(arrayctl("info", tmp_path / "bits.tif"), (4,), ["bits"])
    assert not list(tmp_path.glob("o.tif*"))


def test_damaged_files_end_in_an_error(tmp_path):
    x = values((2, 40, 50), "u2")
    whole = []
    for number, options in enumerate(
        [{}, {"compression": "lzw"}, {"compression": "deflate", "tile": (16, 16)}, {"bigtiff": True, "compression": "packbits"}]
    ):
        tifffile.imwrite(tmp_path / "x.tif", x, photometric="minisblack", **options)
        whole.append((tmp_path / "x.tif").read_bytes())
    rnd = random.Random(3)
    path, out = tmp_path / "damaged.tif", tmp_path / "out.zarr"
    for case in range(150):
        content = bytearray(whole[case % 4])
        if case % 5 == 0:
            del content[rnd.randrange(4, len(content)) :]
        else:
            # Most of what can be broken stands in the first directory.
            for _ in range(rnd.randint(1, 4)):
                content[rnd.randrange(4, min(len(content), 600))] = rnd.choice([0, 1, 127, 255, rnd.randrange(256)])
        path.write_bytes(content)
        run = arrayctl("convert", path, out, "--overwrite", "--memory", "256MiB", timeout_secs=20, address_space_bytes=4 << 30)
        if run.code != 0:
            assert_refusal(run, (2, 3, 4))


def test_chains_and_overlaps_are_refused(tmp_path):
    path = tmp_path / "x.tif"
    page = struct.pack("<HHHII", 1, 256, 4, 1, 5)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + page + struct.pack("<I", 8))
    assert_refusal(arrayctl("info", path), (4,), ["TIFF"])
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 65535))
    assert_refusal(arrayctl("info", path), (4,), ["tags"])
    path.write_bytes(b"II*\0" + struct.pack("<I", 0))
    assert_refusal(arrayctl("info", path), (4,), ["no page"])
    path.write_bytes(b"II*\0")
    assert_refusal(arrayctl("info", path), (4,), ["no page"])


def test_memory(tmp_path):
    """128 MB of pages in 16 MiB."""
    x = RNG.integers(0, 60000, (64, 1024, 1024)).astype("u2")
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="minisblack", compression="zlib", compressionargs={"level": 1}, rowsperstrip=16)
    out = tmp_path / "out.tif"
    run = succeed("convert", tmp_path / "x.tif", out, "--memory", "16MiB", "--codec", "zstd:1", measure=True)
    assert run.peak_bytes <= 16 * MIB + BASELINE_BYTES
    np.testing.assert_array_equal(tifffile.imread(out), x)


def test_memory_of_a_slide(tmp_path):
    """75 MB of colours in tiles of JPEG, in 16 MiB."""
    x = np.repeat(np.repeat(smooth_picture((640, 640, 3)), 8, 0), 8, 1)[:5000, :5000]
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="ycbcr", subsampling=(2, 2), compression="jpeg", tile=(512, 512))
    run = succeed("pyramid", tmp_path / "x.tif", tmp_path / "out.zarr", "--memory", "16MiB", measure=True)
    assert run.peak_bytes <= 16 * MIB + BASELINE_BYTES
    found = zarr.open_array(str(tmp_path / "out.zarr" / "0"))[...]
    assert np.abs(np.moveaxis(found, 0, -1).astype(int) - tifffile.imread(tmp_path / "x.tif")).max() <= 8
