"""Evaluates small programs with NumPy for the tests of the kernels.

Reads lines from standard input and answers every `end` with one line: the dtype and the bytes of the last value in
hexadecimal, or `refused` where NumPy raises (`value` if only the values are the reason). Lines: `input DTYPE HEX`, `cast %I DTYPE`, `call NAME ARG...` with arguments
`%I` (a value), `i:N`, `f:X`, `c:X` (plain numbers). bfloat16 comes from ml_dtypes; without it those cases say `unknown`.
"""

import sys

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


def main():
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
                        values.append(np.frombuffer(bytes.fromhex(rest[1]), dtype_of(rest[0])))
                    elif word == "cast":
                        values.append(argument(rest[0], values).astype(dtype_of(rest[1])))
                    else:
                        values.append(getattr(np, rest[0])(*(argument(text, values) for text in rest[1:])))
                except ValueError:
                    failed = "value"
                except (TypeError, OverflowError):
                    failed = "unknown" if bfloat16 is None else "refused"
    print("\n".join(out))


main()
