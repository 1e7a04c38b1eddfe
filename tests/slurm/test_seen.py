"""What is seen of runs of several processes: their plan beforehand, where they stand, their progress, and the steps of all workers afterwards.

With worker processes of this machine: nothing of it depends on what started the workers.

usage: BLOCKWISE_ARRAYCTL=.../arrayctl pytest tests/slurm/test_seen.py
"""

import json
import re
import subprocess

import pytest
from test_cluster import ARRAYCTL, JOBS, PATIENCE_SECS, Driver, data, engine, environment, expect_same, job, run, same  # noqa: F401


def planned(name, data, folder, *more):  # noqa: F811
    """The stages of a job with worker processes, as planned."""
    words = [*job(JOBS[name], data, folder / name), *engine("processes", folder), "--dry-run", *more]
    return json.loads(run(*words, "--json", env=environment()))["plans"]


# Stages that reduce have one batch more than is planned: the one that puts their states together.
@pytest.mark.parametrize("name, more", [("series.zarr", [0]), ("anomaly.zarr", [1, 0]), ("spread.nc", [1])])
def test_a_plan_says_its_batches(name, more, data, tmp_path):  # noqa: F811
    [plan] = planned(name, data, tmp_path)
    assert not (tmp_path / "work").exists() and not (tmp_path / name).exists()
    batches = [stage["batches"] for stage in plan["stages"]]
    assert all(count > 1 for count in batches), batches
    words = [*job(JOBS[name], data, tmp_path / name), *engine("processes", tmp_path)[:2], "--dry-run"]
    text = run(*words, env=environment())
    said = re.compile(r", in \d+ batches")
    assert said.search(text)
    here = run(*job(JOBS[name], data, tmp_path / name), "--dry-run", env=environment())
    assert not said.search(here)

    driver = Driver(name, "processes", environment(), data, tmp_path)
    seen = watch(driver, tmp_path / "work")
    expect_same(data, tmp_path, name, {})
    assert seen == [count + one for count, one in zip(batches, more, strict=True)]


def watch(driver, work):
    """Asks `runs show` over and over while a run goes on: how many batches it said of each stage."""
    stages, last, texts = {}, {}, []
    while driver.process.poll() is None:
        listed = subprocess.run([ARRAYCTL, "runs", "--work-dir", work, "--json"], capture_output=True, text=True)
        for known in json.loads(listed.stdout)["runs"] if listed.returncode == 0 else []:
            shown = subprocess.run(
                [ARRAYCTL, "runs", "show", known["id"], "--work-dir", work, "--json"], capture_output=True, text=True
            )
            if shown.returncode:  # it has just ended
                assert shown.returncode == 2 and "no run" in shown.stderr, shown.stderr
                continue
            state = json.loads(shown.stdout)
            assert state["engine"] == "processes" and state["command"][1] in ("eval", "rechunk", "reduce")
            assert state["driver"] and f"process {driver.process.pid}" in state["driver"], state
            for stage in state["stages"]:
                key = (stage["plan"], stage["stage"])
                assert last.get(key, 0) <= stage["done"] <= stage["batches"] and stage["failures"] == 0
                last[key] = stage["done"]
                stages[key] = stage
            text = subprocess.run([ARRAYCTL, "runs", "show", known["id"], "--work-dir", work], capture_output=True, text=True)
            texts.append(text.stdout)
    driver.end()
    assert stages, "no stage was seen while the run went on"
    assert any("of" in text and "batches done" in text for text in texts), texts
    return [stages[key]["batches"] for key in sorted(stages)]


@pytest.mark.parametrize("name", JOBS)
def test_progress_is_of_all_workers(name, data, tmp_path):  # noqa: F811
    words = [*job(JOBS[name], data, tmp_path / name), *engine("processes", tmp_path), "--progress", "json"]
    words = [ARRAYCTL, *map(str, words), "--memory", "64MiB", "--threads", "1"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECS)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    arrays, bytes_done = {}, 0
    for event in events:
        if event["event"] == "array":
            bytes_done = 0
        if event["event"] == "progress":
            assert bytes_done <= event["bytes_done"] <= event["bytes_total"], event
            bytes_done = event["bytes_done"]
            arrays[event["array"]] = event["bytes_total"] - bytes_done
    assert arrays and set(arrays.values()) == {0}, arrays


def test_a_report_has_a_lane_for_each_thread_of_each_worker(data, tmp_path):  # noqa: F811
    report, trace = tmp_path / "report.html", tmp_path / "trace.json"
    words = [*job(JOBS["anomaly.zarr"], data, tmp_path / "anomaly.zarr"), *engine("processes", tmp_path)]
    run(*words, "--report", report, "--trace", trace, env=environment())
    expect_same(data, tmp_path, "anomaly.zarr", {})
    page, events = report.read_text(), json.loads(trace.read_text())["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["ph"] == "M"}
    assert {"worker 1.1", "worker 2.1", "worker 3.1"} <= set(lanes.values()), lanes
    assert all(name in page for name in lanes.values())
    steps = [event for event in events if event["ph"] == "X"]
    size = 96 * 120 * 160 * 4
    by = lambda lane: [step for step in steps if lanes[step["tid"]] == lane]
    for lane in ("worker 1.1", "worker 2.1", "worker 3.1"):
        own = sorted((step["ts"], step["dur"]) for step in by(lane))
        assert own and own[0][0] >= 0
        # One thread takes one step at a time, give or take the clock's grain.
        assert all(end + length <= start + 2e3 for (end, length), (start, _) in zip(own, own[1:])), own
    # Both stages read the array once, and the tasks of each are about all of it.
    tasks = sum(step["args"]["bytes"] for step in steps if step["name"] == "task")
    reads = sum(step["args"]["bytes"] for step in steps if step["name"] == "read")
    assert tasks == 2 * size and reads >= 2 * size, (tasks / size, reads / size)
    assert not [event for event in events if event["ph"] == "C" and event["args"]["bytes"] > 64 << 20]


def test_a_pyramid(data, tmp_path):  # noqa: F811
    words = ["pyramid", data / "x.zarr", "--chunks", "16,32,32", "--levels", "3"]
    run(*words[:2], tmp_path / "here.zarr", *words[2:])
    run(*words[:2], tmp_path / "there.zarr", *words[2:], *engine("processes", tmp_path), env=environment())
    assert same(tmp_path / "here.zarr", tmp_path / "there.zarr")
    assert not list((tmp_path / "work").glob("*"))
