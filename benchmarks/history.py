"""What looking at many runs costs: each command as a whole process, as a ratio to importing what it needs.

    python benchmarks/history.py [RUNS] [ROUNDS]

The commands take turns, so that a busy machine slows all of them alike; medians of wall time and of CPU time.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from snaprun.index import runlist, store, where  # noqa: E402
from tests.indexed import many  # noqa: E402
from tests.sandbox import Sandbox  # noqa: E402

BASE = [sys.executable, "-c", "import click, sqlite3, tabulate"]
PLAIN = [sys.executable, "-c", "import click"]
SNAPRUN = [sys.executable, "-m", "snaprun"]
COMMANDS = {
    "import click": PLAIN,
    "import click, sqlite3, tabulate": BASE,
    "snaprun --help": [*SNAPRUN, "--help"],
    "snaprun --version": [*SNAPRUN, "--version"],
    "snaprun history": [*SNAPRUN, "history"],
    "snaprun history --where": [*SNAPRUN, "history", "--where", "lr < 0.05 and loss < 0.001"],
    "snaprun history --sort loss": [*SNAPRUN, "history", "--sort", "loss"],
    "snaprun history --all --json": [*SNAPRUN, "history", "--all", "--json"],
    "snaprun ps": [*SNAPRUN, "ps"],
}


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    with tempfile.TemporaryDirectory() as folder:
        box = Sandbox(Path(folder) / "repo")
        box.write("README", "a project\n")
        state = box.path / ".git" / "snaprun"
        began = time.perf_counter()
        store.open_store(state).rebuild(many(count))
        print(f"{count} runs: index built in {time.perf_counter() - began:.2f} s, ", end="")
        print(f"{(state / 'index.sqlite3').stat().st_size / 1e6:.1f} MB")
        _queries(state)
        _commands(box, rounds)


def _queries(state: Path) -> None:
    """The queries alone, in this process."""
    asked = {
        "latest 20": runlist.Filter(limit=20),
        "where lr < 0.05 and loss < 0.001": runlist.Filter(
            limit=20, where=where.compile("lr<0.05 and loss<0.001", now=0)
        ),
        "sort by loss": runlist.Filter(limit=20, sort=where.order("loss")),
        "all": runlist.Filter(),
    }
    with runlist.connect(state) as reader:
        for name, wanted in asked.items():
            times = [_timed(lambda wanted=wanted: runlist.query(reader, wanted)) for _ in range(5)]
            print(f"  query {name}: {statistics.median(times) * 1000:.1f} ms")


def _commands(box: Sandbox, rounds: int) -> None:
    """The commands as processes, taking turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            found[name].append(_measure(command, box.path))
    walls, cpus = (
        {name: statistics.median(run[side] for run in runs) for name, runs in found.items()} for side in (0, 1)
    )
    base = "import click, sqlite3, tabulate"
    print(f"{'command':34}{'wall ms':>9}{'CPU ms':>9}{'wall ratio':>12}{'CPU ratio':>11}")
    for name in COMMANDS:
        ratios = f"{walls[name] / walls[base]:12.2f}{cpus[name] / cpus[base]:11.2f}"
        print(f"{name:34}{walls[name] * 1000:9.0f}{cpus[name] * 1000:9.0f}{ratios}")


def _timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def _measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command, its children counted."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env={**os.environ, "TERM": "dumb"}, capture_output=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command} gave {done.returncode}: {done.stderr.decode()}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
