"""What a sweep costs beside ``xargs -P2``, and what queueing a thousand runs costs.

    python benchmarks/sweep.py [RUNS] [ROUNDS]

RUNS (default 50) runs of a trivial notebook, two at a time: by ``snaprun sweep -j 2`` with the inline and the kernel
engine, and by ``xargs -P2`` of the same code as a script and of nbclient. They take turns; medians of wall time. Then a
sweep of 1,000 runs is put into a queue that rests, and taken out again, with ``history`` and ``ps`` timed around it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from tests.sandbox import Sandbox, notebook  # noqa: E402

SNAPRUN = [sys.executable, "-m", "snaprun"]
CELLS = ("import math", "y = math.sqrt(x)", "print(x, y)")
SCRIPT = "import math, sys\nx = int(sys.argv[1])\ny = math.sqrt(x)\nprint(x, y)\n"
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
node = nbformat.read("nb.ipynb", as_version=4)
node.cells[0].source = f"x = {sys.argv[1]}"
NotebookClient(node, kernel_name="python3").execute()
nbformat.write(node, f"out-{sys.argv[1]}.ipynb")
"""


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        box = Sandbox(Path(folder) / "repo")
        document = notebook(*CELLS, parameters="x = 0")
        box.write("nb.ipynb", json.dumps(document))
        box.write("bare.py", SCRIPT)
        box.write("client.py", NBCLIENT)
        box.write(".gitignore", "out-*\n")
        box.commit()
        _against_xargs(box, runs, rounds)
        _thousand(box)


def _against_xargs(box: Sandbox, runs: int, rounds: int) -> None:
    ways: dict[str, Callable[[], None]] = {
        "xargs -P2 python script.py": lambda: _xargs(box, "bare.py", runs),
        "sweep -j 2, inline": lambda: _sweep(box, "inline", runs),
        "xargs -P2 nbclient": lambda: _xargs(box, "client.py", runs),
        "sweep -j 2, kernel": lambda: _sweep(box, "kernel", runs),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            seconds = _timed(way)
            if turn:
                taken[name].append(seconds)
    walls = {name: statistics.median(times) for name, times in taken.items()}
    bare, client = walls["xargs -P2 python script.py"], walls["xargs -P2 nbclient"]
    for name, wall in walls.items():
        more = f"{(wall - bare) / runs:6.3f} s a run more than the script {wall / client:6.2f} x nbclient"
        print(f"{name:28}{wall:8.2f} s for {runs} {more}")


def _thousand(box: Sandbox) -> None:
    """A thousand runs into a queue that rests; looking at runs before and after."""
    _call(box, "queue", "pause")
    looks = ("history", "ps")
    before = {look: _look(box, look) for look in looks}
    seconds = _timed(lambda: _call(box, "sweep", "nb.ipynb", "-p", "x=1..1000", "--detach", "--yes"))
    print(f"queueing 1,000 runs: {seconds:.2f} s")
    for look in looks:
        after = _look(box, look)
        print(f"{look} with 1,000 queued runs: {after * 1000:.0f} ms, {after / before[look]:.2f} x before")


def _look(box: Sandbox, command: str) -> float:
    return statistics.median(_timed(lambda: _call(box, command, "-q")) for _ in range(9))


def _xargs(box: Sandbox, script: str, runs: int) -> None:
    numbers = "\n".join(map(str, range(runs))).encode()
    subprocess.run(
        ["xargs", "-P2", "-n1", sys.executable, script], input=numbers, cwd=box.path, check=True, capture_output=True
    )


def _sweep(box: Sandbox, engine: str, runs: int) -> None:
    _call(box, "sweep", "nb.ipynb", "-p", f"x=0..{runs - 1}", "-j", "2", "--engine", engine, "-q")


def _call(box: Sandbox, *args: str) -> None:
    done = subprocess.run([*SNAPRUN, *args], cwd=box.path, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{args} gave {done.returncode}: {done.stderr}")


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
