"""Writes casts.txt: what NumPy 2 (and ml_dtypes for bfloat16) makes of awkward values, for every pair of dtypes.

Run on x86-64: python casts.py > casts.txt
A line `from NAME HEX` gives source elements, each line `to NAME HEX` below it the converted ones, little endian.
Each element is converted alone: NumPy's vector loops differ from its scalar ones for uint32 beyond its range.
"""

import warnings

import ml_dtypes
import numpy as np

warnings.simplefilter("ignore")
NAMES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
NAMES += ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
# Ties and near-ties of every float type, edges of every integer type, and what fits nowhere.
REALS = [0.0, -0.0, 0.5, 1.5, -2.9, 127.9, 128.0, -129.0, 255.5, 256.0, 300.7, -1.0, 32768.0, 65519.99, 65520.0]
REALS += [70000.5, -70000.5, 2147483520.0, 2147483648.0, -2147483904.0, 3e9, 4294967296.0, 5e9, -5e9]
REALS += [9.2233715e18, 2.0**63, -(2.0**63), -1e19, 1e19, 2.0**64, 1e30, 1e39, np.inf, -np.inf, np.nan]
REALS += [1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-50, 1 + 3 * 2.0**-11, 2049.0, 1 + 2.0**-8, 1 + 2.0**-8 + 2.0**-40]
REALS += [2.0**-24, 2.0**-25, 2.0**-25 * (1 + 2.0**-50), 1.5 * 2.0**-24, 6e-8, 1e-40, 5e-324, 16777217.0, 0.1]


def dtype(name):
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def sources(name):
    kind = dtype(name).kind
    if kind == "b":
        return np.array([False, True])
    if kind in "iu":
        info = np.iinfo(name)
        values = {info.min, info.min + 1, info.max, info.max - 1}
        around = [0, 1, 2, 100, 127, 128, 255, 256, 2049, 65519, 65520, 2**24 + 1, 2**24 + 3, 2**31, 2**32 - 1]
        around += [2**53 + 1, 2**54 + 3, 2**40 + 2**15, 16809985]
        values.update(v for a in around for v in (a, -a) if info.min <= v <= info.max)
        return np.array(sorted(values), name)
    if kind == "c":
        parts = [(a, REALS[i * 7 % len(REALS)]) for i, a in enumerate(REALS)] + [(0.0, 2.5), (0.0, np.nan)]
        return np.array([complex(a, b) for a, b in parts]).astype(name)
    return np.array(REALS).astype(dtype(name))


for source in NAMES:
    values = sources(source)
    print("from", source, values.tobytes().hex())
    for target in NAMES:
        results = [values[i : i + 1].astype(dtype(target)) for i in range(len(values))]
        print("to", target, b"".join(r.tobytes() for r in results).hex())
