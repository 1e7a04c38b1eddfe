#!/usr/bin/env python3
"""Kill a command again and again, and after each kill run a checker.

usage: crashloop.py [options] --check CMD -- COMMAND [ARG...]

  --mode random   kill -9 after a random time in (0, T), T = seconds of one clean run (or --max-secs)
  --mode nth      kill -9 just before the nth file operation below --path, for n = 1..all (needs faultlib)
  --setup CMD     before each round: bring the world back to its starting point
  --check CMD     after each kill: exit 0 = what is on disk is acceptable (old, new, or plainly incomplete)
  --resume CMD    after the check: finish the job; must exit 0
  --final CMD     after the resume (or after a round that ended by itself): exit 0 = result equal to a clean run's
  --again P       with probability P the resume is killed too (random mode), and run again

CMD are shell lines; they see $ROUND. COMMAND is run without a shell, in a process group of its own that is
killed as a whole. --signal TERM or INT instead of KILL also demands that it ends within --stop-secs by itself.
Prints one JSON object; exit 0 only if every round passed. Stops at the first failed round, with the disk as the
check saw it; --keep-going goes on and lists all failures.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def shell(line, k):
    """One of the --xyz commands; returns (exit code, last line of its output)."""
    if not line:
        return 0, ""
    r = subprocess.run(
        line,
        shell=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, ROUND=str(k)),
    )
    return r.returncode, (r.stdout.strip().splitlines() or [""])[-1][:300]


def start(cmd, use_shell=False, env=None):
    return subprocess.Popen(
        cmd,
        shell=use_shell,
        preexec_fn=os.setpgrp,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_words(proc):
    return (proc.stderr.read().strip().splitlines() or [""])[-1][:300]


def signal_group(proc, sig):
    try:
        os.killpg(proc.pid, sig)
    except ProcessLookupError:
        pass


def wait_for_group(proc, secs=5.0):
    """A killed shell is gone at once, the command it ran may still be giving back its memory and its locks."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        try:
            os.killpg(proc.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.005)


def killed_after(proc, secs, sig, stop_secs):
    """Waits secs, then signals. Returns ('ended' | 'killed' | 'late', seconds from signal to end)."""
    try:
        proc.wait(secs)
        return "ended", 0.0
    except subprocess.TimeoutExpired:
        pass
    t = time.monotonic()
    signal_group(proc, sig)
    try:
        proc.wait(stop_secs)
        how = "killed"
    except subprocess.TimeoutExpired:
        how = "late"
    signal_group(proc, signal.SIGKILL)
    proc.wait()
    wait_for_group(proc)
    return how, time.monotonic() - t


def build_faultlib(folder):
    so = os.path.join(folder, "faultlib.so")
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            "-O2",
            "-shared",
            "-fPIC",
            "-o",
            so,
            os.path.join(HERE, "faultlib.c"),
            "-ldl",
        ],
        check=True,
    )
    return so


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--mode", choices=["random", "nth"], default="random")
    ap.add_argument(
        "--rounds",
        type=int,
        default=0,
        help="random: number of kills (default 30); nth: at most this many n, spread",
    )
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument(
        "--max-secs",
        type=float,
        default=0,
        help="random: upper end of the kill time instead of a measured run",
    )
    ap.add_argument("--signal", choices=["KILL", "TERM", "INT"], default="KILL")
    ap.add_argument("--stop-secs", type=float, default=2.0)
    ap.add_argument("--path", default="", help="nth: substring of the paths whose operations count")
    ap.add_argument("--op", default="any", help="nth: write read open rename fsync any")
    ap.add_argument(
        "--err",
        default="KILL",
        help="nth: KILL, or an error the command must survive or report: ENOSPC EIO EINTR EMFILE SHORT",
    )
    ap.add_argument(
        "--faultlib",
        default="",
        help="nth: a built faultlib.so (default: built from faultlib.c beside this file)",
    )
    ap.add_argument("--setup", default="")
    ap.add_argument("--check", required=True)
    ap.add_argument("--resume", default="")
    ap.add_argument("--final", default="")
    ap.add_argument("--again", type=float, default=0.0)
    ap.add_argument("--keep-going", action="store_true")
    ap.add_argument(
        "--round-secs", type=float, default=600, help="a command running longer than this is a hang"
    )
    ap.add_argument("command", nargs="+")
    a = ap.parse_args()
    rnd, sig = random.Random(a.seed), getattr(signal, "SIG" + a.signal)
    tmp = tempfile.mkdtemp(prefix="crashloop-")
    out = dict(
        mode=a.mode, tried=0, passed=0, ended_by_itself=0, killed=0, slowest_stop_secs=0.0, failures=[]
    )

    def clean_run(env=None):
        rc, words = shell(a.setup, 0)
        if rc:
            sys.exit(f"setup failed ({rc}): {words}")
        t, proc = time.monotonic(), start(a.command, env=env)
        proc.wait(a.round_secs)
        if proc.returncode:
            sys.exit(f"the command fails without any kill ({proc.returncode}): {last_words(proc)}")
        secs = time.monotonic() - t
        rc, words = shell(a.final, 0)
        if rc:
            sys.exit(f"--final fails after a clean run ({rc}): {words}")
        return secs

    try:
        if a.mode == "nth":
            if not a.path:
                ap.error("--mode nth needs --path")
            lib, log = a.faultlib or build_faultlib(tmp), os.path.join(tmp, "count")
            env = dict(os.environ, LD_PRELOAD=os.path.abspath(lib), FAULT_PATH=a.path, FAULT_OP=a.op)
            clean_run(dict(env, FAULT_NTH="0", FAULT_LOG=log))
            total = int(open(log).read()) if os.path.exists(log) else 0
            if not total:
                sys.exit("the command made no operation the shim can see (static binary? wrong --path?)")
            points = list(range(1, total + 1))
            if a.rounds and a.rounds < total:
                points = sorted(rnd.sample(points, a.rounds))
            out["operations"] = total
        else:
            limit = a.max_secs or clean_run()
            points = [rnd.uniform(0, limit) for _ in range(a.rounds or 30)]
            out["clean_secs"] = round(limit, 3)

        for k, point in enumerate(points, 1):
            out["tried"] += 1
            bad = None
            rc, words = shell(a.setup, k)
            if rc:
                sys.exit(f"setup failed in round {k} ({rc}): {words}")
            if a.mode == "nth":
                proc = start(a.command, env=dict(env, FAULT_NTH=str(point), FAULT_ERR=a.err))
                how, secs = killed_after(proc, a.round_secs, signal.SIGKILL, 5)
                if how != "ended":
                    bad = f"hang: still running after {a.round_secs} s"
                killed = how == "ended" and proc.returncode == -signal.SIGKILL
                if not killed:
                    out["ended_by_itself"] += 1
                    if a.err != "KILL" and proc.returncode < 0:
                        bad = f"died by signal {-proc.returncode} on {a.err}: {last_words(proc)}"
            else:
                proc = start(a.command)
                how, secs = killed_after(proc, point, sig, a.stop_secs)
                killed = how != "ended"
                if not killed:
                    out["ended_by_itself"] += 1
                    if proc.returncode:
                        bad = f"failed by itself ({proc.returncode}): {last_words(proc)}"
                elif a.signal != "KILL":
                    out["slowest_stop_secs"] = round(max(out["slowest_stop_secs"], secs), 3)
                    if how == "late":
                        bad = f"ignored SIG{a.signal} for {a.stop_secs} s"
            out["killed"] += killed
            for name, line in (("check", a.check), ("resume", a.resume), ("final", a.final)):
                if bad:
                    break
                if name == "final" and not a.resume and (killed or proc.returncode):
                    continue  # nothing has finished the job
                if name == "resume" and line and a.again and rnd.random() < a.again:
                    p = start(line, use_shell=True, env=dict(os.environ, ROUND=str(k)))
                    killed_after(p, rnd.uniform(0, out.get("clean_secs", 1.0)), signal.SIGKILL, 5)
                    rc, words = shell(a.check, k)
                    if rc:
                        bad = f"check after a killed resume: exit {rc}: {words}"
                        break
                rc, words = shell(line, k)
                if rc:
                    bad = f"{name}: exit {rc}: {words}"
            if bad:
                out["failures"].append(
                    dict(round=k, at=point if a.mode == "nth" else round(point, 4), why=bad)
                )
                if not a.keep_going:
                    break
            else:
                out["passed"] += 1
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    print(json.dumps(out, indent=1))
    sys.exit(1 if out["failures"] else 0)


if __name__ == "__main__":
    main()
