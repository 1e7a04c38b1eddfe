"""Fourier transforms in `eval` beside `numpy.fft`: functions, axes, lengths, norms, dtypes and cuts."""

import random

import numpy as np
import pytest
import zarr
from driver import BASELINE_BYTES, MIB, arrayctl, assert_refusal, succeed

ARRAYS, PER_RUN = 120, 20
DTYPES = ["?", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f4", "f8", "f8", "c8", "c8", "c16", "c16"]
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
TWO = ["fft2", "ifft2", "rfft2", "irfft2"]
SOME = ["fftn", "ifftn", "rfftn", "irfftn"]
SCOPE = {name: getattr(np.fft, name) for name in [*ONE, *TWO, *SOME, "fftshift", "ifftshift"]}


def values(rng, pick):
    shape = tuple(pick.choice([1, 2, 3, 5, 8, 12, 17, 30, 64]) for _ in range(pick.choice([1, 2, 2, 3])))
    dtype = np.dtype(pick.choice(DTYPES))
    if dtype.kind == "c":
        return (rng.normal(0, 3, shape) + 1j * rng.normal(0, 3, shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.normal(1, 3, shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)


def calls(pick, name, x):
    """Calls that both NumPy and `eval` read; those that NumPy refuses are left out later."""
    rank = x.ndim
    reals = x.dtype.kind != "c"

    def allowed(functions):
        return [f for f in functions if reals or not (f.startswith("rfft") or f == "ihfft")]

    def norm():
        return pick.choice(["", ", norm='backward'", ", norm='ortho'", ", norm='forward'"])

    def length():
        return pick.choice([1, 2, 4, 7, 16, 31, 65])

    for function in pick.sample(allowed(ONE), 3):
        n = pick.choice(["", f", n={length()}"])
        yield f"{function}({name}{n}, axis={pick.randrange(-rank, rank)}{norm()})"
    if rank > 1:
        two = pick.sample(range(rank), 2)
        s = pick.choice(["", f", s={[length(), length()]}"])
        yield f"{pick.choice(allowed(TWO))}({name}{s}, axes={two}{norm()})"
        yield f"{pick.choice(allowed(TWO))}({name}{norm()})"
    axes = pick.sample(range(-rank, 0), pick.randint(1, rank))
    s = pick.choice(["", f", s={[pick.choice([length(), -1]) for _ in axes]}"])
    yield f"{pick.choice(allowed(SOME))}({name}{s}, axes={axes}{norm()})"
    yield f"{pick.choice(allowed(SOME))}({name}{norm()})"
    yield f"{pick.choice(['fftshift', 'ifftshift'])}({name}, axes={axes})"
    yield f"fftshift(fft({name}, axis=0))"


def fault(text, found, wanted, dtype):
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return f"{text}: {found.dtype}{found.shape}, NumPy {wanted.dtype}{wanted.shape}"
    if "shift" in text and "fft(" not in text:
        return None if np.array_equal(found, wanted) else f"{text}: moved elsewhere"
    # NumPy rounds the scale of half precision to half precision; eval does not.
    eps = max(np.finfo(wanted.dtype).eps, np.finfo("f2").eps if dtype == np.float16 else 0)
    scale = np.abs(wanted.astype("c16")).max(initial=1e-30)
    with np.errstate(all="ignore"):
        far = np.abs(found.astype("c16") - wanted.astype("c16")).max(initial=0) / scale
    # Half precision overflows as NumPy's does.
    if wanted.dtype == np.float16 and not np.isfinite(wanted).all():
        return None if np.array_equal(np.isfinite(found), np.isfinite(wanted)) else f"{text}: other overflows"
    return f"{text}: {far / eps:.0f} eps" if far > 20 * eps else None


def test_transforms_are_numpys(tmp_path):
    rng, pick = np.random.default_rng(8), random.Random(8)
    wrong, compared = [], 0
    for run in range(ARRAYS // PER_RUN):
        arrays, args, texts = {}, [], []
        for n in range(PER_RUN):
            name = f"v{n}"
            arrays[name] = values(rng, pick)
            store = tmp_path / f"{run}-{name}.zarr"
            chunks = tuple(pick.randint(1, length) for length in arrays[name].shape)
            zarr.create_array(store, data=arrays[name], chunks=chunks)
            args += ["-i", f"{name}={store}"]
            texts += calls(pick, name, arrays[name])
        expected = []
        for text in texts:
            with np.errstate(all="ignore"):
                try:
                    expected.append(np.asarray(eval(text, {"__builtins__": {}}, SCOPE | arrays)))  # noqa: S307
                except (ValueError, TypeError) as refused:
                    expected.append(refused)
        kept = [n for n, wanted in enumerate(expected) if not isinstance(wanted, Exception)]
        out = tmp_path / f"{run}.zarr"
        succeed("eval", "; ".join(f"r{n} = {texts[n]}" for n in kept), *args, "-o", out)
        group = zarr.open_group(out, mode="r")
        for n in kept:
            compared += 1
            dtype = arrays[texts[n].split("(")[-1].split(",")[0].rstrip(")")].dtype
            found = fault(texts[n], group[f"r{n}"][...], expected[n], dtype)
            if found:
                wrong.append(f"{found} (of {dtype})")
    assert not wrong, f"{len(wrong)} of {compared}:\n" + "\n".join(wrong[:40])
    assert compared > 5 * ARRAYS


@pytest.mark.parametrize("n", [1, 2, 9, 10, 1000])
def test_frequencies_are_numpys_to_the_bit(tmp_path, n):
    out = tmp_path / "out.zarr"
    succeed("eval", f"a = fftfreq({n}, d=0.1); b = np.fft.rfftfreq({n}); c = fft.fftfreq({n})", "-o", out)
    group = zarr.open_group(out, mode="r")
    np.testing.assert_array_equal(group["a"][...], np.fft.fftfreq(n, d=0.1))
    np.testing.assert_array_equal(group["b"][...], np.fft.rfftfreq(n))
    np.testing.assert_array_equal(group["c"][...], np.fft.fftfreq(n))


def test_transforms_of_eight_times_the_budget(tmp_path):
    """512 MiB of complex numbers along all axes, in chunks that are whole along none."""
    store, shape, out = tmp_path / "x.zarr", (256, 512, 512), tmp_path / "out.zarr"
    array = zarr.create_array(store, shape=shape, chunks=(64, 128, 128), dtype="f4", compressors=None)
    rng = np.random.default_rng(9)
    values = rng.normal(0, 1, shape).astype("f4")
    array[...] = values
    run = succeed(
        "eval", "fftn(x)", "-i", f"x={store}", "-o", out, "--codec", "none", "--memory", "64MiB", measure=True
    )
    assert run.peak_bytes <= 64 * MIB + BASELINE_BYTES, f"peak {run.peak_bytes / MIB:.0f} MiB"
    wanted = np.fft.fftn(values)
    found = zarr.open_array(out, mode="r")[...]
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_a_line_longer_than_memory_is_refused_with_what_works(tmp_path):
    store, out = tmp_path / "x.zarr", tmp_path / "out.zarr"
    zarr.create_array(store, data=np.zeros(1 << 21), chunks=(1 << 16,))
    refused = arrayctl("eval", "fft(x)", "-i", f"x={store}", "-o", out, "--memory", "16MiB")
    assert_refusal(refused, (3,))
    words = refused.stderr.split()
    sizes = [float(a) for a, b in zip(words, words[1:], strict=False) if b.rstrip(".,;)") == "MiB"]
    assert sizes, refused
    succeed("eval", "fft(x)", "-i", f"x={store}", "-o", out, "--memory", f"{max(sizes) + 0.1:.1f}MiB")
