"""What supervision costs: the whole of ``exec`` beside plain nbclient, watching, and looking at many runs.

    python benchmarks/supervision.py [ROUNDS]

CPU is that of every process, the detached ones included: this process adopts and waits for them (Linux only).
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from snaprun.live import lock
from snaprun.machine import process
from tests import running
from tests.sandbox import Sandbox, notebook

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
node = nbformat.read(sys.argv[1], 4)
NotebookClient(node, kernel_name="python3").execute()
nbformat.write(node, sys.argv[1] + ".out")
"""
CASES = {"1 cell": ["print(1)"], "100k prints": ["for i in range(100_000): print(i)"]}
LIVE = 50


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    process.become_subreaper()
    with tempfile.TemporaryDirectory() as folder:
        box = Sandbox(Path(folder) / "repo")
        box.git("config", "user.name", "Ada")
        box.git("config", "user.email", "ada@example.org")
        box.write("README", "a project\n")
        box.commit()
        for case, cells in CASES.items():
            _beside_nbclient(box, case, cells, rounds)
        _first_line(box, rounds)
        _many(box, rounds)


def _beside_nbclient(box: Sandbox, case: str, cells: list[str], rounds: int) -> None:
    path = box.write("bench.ipynb", json.dumps(notebook(*cells)))
    ways = {
        "nbclient": [sys.executable, "-c", NBCLIENT, str(path)],
        "snaprun exec": [sys.executable, "-m", "snaprun", "exec", "-q", "bench.ipynb"],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, command in ways.items():
            found[name].append(_measure(box, command))
    (wall, cpu), (our_wall, our_cpu) = (
        tuple(statistics.median(column) for column in zip(*runs, strict=True)) for runs in found.values()
    )
    print(f"{case}: nbclient {wall:.2f} s wall {cpu:.2f} s CPU; exec {our_wall:.2f} s wall {our_cpu:.2f} s CPU")
    print(f"{case}: exec / nbclient: wall {our_wall / wall:.2f}, CPU {our_cpu / cpu:.2f}")


def _measure(box: Sandbox, command: list[str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=box.path, env=_env(), stdout=subprocess.DEVNULL, check=True)
    wall = time.monotonic() - began
    _reap()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _first_line(box: Sandbox, rounds: int) -> None:
    """Seconds between a print in a cell and its bytes out of ``logs -f``."""
    cell = "import time\ntime.sleep(1.5)\nprint(time.time(), flush=True)\ntime.sleep(1)"
    box.write("line.ipynb", json.dumps(notebook(cell)))
    delays = []
    for _ in range(rounds):
        command = [sys.executable, "-m", "snaprun", "exec", "--detach", "line.ipynb"]
        run_id = subprocess.run(command, cwd=box.path, env=_env(), capture_output=True, text=True, check=True).stdout
        follow = [sys.executable, "-m", "snaprun", "logs", "-f", run_id.strip()]
        with subprocess.Popen(follow, cwd=box.path, env=_env(), stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            line = reader.stdout.readline()
            delays.append(time.time() - float(line))
        _reap()
    print(f"first line in logs -f: {statistics.median(delays):.3f} s after it was printed, {max(delays):.3f} at most")


def _many(box: Sandbox, rounds: int) -> None:
    """``ps`` with many runs in progress beside ``history``: their live folders are real, their locks are held here."""
    path = box.write("many.ipynb", json.dumps(notebook("1", "2")))
    locks = []
    for _ in range(LIVE):
        run = running.frozen(box, path)
        locks.append(lock.take(run.live.path))
    times: dict[str, list[float]] = {"history": [], "ps": []}
    for _ in range(rounds + 1):
        for verb, seconds in times.items():
            began = time.monotonic()
            command = [sys.executable, "-m", "snaprun", verb]
            subprocess.run(command, cwd=box.path, env=_env(), stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.monotonic() - began)
    listing, looking = (statistics.median(seconds[1:]) for seconds in times.values())
    print(f"{LIVE} runs in progress: history {listing:.3f} s, ps {looking:.3f} s, ratio {looking / listing:.2f}")


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE)}


def _reap() -> None:
    """Wait for the detached processes, so that their time is counted."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
