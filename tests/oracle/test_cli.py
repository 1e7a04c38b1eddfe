"""The contract of the command line: exit codes, messages, JSON, and the traps of a real file system."""

import json
import os
import pathlib
import shutil

import h5py
import numpy as np
import pytest
import zarr
from driver import arrayctl, assert_refusal, read_h5py, read_zarr, succeed

VALUES = np.arange(60, dtype="i4").reshape(6, 10)


@pytest.fixture
def store(tmp_path):
    """A small Zarr array of 6 x 10 in chunks of 3 x 4."""
    path = tmp_path / "in.zarr"
    zarr.create_array(str(path), shape=VALUES.shape, chunks=(3, 4), dtype="i4")[...] = VALUES
    return path


def json_of(run):
    """The one JSON object on standard output, or the last of a stream of one a line."""
    try:
        return json.loads(run.stdout)
    except json.JSONDecodeError:
        return [json.loads(line) for line in run.stdout.splitlines()][-1]


# Exit codes


@pytest.mark.parametrize("args", [(), ("no-such-command",), ("rechunk",), ("info",), ("rechunk", "a", "b")])
def test_wrong_usage_is_2(args):
    run = arrayctl(*args)
    assert run.code == 2 and run.stderr.strip(), str(run)


@pytest.mark.parametrize("chunks", ["3", "3,4,5", "x,4", "0,4", "-2,4", "nodim=3", "99999999999999999999,4"])
def test_wrong_chunks_are_refused(store, tmp_path, chunks):
    run = arrayctl("rechunk", store, tmp_path / "out.zarr", "--chunks", chunks)
    assert_refusal(run, (2, 3))
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("codec", ["nosuch", "zstd:99", "blosc:nosuch", "gzip:x"])
def test_wrong_codec_is_refused(store, tmp_path, codec):
    assert_refusal(
        arrayctl("rechunk", store, tmp_path / "out.zarr", "--chunks", "2,2", "--codec", codec), (2, 3)
    )


def test_absent_input_names_the_path(tmp_path):
    assert_refusal(arrayctl("info", tmp_path / "absent.zarr"), (3, 4), names=["absent.zarr"])


def test_absent_node_names_the_node(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["present"] = VALUES
    assert_refusal(arrayctl("info", f"{tmp_path / 'in.h5'}::missing"), (3, 4), names=["missing"])


def test_damaged_chunk_is_4_and_named(store, tmp_path):
    (store / "c" / "1" / "2").write_bytes(b"damaged")
    run = arrayctl("rechunk", store, tmp_path / "out.zarr", "--chunks", "6,10")
    assert_refusal(run, (4,), names=["in.zarr"])
    assert "1/2" in run.stderr or "1, 2" in run.stderr or "1,2" in run.stderr, (
        f"the chunk is not named\n{run}"
    )
    assert not (tmp_path / "out.zarr").exists()


def test_existing_output_is_3(store, tmp_path):
    out = tmp_path / "out.zarr"
    succeed("rechunk", store, out, "--chunks", "2,2")
    assert_refusal(
        arrayctl("rechunk", store, out, "--chunks", "6,10"), (3,), names=["out.zarr", "--overwrite"]
    )
    assert zarr.open_array(str(out)).chunks == (2, 2)
    succeed("rechunk", store, out, "--chunks", "6,10", "--overwrite")
    assert zarr.open_array(str(out)).chunks == (6, 10)
    np.testing.assert_array_equal(read_zarr(out), VALUES)


def test_verify_is_0_or_5(store, tmp_path):
    out = tmp_path / "out.zarr"
    succeed("rechunk", store, out, "--chunks", "2,2")
    succeed("verify", store, out)
    zarr.open_array(str(out), mode="r+")[4, 7] = -1
    run = arrayctl("verify", store, out)
    assert run.code == 5, str(run)
    assert "4" in run.stdout + run.stderr and "7" in run.stdout + run.stderr, f"the index is not named\n{run}"


# Output for people and for programs


def test_results_on_standard_output_and_nothing_else(store, tmp_path):
    run = succeed("rechunk", store, tmp_path / "out.zarr", "--chunks", "2,2", "-q")
    assert run.stderr == "", str(run)
    assert "zarr" in succeed("info", store).stdout.lower()


def test_json_parses(store, tmp_path, coads):
    info = json_of(succeed("info", store, "--json"))
    assert info["shape"] == [6, 10] and info["chunks"] == [3, 4] and info["dtype"] in ("int32", "i32"), info
    tree = succeed("ls", coads, "--json")
    assert isinstance(json_of(tree), dict) and "SST" in tree.stdout
    assert isinstance(
        json_of(succeed("rechunk", store, tmp_path / "out.zarr", "--chunks", "2,2", "--json")), dict
    )
    plan = succeed("rechunk", store, tmp_path / "plan.zarr", "--chunks", "2,2", "--dry-run", "--json")
    assert isinstance(json_of(plan), dict)
    assert isinstance(json_of(succeed("verify", store, tmp_path / "out.zarr", "--json")), dict)
    assert isinstance(json_of(succeed("doctor", "--json")), dict)


def test_ls_names_every_array(coads):
    text = succeed("ls", coads).stdout
    for name in ("COADSX", "COADSY", "TIME", "SST", "AIRT", "SPEH", "WSPD", "UWND", "VWND", "SLP"):
        assert name in text


def test_info_names_what_matters(coads):
    text = succeed("info", f"{coads}::SST").stdout
    for word in ("12", "90", "180", "SEA SURFACE TEMPERATURE", "Deg C", "TIME", "COADSX"):
        assert word in text, f"info does not say {word!r}\n{text}"


def test_small_commands():
    assert "arrayctl" in succeed("--version").stdout
    for command in ("info", "ls", "convert", "rechunk", "eval", "reduce", "stats", "functions", "verify", "doctor", "demo"):
        assert command in succeed("--help").stdout
        succeed(command, "--help")
    assert "arrayctl" in succeed("completions", "bash").stdout
    assert ".TH" in succeed("man").stdout


# Choosing and naming


def test_rechunk_by_dimension_name(coads, tmp_path):
    succeed("rechunk", coads, tmp_path / "out.zarr", "--chunks", "TIME=3,COADSX=-1")
    group = zarr.open_group(str(tmp_path / "out.zarr"), mode="r")
    for name in ("SST", "AIRT", "SLP"):
        assert group[name].chunks[0] == 3 and group[name].chunks[2] == 180
    assert group["TIME"].shape == (12,) and group["COADSY"].shape == (90,)


def test_include_and_exclude(coads, tmp_path):
    succeed("convert", coads, tmp_path / "some.zarr", "--include", "S*")
    names = set(zarr.open_group(str(tmp_path / "some.zarr"), mode="r").array_keys())
    assert {"SST", "SPEH", "SLP"} <= names and "AIRT" not in names
    succeed("convert", coads, tmp_path / "others.zarr", "--exclude", "*WND")
    names = set(zarr.open_group(str(tmp_path / "others.zarr"), mode="r").array_keys())
    assert "SST" in names and "UWND" not in names and "VWND" not in names


def test_dtype_conversion(store, tmp_path):
    succeed("convert", store, tmp_path / "out.zarr", "--dtype", "float64")
    copy = read_zarr(tmp_path / "out.zarr")
    assert copy.dtype == "f8"
    np.testing.assert_array_equal(copy, VALUES)


def test_npy_and_raw(tmp_path):
    np.save(tmp_path / "in.npy", np.asfortranarray(VALUES))
    succeed("convert", tmp_path / "in.npy", tmp_path / "npy.zarr", "--chunks", "4,4")
    np.testing.assert_array_equal(read_zarr(tmp_path / "npy.zarr"), VALUES)
    VALUES.tofile(tmp_path / "in.raw")
    succeed("convert", tmp_path / "in.raw", tmp_path / "raw.zarr", "--dtype", "int32", "--shape", "6,10")
    np.testing.assert_array_equal(read_zarr(tmp_path / "raw.zarr"), VALUES)
    run = arrayctl(
        "convert", tmp_path / "in.raw", tmp_path / "long.zarr", "--dtype", "int32", "--shape", "6,11"
    )
    assert_refusal(run, (2, 3, 4))


# The file system's traps


def test_output_inside_input_is_refused(store):
    for out in (store, store / "inside.zarr", store / "c" / "inside.zarr"):
        run = arrayctl("rechunk", store, out, "--chunks", "2,2")
        assert_refusal(run, (3,))
    np.testing.assert_array_equal(read_zarr(store), VALUES)


def test_input_replaced_by_itself_is_safe(store):
    run = arrayctl("rechunk", store, store, "--chunks", "2,2", "--overwrite")
    if run.code != 0:
        assert_refusal(run, (3,))
    np.testing.assert_array_equal(read_zarr(store), VALUES)


def test_same_file_under_another_name(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["x"] = VALUES
    os.symlink("in.h5", tmp_path / "alias.h5")
    run = arrayctl("convert", tmp_path / "in.h5", tmp_path / "alias.h5")
    assert_refusal(run, (3,))
    np.testing.assert_array_equal(read_h5py(tmp_path / "in.h5"), VALUES)


def test_failed_run_leaves_the_old_output(store, tmp_path):
    out = tmp_path / "out.zarr"
    succeed("rechunk", store, out, "--chunks", "2,2")
    (store / "c" / "0" / "0").write_bytes(b"damaged")
    assert_refusal(arrayctl("rechunk", store, out, "--chunks", "6,10", "--overwrite"), (4,))
    np.testing.assert_array_equal(read_zarr(out), VALUES)


@pytest.mark.parametrize("name", ["pipe", "pipe.h5", "pipe.npy"])
def test_fifo_is_refused_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for command in (("info", tmp_path / name), ("convert", tmp_path / name, tmp_path / "out.zarr")):
        assert_refusal(arrayctl(*command, timeout_secs=20), (2, 3, 4), names=[name])


def test_symlink_out_of_the_store_is_refused(store, tmp_path):
    chunk = store / "c" / "0" / "0"
    outside = pathlib.Path(shutil.move(chunk, tmp_path / "outside"))
    chunk.symlink_to(outside)
    assert_refusal(arrayctl("rechunk", store, tmp_path / "out.zarr", "--chunks", "6,10"), (3, 4))
    assert not (tmp_path / "out.zarr").exists()


def test_array_behind_a_link_out_of_the_store_is_refused(tmp_path):
    group = zarr.open_group(str(tmp_path / "in.zarr"), mode="w")
    for name in "ab":
        group.create_array(name, shape=VALUES.shape, chunks=(3, 4), dtype="i4")[...] = VALUES
    outside = pathlib.Path(shutil.move(tmp_path / "in.zarr" / "b", tmp_path / "outside"))
    (tmp_path / "in.zarr" / "b").symlink_to(outside)
    out = tmp_path / "out.zarr"
    run = arrayctl("convert", tmp_path / "in.zarr", out)
    assert_refusal(run, (4,), names=["in.zarr/b", "--follow-symlinks"])
    assert not out.exists()
    succeed("convert", tmp_path / "in.zarr", out, "--follow-symlinks")
    np.testing.assert_array_equal(read_zarr(out, "b"), VALUES)


@pytest.mark.parametrize("is_renamed", [False, True])
def test_resume_notices_a_changed_input(store, tmp_path, is_renamed):
    """A run that stopped at a damaged chunk is not gone on with when the input is another one, by whatever way it was written."""
    out, chunk = tmp_path / "out.zarr", store / "c" / "1" / "2"
    command = ("rechunk", store, out, "--chunks", "3,2", "--threads", "1")
    good = chunk.read_bytes()
    chunk.write_bytes(b"damaged")
    assert_refusal(arrayctl(*command), (4,))
    partial = list(tmp_path.glob("out.zarr.partial-*"))
    assert len(partial) == 1
    if is_renamed:
        (tmp_path / "new").write_bytes(good)
        (tmp_path / "new").rename(chunk)
    else:
        chunk.write_bytes(good)
    assert_refusal(arrayctl(*command, "--resume"), (3,), names=["an input changed", partial[0].name])
    assert not out.exists()
    shutil.rmtree(partial[0])
    succeed(*command, "--resume")
    np.testing.assert_array_equal(read_zarr(out), VALUES)


def test_output_folder_that_does_not_exist(store, tmp_path):
    run = arrayctl("rechunk", store, tmp_path / "no" / "such" / "out.zarr", "--chunks", "2,2")
    assert_refusal(run, (1, 3), names=["such"])


def test_demo_runs(tmp_path):
    run = succeed("demo", cwd=tmp_path, timeout_secs=300)
    assert run.stdout.strip(), str(run)


def test_globs_that_match_nothing_are_told(coads, tmp_path):
    for command in ("convert", "rechunk"):
        copy = tmp_path / f"{command}.zarr"
        chunks = ("--chunks", "-1") if command == "rechunk" else ()
        run = arrayctl(command, coads, copy, "--include", "SST,AIRT", *chunks)
        assert_refusal(run, (2,), names=["--include 'SST,AIRT'", "its own --include"])
        run = arrayctl(command, coads, copy, "--include", "SST", "--include", "TSS", *chunks)
        assert_refusal(run, (2,), names=["--include 'TSS'", "arrayctl ls"])
        assert not copy.exists()
        run = succeed(command, coads, copy, "--exclude", "*WND", "--exclude", "nothing", *chunks)
        assert "--exclude 'nothing'" in run.stderr and "*WND" not in run.stderr, run
    assert_refusal(arrayctl("verify", coads, copy, "--include", "TSS"), (2,), names=["--include 'TSS'"])
    run = arrayctl("verify", coads, copy, "--exclude", "UWND,VWND")
    assert run.code == 5 and "its own --exclude" in run.stderr, run
    run = succeed("verify", coads, copy, "--exclude", "UWND", "--exclude", "VWND")
    assert "--exclude" not in run.stderr, run


def test_plans_name_the_destination(coads, tmp_path):
    for command in (
        ("rechunk", coads, tmp_path / "a.zarr", "--chunks", "-1", "--include", "SST"),
        ("convert", coads, tmp_path / "a.h5"),
        ("eval", "x + 1", "-i", f"x={coads}::SST", "-o", tmp_path / "a.nc"),
        ("pyramid", f"{coads}::SST", tmp_path / "p.zarr"),
        ("svd", f"{coads}::SST", "-k", 1, "-o", tmp_path / "svd"),
    ):
        run = succeed(*command, "--dry-run")
        assert str(tmp_path / "") in run.stdout and "blockwise-plan" not in run.stdout + run.stderr, run
    assert not list(tmp_path.iterdir())
