"""Say what a status of a run means: its colour, whether the run is over, good, tried again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """Where a run stands; what follows from that stands in a table below, a line a status."""

    SAVED = "saved"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed-out"
    LOST = "lost"

    @property
    def colour(self) -> str:
        """The colour of its word in a terminal."""
        return _TRAITS[self].colour

    @property
    def tally(self) -> str:
        """The word under which the runs of a sweep are counted."""
        return _TRAITS[self].tally

    @property
    def launched(self) -> bool:
        """Whether there is a run, not a snapshot alone."""
        return _TRAITS[self].launched

    @property
    def over(self) -> bool:
        """Whether a run of this status will never change again by itself (a saved snapshot counts: nothing runs)."""
        return _TRAITS[self].over

    @property
    def good(self) -> bool:
        """Whether a run ended as it was meant to."""
        return _TRAITS[self].good

    @property
    def retried(self) -> bool:
        """Whether a run that ended so is tried again, while it has retries left."""
        return _TRAITS[self].retried

    @property
    def cut_short(self) -> bool:
        """Whether a wish or a limit of time ended a run, not its own code."""
        return _TRAITS[self].cut_short

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False, repr=False)  # each costs a quarter of a millisecond at every start
class _Traits:
    """What :class:`Status` says of each of its members."""

    colour: str
    tally: str
    launched: bool = True
    over: bool = True
    good: bool = False
    retried: bool = False
    cut_short: bool = False


_TRAITS = {
    Status.SAVED: _Traits("white", "stopped", launched=False),
    Status.QUEUED: _Traits("blue", "waiting", over=False),
    Status.RUNNING: _Traits("cyan", "running", over=False),
    Status.SUCCEEDED: _Traits("green", "succeeded", good=True),
    Status.FAILED: _Traits("red", "failed", retried=True),
    Status.STOPPED: _Traits("yellow", "stopped", cut_short=True),
    Status.TIMED_OUT: _Traits("red", "failed", retried=True, cut_short=True),
    Status.LOST: _Traits("red", "failed", retried=True),
}

ONGOING = frozenset(status for status in Status if not status.over)
GOOD = frozenset(status for status in Status if status.good)
"""The statuses of runs that are not over, and of those that ended as they were meant to."""
