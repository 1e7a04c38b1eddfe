"""What several workers cost beside the same threads of one process, on one machine.

Runs one heavy expression with three threads and with three workers of one thread, one after the other in turn, or side by side (`beside`, for a
busy machine), and prints the times and the processor seconds of all processes of each. On a busy machine only the seconds count: systems
that share processors by session give workers of Slurm, which have one each, more of them.

usage: SLURM_CONF=.../slurm.conf python overhead.py ARRAYCTL STORE FOLDER [ENGINE=slurm] [ROUNDS=2] [beside]
"""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

TERM = "sin(x*{n})**3 + cos(x*1.1)*exp(-x*x/1e{n}) + tanh(x/{n}) + log1p(abs(x*{n})) + arctan(x*0.3*{n}) + sin(x*0.7)*cos(x*0.3*{n})"
EXPRESSION = "mean(" + " + ".join(TERM.format(n=n) for n in range(1, 11)) + ", 0)"
TICK = os.sysconf("SC_CLK_TCK")


def processor_secs(mark, known):
    """Notes the processor seconds of each living process whose environment holds `mark`."""
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark not in (path / "environ").read_bytes():
                continue
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            known[path.name, fields[19]] = (int(fields[11]) + int(fields[12])) / TICK
        except (OSError, IndexError):
            continue


def measure(words, folder, name, results):
    """Runs a command; its wall time, and the processor seconds of all its processes, wherever they run."""
    mark = f"BLOCKWISE_OVERHEAD={folder}/{name}".encode()
    env = {**os.environ, "BLOCKWISE_OVERHEAD": f"{folder}/{name}"}
    began = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    known = {}
    while process.poll() is None:
        processor_secs(mark, known)
        time.sleep(0.2)
    reader.join()
    assert process.returncode == 0, errors
    results[name] = (time.monotonic() - began, sum(known.values()))


def main():
    arrayctl, store, folder = sys.argv[1:4]
    engine = sys.argv[4] if len(sys.argv) > 4 else "slurm"
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 2
    folder = pathlib.Path(folder).resolve()
    for number in range(rounds):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        job = [arrayctl, "eval", EXPRESSION, "-i", f"x={store}", "--memory", "512MiB"]
        here = [*job, "-o", folder / "here.zarr", "--threads", "3"]
        there = [*job, "-o", folder / "there.zarr", "--threads", "1", "--engine", engine.split("-")[0]]
        there += ["--workers", "3", "--work-dir", folder / "work", *(["--hold"] if engine.endswith("hold") else [])]
        results = {}
        both = [("here", here), ("there", there)]
        threads = [threading.Thread(target=measure, args=(words, folder, name, results)) for name, words in both]
        for thread in threads[:: 1 if number % 2 else -1]:
            thread.start()
            if sys.argv[6:] != ["beside"]:
                thread.join()
        for thread in threads:
            thread.join()
        (here_secs, here_cpu), (there_secs, there_cpu) = results["here"], results["there"]
        verify = [arrayctl, "verify", folder / "here.zarr", folder / "there.zarr"]
        subprocess.run(list(map(str, verify)), check=True, stdout=subprocess.DEVNULL)
        print(
            f"{engine}: threads {here_secs:.1f} s ({here_cpu:.1f} s of processors), workers {there_secs:.1f} s "
            f"({there_cpu:.1f} s): {there_secs / here_secs:.2f} in time, {there_cpu / here_cpu:.2f} in work",
            flush=True,
        )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
