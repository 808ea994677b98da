"""Ask the index, after making sure that it tells the truth: what every looking command does first. Nothing heavy.

Runs whose supervisor is gone are settled; a missing index is rebuilt; a run that has just started is there already.
What that takes is imported only where it is needed, which is nearly never.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from snaprun.context import Door
from snaprun.git.locate import clean_env
from snaprun.index import runlist, selectors
from snaprun.index.runlist import IndexGap, Reader
from snaprun.model import RUN_REF, Run, Status


@contextmanager
def index(door: Door) -> Iterator[Reader]:
    """The index of a repository, true at this moment.

    Raises:
        SettingsFault: a newer snaprun wrote it. Denied, WriteFault, Unavailable: it cannot be reached or rebuilt.
    """
    going = _going(door)
    if going:
        from snaprun.lifecycle.settle import settle  # only where something runs

        settle(door.place, door.env)
    if door.place.busy.exists() or door.place.searching.exists():
        from snaprun.live.bell import wake  # only where something waits

        wake(door.place, door.env)
    reader = _reader(door)
    try:
        missing, vanished = _missing(door, reader) if going else [], _vanished(door, reader)
        if missing:
            from snaprun.index.reindex import record_missing  # SQLAlchemy: only for a run that has just started

            record_missing(door, missing)
        if vanished:
            from snaprun.lifecycle.settle import revive  # only where a live folder was deleted

            revive(door.place, door.env, vanished)
        if missing or vanished:
            _close(reader)
            reader = _reader(door)
        yield reader
    finally:
        _close(reader)


@contextmanager
def glance(door: Door) -> Iterator[Reader]:
    """The index as it stands, for who looks many times a second and makes sure of its truth now and then.

    Raises:
        SettingsFault, Denied, WriteFault, Unavailable: as :func:`index`.
    """
    reader = _reader(door)
    try:
        yield reader
    finally:
        _close(reader)


def _reader(door: Door) -> Reader:
    url = door.settings.index_url
    if runlist.sqlite_path(door.place.state, url) is None:
        from snaprun.index import reindex  # SQLAlchemy: where the index is another database

        return reindex.reader(door)
    try:
        return runlist.connect(door.place.state, url)
    except IndexGap:
        if not _any_run(door):
            return NoRuns()
    from snaprun.index import reindex  # SQLAlchemy: where there is no sound index

    rebuilt = reindex.rebuild(door)
    if rebuilt.set_aside:
        door.warn(f"the index was damaged and has been rebuilt from git; the damaged one is now {rebuilt.set_aside}")
    for run in rebuilt.damaged:
        door.warn(f"run {run.id[:8]} cannot be read: {run.why}")
    return runlist.connect(door.place.state, url)


def _going(door: Door) -> bool:
    """Whether there may be a run in progress: else all that looks after runs need not be imported."""
    try:
        with os.scandir(door.place.live) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _missing(door: Door, reader: Reader) -> list[str]:
    """Runs in progress that the index does not know yet."""
    from snaprun.live.livefolder import scan  # only where something runs

    ids = [folder.id for folder in scan(door.place)]
    return [run_id for run_id in ids if not runlist.query(reader, runlist.Filter(id=run_id, limit=1))]


def _vanished(door: Door, reader: Reader) -> list[str]:
    """Runs of this machine that should be in progress, and whose live folder somebody deleted."""
    running = runlist.query(reader, runlist.Filter(status=frozenset([Status.RUNNING])))
    here = socket.gethostname()
    return [run.id for run in running if run.host == here and not (door.place.live / run.id).is_dir()]


def _any_run(door: Door) -> bool:
    """Whether git has any run at all."""
    command = ["git", "for-each-ref", "--count=1", "--format=x", RUN_REF]
    done = subprocess.run(command, cwd=door.place.top, env=clean_env(door.env), capture_output=True, check=False)
    return bool(done.stdout)


def _close(reader: Reader) -> None:
    if isinstance(reader, runlist.SqliteReader):
        reader.close()


@dataclass(frozen=True)
class NoRuns:
    """The answer where nothing was ever run: no index is made just because somebody looked."""

    repo: str = ""

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:  # noqa: ARG002
        """No row, but for a count."""
        return [(0,)] if sql.startswith("SELECT count") else []

    def steady(self) -> AbstractContextManager[None]:
        """Nothing changes here."""
        return nullcontext()


def find(door: Door, selector: str) -> Run:
    """The run that a selector names: an id or its first digits, ``@``, ``@~2``, ``@failed``, a name.

    Raises:
        DataFault: there is none, or more than one.
    """
    with index(door) as reader:
        return selectors.find(reader, selector)
