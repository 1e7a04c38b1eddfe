"""Arrays that are shifted, scaled, sheared or turned in `eval` beside SciPy's `ndimage`: random maps, dtypes and cuts."""

import random

import numpy as np
import pytest
import scipy.ndimage
import xarray
import zarr
from driver import arrayctl, assert_refusal, succeed

ARRAYS = 80
PER_RUN = 10
DTYPES = ["?", "i1", "i2", "i4", "u1", "u2", "u4", "f4", "f4", "f8", "f8"]
SCOPE = {name: getattr(scipy.ndimage, name) for name in ["affine_transform", "shift", "zoom", "rotate"]}
MORPHOLOGY = ["white_tophat", "black_tophat", "morphological_gradient"]


class Maps:
    """Random calls, written as both SciPy and `eval` read them."""

    def __init__(self, seed):
        self.pick = random.Random(seed)

    def number(self, low, high):
        """Often one for which elements meet elements."""
        if self.pick.random() < 0.3:
            return float(self.pick.randint(int(low), int(high)))
        return self.pick.uniform(low, high)

    def options(self, dtype):
        order = 0 if dtype == "?" else self.pick.randint(0, 1)
        mode = self.pick.choice(["constant", "nearest"])
        return f"order={order}, mode={mode!r}, cval={self.pick.choice([0, 1])}"

    def affine_transform(self, rank):
        matrix = [[self.number(-2, 2) for _ in range(rank)] for _ in range(rank)]
        offset = [self.number(-4, 12) for _ in range(rank)]
        shape = self.pick.choice(["", f", output_shape={[self.pick.randint(1, 25) for _ in range(rank)]}"])
        form = self.pick.randrange(4)
        if form == 0:
            return f"affine_transform(x, {matrix}, {offset}{shape}"
        with_offset = [[*row, last] for row, last in zip(matrix, offset, strict=True)]
        if form == 1:
            return f"affine_transform(x, {with_offset}{shape}"
        if form == 2:
            return f"affine_transform(x, {[*with_offset, [0.0] * rank + [1.0]]}{shape}"
        # SciPy divides the offset by what stands on the diagonal.
        return f"affine_transform(x, {[row[n] or 1.0 for n, row in enumerate(matrix)]}, {offset[0]}{shape}"

    def shift(self, rank):
        each = [self.number(-6, 6) for _ in range(rank)]
        return f"shift(x, {self.pick.choice([each, each[0]])}"

    def zoom(self, rank):
        each = [self.pick.choice([0.5, 1, 2, round(self.pick.uniform(0.3, 3), 3)]) for _ in range(rank)]
        return f"zoom(x, {self.pick.choice([each, each[0]])}, grid_mode={self.pick.random() < 0.3}"

    def rotate(self, rank):
        if rank < 2:
            return self.shift(rank)
        angle = self.pick.choice([90, 180, -90, round(self.pick.uniform(-400, 400), 2)])
        axes = self.pick.sample(range(-rank, 0), 2)
        return f"rotate(x, {angle}, axes={axes}, reshape={self.pick.random() < 0.7}"

    def call(self, rank, dtype):
        make = self.pick.choice([self.affine_transform, self.affine_transform, self.shift, self.zoom, self.rotate])
        return f"{make(rank)}, {self.options(dtype)})"


def same(made, expected, call):
    """Whether two results agree: floats to rounding, integers that are means to 1 in few places, where rounding decides."""
    assert (made.shape, made.dtype) == (expected.shape, expected.dtype), call
    apart = np.abs(made.astype("f8") - expected.astype("f8"))
    if made.dtype.kind == "f":
        return (apart <= (1e-4 if made.dtype == "f4" else 1e-9)).all()
    return (apart <= ("order=1" in call)).all() and np.count_nonzero(apart) <= 0.01 * apart.size + 1


@pytest.mark.parametrize("first", range(0, ARRAYS, PER_RUN))
def test_maps(tmp_path, first):
    for seed in range(first, first + PER_RUN):
        maps, numbers = Maps(seed), np.random.default_rng(seed)
        rank = maps.pick.randint(1, 3)
        shape = [maps.pick.randint(1, 14) for _ in range(rank)]
        dtype = maps.pick.choice(DTYPES)
        lowest = 0 if dtype[0] in "?u" else -50
        x = (numbers.random(shape) * 100 + lowest).astype(dtype) if dtype != "?" else numbers.random(shape) < 0.5
        store = tmp_path / f"{seed}.zarr"
        zarr.create_array(store, data=x, chunks=[maps.pick.randint(1, length) for length in shape])
        for number in range(4):
            call = maps.call(rank, dtype)
            out = tmp_path / f"{seed}-{number}.zarr"
            succeed("eval", call, "-i", f"x={store}", "-o", out)
            expected = eval(call, {**SCOPE, "x": x})
            assert same(zarr.open_array(out, mode="r")[...], expected, call), (seed, call)


def test_boxes_within_a_small_budget(tmp_path):
    """A volume of 134 MB within 128 MiB: turned, scaled and sheared as SciPy does, however small the boxes."""
    x = np.arange(256 * 512 * 256, dtype="f4").reshape(256, 512, 256) % 1013
    store = tmp_path / "x.zarr"
    zarr.create_array(store, data=x, chunks=(64, 128, 64), compressors=None)
    calls = [
        ("rotate(x, 30, axes=[1, 2], order=1)", 1e-3),
        ("zoom(x, 0.4, order=1, mode='nearest')", 1e-3),
        # A light sheet's stage, which moves along y from plane to plane.
        ("affine_transform(x, [[1, 0, 0], [-0.7, 1, 0], [0, 0, 1]], [0, 0, 0], output_shape=[256, 690, 256], order=1)", 1e-3),
    ]
    for number, (call, most) in enumerate(calls):
        out = tmp_path / f"{number}.zarr"
        run = succeed("eval", call, "-i", f"x={store}", "-o", out, "--memory", "128MiB", measure=True)
        assert run.peak_bytes <= 224 << 20, call
        expected = eval(call, {**SCOPE, "x": x})
        made = zarr.open_array(out, mode="r")[...]
        wrong = np.abs(made - expected) > most
        # Rounding decides what lies at an edge.
        assert made.shape == expected.shape and wrong.mean() < 1e-4, call


def test_named_axes_keep_what_does_not_move(tmp_path):
    """Axes are named; coordinates of others stay, those of moved ones go."""
    data = xarray.DataArray(
        np.arange(2.0 * 6 * 5).reshape(2, 6, 5),
        dims=["t", "y", "x"],
        coords={"t": [10.0, 20.0], "y": np.arange(6.0), "x": np.arange(5.0)},
        name="v",
    )
    data.to_dataset().to_zarr(tmp_path / "x.zarr", zarr_format=2)
    succeed("eval", "zoom(v, [2, 0.6], axes=['x', 'y'], order=1)", "-i", f"v={tmp_path / 'x.zarr'}::v", "-o", tmp_path / "o.zarr")
    made = next(iter(xarray.open_zarr(tmp_path / "o.zarr", consolidated=False).data_vars.values()))
    assert made.dims == ("t", "y", "x") and set(made.coords) == {"t"}
    expected = scipy.ndimage.zoom(data.values, [1, 0.6, 2], order=1)
    np.testing.assert_allclose(made.values, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "f4"])
def test_tophats_and_gradients(tmp_path, dtype):
    x = (np.random.default_rng(5).random((23, 31)) * 200).astype("u1")
    x = x > 120 if dtype == "?" else x.astype(dtype)
    zarr.create_array(tmp_path / "x.zarr", data=x, chunks=(7, 11))
    for name in MORPHOLOGY:
        if (dtype, name) == ("?", "morphological_gradient"):
            continue  # SciPy subtracts truth values there, which NumPy refuses.
        for arguments in ["size=[3, 3]", "footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]]", "size=5, mode='nearest'"]:
            call = f"{name}(x, {arguments})"
            succeed("eval", call, "-i", f"x={tmp_path / 'x.zarr'}", "-o", tmp_path / "o.zarr", "--overwrite")
            expected = eval(call, {name: getattr(scipy.ndimage, name), "x": x})
            np.testing.assert_array_equal(zarr.open_array(tmp_path / "o.zarr", mode="r")[...], expected, call)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("shift(x, 1, order=3)", ["no order 3"]),
        ("shift(x, 1, mode='reflect')", ["mode 'reflect'", "pad"]),
        ("shift(x, [1, 2, 3])", ["3 shifts for 2 axes"]),
        ("shift(x > 3, 0.5)", ["linear interpolation", "bool"]),
        ("shift(x, 1, cval=300)", ["300", "uint8"]),
        ("zoom(x, 0)", ["scaled by 0"]),
        ("affine_transform(x, [[1, 0], [0, 1], [0, 0]])", ["2 rows and columns"]),
        ("affine_transform(x, [[1, 0, 0], [0, 1, 0], [0, 1, 1]])", ["last row"]),
        ("affine_transform(x, [[1, nan], [0, 1]])", ["finite"]),
        ("rotate(x, 30, axes=[0])", ["two axes"]),
    ],
)
def test_refusals(tmp_path, call, words):
    zarr.create_array(tmp_path / "x.zarr", data=np.ones((3, 4), "u1"))
    assert_refusal(arrayctl("eval", call, "-i", f"x={tmp_path / 'x.zarr'}", "-o", tmp_path / "o.zarr"), [2], words)
