"""Whether a run goes on after the attempt that is being recorded: a batch system starts its job again, or is to.

The job says so in the live folder, and whoever makes the record leaves the folder of the next attempt behind. A run
that waits for that is queued, not over.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snaprun.files import read_json, write_json
from snaprun.git.locate import Place
from snaprun.launchers import noted
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.order import SUBMITTED, Order
from snaprun.model import Snapshot, Status

AGAIN = "again.json"
"""In the live folder: how often the run may be tried again, and whether its job is given back already."""

FALLEN = (Status.FAILED, Status.LOST, Status.TIMED_OUT)
"""Endings after which a run with retries left is tried again, as in the queue."""


def allow(folder: Path, retries: int) -> None:
    """Let a run be tried again, up to so many times, each time that it ends without success. Raises OSError."""
    write_json(folder / AGAIN, {"retries": retries})


def given_back(folder: Path) -> None:
    """Note that the batch system itself ends this attempt, to start the job again. Raises OSError."""
    write_json(folder / AGAIN, {"retries": _asked(folder)["retries"], "given_back": True})


def due(folder: Live, status: Status, attempt: int) -> bool:
    """Whether a run that ended like this will be tried again."""
    asked = _asked(folder.path)
    if asked["given_back"]:
        return status is not Status.SUCCEEDED
    return status in FALLEN and attempt <= asked["retries"]


def renew(place: Place, folder: Live, order: Order, tip: str) -> None:
    """Put the live folder of the next attempt in the place of this one's; the lock of the old one stays with the
    caller. Killed in between, the job makes it anew.

    Raises:
        SnaprunError: it cannot be made.
    """
    told = noted(folder.path)
    retries = _asked(folder.path)["retries"]
    frozen = Snapshot(folder.id, "", folder.spec(), folder.params())
    document = _document(folder)
    livefolder.remove(folder)
    made = livefolder.create(
        place, frozen, replace(order, attempt=order.attempt + 1, after=tip).to_json(), notebook=document
    )
    if told is not None:
        write_json(made.path / SUBMITTED, {"launcher": told.launcher, "handle": told.handle, "host": told.host})
    allow(made.path, retries)


def _document(folder: Live) -> dict[str, object] | None:
    """The notebook that runs; without it the next attempt makes it from the snapshot."""
    try:
        return read_json(folder.notebook)
    except (OSError, ValueError):
        return None


def _asked(folder: Path) -> dict[str, int]:
    try:
        found = read_json(folder / AGAIN)
        return {"retries": int(found["retries"]), "given_back": int(bool(found.get("given_back")))}
    except (OSError, ValueError, KeyError, TypeError):
        return {"retries": 0, "given_back": 0}
