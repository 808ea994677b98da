"""How much the engines cost beside their rivals: one table, medians and ratios from one run.

    python benchmarks/engines.py [ROUNDS]

Every measurement is a process of its own, import time included. CPU is that of the whole process tree.
"""

from __future__ import annotations

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.sandbox import notebook

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

CASES = {
    "3 cells": ["import sys", "x = 1 + 1", "print(x)"],
    "200 cells": [f"x = {number}" for number in range(200)],
    "100k prints": ["for i in range(100_000): print(i)"],
    "20k flushed": ["for i in range(20_000): print(i, flush=True)"],
    "60 images": ["import os, base64\nfrom IPython.display import display, Image"]
    + ["display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + os.urandom(100_000), format='png'))"] * 60,
}
RIVALS = ("nbclient", "papermill")
ENGINES = ("kernel", "inline", "script")


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, cells in CASES.items():
            path = Path(folder) / f"{case.replace(' ', '-')}.ipynb"
            path.write_text(json.dumps(notebook(*cells)))
            for _ in range(rounds):
                for name in (*RIVALS, *ENGINES):
                    if name == "script" and case == "60 images":
                        continue
                    found.setdefault((case, name), []).append(_measure(name, path))
    print(f"{'case':14}{'how':12}{'wall s':>8}{'CPU s':>8}{'wall/nbclient':>15}{'CPU/nbclient':>14}")
    for (case, name), runs in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        base = [statistics.median(column) for column in zip(*found[case, "nbclient"], strict=True)]
        print(f"{case:14}{name:12}{wall:8.2f}{cpu:8.2f}{wall / base[0]:15.2f}{cpu / base[1]:14.2f}")


def _measure(name: str, path: Path) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, __file__, "--one", name, str(path)], capture_output=True, check=False)
    if done.returncode:  # a loaded machine makes papermill give up on flushed prints
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
        print(f"{path.stem}, {name}: {next((line for line in said if 'Error' in line), said[-1])}", file=sys.stderr)
        return math.nan, math.nan
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _one(name: str, path: Path) -> None:
    """What is measured: execute, and write the executed notebook."""
    target = path.with_suffix(".out.ipynb")
    if name == "nbclient":
        import nbformat
        from nbclient import NotebookClient

        node = nbformat.read(path, 4)
        NotebookClient(node, kernel_name="python3").execute()
        nbformat.write(node, target)
    elif name == "papermill":
        import papermill

        papermill.execute_notebook(path, target, progress_bar=False)
    else:
        _ours(name, path, target)


def _ours(name: str, path: Path, target: Path) -> None:
    from snaprun.engines import engine
    from snaprun.engines.job import Job, Stop
    from snaprun.git.locate import Place
    from snaprun.live.journal import Journal
    from snaprun.live.livefolder import create
    from snaprun.live.replay import render, replay_live
    from snaprun.model import RunSpec, Snapshot
    from snaprun.notebooks.kernels import of_python

    document = json.loads(path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        place = Place(top=top, git_dir=top, common_dir=top, index=top / "index")
        live = create(place, Snapshot("a" * 40, "b" * 40, RunSpec("x.ipynb", "now"), {}), {})
        script = top / "x.py"
        script.write_text("\n\n".join(f"# %%\n{cell['source']}" for cell in document["cells"]))
        job = Job(
            live=live,
            notebook=document,
            folder=top,
            environment=dict(os.environ),
            kernel=of_python(sys.executable),
            python=sys.executable,
            script=script,
        )
        with Journal(live.path) as journal:
            outcome = engine(name).run(job, journal, Stop())
        assert outcome.exit_code == 0, outcome
        target.write_bytes(render(replay_live(live, document).notebook))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
