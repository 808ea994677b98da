"""Tell where each run in progress stands, and what its processes use, without GitPython and SQLAlchemy."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace

from snaprun import metrics
from snaprun.context import Context
from snaprun.index import queue, runlist
from snaprun.index.runlist import Filter
from snaprun.launchers import contact
from snaprun.live import livefolder, supervision
from snaprun.live.progress import Progress, RunInProgress, read_progress
from snaprun.machine import usage
from snaprun.model import Run
from snaprun.reader import index
from snaprun.statuses import GOOD, ONGOING


def in_progress(context: Context, *, now: float) -> list[RunInProgress]:
    """Every run in progress or in the queue, the latest first; ``now`` is the time in seconds since 1970.

    CPU is in percent of one core since the run's start, memory in bytes, times are in seconds. A run on another machine
    stands as it was known last.
    """
    criteria = Filter(status=ONGOING)
    with index(context) as reader:
        runs = runlist.query(reader, criteria)
        cell_seconds = {path: _read_cell_seconds(reader, path) for path in {run.notebook for run in runs}}
        reasons = queue.reasons(queue.listing(reader, socket.gethostname()))
    return [
        _describe_queued(run, reasons[run.id])
        if run.id in reasons
        else _describe_running(context, run, cell_seconds[run.notebook], now)
        for run in runs
    ]


def earlier_seconds(context: Context, notebook: str) -> dict[int, float]:
    """Seconds by cell in the latest successful run of a notebook: what a time left is made from."""
    with index(context) as reader:
        return _read_cell_seconds(reader, notebook)


def _read_cell_seconds(reader: runlist.Reader, notebook: str) -> dict[int, float]:
    criteria = Filter(notebook=notebook, status=GOOD, limit=1)
    runs = runlist.query(reader, criteria, cells=True)
    return {cell.number: cell.seconds for run in runs for cell in run.cells if cell.seconds}


def _describe_queued(run: Run, reason: str) -> RunInProgress:
    """A run that waits in the queue of this machine."""
    return RunInProgress(run, Progress(state=f"queued: {reason}"), None, None, None, None, None, None)


def _describe_running(context: Context, run: Run, cell_seconds: Mapping[int, float], now: float) -> RunInProgress:
    folder = livefolder.find(context.place, run.id)
    if folder is None:
        return RunInProgress(run, Progress(), None, None, None, None, None, None)
    progress = read_progress(folder)
    last_contact = contact.read_contact(folder)
    if last_contact.state == "queued":
        progress = replace(progress, state=f"queued: {last_contact.reason}" if last_contact.reason else "queued")
    host = supervision.host_of(folder)
    identities = None if host else supervision.read_identities(folder)
    resources = usage.measure(identities[0]) if identities else None
    return RunInProgress(
        run=run,
        progress=progress,
        duration=now - progress.start if progress.start else None,
        eta=progress.eta(cell_seconds, now),
        cpu=resources.cpu if resources else None,
        memory=resources.memory if resources else None,
        metric=_last_metric(folder),
        host=host,
        trouble=last_contact.trouble if last_contact.failures else None,
        silence=now - last_contact.heard if last_contact.failures and last_contact.heard else None,
    )


def _last_metric(folder: livefolder.Live) -> str | None:
    """The metric logged last, as ``name=value``."""
    entry = metrics.read_last(folder.metrics)
    return None if entry is None else f"{entry.name}={entry.value:.6g}"
