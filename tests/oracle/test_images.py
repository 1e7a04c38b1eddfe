"""Labels, holes, distances and thresholds in `eval` beside SciPy's: random volumes, structures, options and cuts. Thresholds are
scikit-image's, whose formulas stand here in NumPy and SciPy."""

import random

import numpy as np
import scipy.ndimage
import zarr
from driver import arrayctl, assert_refusal, succeed
from test_filters import run_eval

VOLUMES = 48


def volume(rng, pick):
    """From single elements to what hangs together throughout, cut through by what is zero."""
    rank = pick.choice([1, 2, 3, 3])
    shape = tuple(pick.randint(1, {1: 60, 2: 24, 3: 14}[rank]) for _ in range(rank))
    values = rng.random(shape)
    if pick.random() < 0.6:
        values = scipy.ndimage.uniform_filter(values, 3)
    mask = values > np.quantile(values, pick.uniform(0.1, 0.9))
    return pick.choice([mask, mask * pick.choice([1, -3, 200]), np.where(mask, values, 0).astype("f4")])


def structure(rng, rank):
    """Random, symmetric about its middle, as `eval` reads it."""
    random_half = rng.random((3,) * rank) < 0.4
    return (random_half | np.flip(random_half)).astype(int).tolist()


def assert_equal(texts, found, wanted):
    wrong = [
        f"{text}: {one.dtype}{one.shape}, {other.dtype}{other.shape}\n{one}\n{other}"
        for text, one, other in zip(texts, found, wanted, strict=True)
        if one.dtype != other.dtype or one.shape != other.shape or not np.array_equal(one, other)
    ]
    assert not wrong, f"{len(wrong)} of {len(texts)}:\n" + "\n".join(wrong[:5])


def test_labels_and_holes_are_scipys(tmp_path):
    rng, pick = np.random.default_rng(21), random.Random(21)
    arrays = {f"v{n}": volume(rng, pick) for n in range(VOLUMES)}
    texts, wanted = [], []
    for name, x in arrays.items():
        near, table = pick.randint(1, x.ndim), structure(rng, x.ndim)
        texts += [f"label({name})", f"label({name}, connectivity={near})", f"label({name}, {table}, output='int64')"]
        of = [None, scipy.ndimage.generate_binary_structure(x.ndim, near), table]
        wanted += [scipy.ndimage.label(x, of[0])[0], scipy.ndimage.label(x, of[1])[0]]
        wanted.append(scipy.ndimage.label(x, of[2])[0].astype("i8"))
        middle = np.array(table)
        middle[(1,) * x.ndim] = 1
        texts += [f"binary_fill_holes({name})", f"binary_fill_holes({name}, {middle.tolist()})"]
        wanted += [scipy.ndimage.binary_fill_holes(x), scipy.ndimage.binary_fill_holes(x, middle)]
        # Labels of what is computed, and what is computed of them, in one plan.
        texts.append(f"where(label(uniform_filter({name} != 0, 2, output='float64') > 0.5) == 1, 1, 0).sum()")
        first, _ = scipy.ndimage.label(scipy.ndimage.uniform_filter(x != 0, 2, output="f8") > 0.5)
        wanted.append(np.array((first == 1).sum()))
    assert_equal(texts, run_eval(tmp_path, arrays, texts, pick), wanted)


def test_labels_of_many_blocks_are_scipys(tmp_path):
    """Blocks are several chunks at least 64 KiB large: an array that has many of them, and edges and corners between."""
    rng, pick = np.random.default_rng(22), random.Random(22)
    values = scipy.ndimage.gaussian_filter(rng.random((150, 140, 130)), 1.5)
    x = values > np.quantile(values, 0.7)
    store, out = tmp_path / "x.zarr", tmp_path / "out.zarr"
    zarr.create_array(store, data=x, chunks=(37, 30, 41))
    texts = [f"label(x, connectivity={near})" for near in (1, 2, 3)]
    texts += ["binary_fill_holes(x)", "binary_fill_holes(x, ones([3, 3, 3]))", "distance_transform_edt(x)"]
    succeed("eval", "; ".join(f"r{n} = {text}" for n, text in enumerate(texts)), "-i", f"x={store}", "-o", out)
    of = scipy.ndimage
    wanted = [of.label(x, of.generate_binary_structure(3, near))[0] for near in (1, 2, 3)]
    wanted += [of.binary_fill_holes(x), of.binary_fill_holes(x, np.ones((3, 3, 3))), of.distance_transform_edt(x)]
    group = zarr.open_group(out, mode="r")
    assert_equal(texts, [group[f"r{n}"][...] for n in range(len(texts))], wanted)


def test_distances_are_scipys(tmp_path):
    rng, pick = np.random.default_rng(23), random.Random(23)
    arrays = {f"v{n}": volume(rng, pick) for n in range(VOLUMES)}
    arrays = {name: x for name, x in arrays.items() if (x == 0).any()}
    texts, wanted, exact = [], [], []
    for name, x in arrays.items():
        sampling = [round(pick.uniform(0.2, 4), 2) for _ in range(x.ndim)]
        texts += [f"distance_transform_edt({name})", f"distance_transform_edt({name}, sampling={sampling})"]
        wanted += [scipy.ndimage.distance_transform_edt(x), scipy.ndimage.distance_transform_edt(x, sampling)]
    assert len(texts) > VOLUMES
    found = run_eval(tmp_path, arrays, texts, pick)
    assert_equal(texts[::2], found[::2], wanted[::2])
    for text, one, other in zip(texts[1::2], found[1::2], wanted[1::2]):
        np.testing.assert_allclose(one, other, rtol=1e-14, err_msg=text)


def otsu(x, bins=256):
    """scikit-image's `threshold_otsu`, counts as float64."""
    if (x == x.flat[0]).all():
        return x.flat[0]
    if x.dtype.kind in "iu":
        middles = np.arange(int(x.min()), int(x.max()) + 1)
        counts = np.bincount((x.astype("i8") - int(x.min())).ravel(), minlength=middles.size)
    else:
        counts, edges = np.histogram(x, bins)
        middles = (edges[:-1] + edges[1:]) / 2
    counts = counts.astype("f8")
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * middles) / below
    mean_above = (np.cumsum((counts * middles)[::-1]) / above[::-1])[::-1]
    return middles[np.argmax(below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2)]


def local(x, size, method, offset, mode, cval):
    """scikit-image's `threshold_local`."""
    x = x.astype("f4" if x.dtype in ("f2", "f4") else "f8")
    sizes = [size] * x.ndim if np.isscalar(size) else size
    if method == "gaussian":
        made = scipy.ndimage.gaussian_filter(x, [(n - 1) / 6 for n in sizes], mode=mode, cval=cval)
    elif method == "mean":
        made = scipy.ndimage.uniform_filter(x, sizes, mode=mode, cval=cval)
    else:
        made = scipy.ndimage.median_filter(x, sizes, mode=mode, cval=cval)
    return made - offset


def image(rng, pick):
    rank = pick.choice([1, 2, 3])
    shape = tuple(pick.randint(2, {1: 90, 2: 30, 3: 12}[rank]) for _ in range(rank))
    classes = np.where(rng.random(shape) < pick.uniform(0.1, 0.9), 30, 90)
    dtype = pick.choice(["u1", "i2", "u2", "i4", "f4", "f8", "f8"])
    return (classes + rng.normal(0, 12, shape)).clip(0, 255).astype(dtype)


def test_thresholds_are_scikit_images(tmp_path):
    rng, pick = np.random.default_rng(24), random.Random(24)
    arrays = {f"v{n}": image(rng, pick) for n in range(VOLUMES)} | {"flat": np.full((7, 5), 3.5)}
    texts, wanted = [], []
    for name, x in arrays.items():
        bins = pick.choice([256, 7, 64])
        texts += [f"threshold_otsu({name})", f"threshold_otsu({name}, nbins={bins})", f"{name} > threshold_otsu({name})"]
        wanted += [otsu(x), otsu(x, bins), x > otsu(x)]
        size = pick.choice([3, 5, 9, [pick.choice([1, 3, 5]) for _ in x.shape]])
        method, mode = pick.choice(["gaussian", "mean", "median"]), pick.choice(["reflect", "mirror", "nearest", "wrap", "constant"])
        offset, cval = pick.choice([0, 2, -1.5]), pick.choice([0, 7.5])
        texts.append(f"threshold_local({name}, {size}, {method!r}, {offset}, {mode!r}, {cval})")
        wanted.append(local(x, size, method, offset, mode, cval))
    found = run_eval(tmp_path, arrays, texts, pick)
    for text, one, other in zip(texts, found, wanted, strict=True):
        other = np.asarray(other)
        assert one.dtype == other.dtype and one.shape == other.shape, (text, one.dtype, other.dtype)
        near = 0 if "otsu" in text else 1e-5 if other.dtype == "f4" else 1e-12
        np.testing.assert_allclose(one, other, rtol=near, atol=100 * near, err_msg=text)


def test_what_makes_no_sense_is_refused(tmp_path):
    store = tmp_path / "x.zarr"
    zarr.create_array(store, data=np.ones((4, 4), "f4"), chunks=(2, 2))
    for text, word in [
        ("label(x, connectivity=3)", "connectivity"),
        ("label(x, ones([3, 3]), connectivity=1)", "not both"),
        ("label(x, ones([5, 5]))", "shape"),
        ("binary_fill_holes(x, [[1, 1, 0], [1, 1, 1], [0, 0, 1]])", "symmetric"),
        ("distance_transform_edt(x, sampling=-1)", "sampling"),
        ("threshold_local(x, 4)", "odd"),
        ("threshold_otsu(x, nbins=0)", "bins"),
    ]:
        assert_refusal(arrayctl("eval", text, "-i", f"x={store}"), {2}, [word])


def test_pages_are_told_to_be_rechunked(tmp_path):
    """Chunks of single pages meet in every element: the refusal names chunks that do within a smaller budget."""
    x = np.random.default_rng(7).random((64, 256, 256)) > 0.8
    zarr.create_array(str(tmp_path / "pages.zarr"), data=x.astype("u1"), chunks=(1, 256, 256))
    for function, numbered in (("label", lambda x: scipy.ndimage.label(x)[0]), ("binary_fill_holes", scipy.ndimage.binary_fill_holes)):
        given = ("-i", f"x={tmp_path / 'pages.zarr'}", "-o", tmp_path / f"{function}.zarr", "--memory", "16MiB")
        run = arrayctl("eval", f"{function}(x)", *given)
        assert_refusal(run, (3,), names=["arrayctl rechunk --chunks", "--memory"])
        remedy = run.stderr[run.stderr.index("rechunk(x, (") :].split(")")[0] + "))"
        succeed("eval", f"{function}({remedy})", *given)
        np.testing.assert_array_equal(zarr.open_array(str(tmp_path / f"{function}.zarr"))[...], numbered(x))
