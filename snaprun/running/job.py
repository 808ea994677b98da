"""A run as a job of a batch system, called on the node with its live folder and its work tree.

It finds out which attempt this is and how long it may take; then this process becomes the supervisor.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from snaprun import door
from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.index import record
from snaprun.model import Status
from snaprun.progress import lock
from snaprun.progress.order import ENDING, LIMIT, ORDER, STOP, SUPERVISOR, read_order, write_json
from snaprun.running import resuming

MARGIN = 60.0
"""Seconds before the job's end at which a run is ended, so that its record is made in time; a tenth of short jobs."""


def main(argv: list[str]) -> int:
    """Make the live folder ready for this attempt, and supervise it; 0 where there is nothing to do."""
    folder, top = map(Path, argv)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    if folder.is_dir():
        if not _next_attempt(folder):
            return 75
    elif not restarts or not _made_again(folder, top):
        return 0
    _limit(folder, os.environ)
    return os.execv(sys.executable, [sys.executable, "-m", "snaprun.running.supervisor", os.fspath(folder)])


def _next_attempt(folder: Path) -> bool:
    """Where an earlier attempt was cut off in this folder, begin the next one; False where somebody still runs it."""
    held = lock.take(folder)
    if held is None:
        return False
    try:
        if (folder / SUPERVISOR).exists():
            order = read_order(folder)
            for name in (SUPERVISOR, STOP, ENDING):
                (folder / name).unlink(missing_ok=True)
            write_json(folder / ORDER, replace(order, attempt=order.attempt + 1).to_json())
    finally:
        os.close(held)
    return True


def _made_again(folder: Path, top: Path) -> bool:
    """The batch system starts a run again that had had the time to end properly: a further attempt, unless it has
    succeeded meanwhile."""
    here = door.opened(top, os.environ)
    run = record.read_run(GitRepo(here.place), folder.name)
    if run.status is Status.SUCCEEDED:
        return False
    resuming.folder_again(here, run)
    return True


def _limit(folder: Path, env: Mapping[str, str]) -> None:
    """End the run by itself some time before the batch system would, so that its record says why."""
    job = env.get("SLURM_JOB_ID")
    left = _seconds_left(job) if job else None
    if left is None:
        return
    own = max(1.0, left - min(MARGIN, left / 10))
    order = read_order(folder)
    if order.timeout is None or own < order.timeout:
        why = f"Slurm would have ended job {job} {left - own:.0f} s later"
        write_json(folder / ORDER, replace(order, timeout=round(own), options={**order.options, LIMIT: why}).to_json())


def _seconds_left(job: str) -> float | None:
    """How long a Slurm job may still take; None without a limit, or where Slurm does not say."""
    with suppress(OSError, subprocess.TimeoutExpired):
        command = ["scontrol", "show", "job", "-o", job]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        limit = re.search(r" TimeLimit=(\S+)", done.stdout)
        end = re.search(r" EndTime=(\S+)", done.stdout)
        if limit and end and limit[1] != "UNLIMITED" and end[1] != "Unknown":
            return max(0.0, datetime.fromisoformat(end[1]).timestamp() - time.time())
    return None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SnaprunError as error:
        sys.exit(f"{error.message} ({error.hint})")
