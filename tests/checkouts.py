"""Checkouts that tests lay out, look into and end."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

from snaprun.checkouts import frozen, slots
from snaprun.checkouts.result import ResultParts
from snaprun.freeze.capture import take
from snaprun.git.gitrepo import GitRepo
from snaprun.model import Result
from snaprun.statuses import Status
from tests.runs import gate
from tests.sandbox import Sandbox
from tests.snapshots import request

DONE = Result(status=Status.SUCCEEDED, exit_code=0)
LIMIT = 1000
"""Bytes of the largest file that goes into a result."""

Contents = dict[str, tuple[str, bytes]]


def contents(top: Path) -> Contents:
    """Kind and content of everything below ``top``, git's and snaprun's own folders excepted."""
    found: Contents = {}
    waiting = [os.fsencode(top)]
    while waiting:
        folder = waiting.pop()
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            shown = os.fsdecode(os.path.relpath(path, os.fsencode(top)))
            about = os.lstat(path)
            if name in (b".git", b".snaprun"):
                continue
            if stat.S_ISDIR(about.st_mode):
                waiting.append(path)
            elif stat.S_ISLNK(about.st_mode):
                found[shown] = ("link", os.readlink(path))
            elif stat.S_ISREG(about.st_mode):
                with open(path, "rb") as file:
                    found[shown] = ("x" if about.st_mode & 0o100 else "file", file.read())
            else:
                found[shown] = ("special", b"")
    return found


def used(box: Sandbox, commit: str | None = None) -> slots.Slot:
    """The first slot, laid out with a snapshot of the user's tree as it is now (or with ``commit``)."""
    git = gate(box)
    run_id = commit or take(git, request("README")).id
    slot = slots.claim(git, run_id, live=git.place.live)
    slots.lay_out(git, slot, run_id)
    return slot


def run_in(git: GitRepo, run_id: str) -> slots.Slot:
    """A slot with a checkout of a run."""
    slot = slots.claim(git, run_id, live=git.place.live)
    slots.lay_out(git, slot, run_id)
    return slot


def ending(result: Result = DONE, **more: Any) -> ResultParts:
    """How a run ended, with a little output."""
    return ResultParts(result=result, notebook=b'{"cells": []}', log=b"hello\n", **more)


def ask(python: Path, code: str, slot: Path, box: Sandbox, **env: str) -> str:
    """What a child of a Python process of the run prints; and the process itself must say the same."""
    inherited = {**os.environ, **env}
    full = {**inherited, **frozen.environment(inherited, place=gate(box).place, slot=slot)}
    own = subprocess.run([python, "-c", code], cwd=slot, env=full, capture_output=True, text=True, check=False)
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    of_child = subprocess.run([python, "-c", child], cwd=slot, env=full, capture_output=True, text=True, check=False)
    assert own.stdout == of_child.stdout, (own.stderr, of_child.stderr)
    return own.stdout + own.stderr
