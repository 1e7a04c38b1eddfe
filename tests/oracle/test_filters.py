"""Filters of neighbourhoods in `eval` beside SciPy's `ndimage`: random volumes, modes, windows, dtypes and cuts."""

import random

import numpy as np
import pytest
import scipy.ndimage
import xarray
import zarr
from driver import succeed

VOLUMES = 200
PER_RUN = 20
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f4", "f4", "f8", "f8", "f8"]
MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap", "grid-constant"]
SCOPE = {
    name: getattr(scipy.ndimage, name)
    for name in """gaussian_filter gaussian_filter1d uniform_filter uniform_filter1d minimum_filter minimum_filter1d
        maximum_filter maximum_filter1d median_filter percentile_filter rank_filter gaussian_laplace laplace sobel prewitt
        gaussian_gradient_magnitude convolve convolve1d correlate correlate1d grey_erosion grey_dilation grey_opening
        grey_closing binary_erosion binary_dilation binary_opening binary_closing""".split()
}


class Cases:
    """Random calls, written as both SciPy and `eval` read them."""

    def __init__(self, seed):
        self.pick = random.Random(seed)

    def mode(self):
        return f"mode={self.pick.choice(MODES)!r}, cval={self.pick.choice([0, 1, 2.5, -3])}"

    def modes(self, count):
        """One mode, or one for each axis."""
        if self.pick.random() < 0.7:
            return self.mode()
        return f"mode={[self.pick.choice(MODES) for _ in range(count)]}, cval=1.5"

    def axes(self, rank):
        if self.pick.random() < 0.6:
            return rank, ""
        axes = sorted(self.pick.sample(range(rank), self.pick.randint(1, rank)))
        return len(axes), f", axes={axes}"

    def origins(self, sizes):
        """Every place in the window."""
        return [self.pick.randint(-(size // 2), (size - 1) // 2) for size in sizes]

    def sizes(self, count, most=4):
        return [self.pick.randint(1, most) for _ in range(count)]

    def footprint(self, sizes, of=None):
        total = int(np.prod(sizes))
        points = [of() if of else self.pick.random() < 0.7 for _ in range(total)]
        if not of and not any(points):
            points[0] = True
        return np.reshape(points, sizes).tolist()

    def output(self):
        return self.pick.choice(["", "", ", output='float64'", ", output='float32'"])

    def gaussian(self, x, rank):
        count, axes = self.axes(rank)
        sigma = self.pick.choice([0.5, 1, 1.7, [round(self.pick.uniform(0, 2), 2) for _ in range(count)]])
        order = self.pick.choice([0, 0, 1, 2, 3, [self.pick.randint(0, 2) for _ in range(count)]])
        radius = self.pick.choice(["", "", ", truncate=2.5", ", radius=3"])
        return f"gaussian_filter({x}, {sigma}, order={order}, {self.modes(count)}{radius}{axes}{self.output()})"

    def gaussian1d(self, x, rank):
        axis = self.pick.randrange(-rank, rank)
        return f"gaussian_filter1d({x}, 1.3, axis={axis}, order={self.pick.randint(0, 2)}, {self.mode()})"

    def uniform(self, x, rank):
        count, axes = self.axes(rank)
        sizes = self.sizes(count, 6)
        return f"uniform_filter({x}, {sizes}, {self.modes(count)}, origin={self.origins(sizes)}{axes}{self.output()})"

    def extreme(self, x, rank):
        name = self.pick.choice(["minimum_filter", "maximum_filter"])
        count, axes = self.axes(rank)
        sizes = self.sizes(count, 6)
        origins = self.origins(sizes)
        if self.pick.random() < 0.5:
            return f"{name}({x}, size={sizes}, {self.modes(count)}, origin={origins}{axes})"
        sizes = [min(size, 4) for size in sizes]
        footprint = self.footprint(sizes)
        return f"{name}({x}, footprint={footprint}, {self.mode()}, origin={self.origins(sizes)}{axes})"

    def line(self, x, rank):
        name = self.pick.choice(["uniform_filter1d", "minimum_filter1d", "maximum_filter1d"])
        size, axis = self.pick.randint(1, 9), self.pick.randrange(-rank, rank)
        return f"{name}({x}, {size}, axis={axis}, {self.mode()}, origin={self.origins([size])[0]})"

    def rank(self, x, rank):
        count, axes = self.axes(rank)
        sizes = self.sizes(count)
        window = f"size={sizes}" if self.pick.random() < 0.5 else f"footprint={self.footprint(sizes)}"
        rest = f"{window}, {self.mode()}, origin={self.origins(sizes)}{axes}"
        return self.pick.choice(
            [
                f"median_filter({x}, {rest})",
                f"percentile_filter({x}, {self.pick.choice([0, 20, 66.6, 100, -30])}, {rest})",
                f"rank_filter({x}, {self.pick.choice([0, -1])}, {rest})",
            ]
        )

    def weights(self, x, rank):
        count, axes = self.axes(rank)
        sizes = self.sizes(count)
        weights = self.footprint(sizes, lambda: round(self.pick.uniform(-1, 1), 3))
        name = self.pick.choice(["convolve", "correlate"])
        return f"{name}({x}, {weights}, {self.mode()}, origin={self.origins(sizes)}{axes}{self.output()})"

    def weights1d(self, x, rank):
        size, axis = self.pick.randint(1, 7), self.pick.randrange(-rank, rank)
        weights = [round(self.pick.uniform(-1, 1), 3) for _ in range(size)]
        if self.pick.random() < 0.5 and size % 2:
            weights = (np.add(weights, weights[::-1]) * self.pick.choice([1, 0.5])).tolist()
        name, origin = self.pick.choice(["convolve1d", "correlate1d"]), self.origins([size])[0]
        return f"{name}({x}, {weights}, axis={axis}, {self.mode()}, origin={origin})"

    def slopes(self, x, rank):
        axis = self.pick.randrange(-rank, rank)
        return self.pick.choice(
            [
                f"sobel({x}, axis={axis}, {self.modes(rank)}{self.output()})",
                f"prewitt({x}, axis={axis}, {self.modes(rank)}{self.output()})",
                f"laplace({x}, {self.modes(rank)}{self.output()})",
                f"gaussian_laplace({x}, 1.2, {self.mode()}{self.output()})",
                f"gaussian_gradient_magnitude({x}, 1.1, mode={['mirror', 'nearest', 'reflect'][:rank]}{self.output()})",
            ]
        )

    def grey(self, x, dtype, rank):
        name = self.pick.choice(["grey_erosion", "grey_dilation", "grey_opening", "grey_closing"])
        count, axes = self.axes(rank)
        sizes = self.sizes(count)
        shapes = [f"size={sizes}", f"footprint={self.footprint(sizes)}"]
        if dtype != np.dtype("u8"):  # SciPy casts negative doubles to uint64 there, which C leaves open
            shapes.append(f"structure={self.footprint(sizes, lambda: self.pick.randint(-2, 2))}")
        shape = self.pick.choice(shapes)
        if "structure" in shape:  # SciPy 1.16 does not take axes then
            axes = ""
            if count < rank:
                return self.grey(x, dtype, rank)
        return f"{name}({x}, {shape}, {self.mode()}, origin={self.origins(sizes)}{axes})"

    def binary(self, x, rank):
        name = self.pick.choice(["binary_erosion", "binary_dilation", "binary_opening", "binary_closing"])
        sizes = [self.pick.choice([1, 2, 3]) for _ in range(rank)]
        structure = f", structure={self.footprint(sizes)}, origin={self.origins(sizes)}" if self.pick.random() < 0.5 else ""
        return f"{name}({x} > 0{structure}, iterations={self.pick.randint(1, 3)}, border_value={self.pick.randint(0, 1)})"

    def calls(self, x, dtype, rank):
        kinds = [self.uniform, self.extreme, self.line, self.rank, self.binary]
        if dtype.kind != "b":  # differences of truth values are no truth values, which SciPy does not see
            kinds += [self.gaussian, self.gaussian1d, self.weights, self.weights1d, self.slopes]
            kinds.append(lambda x, rank: self.grey(x, dtype, rank))
        return [kind(x, rank) for kind in self.pick.sample(kinds, 5)]


def volume(rng, pick):
    rank = pick.choice([1, 2, 3, 3, 3])
    shape = tuple(pick.randint(1, {1: 60, 2: 20, 3: 12}[rank]) for _ in range(rank))
    dtype = np.dtype(pick.choice(DTYPES))
    numbers = rng.normal(20, 15, shape)
    if dtype.kind == "b":
        return numbers > 18
    if dtype.kind == "u":
        return np.abs(numbers).astype(dtype)
    return numbers.astype(dtype)


def fault(text, found, wanted):
    """What differs, if anything does."""
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return f"{text}: {found.dtype}{found.shape}, SciPy {wanted.dtype}{wanted.shape}"
    if wanted.dtype.kind == "f":
        scale = np.abs(wanted).max(initial=1)
        near = np.abs(found - wanted) <= 50 * np.finfo(wanted.dtype).eps * scale
    elif "gaussian" in text or "laplace" in text:
        # Weights differ in their last bits, and what is then truncated by one.
        difference = np.abs(found.astype("f8") - wanted.astype("f8"))
        near = difference <= np.maximum(1, 1e-12 * np.abs(wanted.astype("f8")))
        near &= (found == wanted).mean() > 0.8
    else:
        near = found == wanted
    if near.all():
        return None
    at = tuple(int(n) for n in np.argwhere(~near)[0])
    return f"{text}: {found[at]} at {at} of {wanted.shape}, SciPy {wanted[at]}; {(~near).sum()} differ"


def test_filters_are_scipys(tmp_path):
    rng, pick, cases = np.random.default_rng(5), random.Random(5), Cases(5)
    wrong, compared = [], 0
    for run in range(VOLUMES // PER_RUN):
        arrays, args, texts = {}, [], []
        for n in range(PER_RUN):
            name = f"v{n}"
            arrays[name] = volume(rng, pick)
            chunks = tuple(pick.randint(1, length) for length in arrays[name].shape)
            store = tmp_path / f"{run}-{name}.zarr"
            zarr.create_array(store, data=arrays[name], chunks=chunks)
            args += ["-i", f"{name}={store}"]
            texts += cases.calls(name, arrays[name].dtype, arrays[name].ndim)
        expected = []
        for text in texts:
            with np.errstate(all="ignore"):
                try:
                    expected.append(np.asarray(eval(text, {"__builtins__": {}}, SCOPE | arrays)))  # noqa: S307
                except (RuntimeError, ValueError, TypeError) as refused:
                    expected.append(refused)
        kept = [n for n, wanted in enumerate(expected) if not isinstance(wanted, Exception)]
        out = tmp_path / f"{run}.zarr"
        succeed("eval", "; ".join(f"r{n} = {texts[n]}" for n in kept), *args, "-o", out)
        group = zarr.open_group(out, mode="r")
        for n in kept:
            compared += 1
            found = fault(texts[n], group[f"r{n}"][...], expected[n])
            if found:
                name = texts[n].split("(")[1].split(",")[0].split(" ")[0]
                wrong.append(f"{found} ({arrays[name].dtype})")
    assert not wrong, f"{len(wrong)} of {compared}:\n" + "\n".join(wrong[:40])
    assert compared > 4 * VOLUMES


def run_eval(tmp_path, arrays, texts, pick):
    """What `eval` makes of texts about arrays, each cut at random."""
    args = []
    for name, array in arrays.items():
        store = tmp_path / f"{name}.zarr"
        zarr.create_array(store, data=array, chunks=tuple(pick.randint(1, length) for length in array.shape))
        args += ["-i", f"{name}={store}"]
    out = tmp_path / "out.zarr"
    succeed("eval", "; ".join(f"r{n} = {text}" for n, text in enumerate(texts)), *args, "-o", out)
    group = zarr.open_group(out, mode="r")
    return [group[f"r{n}"][...] for n in range(len(texts))]


def assert_same(pairs, digits=9):
    wrong, pairs = [], list(pairs)
    for text, found, wanted in pairs:
        wanted = np.asarray(wanted)
        scale = 10.0**-digits if wanted.dtype != np.float32 else 1e-4
        if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=scale, atol=scale, equal_nan=True):
            wrong.append(f"{text}: {found.dtype}{found.shape} {wanted.dtype}{wanted.shape}\n{found}\n{wanted}")
    assert not wrong, f"{len(wrong)} of {len(pairs)}:\n" + "\n".join(wrong[:5])


def test_rolling_windows_and_boxes_are_xarrays(tmp_path):
    rng, pick = np.random.default_rng(6), random.Random(6)
    arrays, texts, expected = {}, [], []
    for n, dtype in enumerate(["f8", "f4", "i2", "f8"]):
        shape = (23, 9, 11)[: pick.choice([2, 3])]
        values = rng.normal(10, 8, shape).astype(dtype)
        if dtype == "f8":
            values[rng.random(shape) < 0.2] = np.nan
        arrays[f"v{n}"] = values
        x = xarray.DataArray(values, dims=("a", "b", "c")[: len(shape)])
        for _ in range(12):
            axes = sorted(pick.sample(range(len(shape)), pick.choice([1, 1, 2])))
            sizes = [pick.randint(1, 6) for _ in axes]
            least = pick.choice([None, 1, 2])
            centred = pick.random() < 0.5
            name = pick.choice(["mean", "sum", "min", "max", "median", "std"])
            windows = {x.dims[axis]: size for axis, size in zip(axes, sizes)}
            texts.append(f"rolling_{name}(v{n}, {sizes}, axis={axes}, center={centred}, min_periods={least})")
            least = int(np.prod(sizes)) if least is None else least
            rolled = x.rolling(windows, center=centred, min_periods=least)
            expected.append(getattr(rolled, name)().values)
            name, boundary = pick.choice(["mean", "sum", "min", "max", "median"]), pick.choice(["trim", "pad"])
            texts.append(f"coarsen(v{n}, {sizes}, axis={axes}, func='{name}', boundary='{boundary}')")
            expected.append(getattr(x.coarsen(windows, boundary=boundary), name)().values)
        texts.append(f"sliding_window_view(v{n}, [3, 2], axis=[0, 1])")
        expected.append(np.lib.stride_tricks.sliding_window_view(values, (3, 2), axis=(0, 1)))
        texts.append(f"sliding_window_view(v{n}, 4, axis=1).mean(-1)")
        expected.append(np.lib.stride_tricks.sliding_window_view(values, 4, axis=1).mean(-1))
    assert_same(zip(texts, run_eval(tmp_path, arrays, texts, pick), expected))


@pytest.mark.parametrize(("shape", "mean"), [((12, 17, 9), 3), ((24, 40, 50), 1e6)], ids=["one block", "many blocks"])
def test_measures_of_labels_are_scipys(tmp_path, shape, mean):
    rng, pick = np.random.default_rng(7), random.Random(7)
    values = rng.normal(mean, 1, shape)
    labels, count = scipy.ndimage.label(scipy.ndimage.uniform_filter(values, 2) > mean + 0.3)
    index = np.arange(1, count + 1)
    assert count > 10
    of = scipy.ndimage
    boxes = [[(s.start, s.stop) for s in box] for box in of.find_objects(labels)]
    cases = {
        "sum_labels(x, l, %d)": of.sum_labels(values, labels, index),
        "mean_labels(x, l, %d)": of.mean(values, labels, index),
        "var_labels(x, l, %d)": of.variance(values, labels, index),
        "std_labels(x, l, %d)": of.standard_deviation(values, labels, index),
        "min_labels(x, l, %d)": of.minimum(values, labels, index),
        "max_labels(x, l, %d)": of.maximum(values, labels, index),
        "center_of_mass(x, l, %d)": of.center_of_mass(values, labels, index),
        "centroids(l, %d)": of.center_of_mass(labels > 0, labels, index),
        "count_labels(l, %d)": of.sum_labels(np.ones_like(values), labels, index),
        "find_objects(l, %d)": boxes,
    }
    texts = [text % count for text in cases]
    found = run_eval(tmp_path, {"x": values, "l": labels}, texts, pick)
    assert_same(zip(texts, found, cases.values()))
