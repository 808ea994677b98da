"""Execute a run as a job of Slurm, which is called on the node with the live folder and the work tree.

The job finds out which attempt this is and how long it may take, waits for the supervisor to end, and has Slurm start
it again where the run is to be tried again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from snaprun import launchers, programs
from snaprun.errors import SnaprunError
from snaprun.git.locate import Place
from snaprun.launchers.placement import read_placement, write_placement
from snaprun.launchers.slurmstates import query_job, scontrol
from snaprun.lifecycle import retries, settle
from snaprun.live import lock
from snaprun.live.livefolder import Live
from snaprun.live.names import ENDING_FILE, STOP_FILE, SUPERVISOR_FILE
from snaprun.live.order import JOB, LIMIT_REASON, read_order, write_order
from snaprun.live.supervision import read_identities
from snaprun.machine import process
from snaprun.model import FAULT_CODE, Outcome
from snaprun.statuses import Status

MARGIN = 60.0
"""Seconds before the job's end at which a run is ended, so that its record is made in time; a tenth of short jobs."""

KILL_OUTCOME = Outcome(Status.LOST, FAULT_CODE, "its supervisor and its worker were killed")


def main(argv: list[str]) -> int:
    """Make the live folder ready for this attempt, supervise it, and start the next one where there is one.

    The exit code is the run's, for Slurm's own books; 0 where there is nothing to do.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--after")
    parser.add_argument("folder", type=Path)
    parser.add_argument("top", type=Path)
    options = parser.parse_args(argv)
    path: Path = options.folder
    if path.is_dir():
        if not begin_attempt(path):
            return 75
    elif not count_restarts(os.environ) or not _renew(path, options.top):
        return 0
    _introduce(path)
    place = read_order(path).place
    if options.after and not _may_start(place, path, options.after):
        return 1
    limit_time(path, os.environ)
    retries.allow_retries(path, options.retries)
    supervise(path)
    return end_job(place, path)


def _renew(path: Path, top: Path) -> bool:
    """Make the live folder anew, whose job starts once more; False where there is nothing left to run."""
    from snaprun.remote import slurmends  # git and the index: most jobs start once

    return slurmends.renew(path, top)


def _may_start(place: Place, path: Path, after: str) -> bool:
    from snaprun.remote import slurmends  # git and the index: most jobs wait for no other

    return slurmends.may_start(place, path, after)


def _introduce(path: Path) -> None:
    """Write down which job this is where the command that submitted it has not come to it yet, or never will."""
    placement, job = read_placement(path), job_name(os.environ)
    if (
        placement is not None
        and job is not None
        and (not placement.handle or placement.handle.startswith(launchers.PENDING_PREFIX))
    ):
        write_placement(path, placement.launcher, job)


def count_restarts(env: Mapping[str, str]) -> int:
    """How often Slurm has started this job again."""
    return int(env.get("SLURM_RESTART_COUNT") or 0)


def job_name(env: Mapping[str, str]) -> str | None:
    """What Slurm calls this job. The plain id of an array's last task is that of the whole array."""
    array, task = env.get("SLURM_ARRAY_JOB_ID"), env.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else env.get("SLURM_JOB_ID")


def supervise(path: Path) -> None:
    """Run the supervisor until nobody has the run any more; Slurm's signals go to it once, by way of this process."""
    child = subprocess.Popen([sys.executable, "-m", programs.SUPERVISOR, os.fspath(path)])
    with _SignalForwarder(path, child):
        child.wait()
        lock.wait_until_free(path)  # where only the supervisor was killed, the worker goes on without
    if (path / SUPERVISOR_FILE).exists():
        settle.end(Live(path), os.environ, KILL_OUTCOME)


def end_job(place: Place, path: Path) -> int:
    """Have Slurm start the job again where the next attempt waits; else the run's exit code."""
    has_next = path.is_dir() and not (path / SUPERVISOR_FILE).exists()
    if has_next and requeue(os.environ):
        return 0
    from snaprun.remote import slurmends  # git and the index: while the run goes on this process stays small

    if has_next:
        slurmends.drop_retry(place, path)
    return slurmends.exit_code(place, path.name)


def requeue(env: Mapping[str, str]) -> bool:
    """Ask Slurm to start this job again, unless it is about to."""
    job = job_name(env)
    if job is None:
        return False
    return is_requeued(env) or scontrol("requeue", job).returncode == 0


def is_requeued(env: Mapping[str, str]) -> bool:
    """Whether Slurm ends this job only to start it again: its node is wanted for another, or somebody requeued it."""
    job = job_name(env)
    return job is not None and query_job(job).restarts > count_restarts(env)


class _SignalForwarder:
    """Passes signals on, and notes whether they mean that the job will be started again."""

    def __init__(self, path: Path, child: subprocess.Popen[bytes]) -> None:
        self._path, self._child = path, child
        self._handlers: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> None:
        self._handlers = {number: signal.signal(number, self._forward) for number in process.STOP_SIGNALS}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if self._child.poll() is None:
            self._child.send_signal(number)
        elif (identities := read_identities(Live(self._path))) is not None:
            process.send(identities[1], number)
        if number == signal.SIGTERM and is_requeued(os.environ):
            with suppress(OSError):
                retries.note_requeue(self._path)


def begin_attempt(path: Path) -> bool:
    """Where an earlier attempt was cut off in this folder, begin the next one; False where somebody still runs it."""
    lock_handle = lock.take(path)
    if lock_handle is None:
        return False
    try:
        if (path / SUPERVISOR_FILE).exists():
            order = read_order(path)
            for name in (SUPERVISOR_FILE, STOP_FILE, ENDING_FILE):
                (path / name).unlink(missing_ok=True)
            write_order(path, replace(order, attempt=order.attempt + 1))
    finally:
        os.close(lock_handle)
    return True


def limit_time(path: Path, env: Mapping[str, str], *, margin: float = MARGIN, share: float = 0.1) -> None:
    """Tell the run which job it is, and have it end by itself some time before Slurm would, so that its record says
    why."""
    job = job_name(env)
    if job is not None:
        order = read_order(path)
        options = {**order.options, JOB: {"name": job, "restarts": count_restarts(env)}}
        write_order(path, replace(order, options=options))
    deadline = query_job(job).deadline if job else None
    if deadline is None:
        return
    seconds = max(0.0, deadline - time.time())
    timeout = max(1.0, seconds - min(margin, seconds * share))
    order = read_order(path)
    if order.timeout is None or timeout < order.timeout:
        reason = f"Slurm would have ended job {job} {seconds - timeout:.0f} s later"
        options = {**order.options, LIMIT_REASON: reason}
        write_order(path, replace(order, timeout=round(timeout), options=options))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SnaprunError as error:
        sys.exit(f"{error.message} ({error.hint})")
