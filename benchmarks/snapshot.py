"""Time a snapshot against ``git add -A && git commit`` of the same change, in one run, and print the ratios.

``python benchmarks/snapshot.py [--files 1000 10000 50000] [--rounds 15] [--changed 1 10 100]``
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from snaprun import locate
from snaprun.gitrepo import GitRepo
from snaprun.model import RunSpec
from snaprun.snapshot import Request, take

FOLDER = 50
"""Files a folder: what a real project has, roughly."""


def build(top: Path, files: int) -> None:
    """A repository of so many small files and a notebook, all committed."""
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    git(top, "config", "user.name", "Bench")
    git(top, "config", "user.email", "bench@localhost")
    git(top, "config", "gc.auto", "0")
    for number in range(files):
        path = top / f"d{number // FOLDER // 20}" / f"e{number // FOLDER % 20}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"value = {number}\n")
    (top / "nb.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n')
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "start")
    git(top, "repack", "-adq")
    for number in range(256):  # as in a repository that has been used for a while
        (top / ".git" / "objects" / f"{number:02x}").mkdir(exist_ok=True)
    os.sync()


def git(top: Path, *args: str) -> None:
    """Run git, quietly."""
    subprocess.run(["git", *args], cwd=top, check=True, capture_output=True)


def timed(action: Callable[[], object]) -> float:
    """How long it takes, in milliseconds."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def commit(top: Path) -> None:
    """What the snapshot is measured against."""
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "work")


def measure(top: Path, rounds: int, changed: int) -> dict[str, float]:
    """Medians of a status, a commit, a snapshot of the same change, and a second snapshot of nothing new."""
    repo = GitRepo(locate.find(top, os.environ))
    request = Request(spec=RunSpec(notebook="nb.ipynb", created="2026-01-01T00:00:00.000000Z"))
    took: dict[str, list[float]] = {"status": [], "snapshot": [], "again": [], "commit": []}
    for turn in range(rounds + 1):
        for number in range(changed):
            path = top / "d0" / f"e{number // FOLDER % 20}" / f"f{number}.py"
            path.write_text(f"value = {time.time_ns()}\n")
        one = {
            "status": timed(lambda: git(top, "--no-optional-locks", "status", "--porcelain")),
            "snapshot": timed(lambda: take(repo, request)),
            "again": timed(lambda: take(repo, request)),
            "commit": timed(lambda: commit(top)),
        }
        if turn:  # the first warms caches
            for name, value in one.items():
                took[name].append(value)
    return {name: statistics.median(values) for name, values in took.items()}


def main() -> None:
    """Print one line a repository size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print("files    changed  git status  add+commit  snapshot  ratio  again  ratio   (medians, ms)")
    with tempfile.TemporaryDirectory() as folder:
        for files in given.files:
            top = Path(folder) / str(files)
            build(top, files)
            for changed in given.changed:
                took = measure(top, given.rounds, changed)
                base = took["commit"]
                print(
                    f"{files:<8} {changed:<8} {took['status']:<11.0f} {base:<11.0f} {took['snapshot']:<9.0f} "
                    f"{took['snapshot'] / base:<6.2f} {took['again']:<6.0f} {took['again'] / base:.2f}"
                )


if __name__ == "__main__":
    main()
