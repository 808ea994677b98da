"""What a slot costs beside git's own commands: first use against ``git worktree add``, reuse against ``git status``.

Run it by hand on a quiet machine: ``python benchmarks/slots.py [FILES …]``. The best of several rounds, in one table:
other work on the machine only ever adds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from snaprun.checkouts import links, slots
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import find

ROUNDS = 15


def git(top: Path, *args: str) -> str:
    """Run git there; its output."""
    return subprocess.run(["git", *args], cwd=top, check=True, capture_output=True, text=True).stdout.strip()


def made(top: Path, count: int) -> None:
    """A repository of so many small files, a hundred in each folder, with some ignored data."""
    top.mkdir()
    git(top, "init", "-q")
    for number in range(count):
        folder = top / f"folder{number // 100}"
        if number % 100 == 0:
            folder.mkdir()
        (folder / f"file{number}.py").write_text(f"# file {number}\n" + "x = 1\n" * 40)
    (top / ".gitignore").write_text("/data/\n*.log\n")
    (top / "data").mkdir()
    (top / "data/train.csv").write_text("1,2\n")
    git(top, "add", "-A")
    git(top, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "start")


def changed(top: Path, number: int) -> str:
    """A commit with one changed file."""
    (top / "folder0/file0.py").write_text(f"# version {number}\n")
    git(top, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "change")
    return git(top, "rev-parse", "HEAD")


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def use(repo: GitRepo, commit: str) -> slots.Slot:
    """Claim a slot and lay the commit out in it."""
    slot = slots.claim(repo, commit, live=repo.place.live)
    slots.lay_out(repo, slot, commit)
    return slot


def measure(top: Path, rounds: int) -> dict[str, float]:
    """Milliseconds of each thing measured."""
    repo = GitRepo(find(top, os.environ))
    times: dict[str, list[float]] = {"worktree add": [], "first use": [], "status": [], "reuse": [], "link": []}
    commit = changed(top, 0)
    for number in range(3):
        other = top.parent / f"other{number}"
        times["worktree add"].append(timed(lambda: git(top, "worktree", "add", "-q", "--detach", str(other))))  # noqa: B023
        shutil.rmtree(other)
        git(top, "worktree", "prune")
        shutil.rmtree(repo.place.state / "slots", ignore_errors=True)
        git(top, "worktree", "prune")
        times["first use"].append(timed(lambda: slots.release(use(repo, commit))))
    for number in range(rounds):
        (top / "folder0/file0.py").write_text(f"# dirty {number}\n")
        times["status"].append(timed(lambda: git(top, "--no-optional-locks", "status", "--porcelain")))
        commit = changed(top, number + 1)
        start = time.perf_counter()
        slot = use(repo, commit)
        times["reuse"].append((time.perf_counter() - start) * 1000)
        times["link"].append(timed(lambda: links.link(repo, slot)))  # noqa: B023
        slots.release(slot)
    return {name: min(values) for name, values in times.items()}


def main(counts: list[int]) -> None:
    """Measure and print the table."""
    print("files   worktree add   first use  ratio   status   reuse  ratio   link   (ms)")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            top = Path(folder) / "repo"
            made(top, count)
            found = measure(top, ROUNDS)
        first = found["first use"] / found["worktree add"]
        again = found["reuse"] / found["status"]
        print(
            f"{count:>6} {found['worktree add']:>13.0f} {found['first use']:>11.0f} {first:>6.2f} "
            f"{found['status']:>8.0f} {found['reuse']:>7.0f} {again:>6.2f} {found['link']:>6.0f}"
        )


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1000, 10_000, 50_000])
