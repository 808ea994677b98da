"""Do with git and the index what a job needs before its run may start, and once it has ended.

Apart from :mod:`snaprun.remote.slurmjob`, which lives as long as the run and stays small.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from snaprun import records
from snaprun.context import open_context
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.index import reindex
from snaprun.lifecycle import resume, settle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.order import read_order
from snaprun.model import FAULT_CODE, Outcome
from snaprun.statuses import Status

INTERVAL = 1.0
"""Seconds between two looks at the run that this one is to follow; Slurm has it ended already."""


def may_start(place: Place, path: Path, after: str) -> bool:
    """Whether the run that this one was to follow has succeeded; if not, this one is recorded as never started."""
    while livefolder.find(place, after) is not None:
        settle.settle(place, os.environ)
        time.sleep(INTERVAL)
    predecessor = records.read_run(GitRepo(place), after)
    if predecessor.status.good:
        return True
    reason = f"not started: run {after[:8]}, which it was to follow, has {predecessor.status}"
    settle.end(Live(path), os.environ, Outcome(Status.STOPPED, 1, reason))
    return False


def renew(path: Path, top: Path) -> bool:
    """Make the live folder of a run that had had the time to end properly, and whose job starts once more: a further
    attempt, unless it has succeeded meanwhile."""
    here = open_context(top, os.environ)
    run = records.read_run(GitRepo(here.place), path.name)
    if run.status.good:
        return False
    resume.create_attempt(here, run)
    return True


def drop_retry(place: Place, path: Path) -> None:
    """Leave a run as its last attempt ended: the next one waits in the live folder, and no job will start it."""
    sys.stderr.write("the run is not tried again: Slurm does not start its job once more\n")
    order = read_order(path)
    reindex.record(GitRepo(place), order.index_url, records.read_run(GitRepo(place), path.name))
    livefolder.remove(Live(path))


def exit_code(place: Place, run: str) -> int:
    """With which code the run has ended."""
    result = records.read_result(GitRepo(place), run)
    return FAULT_CODE if result is None else result.exit_code
