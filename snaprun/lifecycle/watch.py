"""Follow one run from outside: its log byte for byte, where it stands, and how it ended.

A run that has ended already is read from its result commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from snaprun import records
from snaprun.checkouts import result
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.live.livefolder import Live, find
from snaprun.live.progress import FINAL_STATES, PIECE, LiveView, Progress
from snaprun.model import SNAP_DIR, Result
from snaprun.statuses import Status

INTERVAL = 0.05
"""Seconds between two looks; a look costs two system calls."""

TICK = 1.0
"""Seconds after which an update comes even if nothing new did, so that a clock can move on."""

LINGER = 5.0
"""Seconds that a live folder may stay after its result is made (it goes when all is tidied up), or be gone before it
(somebody deleted it, and the run gives it back)."""

LOG = f"{SNAP_DIR}/log.txt"


@dataclass(frozen=True)
class RunEnd:
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
    end: RunEnd | None = None


def follow(repo: GitRepo, run_id: str, *, offset: int = 0, tick: float = TICK) -> Iterator[Update]:
    """Every update of a run until its end, the log from byte ``offset`` on.

    A run in progress whose supervisor dies stays silent here until somebody settles it: callers do so at each update
    without news.

    Raises:
        DataFault: there is no such run.
    """
    folder = find(repo.place, run_id)
    if folder is None:
        yield from follow_ended(repo, run_id, offset=offset)
        return
    view = LiveView(folder, offset=offset)
    try:
        yield from _follow_live(repo, view, tick)
        for update in follow_ended(repo, run_id, offset=view.offset, attempt=view.progress.attempt):
            yield replace(update, progress=view.progress)
    finally:
        view.close()


def find_folder(place: Place, run_id: str) -> Live | None:
    """The live folder of a run that goes on: where somebody deleted it, the run gives it back within a second."""
    end = time.monotonic() + LINGER
    while True:
        folder = find(place, run_id)
        if folder is not None or time.monotonic() > end:
            return folder
        time.sleep(INTERVAL)


def _follow_live(repo: GitRepo, view: LiveView, tick: float) -> Iterator[Update]:
    """What a run in progress shows, until nothing more can come."""
    last_time = 0.0
    start = time.monotonic()
    while True:
        now = time.monotonic()
        is_gone = not view.folder.path.exists()
        log, news = view.read()
        start = start if is_gone or view.result is not None else now
        is_over = now - start > LINGER or (is_gone and _has_result(repo, view))
        if log or news or now - last_time >= tick:
            last_time = now
            yield Update(log, view.progress)
        if log:
            continue
        if is_over:
            return
        time.sleep(INTERVAL)


def _has_result(repo: GitRepo, view: LiveView) -> bool:
    """Whether a run whose live folder is gone has its result; else somebody deleted the folder."""
    return view.result is not None or result.find_result(repo, view.folder.id) is not None


def follow_ended(repo: GitRepo, run_id: str, *, offset: int = 0, attempt: int | None = None) -> Iterator[Update]:
    """The updates of a run that is over: the rest of its log in pieces, and its end.

    Where ``offset`` was counted in the log of another ``attempt`` than the last, all of the log.

    Raises:
        DataFault: there is no such run, or it is not over.
    """
    tip = result.find_result(repo, run_id)
    end = records.read_result(repo, run_id)
    if tip is None or end is None:
        hint = f"snaprun show {run_id[:8]}"
        raise DataFault(f"run {run_id[:8]} has not ended, and is not in progress either", hint=hint)
    offset = 0 if attempt not in (None, end.attempts) else offset
    count = sum(cell.state in FINAL_STATES and cell.number > 0 for cell in end.cells)
    total = sum(cell.number > 0 for cell in end.cells)
    progress = Progress(total=total, done=count, attempt=end.attempts, state="ended")
    for piece in whole_log(repo, tip, end, offset=offset):
        yield Update(piece, progress)
    yield Update(b"", progress, RunEnd(end.status, end.exit_code, end.reason, tip))


def whole_log(repo: GitRepo, tip: str, end: Result, *, offset: int = 0) -> Iterator[bytes]:
    """The log of a run that is over, in pieces; a very long one lies in the artifact store, only its ends in git."""
    for artifact in end.artifacts:
        if artifact.path == LOG and artifact.stored == "store":
            try:
                file = (repo.place.state / "artifacts" / artifact.sha256).open("rb")
            except FileNotFoundError:
                break
            with file:
                file.seek(offset)
                while piece := file.read(PIECE):
                    yield piece
            return
    yield (repo.blob(tip, LOG) or b"")[offset:]
