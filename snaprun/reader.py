"""Open the index for a command that looks, after making sure that it tells the truth. Nothing heavy.

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

from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.git.locate import clean_env
from snaprun.index import runlist, selectors
from snaprun.index.runlist import IndexGap, Reader
from snaprun.model import RUN_REF, Run, short_id
from snaprun.statuses import Status


@contextmanager
def index(context: Context) -> Iterator[Reader]:
    """The index of a repository, true at this moment.

    Raises:
        SettingsFault: a newer snaprun wrote it. Denied, WriteFault, Unavailable: it cannot be reached or rebuilt.
    """
    has_live = _has_live_runs(context)
    if has_live:
        from snaprun.lifecycle.settle import settle  # only where something runs

        settle(context.place, context.env)
    if context.place.busy_file.exists() or context.place.search_marks.exists():
        from snaprun.live.bell import wake  # only where something waits

        wake(context.place, context.env)
    reader = _reader(context)
    try:
        missing_ids, vanished_ids = _missing_ids(context, reader) if has_live else [], _vanished_ids(context, reader)
        if missing_ids:
            from snaprun.index.reindex import record_missing  # SQLAlchemy: only for a run that has just started

            record_missing(context, missing_ids)
        if vanished_ids:
            from snaprun.lifecycle.settle import revive  # only where a live folder was deleted

            revive(context.place, context.env, vanished_ids)
        if missing_ids or vanished_ids:
            _close(reader)
            reader = _reader(context)
        yield reader
    finally:
        _close(reader)


@contextmanager
def glance(context: Context) -> Iterator[Reader]:
    """The index as it stands, for who looks many times a second and makes sure of its truth now and then.

    Raises:
        SettingsFault, Denied, WriteFault, Unavailable: as :func:`index`.
    """
    reader = _reader(context)
    try:
        yield reader
    finally:
        _close(reader)


def _reader(context: Context) -> Reader:
    url = context.settings.index_url
    if runlist.sqlite_path(context.place.state, url) is None:
        from snaprun.index import reindex  # SQLAlchemy: where the index is another database

        return reindex.reader(context)
    try:
        return runlist.connect(context.place.state, url)
    except IndexGap:
        if not _has_run(context):
            return NoRuns()
    from snaprun.index import reindex  # SQLAlchemy: where there is no sound index

    report = reindex.rebuild(context)
    if report.set_aside:
        context.warn(f"the index was damaged and has been rebuilt from git; the damaged one is now {report.set_aside}")
    for run in report.damaged:
        context.warn(f"run {short_id(run.id)} cannot be read: {run.reason}")
    return runlist.connect(context.place.state, url)


def _has_live_runs(context: Context) -> bool:
    """Whether there may be a run in progress: else all that looks after runs need not be imported."""
    try:
        with os.scandir(context.place.live) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _missing_ids(context: Context, reader: Reader) -> list[str]:
    """Runs in progress that the index does not know yet."""
    from snaprun.live.livefolder import scan  # only where something runs

    ids = [folder.id for folder in scan(context.place)]
    return [run_id for run_id in ids if not runlist.query(reader, runlist.Filter(id=run_id, limit=1))]


def _vanished_ids(context: Context, reader: Reader) -> list[str]:
    """Runs of this machine that should be in progress, and whose live folder somebody deleted."""
    runs = runlist.query(reader, runlist.Filter(status=frozenset([Status.RUNNING])))
    hostname = socket.gethostname()
    return [run.id for run in runs if run.host == hostname and not (context.place.live / run.id).is_dir()]


def _has_run(context: Context) -> bool:
    """Whether git has any run at all."""
    command = ["git", "for-each-ref", "--count=1", "--format=x", RUN_REF]
    process = subprocess.run(
        command, cwd=context.place.top, env=clean_env(context.env), capture_output=True, check=False
    )
    return bool(process.stdout)


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


def require_launched(run: Run) -> Run:
    """This run. Raises UsageFault where there is only a snapshot, which never will run."""
    if not run.status.launched:
        raise UsageFault(
            f"run {short_id(run.id)} is only a snapshot: nothing runs", hint=f"snaprun rerun {short_id(run.id)}"
        )
    return run


def find(context: Context, selector: str) -> Run:
    """The run that a selector names: an id or its first digits, ``@``, ``@~2``, ``@failed``, a name.

    Raises:
        DataFault: there is none, or more than one.
    """
    with index(context) as reader:
        return selectors.find(reader, selector)
