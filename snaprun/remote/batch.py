"""Execute a run as a job of Slurm on a node that reaches the project by a git URL alone.

The job is called with the run and its instructions. The snapshot is fetched from the URL and claimed there, the run has
its repository, checkout and live folder in a folder of the node, and its result is pushed to the URL while the job
lasts.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snaprun import filelock, records
from snaprun.errors import Busy, DataFault, SnaprunError, Unavailable
from snaprun.git import farclaim
from snaprun.git.farclaim import FarClaim
from snaprun.git.gitrepo import GitRepo
from snaprun.git.sync import FETCHED_REF
from snaprun.lifecycle import retries, rundocument, settle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.names import SUPERVISOR_FILE
from snaprun.model import FAULT_CODE, RUN_REF, Outcome
from snaprun.remote import farplace, farstart, slurmjob
from snaprun.statuses import Status

MARGIN, SHARE = 180.0, 0.2
"""Seconds before the job's end at which a run is ended, so that its result can still be pushed; a fifth of short
jobs."""

PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds between two tries to push a result: the network may be away for a while."""

FLUSH = 0.5
"""Seconds between two looks at what the run has printed."""


@dataclass(frozen=True)
class Task:
    """One job: the repository on the node, the run, where it came from, and what else the near side has said."""

    repo: GitRepo
    run: str
    url: str
    instructions: Mapping[str, Any]
    git_env: Mapping[str, str]


def main(argv: list[str]) -> int:
    """Fetch, claim, run, give back; the exit code is the run's, 0 where there is nothing to do."""
    run, instructions = argv[0], json.loads(argv[1])
    path = folder_of(instructions, os.environ)
    git_env = farclaim.ssh_env(os.environ)
    with _repository_lock(path):
        place = farplace.ensure_place(path, instructions["hash"], os.environ)
    task = Task(GitRepo(place), run, instructions["url"], instructions, git_env)
    tip = farclaim.take(task.repo, task.url, run, env=git_env)
    if tip != run and (not slurmjob.count_restarts(os.environ) or _has_succeeded(task, tip)):
        _say(f"run {run[:8]} has its result already")
        return 0
    claim = _claim(task, tip)
    folder = _live_folder(task, tip, claim.attempt)
    if _may_start(task, folder):
        retries.allow_retries(folder.path, int(instructions["retries"]))
        slurmjob.limit_time(folder.path, os.environ, margin=MARGIN, share=SHARE)
        with _print_log(folder):
            slurmjob.supervise(folder.path)
    return _give_back(task, folder)


def folder_of(instructions: Mapping[str, Any], env: Mapping[str, str]) -> Path:
    """The folder for runs on this node: as named, else one for this URL in the job's own or the user's cache.

    Raises:
        Unavailable: the name holds a variable that the node has not.
    """
    if instructions.get("dir"):
        path = Path(os.path.expandvars(os.path.expanduser(instructions["dir"])))
        if not path.is_absolute():
            raise Unavailable(
                f"{socket.gethostname()} has no {instructions['dir']}", hint="--slurm dir=/scratch/me/runs"
            )
        return path
    base = Path(env["SLURM_TMPDIR"]) if env.get("SLURM_TMPDIR") else Path.home() / ".cache"
    return base / "snaprun" / hashlib.sha256(str(instructions["url"]).encode()).hexdigest()[:12]


def _claim(task: Task, tip: str) -> FarClaim:
    """Claim the run at the URL, and look again whether it has a result: the claim of an earlier job goes with it.

    Raises:
        Busy: another job has it, or has had it.
    """
    claim = FarClaim(
        slurmjob.job_name(os.environ) or "",
        slurmjob.count_restarts(os.environ),
        socket.gethostname(),
        _attempt(task, tip),
    )
    claim = farclaim.claim(task.repo, task.url, task.run, claim, env=task.git_env)
    if farclaim.take(task.repo, task.url, task.run, env=task.git_env) != tip:
        raise Busy(f"another job has just ended run {task.run[:8]}", hint="squeue")
    return claim


def _attempt(task: Task, tip: str) -> int:
    if tip == task.run:
        return 1
    return records.read_run(task.repo, task.run, commit=tip).attempts + 1


def _has_succeeded(task: Task, tip: str) -> bool:
    return records.read_run(task.repo, task.run, commit=tip).status.good


def _live_folder(task: Task, tip: str, attempt: int) -> Live:
    """The live folder of this attempt; one that was cut off on this node goes on in its own.

    Raises:
        Busy: somebody still runs it here. SnaprunError: the node lacks what the run needs.
    """
    place, run = task.repo.place, task.run
    folder = livefolder.find(place, run)
    if folder is not None:
        if not slurmjob.begin_attempt(folder.path):
            raise Busy(f"run {run[:8]} still goes on on {socket.gethostname()}", hint="squeue")
        return folder
    current = task.repo.refs(RUN_REF + run).get(RUN_REF + run)
    if current != tip:
        task.repo.move_ref(RUN_REF + run, tip, current)
    order, snapshot = farstart.make_order(task.repo, run, task.instructions)
    after = None if tip == run else tip
    order = replace(order, attempt=attempt, after=after)
    document = rundocument.prepare(task.repo, run, snapshot.spec)
    return livefolder.create(place, snapshot, order.to_json(), notebook=document)


def _may_start(task: Task, folder: Live) -> bool:
    """Whether the run that this one is to follow has succeeded; if not, this one is recorded as never started."""
    predecessor = task.instructions.get("after")
    if not predecessor:
        return True
    try:
        tip = farclaim.take(task.repo, task.url, predecessor, env=task.git_env)
        status = records.read_run(task.repo, predecessor, commit=tip).status
    except DataFault as error:
        status = Status.LOST
        _say(error.message)
    if status.good:
        return True
    state = f"has {status}" if status.over else "has not ended"
    reason = f"not started: run {predecessor[:8]}, which it was to follow, {state}"
    settle.end(folder, os.environ, Outcome(Status.STOPPED, 1, reason))
    return False


def _give_back(task: Task, folder: Live) -> int:
    """Push the result, and have Slurm start the job again where the run is to be tried again."""
    has_next = folder.path.is_dir() and not (folder.path / SUPERVISOR_FILE).exists()
    tip = task.repo.refs(RUN_REF + task.run)[RUN_REF + task.run]
    if tip == task.run:
        raise DataFault(f"run {task.run[:8]} left no result on {socket.gethostname()}", hint=f"ls {folder.path}")
    _push(task, tip, last=not has_next)
    if has_next:
        livefolder.remove(folder)  # the next attempt may be on another node
        if slurmjob.requeue(os.environ):
            return 0
        _say("the run is not tried again: Slurm does not start its job once more")
    _forget(task)
    result = records.read_result(task.repo, task.run)
    return FAULT_CODE if result is None else result.exit_code


def _push(task: Task, tip: str, *, last: bool) -> None:
    for pause in (*PAUSES, None):
        try:
            farclaim.give(task.repo, task.url, task.run, tip, last=last, env=task.git_env)
            return
        except Unavailable as error:
            _say(f"the result cannot be pushed: {error.message}")
            if pause is None:
                command = f"git -C {task.repo.place.git_dir} push {task.url} {tip}:{RUN_REF}{task.run}"
                raise Unavailable(error.message, hint=f"on {socket.gethostname()}: {command}") from error
            time.sleep(pause)


def _forget(task: Task) -> None:
    """Drop the refs that were only of use on the way."""
    for ref in (FETCHED_REF + task.run, farclaim.CLAIM_REF + task.run):
        for name, oid in task.repo.refs(ref).items():
            task.repo.delete_ref(name, oid)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def _repository_lock(path: Path) -> Iterator[None]:
    """Only one job makes the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.hold(Path(f"{path}.lock")):
        yield


@contextmanager
def _print_log(folder: Live) -> Iterator[None]:
    """Print what the run prints, as it comes: Slurm's output file is what others may see of it meanwhile."""
    end_event = threading.Event()

    def copy() -> None:
        with folder.log.open("rb") as log:
            while True:
                last = end_event.wait(FLUSH)
                while piece := log.read(1 << 20):
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
                if last:
                    return

    thread = threading.Thread(target=copy, name="snaprun-print", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end_event.set()
        thread.join()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SnaprunError as error:
        sys.exit(f"snaprun: error: {error.message}\nhint: {error.hint}")
