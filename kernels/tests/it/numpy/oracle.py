"""Evaluates small programs with NumPy for the tests of the kernels.

Reads lines from standard input and answers every `end` with one line: the dtype and the bytes of the last value in
hexadecimal, or `refused` where NumPy raises (`value` if only the values are the reason). Lines: `input DTYPE HEX`, `cast %I DTYPE`, `call NAME ARG...` with arguments
`%I` (a value), `i:N`, `f:X`, `c:X` (plain numbers), `reduce NAME %I SHAPE AXES [DDOF]` (the dtype is NumPy's, the values are
those of the input as float64 or complex128), `along NAME %I SHAPE AXIS [PARAMETER...]`. bfloat16 comes from ml_dtypes; without it those cases say `unknown`.
"""

import math
import sys
import warnings

import numpy as np

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None


def dtype_of(name):
    return np.dtype(bfloat16) if name == "bfloat16" else np.dtype(name)


def argument(text, values):
    kind, rest = (text[0], text[1:]) if text[0] == "%" else text.split(":")
    return {"%": lambda: values[int(rest)], "i": lambda: int(rest), "f": lambda: float.fromhex(rest),
            "c": lambda: complex(0.0, float.fromhex(rest))}[kind]()


def reduced(name, x, shape, axes, ddof=None):
    numbers = lambda text: tuple(int(part) for part in text.split(",") if part)
    x = x.reshape(numbers(shape))
    options = {"axis": numbers(axes)} if not name.removeprefix("nan").startswith("arg") else {"axis": numbers(axes)[0]}
    if ddof is not None:
        options["ddof"] = float(ddof)
    result = np.asarray(getattr(np, name)(x, **options))
    if x.dtype.kind in "fc" and result.dtype.kind in "fc":
        wide = x.astype("complex128" if x.dtype.kind == "c" else "float64")
        result = np.asarray(getattr(np, name)(wide, **options)).astype(result.dtype)
    return result


def cumulative(name, x, axis):
    if name in ("minimum", "maximum", "fmin", "fmax"):
        return getattr(np, name).accumulate(x, axis=axis)
    result = getattr(np, name)(x, axis=axis)
    if x.dtype.kind in "fc":
        wide = x.astype("clongdouble" if x.dtype.kind == "c" else "longdouble")
        result = getattr(np, name)(wide, axis=axis).astype(result.dtype)
    return result


def along(name, x, shape, axis, *parameters):
    x, axis = x.reshape([int(part) for part in shape.split(",")]), int(axis)
    if name == "sort":
        return np.sort(x, axis=axis)
    if name == "argsort":
        return np.argsort(x, axis=axis, stable=True)
    if name in ("median", "nanmedian"):
        return getattr(np, name)(x, axis=axis)
    if name in ("quantile", "nanquantile"):
        method, *q = parameters
        single = lambda x, q: np.asarray(getattr(np, name)(x, float(q), axis=axis, method=method))
        if x.dtype.kind != "f":
            return np.stack([single(x, part) for part in q])
        # Quantiles of float64, of the dtype that those of the input have.
        return np.stack([single(x.astype("float64"), part) for part in q]).astype(single(x, q[0]).dtype)
    if name == "fsum":
        return np.apply_along_axis(lambda line: np.asarray(math.fsum(line.astype("float64"))), axis, x).astype(x.dtype)
    if name == "histogram":
        bins, low, high = parameters
        return np.histogram(x, int(bins), (float.fromhex(low), float.fromhex(high)))[0]
    return cumulative(name, x, axis)


def main():
    warnings.simplefilter("ignore")
    values, failed = [], None
    out = []
    with np.errstate(all="ignore"):
        for line in sys.stdin:
            word, *rest = line.split()
            if word == "end":
                if failed is None:
                    last = np.asarray(values[-1])
                    out.append(f"{last.dtype.name} {last.tobytes().hex()}")
                else:
                    out.append(failed)
                values, failed = [], None
            elif failed is None:
                try:
                    if word == "input":
                        values.append(np.frombuffer(bytes.fromhex(rest[1]), dtype_of(rest[0])) if len(rest) > 1 else np.array([], dtype_of(rest[0])))
                    elif word == "cast":
                        values.append(argument(rest[0], values).astype(dtype_of(rest[1])))
                    elif word == "along":
                        values.append(along(rest[0], argument(rest[1], values), *rest[2:]))
                    elif word == "reduce":
                        values.append(reduced(rest[0], argument(rest[1], values), *rest[2:]))
                    else:
                        values.append(getattr(np, rest[0])(*(argument(text, values) for text in rest[1:])))
                except ValueError:
                    failed = "value"
                except (TypeError, OverflowError):
                    failed = "unknown" if bfloat16 is None else "refused"
    print("\n".join(out))


main()
