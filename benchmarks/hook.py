"""What the git hook costs a commit: nothing of notebooks staged, scripts only, and ten paired notebooks.

Run it by hand: ``python benchmarks/hook.py``. Figures are medians of one run on one machine; the ratios are the point.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat

TIMES = 15


def seconds(command: list[str], folder: Path) -> float:
    """The median time of a command."""
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def git(folder: Path, *args: str) -> None:
    """Run git."""
    subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True)


def notebook(number: int) -> str:
    """A paired notebook with 30 cells, a printed output and an image of 40 kB."""
    cells = []
    for cell in range(30):
        outputs = [{"output_type": "stream", "name": "stdout", "text": "loss 0.1\n" * 20}]
        if cell % 10 == 0:
            outputs.append(
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBOR" + "Aa1+" * 10_000}}
            )
        source = f"%matplotlib inline\nx{cell} = {number}\nprint(x{cell})"
        made = {"cell_type": "code", "id": f"c{cell}", "metadata": {}, "source": source}
        cells.append({**made, "outputs": outputs, "execution_count": cell + 1})
    metadata = {"jupytext": {"formats": "ipynb,py:percent"}, "kernelspec": {"name": "python3", "display_name": "p"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        git(folder, "init", "-q")
        git(folder, "config", "user.name", "Ada")
        git(folder, "config", "user.email", "ada@example.org")
        subprocess.run(
            [sys.executable, "-m", "snaprun", "hook", "install"], cwd=folder, check=True, capture_output=True
        )
        hook = [str(folder / ".git/hooks/pre-commit")]
        for number in range(200):
            (folder / f"module{number}.py").write_text("x = 1\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "--no-verify", "-m", "start")
        floor = seconds([sys.executable, "-c", "pass"], folder)
        rows = [("python -c pass", floor)]
        (folder / "README").write_text("more\n")
        git(folder, "add", ".")
        rows.append(("hook, a README staged", seconds(hook, folder)))
        for number in range(20):
            (folder / f"module{number}.py").write_text("x = 2\n")
        git(folder, "add", ".")
        rows.append(("hook, 20 scripts staged", seconds(hook, folder)))
        for number in range(10):
            text = notebook(number)
            (folder / f"nb{number}.ipynb").write_text(text)
            (folder / f"nb{number}.py").write_text(jupytext.writes(nbformat.reads(text, 4), fmt="py:percent"))
        git(folder, "add", ".")
        rows.append(("hook, 10 paired notebooks staged", seconds(hook, folder)))
        for what, taken in rows:
            print(f"{what:<36} {taken * 1000:7.0f} ms  {taken / floor:5.1f} x")


if __name__ == "__main__":
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"
    main()
