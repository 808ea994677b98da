"""The runs as lists: history with its filters, and what is in progress. Nothing heavy."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun import live, moments, plumbing, reads, runlist, settle, usage, where
from snaprun.door import Door
from snaprun.errors import DataFault, UsageFault
from snaprun.locate import clean_env
from snaprun.model import Run, Status
from snaprun.runlist import Filter
from snaprun.standing import Progress, look

NARROWING = ("status", "notebook", "since", "name", "tag", "group", "commit", "where")
"""Options of ``history`` that leave runs out."""


def history(door: Door, wanted: Mapping[str, Any], *, now: float) -> list[Run]:
    """The runs that the options of ``history`` ask for.

    Raises:
        UsageFault: a status, a time or a condition makes no sense. DataFault: there is no such commit.
    """
    with reads.index(door) as reader:
        return runlist.query(reader, _filter(door, wanted, now))


def narrow(wanted: Mapping[str, Any]) -> bool:
    """Whether the options leave runs out, so that an empty list means that nothing matched."""
    return any(wanted.get(name) for name in NARROWING)


def _filter(door: Door, wanted: Mapping[str, Any], now: float) -> Filter:
    sort = str(wanted.get("sort") or "")
    return Filter(
        limit=None if wanted.get("everything") else wanted.get("count"),
        status=frozenset(_status(name) for name in wanted.get("status") or ()),
        notebook=wanted.get("notebook"),
        since=moments.moment(wanted["since"], now=now) if wanted.get("since") else None,
        name=wanted.get("name"),
        tags=(wanted["tag"],) if wanted.get("tag") else (),
        group=wanted.get("group"),
        commit=_commit(door, wanted["commit"]) if wanted.get("commit") else None,
        where=where.compile(wanted["where"], now=now) if wanted.get("where") else None,
        sort=sort.removeprefix("-") or None,
        ascending=bool(sort) and not sort.startswith("-"),
    )


def _status(name: str) -> Status:
    try:
        return Status(name)
    except ValueError as error:
        raise UsageFault(
            f"there is no status {name!r}", hint=f"--status {' or '.join(status.value for status in Status)}"
        ) from error


@dataclass(frozen=True)
class Going:
    """A run in progress: where it stands, what is left of it, and what its processes use."""

    run: Run
    standing: Progress
    elapsed: float | None
    left: float | None
    cpu: float | None
    memory: int | None
    metric: str | None
    host: str | None


def in_progress(door: Door, *, now: float) -> list[Going]:
    """Every run in progress, the latest first. CPU is in percent of one core since its start, memory in bytes."""
    wanted = Filter(status=frozenset({Status.RUNNING, Status.QUEUED}))
    with reads.index(door) as reader:
        runs = runlist.query(reader, wanted)
        earlier = {path: _earlier(reader, path) for path in {run.notebook for run in runs}}
    return [_going(door, run, earlier[run.notebook], now) for run in runs]


def earlier_seconds(door: Door, notebook: str) -> dict[int, float]:
    """Seconds by cell in the latest successful run of a notebook: what a time left is made from."""
    with reads.index(door) as reader:
        return _earlier(reader, notebook)


def _earlier(reader: runlist.Reader, notebook: str) -> dict[int, float]:
    wanted = Filter(notebook=notebook, status=frozenset({Status.SUCCEEDED}), limit=1)
    runs = runlist.query(reader, wanted, cells=True)
    return {cell.number: cell.seconds for run in runs for cell in run.cells if cell.seconds}


def _going(door: Door, run: Run, earlier: Mapping[int, float], now: float) -> Going:
    folder = live.find(door.place, run.id)
    if folder is None:
        return Going(run, Progress(), None, None, None, None, None, None)
    standing = look(folder)
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
    )


def _last_metric(folder: live.Live) -> str | None:
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


def _commit(door: Door, revision: str) -> str:
    """The commit that a revision names."""
    args = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    code, out, _ = plumbing.call(args, cwd=door.place.top, env=clean_env(door.env))
    if code != 0:
        raise DataFault(f"there is no commit {revision}", hint="git log --oneline")
    return out.decode().strip()
