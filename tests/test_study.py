"""What a search draws from, and the study that draws: Optuna in a file that survives a kill."""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import DataFault
from snaprun.sweeps import points, space, study
from snaprun.sweeps.study import Study


def dimensions(*given: str) -> tuple[space.Dimension, ...]:
    return space.dimensions(points.axes(given))


def opened(folder: Path, *given: str, highest: bool = False, seed: int = 0) -> Study:
    folder.mkdir(exist_ok=True)
    return Study(folder, dimensions(*given), highest=highest, seed=seed)


@pytest.mark.parametrize(
    ("said", "count", "values"),
    [
        ("x=2..6", 5, [2, 3, 4, 5, 6]),
        ("x=6..2", 5, [2, 3, 4, 5, 6]),
        ("x=0..100..25", 5, [0, 25, 50, 75, 100]),
        ("x=0..1..0.1", 11, [index / 10 for index in range(11)]),
        ("x=0..3..0.1", 31, [index / 10 for index in range(31)]),
        ("x=-1..1..0.3", 7, [-1.0, -0.7, -0.4, -0.1, 0.2, 0.5, 0.8]),
        ("x=0.3,0.1,0.2", 3, [0.1, 0.2, 0.3]),
        ("x=1,2,4", 3, [1, 2, 4]),
        ("x=[adam,sgd]", 2, ["adam", "sgd"]),
        ("x=[adam,sgd,adam]", 2, ["adam", "sgd"]),
        ("x=[[64,32],[128],{a: 1}]", 3, [[64, 32], [128], {"a": 1}]),
        ("x=[1,true,1.0,null]", 4, [1, True, 1.0, None]),
        (f"x=1,{10**400},3", 3, [1, 10**400, 3]),
        ("x=[.nan,1.0]", 2, [math.nan, 1.0]),
        ("x=1..4..log", 4, [1, 2, 3, 4]),
    ],
)
def test_a_listed_axis_gives_its_values_exactly(tmp_path: Path, said: str, count: int, values: list[Any]) -> None:
    found = dimensions(said)
    assert space.size(found) == count
    asked = opened(tmp_path / "study", said)
    drawn = []
    while (trial := asked.ask()) is not None:
        asked.assign(trial.number, f"run{trial.number}")
        drawn.append(trial.params["x"])
    assert sorted(map(repr, drawn)) == sorted(map(repr, values))
    asked.close()


def test_spans_stay_within_their_bounds(tmp_path: Path) -> None:
    asked = opened(tmp_path / "study", "lr=1e-4..1e-1..log", "drop=0.0..0.5", "width=16..512..log", "opt=adam")
    assert space.size(dimensions("lr=1e-4..1e-1..log", "n=2..3")) is None
    assert space.constants(points.axes(["opt=adam", "lr=0.1,0.2", "n=3..3"])) == {"opt": "adam", "n": 3}
    for _ in range(15):
        trial = asked.ask()
        assert trial is not None
        assert list(trial.params) == ["lr", "drop", "width"]
        assert 1e-4 <= trial.params["lr"] <= 1e-1
        assert 0.0 <= trial.params["drop"] <= 0.5
        assert isinstance(trial.params["width"], int)
        assert 16 <= trial.params["width"] <= 512
        asked.assign(trial.number, "run")
        asked.complete(trial.number, trial.params["lr"])
    asked.close()


def test_a_search_comes_near_the_optimum(tmp_path: Path) -> None:
    asked = opened(tmp_path / "study", "x=-10.0..10.0", "y=0..20")
    best = math.inf
    for number in range(60):
        trial = asked.ask()
        assert trial is not None
        value = (trial.params["x"] - 3) ** 2 + abs(trial.params["y"] - 7)
        asked.assign(trial.number, f"run{number}")
        asked.complete(trial.number, value)
        best = min(best, value)
    assert best < 3
    asked.close()


def test_the_draws_are_the_same_after_a_restart(tmp_path: Path) -> None:
    def draw(name: str, *, seed: int, restart: bool) -> list[Any]:
        drawn = []
        asked = opened(tmp_path / name, "x=0.0..1.0", seed=seed)
        for number in range(14):
            if restart:
                asked.close()
                asked = opened(tmp_path / name, "x=0.0..1.0", seed=seed)
            trial = asked.ask()
            assert trial is not None
            asked.assign(trial.number, f"run{number}")
            asked.complete(trial.number, trial.params["x"])
            drawn.append(trial.params["x"])
        asked.close()
        return drawn

    first = draw("one", seed=3, restart=False)
    assert draw("two", seed=3, restart=True) == first
    assert draw("three", seed=4, restart=False) != first
    assert len(set(first)) == 14


def test_trials_are_kept_with_their_runs_and_ends(tmp_path: Path) -> None:
    asked = opened(tmp_path / "study", "x=0.0..1.0", highest=True)
    for number, run in enumerate(["aaaa", "bbbb", "cccc", "dddd"]):
        trial = asked.ask()
        assert trial is not None
        assert trial.number == number
        asked.assign(number, run)
    asked.complete(0, math.inf)
    asked.report(1, 3, math.nan)
    asked.mark_pruned(1)
    asked.mark_failed(2, "the kernel died")
    spare = asked.ask()
    assert spare is not None
    asked.discard(spare.number)
    asked.close()
    again = opened(tmp_path / "study", "x=0.0..1.0", highest=True)
    assert [(one.run, one.open) for one in again.trials()] == [
        ("aaaa", False),
        ("bbbb", False),
        ("cccc", False),
        ("dddd", True),
        (None, False),
    ]
    assert list(again.steps(1)) == [3]
    again.close()


def test_a_line_torn_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    asked = opened(tmp_path / "study", "x=1..50", "y=0.0..1.0")
    first = asked.ask()
    assert first is not None
    asked.assign(first.number, "aaaa")
    asked.close()
    journal = tmp_path / "study" / study.JOURNAL
    whole = journal.read_bytes()
    for cut in range(len(whole), whole.rfind(b"\n", 0, -1), -7):
        journal.write_bytes(whole[:cut])
        again = opened(tmp_path / "study", "x=1..50", "y=0.0..1.0")
        trials = again.trials()
        assert len(trials) == 1
        if trials[0].run is None:
            again.discard(trials[0].number)
        second = again.ask()
        assert second is not None
        again.assign(second.number, "bbbb")
        again.close()
        once_more = opened(tmp_path / "study", "x=1..50", "y=0.0..1.0")
        assert [one.run for one in once_more.trials() if one.open][-1] == "bbbb"
        once_more.close()


def test_a_trial_that_was_half_asked_can_be_discarded(tmp_path: Path) -> None:
    opened(tmp_path / "study", "x=1..50", "y=0.0..1.0").close()
    journal = tmp_path / "study" / study.JOURNAL
    empty = len(journal.read_bytes().splitlines())
    asked = opened(tmp_path / "study", "x=1..50", "y=0.0..1.0")
    asked.ask()
    asked.close()
    lines = journal.read_bytes().splitlines(keepends=True)
    for count in range(empty + 1, len(lines) + 1):
        journal.write_bytes(b"".join(lines[:count]))
        again = opened(tmp_path / "study", "x=1..50", "y=0.0..1.0")
        (half,) = again.trials()
        assert half.open
        again.discard(half.number)
        trial = again.ask()
        assert trial is not None
        assert list(trial.params) == ["x", "y"]
        again.close()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    opened(tmp_path / "study", "x=1..50").close()
    journal = tmp_path / "study" / study.JOURNAL
    journal.write_bytes(b"{{{\n" + journal.read_bytes())
    with pytest.raises(DataFault, match="damaged"):
        opened(tmp_path / "study", "x=1..50")


def test_what_others_were_better_at_is_given_up(tmp_path: Path) -> None:
    asked = opened(tmp_path / "study", "x=1..50")
    for number in range(5):
        trial = asked.ask()
        assert trial is not None
        asked.assign(trial.number, f"run{number}")
        for step in range(3):
            asked.report(trial.number, step, 1.0 / (step + 1))
        asked.complete(trial.number, 0.3)
    trial = asked.ask()
    assert trial is not None
    asked.report(trial.number, 0, 0.5)
    assert not asked.is_hopeless(trial.number)
    asked.report(trial.number, 1, 0.6)
    assert not asked.is_hopeless(trial.number)
    other = asked.ask()
    assert other is not None
    asked.report(other.number, 1, 9.0)
    assert asked.is_hopeless(other.number)
    asked.close()


def test_optuna_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger("optuna")
    before = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = opened(tmp_path / "study", "x=[a,b]", "y=0..1..0.3")
        for _ in range(3):
            trial = asked.ask()
            assert trial is not None
            asked.assign(trial.number, "run")
            asked.report(trial.number, 0, 1.0)
            asked.is_hopeless(trial.number)
            asked.mark_failed(trial.number, "no")
        asked.close()
    assert capfd.readouterr() == ("", "")
    assert root.level == before
