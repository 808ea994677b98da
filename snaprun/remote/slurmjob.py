"""A run as a job of Slurm, called on the node with its live folder and its work tree.

It finds out which attempt this is and how long it may take, waits for the supervisor to end, and sees to it that Slurm
starts the job again where the run is to be tried again.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from snaprun import launchers, programs
from snaprun.errors import SnaprunError
from snaprun.files import write_json
from snaprun.git.locate import Place
from snaprun.launchers.slurmstates import scontrol
from snaprun.lifecycle import retries, settle
from snaprun.live import lock
from snaprun.live.livefolder import Live
from snaprun.live.order import ENDING, JOB, LIMIT, ORDER, STOP, SUPERVISOR, read_order
from snaprun.live.supervision import supervised_by
from snaprun.machine import process

MARGIN = 60.0
"""Seconds before the job's end at which a run is ended, so that its record is made in time; a tenth of short jobs."""

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

KILLED = {"status": "lost", "exit_code": 125, "reason": "its supervisor and its worker were killed"}


def main(argv: list[str]) -> int:
    """Make the live folder ready for this attempt, supervise it, and start the next one where there is one.

    The exit code is the run's, for Slurm's own books; 0 where there is nothing to do.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--after")
    parser.add_argument("folder", type=Path)
    parser.add_argument("top", type=Path)
    asked = parser.parse_args(argv)
    folder: Path = asked.folder
    if folder.is_dir():
        if not next_attempt(folder):
            return 75
    elif not restarts(os.environ) or not _ends().made_again(folder, asked.top):
        return 0
    _introduce(folder)
    place = read_order(folder).place
    if asked.after and not _ends().may_start(place, folder, asked.after):
        return 1
    limit(folder, os.environ)
    retries.allow(folder, asked.retries)
    supervised(folder)
    return ended(place, folder)


def _introduce(folder: Path) -> None:
    """Write down which job this is where the command that submitted it has not come to it yet, or never will."""
    told, job = launchers.noted(folder), name_of(os.environ)
    if told is not None and job is not None and (not told.handle or told.handle.startswith(launchers.AWAITED)):
        launchers.note(folder, told.launcher, job)


def restarts(env: Mapping[str, str]) -> int:
    """How often Slurm has started this job again."""
    return int(env.get("SLURM_RESTART_COUNT") or 0)


def name_of(env: Mapping[str, str]) -> str | None:
    """What Slurm calls this job. The plain id of an array's last task is that of the whole array."""
    array, task = env.get("SLURM_ARRAY_JOB_ID"), env.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else env.get("SLURM_JOB_ID")


def supervised(folder: Path) -> None:
    """Run the supervisor until nobody has the run any more; Slurm's signals go to it once, by way of this process."""
    child = subprocess.Popen([sys.executable, "-m", programs.SUPERVISOR, os.fspath(folder)])
    with _Passing(folder, child):
        child.wait()
        _until_free(folder)
    if (folder / SUPERVISOR).exists():
        settle.end(Live(folder), os.environ, KILLED)


def ended(place: Place, folder: Path) -> int:
    """Have Slurm start the job again where the next attempt waits; else the run's exit code."""
    if folder.is_dir() and not (folder / SUPERVISOR).exists():
        if asked_again(os.environ):
            return 0
        _ends().not_again(place, folder)
    return int(_ends().exit_code(place, folder.name))


def asked_again(env: Mapping[str, str]) -> bool:
    """Ask Slurm to start this job again, unless it is about to."""
    job = name_of(env)
    if job is None:
        return False
    return taken_back(env) or scontrol("requeue", job).returncode == 0


def taken_back(env: Mapping[str, str]) -> bool:
    """Whether Slurm ends this job only to start it again: its node is wanted for another, or somebody requeued it."""
    job = name_of(env)
    count = re.search(r" Restarts=(\d+)", scontrol("show", "job", "-o", job).stdout) if job else None
    return count is not None and int(count[1]) > restarts(env)


class _Passing:
    """Passes signals on, and notes whether they mean that the job will be started again."""

    def __init__(self, folder: Path, child: subprocess.Popen[bytes]) -> None:
        self._folder, self._child = folder, child
        self._before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._heard) for number in PASSED_ON}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self._child.poll() is None:
            self._child.send_signal(number)
        elif (about := supervised_by(Live(self._folder))) is not None:
            process.send(about[1], number)
        if number == signal.SIGTERM and taken_back(os.environ):
            with suppress(OSError):
                retries.given_back(self._folder)


def _until_free(folder: Path) -> None:
    """Wait until nobody holds the run any more: where only the supervisor was killed, the worker goes on without."""
    with suppress(FileNotFoundError), (folder / lock.NAME).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def _ends() -> Any:
    """What takes git and the index, imported when it is needed only."""
    from snaprun.remote import slurmends

    return slurmends


def next_attempt(folder: Path) -> bool:
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


def limit(folder: Path, env: Mapping[str, str], *, margin: float = MARGIN, share: float = 0.1) -> None:
    """Tell the run which job it is, and have it end by itself some time before Slurm would, so that its record says
    why."""
    job = name_of(env)
    if job is not None:
        order = read_order(folder)
        options = {**order.options, JOB: {"name": job, "restarts": restarts(env)}}
        write_json(folder / ORDER, replace(order, options=options).to_json())
    left = _seconds_left(job) if job else None
    if left is None:
        return
    own = max(1.0, left - min(margin, left * share))
    order = read_order(folder)
    if order.timeout is None or own < order.timeout:
        why = f"Slurm would have ended job {job} {left - own:.0f} s later"
        write_json(folder / ORDER, replace(order, timeout=round(own), options={**order.options, LIMIT: why}).to_json())


def _seconds_left(job: str) -> float | None:
    """How long a Slurm job may still take; None without a limit, or where Slurm does not say."""
    said = scontrol("show", "job", "-o", job).stdout
    time_limit = re.search(r" TimeLimit=(\S+)", said)
    end = re.search(r" EndTime=(\S+)", said)
    if time_limit and end and time_limit[1] != "UNLIMITED" and end[1] != "Unknown":
        return max(0.0, datetime.fromisoformat(end[1]).timestamp() - time.time())
    return None


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SnaprunError as error:
        sys.exit(f"{error.message} ({error.hint})")
