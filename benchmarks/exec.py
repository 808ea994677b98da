"""What a whole ``snaprun exec`` costs beside papermill, snapshot and result commit included.

    python benchmarks/exec.py [FILES] [ROUNDS]

A notebook of 3 cells in a repository of FILES files (default 1,000), one of them changed. The commands take turns, so
that a busy machine slows all of them alike; medians of wall time. papermill must be installed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from tests.sandbox import Sandbox  # noqa: E402

SNAPRUN = [sys.executable, "-m", "snaprun"]


def main() -> None:
    """Measure and print."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as folder:
        box = Sandbox(Path(folder) / "repo")
        for number in range(files):
            box.write(f"d{number % 50}/f{number}.py", f"x = {number}\n")
        box.notebook("nb.ipynb", "import sys", "x = 1 + 1", "print(x)")
        box.commit()
        commands = {
            "papermill": [sys.executable, "-m", "papermill", "--no-progress-bar", "nb.ipynb", f"{folder}/out.ipynb"],
            "snaprun exec": [*SNAPRUN, "exec", "nb.ipynb", "-q"],
            "snaprun exec --detach": [*SNAPRUN, "exec", "nb.ipynb", "--detach"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, command in commands.items():
                box.write("d0/f0.py", f"x = {time.time()}\n")
                began = time.perf_counter()
                subprocess.run(command, cwd=box.path, check=True, capture_output=True)
                if turn:
                    taken[name].append(time.perf_counter() - began)
                subprocess.run([*SNAPRUN, "wait", "@"], cwd=box.path, capture_output=True, check=False)
        base = statistics.median(taken["papermill"])
        for name, seconds in taken.items():
            median = statistics.median(seconds)
            print(f"{name:24}{median:7.2f} s{median / base:8.2f} x papermill")


if __name__ == "__main__":
    main()
