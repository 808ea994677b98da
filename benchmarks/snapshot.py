"""Time a snapshot against ``git add -A && git commit`` of the same change, in one run, and print the ratios.

``python benchmarks/snapshot.py [--files 1000 10000 50000] [--rounds 20] [--changed 1 100]``
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snaprun.freeze.capture import SnapshotRequest, take
from snaprun.git import locate
from snaprun.git.gitrepo import GitRepo
from snaprun.model import RunSpec

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


@dataclass(frozen=True)
class Cost:
    """Milliseconds on the clock, and of work by this process and its children."""

    wall: float
    work: float


def timed(action: Callable[[], object]) -> Cost:
    """What it costs."""
    start, before = time.perf_counter(), worked()
    action()
    return Cost((time.perf_counter() - start) * 1000, (worked() - before) * 1000)


def worked() -> float:
    """Seconds of processor time so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def commit(top: Path) -> None:
    """What the snapshot is measured against."""
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "work")


def edit(top: Path, changed: int) -> None:
    """Give so many files a content that they never had."""
    for number in range(changed):
        path = top / "d0" / f"e{number // FOLDER % 20}" / f"f{number}.py"
        path.write_text(f"value = {time.time_ns()}\n")


def measure(top: Path, rounds: int, changed: int) -> dict[str, list[Cost]]:
    """The cost of a status, a commit, a snapshot of the same change, and a second snapshot of nothing new."""
    repo = GitRepo(locate.find(top, os.environ))
    request = SnapshotRequest(spec=RunSpec(notebook="nb.ipynb", created="2026-01-01T00:00:00.000000Z"))
    took: dict[str, list[Cost]] = {"status": [], "snapshot": [], "again": [], "commit": []}
    for turn in range(rounds + 1):
        edit(top, changed)
        one = {
            "status": timed(lambda: git(top, "--no-optional-locks", "status", "--porcelain")),
            "snapshot": timed(lambda: take(repo, request)),
            "again": timed(lambda: take(repo, request)),
        }
        edit(top, changed)  # else the commit would find its blobs stored by the snapshot
        one["commit"] = timed(lambda: commit(top))
        if turn:  # the first warms caches
            for name, cost in one.items():
                took[name].append(cost)
    return took


def best(costs: list[Cost]) -> float:
    """The best time of several rounds: what another load on the machine disturbs least."""
    return min(cost.wall for cost in costs)


def work(costs: list[Cost]) -> float:
    """The median of the work done."""
    return statistics.median(cost.work for cost in costs)


def main() -> None:
    """Print one line a repository size and number of changed files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--changed", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    print("                  best of the rounds, ms                              processor time")
    print("files    changed  git status  add+commit  snapshot  again  ratio     add+commit  snapshot  ratio")
    with tempfile.TemporaryDirectory() as folder:
        for files in given.files:
            top = Path(folder) / str(files)
            build(top, files)
            for changed in given.changed:
                took = measure(top, given.rounds, changed)
                wall = {name: best(costs) for name, costs in took.items()}
                used = {name: work(costs) for name, costs in took.items()}
                print(
                    f"{files:<8} {changed:<8} {wall['status']:<11.0f} {wall['commit']:<11.0f} {wall['snapshot']:<9.0f} "
                    f"{wall['again']:<6.0f} {wall['snapshot'] / wall['commit']:<9.2f} {used['commit']:<11.0f} "
                    f"{used['snapshot']:<9.0f} {used['snapshot'] / used['commit']:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
