"""Follow one run from outside: its log byte for byte, where it stands, and how it ended.

A run that has ended already is read from its result commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from snaprun import record, result
from snaprun.errors import DataFault
from snaprun.gitrepo import GitRepo
from snaprun.live import find
from snaprun.model import SNAP_DIR, Result, Status
from snaprun.standing import COUNTED, PIECE, Progress, View

INTERVAL = 0.05
"""Seconds between two looks; a look costs two system calls."""

TICK = 1.0
"""Seconds after which an update comes even if nothing new did, so that a clock can move on."""

LINGER = 5.0
"""Seconds that a live folder may stay after its result is made; it goes when all is tidied up."""

LOG = f"{SNAP_DIR}/log.txt"


@dataclass(frozen=True)
class End:
    """How a run ended, as its result commit ``tip`` says."""

    status: Status
    exit_code: int
    reason: str | None
    tip: str


@dataclass(frozen=True)
class Update:
    """What is new: bytes of the log, where the run stands, and its end where it has one (then nothing follows)."""

    log: bytes
    progress: Progress
    end: End | None = None


def follow(repo: GitRepo, run_id: str, *, offset: int = 0, tick: float = TICK) -> Iterator[Update]:
    """Every update of a run until its end, the log from byte ``offset`` on.

    A run in progress whose supervisor dies stays silent here until somebody settles it: callers do so at each update
    without news.

    Raises:
        DataFault: there is no such run.
    """
    folder = find(repo.place, run_id)
    view = View(folder, offset=offset) if folder is not None else None
    if view is None:
        yield ended(repo, run_id, offset=offset)
        return
    last = 0.0
    since = time.monotonic()
    try:
        while True:
            now = time.monotonic()
            gone = not view.live.path.exists()
            log, news = view.read()
            since = since if view.result is not None else now
            over = gone or (view.result is not None and now - since > LINGER)
            while over and log:  # all that is left of the log, before the end
                yield Update(log, view.progress)
                log, _ = view.read()
            if over:
                yield replace(ended(repo, run_id, offset=view.offset), progress=view.progress)
                return
            if log or news or now - last >= tick:
                last = now
                yield Update(log, view.progress)
            if len(log) < PIECE:
                time.sleep(INTERVAL)
    finally:
        view.close()


def ended(repo: GitRepo, run_id: str, *, offset: int = 0) -> Update:
    """The one update of a run that is over: the rest of its log, and its end.

    Raises:
        DataFault: there is no such run, or it is not over.
    """
    tip = result.finished(repo, run_id)
    end = record.read_result(repo, run_id)
    if tip is None or end is None:
        hint = f"snaprun show {run_id[:8]}"
        raise DataFault(f"run {run_id[:8]} has not ended, and is not in progress either", hint=hint)
    done = sum(cell.state in COUNTED and cell.number > 0 for cell in end.cells)
    progress = Progress(total=len(end.cells), done=done, attempt=end.attempts, state="ended")
    log = whole_log(repo, tip, end)[offset:]
    return Update(log, progress, End(end.status, end.exit_code, end.reason, tip))


def whole_log(repo: GitRepo, tip: str, end: Result) -> bytes:
    """The log of a run that is over; a very long one lies in the artifact store, and only its ends in git."""
    for artifact in end.artifacts:
        if artifact.path == LOG and artifact.stored == "store":
            try:
                return (repo.place.state / "artifacts" / artifact.sha256).read_bytes()
            except FileNotFoundError:
                break
    return repo.blob(tip, LOG) or b""
