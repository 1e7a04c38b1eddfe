"""`eval` beside NumPy: thousands of random expressions, dtypes exact, values bit by bit where NumPy's are so.

Each case is a text that both `arrayctl eval` and Python's own `eval` over NumPy read. A process evaluates a hundred at
once, as `r0 = EXPR; r1 = EXPR; …`, in one run.
"""

import ast
import json
import os
import random
import warnings
import zlib

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
import zarr
from driver import arrayctl, assert_refusal, succeed

CASES = 2400  # per run of the suite
PER_PROCESS = 60
DTYPES = ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPES = {"a": (6, 5, 8), "b": (5, 8), "c": (6, 1, 8), "d": (8,)}
STRICT = [
    "sum", "prod", "min", "max", "any", "all", "mean", "var", "std", "count_nonzero", "nansum", "nanmin", "nanmax",
    "nanmean", "nanstd", "nanvar", "ptp", "median", "cumsum", "argsort", "delete", "repeat", "roll", "sort", "diff", "swapaxes", "tile",
]  # fmt: skip
EXACT = {"+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^"}


def values(rng, dtype, shape):
    """Random elements with some of the numbers that break things."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        small = rng.integers(max(info.min, -9), 10, shape)
        return np.where(rng.random(shape) < 0.9, small, rng.integers(info.min, info.max, shape, dtype)).astype(dtype)
    numbers = rng.normal(0, 4, shape).round(2)
    odd = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0], shape)
    numbers = np.where(rng.random(shape) < 0.96, numbers, odd)
    if dtype.kind == "c":
        numbers = numbers + 1j * rng.normal(0, 4, shape).round(2)
    return numbers.astype(dtype)


class Maker:
    """Writes random expressions. Every method gives a text and how many ulp it may be off (0: exact)."""

    def __init__(self, rng, names):
        self.rng, self.names = rng, names

    def leaf(self):
        name = self.rng.choice(self.names)
        return name, 0

    def number(self):
        return self.rng.choice(["1", "2", "3", "0.5", "2.5", "-1", "True", "7", "1.5"])

    def index(self):
        text, ulp = self.leaf()
        rank = len(SHAPES[text[0]])
        items = []
        for _ in range(self.rng.randint(1, rank)):
            start, stop = (self.rng.choice(["", "1", "-4", "2", "-2", "9"]) for _ in range(2))
            step = self.rng.choice(["", "", ":2", ":-1", ":-3", ":3"])
            items.append(self.rng.choice([f"{start}:{stop}{step}", ":", "::-1", "0", "-1", "None"]))
        if self.rng.random() < 0.3:
            items.insert(self.rng.randint(0, len(items)), "...")
        if self.rng.random() < 0.3:
            items = self.listed(rank)
        return f"{text}[{', '.join(items)}]", ulp

    def listed(self, rank):
        """Lists of positions of one length beside slices, of one axis or several."""
        count = self.rng.choice([1, 2, 3, 9])
        position = lambda: str(self.rng.randint(-5, 4))
        items = [":", "::-1", "1:"][: rank - 1]
        for _ in range(self.rng.randint(1, rank)):
            length = self.rng.choice([1, count, count])
            items.insert(self.rng.randint(0, len(items)), f"[{', '.join(position() for _ in range(length))}]")
            items = items if len(items) <= rank else [item for item in items if item[0] == "["]
        return items[:rank]

    def make(self, depth):
        pick = self.rng.random()
        if depth == 0:
            return self.leaf() if pick < 0.7 else self.index()
        x, ulp = self.make(depth - 1)
        if pick < 0.4:
            y, more = self.make(depth - 1) if self.rng.random() < 0.6 else (self.number(), 0)
            op = self.rng.choice(["+", "-", "*", "/", "//", "%", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^", "**"])
            if self.rng.random() < 0.2:
                x, y = y, x
            loose = 0 if op in EXACT else 4
            return f"({x} {op} {y})", max(ulp, more, loose)
        if pick < 0.55:
            f, more = self.rng.choice(
                [("negative", 0), ("abs", 2), ("square", 2), ("sqrt", 2), ("floor", 0), ("isnan", 0), ("sign", 2),
                 ("exp", 4), ("sin", 4), ("arctan", 4), ("tanh", 4), ("log1p", 4), ("cbrt", 4), ("invert", 0),
                 ("logical_not", 0), ("conj", 0), ("real", 0), ("rint", 0), ("signbit", 0), ("isfinite", 0),
                 ("isreal", 0), ("iscomplex", 0)]
            )  # fmt: skip
            return f"{f}({x})", ulp + more
        if pick < 0.65:
            f, more = self.rng.choice(
                [("maximum", 0), ("minimum", 0), ("fmax", 0), ("hypot", 4), ("arctan2", 4), ("logical_and", 0),
                 ("copysign", 0), ("fmod", 0), ("not_equal", 0), ("float_power", 4)]
            )  # fmt: skip
            y, most = self.make(depth - 1)
            return f"{f}({x}, {y})", max(ulp, most) + more
        if pick < 0.85:
            f = self.rng.choice(
                ["sum", "prod", "min", "max", "any", "all", "mean", "var", "std", "count_nonzero", "nansum", "nanmin",
                 "nanmax", "nanmean", "nanstd", "nanvar", "ptp", "median"]
            )  # fmt: skip
            exact = f in ("min", "max", "any", "all", "count_nonzero", "nanmin", "nanmax")
            axis = self.rng.choice(["", ", axis=0", ", axis=-1", ", axis=0, keepdims=True"])
            return f"{f}({x}{axis})", ulp if exact else ulp + 64
        shaped = self.rng.choice(
            ["transpose({})", "flip({})", "{}.T", "expand_dims({}, 0)", "astype({}, 'f8')", "cumsum({}, 0)",
             "concatenate([{0}, {0}])", "roll({}, 2, 0)", "where({0} > 1, {0}, 0)", "clip({}, 1, 3)", "round({}, 1)",
             "diff({}, axis=0)", "stack([{0}, {0}], axis=1)", "pad({}, 1)", "sort({}, axis=-1)", "argsort({}, axis=-1)",
             "ravel({})", "swapaxes({}, 0, -1)", "block([{0}, {0}])", "block([[{0}], [{0}]])", "{}[[2, 0, -1, 2]]",
             "delete({}, [1, 3], 0)", "broadcast_to({}, (2, 6, 5, 8))", "tile({}, 2)", "repeat({}, 2, 0)"]
        )  # fmt: skip
        loose = 64 if shaped.startswith("cumsum") else 2 if shaped.startswith("round") else 0
        return shaped.format(x), ulp + loose


def strict(name):
    """NumPy's function, refusing what it lets pass beyond its own rules: axes of arrays that have none, means of
    nothing."""
    function = getattr(np, name)

    def call(x, *args, **options):
        if np.ndim(x) == 0 and (args or options.get("axis") is not None):
            raise ValueError("no such axis")
        if np.size(x) == 0 and name in ("mean", "nanmean", "var", "std", "nanstd", "nanvar"):
            raise ValueError("nothing there")  # NaN, of whatever sign
        return function(x, *args, **options)

    return call


def numpys(text, arrays):
    """What NumPy makes of the text, a string or a tree; `None` where it refuses."""
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    code = compile(ast.Expression(text) if isinstance(text, ast.AST) else text, "case", "eval")
    names |= {name: strict(name) for name in STRICT}
    argsort = names["argsort"]
    names |= arrays | {
        "pad": lambda x, width: np.pad(x, width),
        "astype": lambda x, dtype: np.asarray(x).astype(dtype),
        "argsort": lambda x, axis: argsort(x, axis=axis, kind="stable"),
    }
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.asarray(eval(code, {"__builtins__": {"abs": np.abs, "__import__": __import__}}, names))
        except (TypeError, ValueError, IndexError, OverflowError, np.exceptions.AxisError, ZeroDivisionError):
            return None


def parsed(result):
    """The array that a JSON result says."""
    dtype = np.dtype(result["dtype"])

    def element(x):
        if isinstance(x, list):
            return [element(y) for y in x]
        return complex(x) if dtype.kind == "c" else float(x) if isinstance(x, str) else x

    return np.array(element(result["values"]), dtype=dtype).reshape(result["shape"])


def close(found, wanted, ulp, scale, eps):
    """Equal, or as far apart as `ulp` units in the last place, of `eps`, of the largest number that took part."""
    if found.dtype.kind == "c":
        ulp = max(ulp, 2)  # products and quotients of complex numbers may be rounded once or twice
    if found.dtype.kind in "biu" or ulp == 0:
        return np.array_equal(found, wanted, equal_nan=found.dtype.kind in "fc")
    with np.errstate(all="ignore"):
        near = np.abs(found - wanted) <= ulp * eps * scale
        odd = ~np.isfinite(wanted) if found.dtype.kind == "c" else np.isnan(found) & np.isnan(wanted)
        return bool(np.all(near | (found == wanted) | odd))


def inputs(rng, folder, dtype_of):
    """The arrays, each in a file with chunks of its own; `-i` for each."""
    arrays, arguments = {}, []
    for name, shape in SHAPES.items():
        arrays[name] = values(rng, dtype_of[name], shape)
        if rng.random() < 0.3:
            path = folder / f"{name}.npy"
            np.save(path, arrays[name])
        else:
            path = folder / f"{name}.zarr"
            chunks = tuple(int(rng.integers(1, length + 1)) for length in shape)
            zarr.create_array(str(path), data=arrays[name], chunks=chunks, compressors=None)
        arguments += ["-i", f"{name}={path}"]
    return arrays, arguments


INEXACT = "sum mean var std prod exp sin tanh log1p sqrt cbrt hypot arctan arctan2 median nansum nanmean nanstd nanvar cumsum float_power".split()
STEPS = "floor rint round sign signbit fmod isnan isfinite logical_not logical_and not_equal argsort any all".split()
STEPS += ["count_nonzero", "where", "invert", "copysign", "iscomplex", "isreal"]


# Refused by name, or ordered by NumPy in ways of its own, or of infinities without one right answer.
NOT_OF_COMPLEX = ["median", "sign", "max", "min", "sort", "Pow"]


def name_of(node):
    """The function or operator at the root of a tree."""
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "")
    return type(node.op).__name__ if isinstance(node, ast.BinOp) else type(node).__name__


def is_inexact(node):
    return name_of(node) in [*INEXACT, "Pow", "FloorDiv", "Mod"]


def is_shaky(tree):
    """Whether a step (a comparison, a floor) is taken of what was rounded: then the last digit decides."""
    steps = [*STEPS, "FloorDiv", "Mod", "Compare", "BitAnd", "BitOr", "BitXor"]
    taken = (node for node in ast.walk(tree) if name_of(node) in steps)
    return any(is_inexact(below) for node in taken for below in ast.walk(node) if below is not node)


def judged(text, wanted, arrays):
    """The largest number that took part and the coarsest precision; `None` where results are not comparable: steps
    taken of rounded numbers, more than one rounding beyond NumPy's own, means of half-width floats."""
    tree = ast.parse(text, mode="eval").body
    inexact = sum(is_inexact(node) for node in ast.walk(tree))
    if wanted.size > 5000 or wanted.dtype.kind not in "biufc" or inexact > 2 or is_shaky(tree):
        return None
    scale, eps = 0.0, 0.0
    for node in ast.walk(tree):
        if isinstance(node, (ast.Call, ast.BinOp, ast.Compare, ast.Subscript, ast.Name)):
            part = arrays.get(node.id) if isinstance(node, ast.Name) else numpys(node, arrays)
            if part is None:
                continue
            finite = np.abs(part[np.isfinite(part)].astype("c16"))
            scale = max(scale, finite.max(initial=0))
            if part.dtype.kind in "fc":
                eps = max(eps, np.finfo(part.dtype).eps)
            if part.dtype.kind == "c" and any(name_of(one) in NOT_OF_COMPLEX for one in ast.walk(tree)):
                return None
    return (scale, eps) if eps < 1e-4 or inexact == 0 else None


@pytest.mark.parametrize("round_", range(CASES // PER_PROCESS))
def test_random_expressions(tmp_path, round_):
    seed = zlib.crc32(b"eval") + round_
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    dtype_of = {name: chance.choice(DTYPES) for name in SHAPES}
    arrays, arguments = inputs(rng, tmp_path, dtype_of)
    maker = Maker(chance, list(SHAPES))
    cases = []
    while len(cases) < PER_PROCESS:
        text, ulp = maker.make(chance.choice([1, 1, 2, 2, 3]))
        wanted = numpys(text, arrays)
        how = None if wanted is None else judged(text, wanted, arrays)
        if how:
            cases.append((text, ulp, wanted, *how))
    # Every input is used, whatever chance chose.
    script = "; ".join([f"r{n} = {text}" for n, (text, *_) in enumerate(cases)] + ["u = a[0, 0, 0] + b[0, 0] + c[0, 0, 0] + d[0]"])
    options = ["--threads", 1 + round_ % 3, "--memory", chance.choice(["1MiB", "64MiB", "1GiB"])]
    run = succeed("eval", script, *arguments, *options, "--json")
    results = json.loads(run.stdout)["results"]
    wrong = []
    for (text, ulp, wanted, scale, eps), result in zip(cases, results, strict=False):
        found = parsed(result)
        kinds = {name: str(x.dtype) for name, x in arrays.items()}
        if found.dtype != wanted.dtype or found.shape != wanted.shape:
            wrong.append(f"{text}: {found.dtype}{found.shape}, NumPy {wanted.dtype}{wanted.shape} {kinds}")
        elif not close(found, wanted, ulp, scale, eps):
            differ = ~((found == wanted) | ((found != found) & (wanted != wanted)))
            wrong.append(f"{text} ({ulp} ulp): {found[differ][:3]}, NumPy {wanted[differ][:3]} {kinds}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])


def test_single_elements_of_what_is_joined(tmp_path):
    arrays = {"v": np.arange(12.0), "x": np.arange(12.0).reshape(3, 4)}
    at = []
    for name, array in arrays.items():
        zarr.create_array(str(tmp_path / name), data=array, chunks=(2,) * array.ndim)
        at += ["-i", f"{name}={tmp_path / name}"]
    texts = [
        "concatenate([v[:3], v[5:]])", "concatenate([v, v])", "stack([v, v])", "delete(v, [4], 0)", "delete(x, [1], 1)", "take(v, [3, 2, 9], 0)",
        "roll(v, 3, 0)", "pad(v, 3)", "pad(v[3:9], 2, mode='wrap')", "pad(v, 2, mode='reflect')", "pad(v, 2, mode='edge')", "insert(v, 2, v[5:7], 0)",
        "gradient(v**2)", "diff(v)", "tile(x, 2)", "repeat(x, 2, 0)", "block([[x, x]])", "fftshift(v)", "x[[2, 0]]", "v[[3, 2, 9]]",
    ]  # fmt: skip
    numpy = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")} | arrays
    numpy["fftshift"] = np.fft.fftshift
    script, wanted = [], []
    for text in texts:
        whole = np.asarray(eval(text, numpy))
        for place in np.ndindex(whole.shape):
            script.append(f"r{len(script)} = ({text})[{', '.join(map(str, place))}]")
            wanted.append(whole[place])
    found = json.loads(succeed("eval", "; ".join(["u = v[0] + x[0, 0]", *script]), *at, "--json").stdout)["results"][1:]
    wrong = [(text, result["values"], right) for text, result, right in zip(script, found, wanted, strict=True) if result["values"] != right]
    assert not wrong, wrong


def test_what_numpy_refuses_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12).reshape(3, 4))
    np.save(tmp_path / "t.npy", np.array([True, False]))
    at = ["-i", f"x={tmp_path / 'x.npy'}"]
    for text in ("x ** -1", "x + x[:2]", "x[5]", "mean(x, axis=2)", "x[:, :, 0]", "x @ x", "x & 1.5", "min(x[:0])", "x[x > 0]", "x[[0], 1]", "block([x, [x]])", "x[[True, False]]", "cumsum(x, None)", "concatenate([x, x], axis=None)", "sort(x, axis=None)"):
        assert_refusal(arrayctl("eval", text, *at), (2,), names=["column"])
    for text in ('array([1, 300], dtype="int8")', 'full(2, -1, dtype="uint8")', "full_like(x.astype(\"uint8\"), 300)", 'array([1, 2j], dtype="float64")'):
        assert_refusal(arrayctl("eval", f"{text}; y = x", *at), (2,), names=["does not fit"])
    assert_refusal(arrayctl("eval", "-t", "-i", f"t={tmp_path / 't.npy'}"), (2,), names=["column"])
    assert_refusal(arrayctl("eval", "x + y", *at), (2,), names=["'y'"])
    assert_refusal(arrayctl("eval", "x", *at, "-i", f"z={tmp_path / 'x.npy'}"), (2,), names=["z"])


def test_lists_of_truth_values_pick_and_values_keep_the_dtype_that_is_asked_for(tmp_path):
    x = np.arange(12).reshape(3, 4)
    np.save(tmp_path / "x.npy", x)
    texts = (
        "x[[True, False, True]]", "x[:, [False, False, False, True]]", "x[[False, False, False]]", "x[[True, False, True], [0, 3]]",
        'full_like(x, 2.5, dtype="float64")', 'full_like(x.astype("uint8"), -1, dtype="int64")', "full_like(x, 7.9)",
        "array([18446744073709551615, 1])", "array([18446744073709551615])", 'array([18446744073709551615, 1], dtype="uint64")', 'array([255, 0], dtype="uint8")', 'array([1.7, -2], dtype="int8")',
    )  # fmt: skip
    script = "; ".join(f"r{n} = {text}" for n, text in enumerate(texts))
    results = json.loads(succeed("eval", script, "-i", f"x={tmp_path / 'x.npy'}", "--json").stdout)["results"]
    for text, result in zip(texts, results, strict=True):
        wanted = eval(text.replace("full_like", "np.full_like").replace("array(", "np.array("), {"np": np, "x": x})
        found = parsed(result)
        assert found.dtype == wanted.dtype, text
        np.testing.assert_array_equal(found, wanted, err_msg=text)


def test_dtypes_and_shapes_beside_what_they_are_made_of_are_numpys(tmp_path):
    rng = np.random.default_rng(8)
    x = rng.normal(0, 9, (4, 6)).astype("f4")
    x[1, 2] = x[3] = np.nan
    y = np.arange(24, dtype="f4").reshape(4, 6) ** 1.5
    long = rng.integers(-(2**62), 2**62, (4, 6))
    unsigned = rng.integers(0, 2**64, (4, 6), dtype="u8")
    arrays = {"x": x, "y": y, "i": long, "u": unsigned, "h": y.astype("f2")}
    given = []
    for name, array in arrays.items():
        zarr.create_array(str(tmp_path / f"{name}.zarr"), data=array, chunks=(3, 4))
        given += ["-i", f"{name}={tmp_path / name}.zarr"]
    texts = {
        'nansum(x, dtype="int64")': 'np.nansum(x, dtype="int64")',
        'nansum(x, axis=1, dtype="int16")': 'np.nansum(x, axis=1, dtype="int16")',
        'nanprod(x * 0.1, 0, "int32")': 'np.nanprod(x * 0.1, 0, "int32")',
        'nansum(x, axis=0, dtype="float64")': 'np.nansum(x, axis=0, dtype="float64")',
        'nansum(i, dtype="int32")': 'np.nansum(i, dtype="int32")',
        "take(y, 0, 0)": "np.take(y, 0, 0)", "take(y, -1, 1)": "np.take(y, -1, 1)", "take(y, [0], 0)": "np.take(y, [0], 0)",
        "cov(y[0])": "np.cov(y[0])", "cov(y[:1])": "np.cov(y[:1])", "cov(y[0], ddof=0)": "np.cov(y[0], ddof=0)",
        "cov(y)": "np.cov(y)", "corrcoef(y[2])": "np.corrcoef(y[2])", "corrcoef(y[:1])": "np.corrcoef(y[:1])",
        "quantile(y, [0.1, 0.77])": "np.quantile(y, [0.1, 0.77])", "quantile(y, 0.1)": "np.quantile(y, 0.1)",
        "quantile(y, [0.1, 0.77], 1)": "np.quantile(y, [0.1, 0.77], 1)", "quantile(h, [0.25], (0, 1))": "np.quantile(h, [0.25], (0, 1))",
        "nanquantile(x[:3], [0.3], 0)": "np.nanquantile(x[:3], [0.3], 0)", "percentile(y, [10, 20], 0)": "np.percentile(y, [10, 20], 0)",
        'quantile(y, [0.1], 0, method="lower")': 'np.quantile(y, [0.1], 0, method="lower")',
        'quantile(i, [0.1], 0, method="nearest")': 'np.quantile(i, [0.1], 0, method="nearest")',
        "insert(y, 1, 9, 0)": "np.insert(y, 1, 9, 0)", "insert(y, 2, [1, 2, 3, 4], 1)": "np.insert(y, 2, [1, 2, 3, 4], 1)",
        "insert(y, -1, y[0], 0)": "np.insert(y, -1, y[0], 0)", "insert(y, 4, y[:2], 0)": "np.insert(y, 4, y[:2], 0)",
        "insert(y, 0, [[7], [8]], 1)": "np.insert(y, 0, [[7], [8]], 1)", "insert(y, 0, [[7], [8]], 0)": "np.insert(y, 0, [[7], [8]], 0)",
    }  # fmt: skip
    for name, of, wide in (("i", long, "i8"), ("u", unsigned, "u8"), ("i32", (long >> 31).astype("i4"), "i8")):
        if name == "i32":
            zarr.create_array(str(tmp_path / "i32.zarr"), data=of, chunks=(3, 4))
            given += ["-i", f"i32={tmp_path / 'i32.zarr'}"]
        arrays[f"{name}_boxes"] = of.reshape(2, 2, 3, 2)
        for op in ("sum", "min", "max"):
            dtype = wide if op == "sum" else of.dtype.str
            texts[f'coarsen({name}, (2, 2), func="{op}")'] = f'{name}_boxes.{op}(axis=(1, 3)).astype("{dtype}")'
    script = "; ".join(f"r{n} = {text}" for n, text in enumerate(texts))
    results = json.loads(succeed("eval", script, *given, "--json").stdout)["results"]
    for (text, numpys_text), result in zip(texts.items(), results, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = np.asarray(eval(numpys_text, {"np": np, **arrays}))
        found = parsed(result)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), text
        if wanted.dtype.kind in "iu":
            np.testing.assert_array_equal(found, wanted, err_msg=text)
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-5, err_msg=text)
    refused = arrayctl("eval", 'nanmean(x, dtype="int64")', *given[:2])
    assert_refusal(refused, (2,), names=["nanmean", "int64"])


def test_xarray_opens_results_with_coordinates(coads, tmp_path):
    script = "m = nanmean(t, 'TIME'); z = nanmean(t, 'COADSX')[:, ::-2]; n = count_nonzero(t > 20, axis='TIME')"
    outputs = ["-o", f"m={tmp_path / 'm.nc'}", "-o", f"z={tmp_path / 'z.zarr'}", "-o", f"n={tmp_path / 'm.nc'}"]
    succeed("eval", script, "-i", f"t={coads}::SST", *outputs)
    with xarray.open_dataset(coads, decode_times=False) as source:
        sst = source["SST"]
        with xarray.open_dataset(tmp_path / "m.nc") as result:
            np.testing.assert_allclose(result["m"], sst.mean("TIME"), rtol=1e-5)
            np.testing.assert_array_equal(result["n"], (sst > 20).sum("TIME"))
            np.testing.assert_array_equal(result["COADSY"], source["COADSY"])
            np.testing.assert_array_equal(result["COADSX"], source["COADSX"])
            assert result["m"].attrs["units"] == "Deg C" and "units" not in result["n"].attrs
            assert result["COADSY"].attrs["units"] == source["COADSY"].attrs["units"]
        result = xarray.open_zarr(tmp_path / "z.zarr", decode_times=False)
        np.testing.assert_allclose(result["z"], sst.mean("COADSX")[:, ::-2], rtol=1e-5)
        np.testing.assert_array_equal(result["COADSY"], source["COADSY"][::-2])
        np.testing.assert_array_equal(result["TIME"], source["TIME"])


def test_packed_data_are_unpacked_unless_raw(tmp_path):
    with netCDF4.Dataset(tmp_path / "p.nc", "w") as file:
        file.createDimension("x", 5)
        packed = file.createVariable("p", "i2", ("x",), fill_value=-99)
        packed.scale_factor, packed.add_offset = np.float32(0.5), np.float32(10)
        packed.set_auto_maskandscale(False)
        packed[:] = [0, 2, -99, 4, 6]
    path = f"{tmp_path / 'p.nc'}::p"
    of = lambda *args: json.loads(succeed(*args, "--json").stdout)["results"][0]  # noqa: E731
    assert of("reduce", "nanmean", path)["values"] == 11.5
    assert of("reduce", "count", path)["values"] == 4
    assert of("reduce", "sum", path)["values"] == "NaN"
    assert of("reduce", "sum", path, "--raw") == of("eval", "sum(x)", "-i", f"x={path}", "--raw")
    assert of("reduce", "sum", path, "--raw")["values"] == -87
    found = json.loads(succeed("stats", path, "--json").stdout)["arrays"][0]
    assert (found["count"], found["missing"], found["min"], found["max"]) == (4, 1, 10.0, 13.0)
    succeed("eval", "x * 2", "-i", f"x={path}", "-o", tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        result = file["p"][:]
        assert result.mask.tolist() == [False, False, True, False, False] or np.isnan(result[2])


def test_stats_are_numpys(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(3, 2, (40, 30)).astype("f4")
    x[rng.random(x.shape) < 0.1] = np.nan
    zarr.create_array(str(tmp_path / "x.zarr"), data=x, chunks=(7, 11))
    found = json.loads(succeed("stats", tmp_path / "x.zarr", "--json").stdout)["arrays"][0]
    wide = x.astype("f8")
    assert found["count"] == np.isfinite(x).sum() and found["missing"] == np.isnan(x).sum()
    assert (found["min"], found["max"]) == (np.nanmin(wide), np.nanmax(wide))
    np.testing.assert_allclose([found["mean"], found["std"]], [np.nanmean(wide), np.nanstd(wide)], rtol=1e-12)
    edges = np.array(found["histogram"]["edges"])
    np.testing.assert_array_equal(found["histogram"]["counts"], np.histogram(x[~np.isnan(x)], edges)[0])
    plan = json.loads(succeed("stats", tmp_path / "x.zarr", "--dry-run", "--json").stdout)["plans"][0]
    assert [source["passes"] for source in plan["sources"]] == [1], plan


def test_outputs_are_published_whole(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(60.0).reshape(6, 10))
    at = ["-i", f"x={tmp_path / 'x.npy'}"]
    succeed("eval", "x * 2", *at, "-o", tmp_path / "o.zarr", "--chunks", "4,3", "--codec", "zstd:1")
    stored = zarr.open_array(str(tmp_path / "o.zarr"))
    assert stored.chunks == (4, 3)
    np.testing.assert_array_equal(stored[...], np.arange(60.0).reshape(6, 10) * 2)
    assert_refusal(arrayctl("eval", "x", *at, "-o", tmp_path / "o.zarr"), (3,), names=["--overwrite"])
    succeed("eval", "x", *at, "-o", tmp_path / "o.zarr", "--overwrite")
    inside = ["-i", f"x={tmp_path / 'o.zarr'}", "-o", tmp_path / "o.zarr" / "y.zarr"]
    assert_refusal(arrayctl("eval", "x", *inside), (3,), names=["lies inside"])
    assert_refusal(arrayctl("eval", "a = x; b = x", *at, "-o", tmp_path / "o.npy"), (2,))
    assert_refusal(arrayctl("eval", "a = x", *at, "-o", f"c={tmp_path / 'c.npy'}"), (2,), names=["'c'"])
    succeed("eval", "a = x[0]; b = x.T", *at, "-o", f"a={tmp_path / 'a.npy'}", "-o", f"b={tmp_path / 'b.h5'}")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(10.0))
    with h5py.File(tmp_path / "b.h5") as file:
        np.testing.assert_array_equal(file["b"][...], np.arange(60.0).reshape(6, 10).T)
    assert_refusal(arrayctl("eval", "zeros((200, 200))"), (3,), names=["-o"])
    left = {name for name in os.listdir(tmp_path) if "partial" in name}
    assert not left, left
