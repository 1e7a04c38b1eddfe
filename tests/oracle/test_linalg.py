"""Linear algebra in `eval` beside NumPy: products of any dtype, cut any way, by every name it has."""

import random

import numpy as np
import zarr
from driver import succeed

DTYPES = ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPES = {"a": (7, 9), "b": (9, 5), "c": (3, 7, 9), "d": (9,), "e": (3, 1, 9, 4), "s": (6, 6), "z": (0, 9), "n": (9, 0)}
EXPRESSIONS = [
    "a @ b", "c @ b", "a @ d", "d @ b", "d @ d", "c @ e", "a @ n", "z @ b", "n @ z", "s @ s", "b.T @ a.T", "a[:, ::2] @ b[::2]",
    "a[::-1] @ b", "matmul(c, d)", "dot(a, b)", "dot(c, b)", "dot(c, d)", "dot(d, e)", "inner(a, d)", "inner(a, c)", "outer(d, d)",
    "vdot(a, a)", "tensordot(c, a, 2)", "tensordot(a, b, 1)", "tensordot(d, d, 0)", "tensordot(c, e, [[2, 0], [2, 0]])",
    "einsum('ij,jk->ik', a, b)", "einsum('ij,jk', a, b)", "einsum('ii', s)", "einsum('ii->i', s)", "einsum('ij->ji', a)",
    "einsum('...ij,jk->...ik', c, b)", "einsum('kij,ij->k', c, a)", "einsum('ij,jk,kl->il', a, b, b.T)", "einsum('j,j', d, d)",
    "einsum('i,j->ij', d, d)", "einsum('kij->i', c)", "einsum('kij,kij->j', c, c)", "einsum('ij,ij->ij', a, a)",
    "einsum('ij,ij,i->j', a, a, a[:, 0])", "einsum('iaj,iajk->ak', c, e)", "(a + a) @ (b * 2)",
]  # fmt: skip
NORMS = ["a", "a, 'fro'", "d, 1", "d, 2", "d, 3", "d, inf", "d, -inf", "d, 0", "a, 1", "a, -1", "a, inf", "a, -inf", "c, axis=2",
         "c, 1, axis=(1, 2)", "c, inf, axis=(2, 0)", "c, axis=(0, 1), keepdims=True", "a, 1.5, axis=0", "a, 2", "a, -2", "a, 'nuc'"]  # fmt: skip
SOLVES = ["inv(s)", "pinv(a)", "svdvals(a)", "solve(s, b[:6])", "solve(s, d[:6])", "cholesky(s.T @ s + 9 * eye(6))",
          "solve_triangular(s, b[:6])", "solve_triangular(s, d[:6], lower=True)"]  # fmt: skip


def close(found, wanted):
    """Equal, or as near as NumPy's own precision makes sums of so many products."""
    if wanted.dtype.kind not in "fc":
        return (found == wanted).all()
    scale = np.abs(wanted).max(initial=1.0).astype("f8")
    return np.abs(found.astype("c16") - wanted).max(initial=0) <= 60 * np.finfo(wanted.dtype).eps * scale


def test_products_and_norms_are_numpys(tmp_path):
    rng, pick = np.random.default_rng(11), random.Random(11)
    for dtype in DTYPES:
        arrays, args = {}, []
        for name, shape in SHAPES.items():
            numbers = rng.normal(0, 2, shape)
            if np.dtype(dtype).kind == "c":
                numbers = numbers + 1j * rng.normal(0, 2, shape)
            if np.dtype(dtype).kind == "b":
                arrays[name] = numbers > 1.5
            elif np.dtype(dtype).kind in "iu":
                info = np.iinfo(dtype)
                arrays[name] = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
            else:
                arrays[name] = numbers.astype(dtype)
            if name == "s" and dtype in ("f8", "c16"):
                arrays[name] = arrays[name] + 9 * np.eye(6)
            chunks = tuple(pick.randint(1, max(length, 1)) for length in shape)
            store = tmp_path / f"{dtype}-{name}.zarr"
            zarr.create_array(store, data=arrays[name], chunks=chunks)
            args += ["-i", f"{name}={store}"]
        texts = list(EXPRESSIONS)
        if np.dtype(dtype).kind == "f":
            texts += [f"norm({norm})" for norm in NORMS]
        if dtype in ("f8", "c16"):
            # A complex product with the plain transpose is not Hermitian.
            texts += [text for text in SOLVES if dtype == "f8" or "cholesky" not in text]
        out = tmp_path / f"{dtype}.zarr"
        program = "; ".join(f"r{n} = {text}" for n, text in enumerate(texts))
        succeed("eval", program, *args, "-o", out)
        group = zarr.open_group(out, mode="r")
        scope = dict(arrays, matmul=np.matmul, dot=np.dot, inner=np.inner, outer=np.outer, vdot=np.vdot, inf=np.inf,
                     tensordot=np.tensordot, einsum=np.einsum, norm=np.linalg.norm, inv=np.linalg.inv, eye=np.eye,
                     pinv=np.linalg.pinv, svdvals=np.linalg.svdvals, solve=np.linalg.solve, cholesky=np.linalg.cholesky,
                     solve_triangular=lambda a, b, lower=False: np.linalg.solve(np.tril(a) if lower else np.triu(a), b))  # fmt: skip
        wrong = []
        for n, text in enumerate(texts):
            with np.errstate(all="ignore"):
                try:
                    wanted = np.asarray(eval(text, {"__builtins__": {}}, scope))  # noqa: S307
                except TypeError:  # of half precision
                    continue
            found = group[f"r{n}"][...]
            if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
                wrong.append(f"{text}: {found.dtype}{found.shape}, NumPy {wanted.dtype}{wanted.shape}")
            elif not close(found, wanted):
                wrong.append(f"{text}: {found}, NumPy {wanted}")
        assert not wrong, f"{dtype}: {len(wrong)} of {len(texts)}:\n" + "\n".join(wrong)
