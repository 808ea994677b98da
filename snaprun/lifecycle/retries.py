"""Decide whether a run is tried again after the attempt that is being recorded, and make the next one's live folder.

The job of a batch system notes in the live folder how often it may start again, or that it is about to; whoever makes
the record leaves the folder of the next attempt behind. A run that waits for that is queued, not over.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snaprun.files import read_json, read_json_or_empty, write_json
from snaprun.git.locate import Place
from snaprun.launchers import read_placement
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.order import SUBMISSION_FILE, Order
from snaprun.model import Snapshot, Status

RETRY_FILE = "again.json"
"""In the live folder: how often the run may be tried again, and whether its job is given back already."""


def allow_retries(path: Path, retries: int) -> None:
    """Let a run be tried again, up to so many times, each time that it ends without success. Raises OSError."""
    write_json(path / RETRY_FILE, {"retries": retries})


def note_requeue(path: Path) -> None:
    """Note that the batch system itself ends this attempt, to start the job again. Raises OSError."""
    write_json(path / RETRY_FILE, {"retries": _read_retry(path)["retries"], "given_back": True})


def is_due(folder: Live, status: Status, attempt: int) -> bool:
    """Whether a run that ended like this will be tried again."""
    retry = _read_retry(folder.path)
    if retry["given_back"]:
        return not status.good
    return status.retried and attempt <= retry["retries"]


def renew(place: Place, folder: Live, order: Order, tip: str) -> None:
    """Put the live folder of the next attempt in the place of this one's; the lock of the old one stays with the
    caller. Killed in between, the job makes it anew.

    Raises:
        SnaprunError: it cannot be made.
    """
    submission = read_placement(folder.path)
    retries = _read_retry(folder.path)["retries"]
    snapshot = Snapshot(folder.id, "", folder.spec(), folder.params())
    document = _document(folder)
    livefolder.remove(folder)
    successor = livefolder.create(
        place, snapshot, replace(order, attempt=order.attempt + 1, after=tip).to_json(), notebook=document
    )
    if submission is not None:
        write_json(
            successor.path / SUBMISSION_FILE,
            {"launcher": submission.launcher, "handle": submission.handle, "host": submission.host},
        )
    allow_retries(successor.path, retries)


def _document(folder: Live) -> dict[str, object] | None:
    """The notebook that runs; without it the next attempt makes it from the snapshot."""
    return read_json_or_empty(folder.notebook) or None


def _read_retry(path: Path) -> dict[str, int]:
    try:
        data = read_json(path / RETRY_FILE)
        return {"retries": int(data["retries"]), "given_back": int(bool(data.get("given_back")))}
    except (OSError, ValueError, KeyError, TypeError):
        return {"retries": 0, "given_back": 0}
