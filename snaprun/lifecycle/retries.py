"""Decide whether a run is tried again after the attempt that is being recorded, and make the next one's live folder.

The job of a batch system notes in the live folder how often it may start again, or that it is about to; whoever makes
the record leaves the folder of the next attempt behind. A run that waits for that is queued, not over.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from snaprun.files import read_json, read_json_or_empty, write_json
from snaprun.git.locate import Place
from snaprun.launchers.placement import read_placement
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.names import PLACEMENT_FILE, RETRY_FILE
from snaprun.live.order import Order
from snaprun.model import Snapshot
from snaprun.statuses import Status


@dataclass(frozen=True)
class Retry:
    """How many further attempts a run may have; ``is_requeued``: its job is about to start again in any case."""

    count: int = 0
    is_requeued: bool = False


def allow_retries(path: Path, count: int) -> None:
    """Let a run be tried again, up to so many times, each time that it ends without success. Raises OSError."""
    _write(path, Retry(count))


def note_requeue(path: Path) -> None:
    """Note that the batch system itself ends this attempt, to start the job again. Raises OSError."""
    _write(path, replace(_read(path), is_requeued=True))


def is_due(folder: Live, status: Status, attempt: int) -> bool:
    """Whether a run that ended like this will be tried again."""
    retry = _read(folder.path)
    if retry.is_requeued:
        return not status.good
    return status.retried and attempt <= retry.count


def renew(place: Place, folder: Live, snapshot: Snapshot, order: Order) -> None:
    """Put the live folder of the next attempt, with this order, in the place of this one's; the lock of the old one
    stays with the caller. Killed in between, the job makes it anew.

    Raises:
        SnaprunError: it cannot be made.
    """
    placement = read_placement(folder.path)
    retry = _read(folder.path)
    document = read_json_or_empty(folder.notebook) or None  # without it, the next attempt makes it from the snapshot
    livefolder.remove(folder)
    successor = livefolder.create(place, snapshot, order.to_json(), notebook=document)
    if placement is not None:
        write_json(successor.path / PLACEMENT_FILE, asdict(placement))
    allow_retries(successor.path, retry.count)


def _write(path: Path, retry: Retry) -> None:
    data = {"retries": retry.count, **({"given_back": True} if retry.is_requeued else {})}
    write_json(path / RETRY_FILE, data)


def _read(path: Path) -> Retry:
    try:
        data = read_json(path / RETRY_FILE)
        return Retry(int(data["retries"]), bool(data.get("given_back")))
    except (OSError, ValueError, KeyError, TypeError):
        return Retry()
