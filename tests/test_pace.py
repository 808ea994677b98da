"""How long a sweep will still take."""

from __future__ import annotations

import pytest

from snaprun.model import Run, utc
from snaprun.statuses import Status
from snaprun.sweeps import pace
from tests.indexed import START, run


def sweep(*ended: float, going: int = 1, waiting: int = 0) -> list[Run]:
    """Runs of a sweep that began at 0, and ended at these seconds."""
    over = [run(at, started=utc(START), ended=utc(START + end)) for at, end in enumerate(ended)]
    there = [run(50 + at, status=Status.RUNNING, ended=None) for at in range(going)]
    return [*over, *there, *(run(90 + at, status=Status.QUEUED, started=None, ended=None) for at in range(waiting))]


def left(runs: list[Run], now: float) -> float | None:
    return pace.seconds_left(runs, len(runs), now=START + now)


def test_nothing_is_known_before_an_end_and_after_the_last() -> None:
    assert left(sweep(going=2, waiting=3), 50.0) is None
    assert left(sweep(10.0, 20.0, going=0), 20.0) is None


def test_time_goes_down_between_two_ends() -> None:
    runs = sweep(10.0, 20.0, going=1, waiting=2)
    assert [left(runs, now) for now in (20.0, 24.0, 30.0)] == pytest.approx([30.0, 26.0, 20.0])
    assert left(sweep(10.0, 20.0, 30.0, going=1, waiting=1), 30.0) == pytest.approx(20.0)  # as at the end before


def test_runs_that_are_late_make_it_longer() -> None:
    runs = sweep(10.0, going=1, waiting=8)
    assert left(runs, 40.0) == pytest.approx(20.0 * 9 - 30.0)  # at best two in forty seconds


def test_several_at_a_time() -> None:
    runs = sweep(10.0, 10.0, going=2, waiting=4)
    assert [left(runs, now) for now in (10.0, 15.0)] == pytest.approx([30.0, 25.0])


def test_a_last_run_that_is_late_has_no_time() -> None:
    runs = sweep(10.0, 20.0, going=1)
    assert left(runs, 25.0) == pytest.approx(5.0)
    assert left(runs, 31.0) is None
