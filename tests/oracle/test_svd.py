"""`arrayctl svd` beside NumPy's LAPACK: condition numbers from 1 to 1e14, shapes, chunks and dtypes."""

import json
import os

import numpy as np
import pytest
import zarr
from driver import arrayctl, assert_refusal, succeed

EPSILON = np.finfo("f8").eps


def matrix(rng, rows, columns, condition):
    """A matrix with singular values from 1 down to 1 / condition."""
    least = min(rows, columns)
    left = np.linalg.qr(rng.standard_normal((rows, least)))[0]
    right = np.linalg.qr(rng.standard_normal((columns, least)))[0]
    return (left * condition ** -np.linspace(0, 1, least)) @ right.T


def decomposed(folder, a, chunks, *options):
    store, out = folder / "a.zarr", folder / "svd.zarr"
    zarr.create_array(store, data=a, chunks=chunks, overwrite=True)
    result = json.loads(succeed("svd", store, "-o", out, "--overwrite", "--json", *options).stdout)
    group = zarr.open_group(out, mode="r")
    return *(group[name][...] for name in "USV"), result


@pytest.mark.parametrize("exponent", [0, 2, 5, 8, 11, 14])
def test_exact_decompositions_are_as_exact_as_lapacks(tmp_path, exponent):
    rng = np.random.default_rng(exponent)
    shapes = [(1, 1), (5, 3), (40, 40), (3000, 30), (30, 3000), (20000, 100)]
    for (rows, columns), share in [(shape, share) for shape in shapes for share in (1, 3, 7)]:
        a = matrix(rng, rows, columns, 10.0**exponent)
        chunks = (-(-rows // share), -(-columns // share))
        least = min(rows, columns)
        u, s, v, _ = decomposed(tmp_path, a, chunks, "-k", least, "--exact")
        what = f"{rows} x {columns}, 1e{exponent}, chunks {chunks}"
        lapack = np.linalg.svd(a, compute_uv=False)
        assert np.all(np.abs(s - lapack) <= 1e-12 * lapack + 20 * EPSILON * lapack[0]), what
        norm = np.linalg.norm
        assert norm(u * s @ v - a) <= 10 * EPSILON * norm(a) + 1e-300, what
        for vectors in (u.T, v):
            assert norm(vectors @ vectors.T - np.eye(least)) <= 10 * EPSILON * least**0.5, what
        assert np.all(v.sum(1) >= -1e-12), what


def residuals(rest, singular):
    """What is left of a matrix of these singular values, in rounding errors of its spectral and its Frobenius norm."""
    gram = rest.T @ rest if rest.shape[0] > rest.shape[1] else rest @ rest.T
    spectral = np.linalg.norm(gram, 2) ** 0.5 / singular[0]
    return spectral / EPSILON, np.linalg.norm(rest) / np.linalg.norm(singular) / EPSILON


LARGE = os.environ.get("BLOCKWISE_LARGE") == "1"


@pytest.mark.skipif(not LARGE, reason="takes minutes and 3 GB; BLOCKWISE_LARGE=1 runs it")
def test_a_large_matrix_is_as_exact_as_lapacks(tmp_path):
    rows, columns = 200_000, 300
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((rows, columns)))
    right, _ = np.linalg.qr(rng.standard_normal((columns, columns)))
    cuts = {0: (200_000, 300), 3: (30_000, 300), 7: (50_000, 77), 11: (7000, 300), 14: (20_000, 150)}
    failed = []
    for exponent, chunks in cuts.items():
        a = (left * 10.0 ** (-exponent * np.linspace(0, 1, columns))) @ right.T
        left_s, lapack, right_s = np.linalg.svd(a, full_matrices=False)
        lapacks = residuals(left_s * lapack @ right_s - a, lapack)
        del left_s, right_s
        for transpose in (False, True) if exponent == 7 else (False,):
            b, cut = (a.T, chunks[::-1]) if transpose else (a, chunks)
            u, s, v, _ = decomposed(tmp_path, b, cut, "-k", columns, "--exact", "--memory", "4GiB")
            what = f"1e{exponent}, chunks {cut}"
            assert np.all(np.abs(s - lapack) <= 1e-12 * lapack + 20 * EPSILON * lapack[0]), what
            norm = np.linalg.norm
            left_over = residuals(u * s @ v - b, s)
            apart = [norm(vectors @ vectors.T - np.eye(columns)) / columns**0.5 / EPSILON for vectors in (u.T, v)]
            figures = [f"{found:.2f} (LAPACK's {other:.2f})" for found, other in zip(left_over, lapacks, strict=True)]
            print(f"{what}: residual {' and '.join(figures)} eps, U {apart[0]:.2f}, V {apart[1]:.2f}")
            failed += [what] if left_over[1] > 10 or max(apart) > 10 else []
    assert not failed, failed


def test_truncated_decompositions_are_near_the_least_error(tmp_path):
    rng = np.random.default_rng(3)
    for dtype, rows, columns in [("f4", 900, 300), ("f8", 300, 900), ("c16", 500, 200)]:
        a = matrix(rng, rows, columns, 1e3)
        if dtype == "c16":
            a = a + 1j * matrix(rng, rows, columns, 1e3)
        a = a.astype(dtype)
        u, s, v, result = decomposed(tmp_path, a, (130, 70), "-k", 12, "--power-iter", 2, "--seed", 5)
        assert u.dtype == a.dtype and result["passes"] == 4
        left = np.linalg.norm(u * s @ v - a) / np.linalg.norm(a)
        least = np.linalg.norm(np.linalg.svd(a, compute_uv=False)[12:]) / np.linalg.norm(a)
        assert left <= 1.01 * least and abs(left - result["relative_error"]) < 1e-5


def test_a_tolerance_is_kept_to(tmp_path):
    a = matrix(np.random.default_rng(4), 800, 200, 1e4)
    u, s, v, result = decomposed(tmp_path, a, (100, 200), "-k", 2, "--tol", 0.01, "--power-iter", 1)
    assert np.linalg.norm(u * s @ v - a) <= 0.01 * np.linalg.norm(a)
    lapack = np.linalg.svd(a, compute_uv=False)
    least = next(k for k in range(200) if np.linalg.norm(lapack[k:]) <= 0.01 * np.linalg.norm(a))
    assert least <= len(s) <= least + 1


def test_what_is_no_matrix_of_numbers_is_refused(tmp_path):
    a = np.ones((50, 20))
    a[13, 7] = np.nan
    zarr.create_array(tmp_path / "a.zarr", data=a, chunks=(10, 20))
    run = arrayctl("svd", tmp_path / "a.zarr", "-k", 2, "--exact", "-o", tmp_path / "o.zarr")
    assert_refusal(run, [4], ["row 13, column 7"])
    assert not (tmp_path / "o.zarr").exists()


@pytest.mark.parametrize("options", [(), ("--exact",), ("--center",), ("--tol", "0.1")])
def test_missing_values_name_the_option_and_leave_nothing(tmp_path, options):
    a = np.random.default_rng(0).standard_normal((20, 6))
    a[:, 2] = np.nan
    np.save(tmp_path / "land.npy", a)
    a[:, 2] = 0
    a[3, 4] = np.nan
    np.save(tmp_path / "gap.npy", a)
    for name, given in (("land", ()), ("gap", ()), ("gap", ("--skip-missing",))):
        run = arrayctl("svd", tmp_path / f"{name}.npy", "-k", 2, "-o", tmp_path / "out.zarr", *options, *given)
        assert_refusal(run, {4}, ["--skip-missing", "where(isnan(x), 0, x)"])
        assert "--resume" not in run.stderr, run
        assert sorted(path.name for path in tmp_path.iterdir()) == ["gap.npy", "land.npy"], run
    succeed("svd", tmp_path / "land.npy", "-k", 2, "-o", tmp_path / "out.zarr", "--skip-missing", *options)
