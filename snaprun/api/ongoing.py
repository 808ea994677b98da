"""The runs in progress: where each stands, what is left of it, and what its processes use."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import replace

from snaprun.context import Door
from snaprun.index import queue, runlist
from snaprun.index.runlist import Filter
from snaprun.lifecycle import contact, settle
from snaprun.live import livefolder
from snaprun.live.progress import Going, Progress, look
from snaprun.machine import usage
from snaprun.model import Run, Status
from snaprun.reader import index


def in_progress(door: Door, *, now: float) -> list[Going]:
    """Every run in progress, the latest first. CPU is in percent of one core since its start, memory in bytes."""
    wanted = Filter(status=frozenset({Status.RUNNING, Status.QUEUED}))
    with index(door) as reader:
        runs = runlist.query(reader, wanted)
        earlier = {path: _earlier(reader, path) for path in {run.notebook for run in runs}}
        waiting = queue.reasons(queue.listing(reader, socket.gethostname()))
    return [
        _waits(run, waiting[run.id]) if run.id in waiting else _going(door, run, earlier[run.notebook], now)
        for run in runs
    ]


def earlier_seconds(door: Door, notebook: str) -> dict[int, float]:
    """Seconds by cell in the latest successful run of a notebook: what a time left is made from."""
    with index(door) as reader:
        return _earlier(reader, notebook)


def _earlier(reader: runlist.Reader, notebook: str) -> dict[int, float]:
    wanted = Filter(notebook=notebook, status=frozenset({Status.SUCCEEDED}), limit=1)
    runs = runlist.query(reader, wanted, cells=True)
    return {cell.number: cell.seconds for run in runs for cell in run.cells if cell.seconds}


def _waits(run: Run, why: str) -> Going:
    """A run that waits in the queue of this machine."""
    return Going(run, Progress(state=f"queued: {why}"), None, None, None, None, None, None)


def _going(door: Door, run: Run, earlier: Mapping[int, float], now: float) -> Going:
    folder = livefolder.find(door.place, run.id)
    if folder is None:
        return Going(run, Progress(), None, None, None, None, None, None)
    standing = look(folder)
    last = contact.known(folder)
    if last.state == "queued":
        standing = replace(standing, state=f"queued: {last.reason}" if last.reason else "queued")
    host = settle.host_of(folder)
    about = None if host else settle.supervised_by(folder)
    used = usage.of(about[0]) if about else None
    return Going(
        run=run,
        standing=standing,
        elapsed=now - standing.started if standing.started else None,
        left=standing.eta(earlier, now),
        cpu=used.cpu if used else None,
        memory=used.memory if used else None,
        metric=_last_metric(folder),
        host=host,
        trouble=last.trouble if last.failures else None,
        silent=now - last.heard if last.failures and last.heard else None,
    )


def _last_metric(folder: livefolder.Live) -> str | None:
    """The metric logged last, as ``name=value``: the end of the file is enough."""
    try:
        with folder.metrics.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            data = json.loads(line)
            return f"{data['name']}={data['value']:.6g}"
        except (ValueError, KeyError, TypeError):
            continue
    return None
