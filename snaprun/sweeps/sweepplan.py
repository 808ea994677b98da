"""Plan many runs of one notebook: what varies, and in which points."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaprun import runplan
from snaprun.context import Context
from snaprun.errors import InputMissing, ParameterFault, UsageFault
from snaprun.model import Run
from snaprun.notebooks import notebook, parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.runplan import RunOptions
from snaprun.sweeps import points, rowfile
from snaprun.sweeps.points import Point


@dataclass(frozen=True)
class SweepOptions:
    """What varies between the runs of a sweep, and how they take turns; the rest is as for one run.

    ``axes`` are ``NAME=VALUES`` (``lr=0.1,0.01``, ``depth=2..6``, ``opt=[adam,sgd]``), or ``file`` has a run a row;
    ``random`` takes so many points of the grid, drawn with ``seed``; ``seeds`` (``5``, ``1,2,3``, ``10..14``) are those
    to take each point with. ``jobs`` is how many of its runs work at a time, ``after`` a run that must have succeeded
    before, ``retries`` how often a run that failed is tried again.
    """

    axes: Sequence[str] = ()
    file: Path | None = None
    random: int | None = None
    seed: int = 0
    seeds: str | None = None
    jobs: int | None = None
    after: str | None = None
    retries: int = 0


@dataclass(frozen=True)
class SweepPlan:
    """The runs of a sweep, and what they have in common. ``group`` names the sweep."""

    group: str
    options: RunOptions
    sweep_options: SweepOptions
    book: Notebook
    points: tuple[Point, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class SweepProgress:
    """How a sweep goes; ``best`` is the run that succeeded with the lowest (or highest) last value of the metric."""

    runs: tuple[Run, ...]
    best: Run | None = None
    seconds_left: float | None = None

    @property
    def over(self) -> bool:
        """Whether none of them will go on."""
        return all(run.status.over for run in self.runs)

    @property
    def good(self) -> bool:
        """Whether all of them succeeded."""
        return all(run.status.good for run in self.runs)


def plan(context: Context, options: RunOptions, sweep_options: SweepOptions) -> SweepPlan:
    """Work out the runs of a sweep; nothing is frozen or started yet.

    ``options`` are what every run has, their ``params`` empty: what varies is in ``sweep_options``.

    Raises:
        UsageFault: nothing varies, or there are too many. ParameterFault: a parameter is wrong.
        InputMissing: no such notebook, or no such file.
    """
    options = runplan.resolve_launcher(context, options)
    if options.notebook is None:
        raise UsageFault("no notebook is named", hint="snaprun sweep NOTEBOOK -p lr=0.1,0.01")
    book = read_notebook(context, options.notebook)
    constants = parameters.parse((), options.raw, options.files)
    seeds = points.seeds(sweep_options.seeds) if sweep_options.seeds is not None else []
    axes = points.axes(sweep_options.axes)
    rows = (
        [{}]
        if sweep_options.file is None
        else rowfile.read_rows(_text(context, sweep_options.file), sweep_options.file.name)
    )
    _require_unique(axes, rows, parameters.parse((), options.raw))
    sets = list(_sets(rows, axes, sweep_options, len(seeds) or 1))
    if len(sets) * (len(seeds) or 1) == 1 and sweep_options.file is None and not sweep_options.seeds:
        raise UsageFault("nothing varies", hint="snaprun sweep NOTEBOOK -p lr=0.1,0.01 --seeds 3, or snaprun exec")
    names = parameters.resolve(book.node, book.language, constants).values
    first_values = {name: value for params in reversed(sets) for name, value in params.items()}
    parameters.resolve(book.node, book.language, {**constants, **first_values})
    sweep_points = points.points(sets, constants=constants, seeds=seeds, names=list(names))
    axis_names = [*dict.fromkeys(name for param_set in sets for name in param_set), *([points.SEED] if seeds else [])]
    return SweepPlan(secrets.token_hex(4), options, sweep_options, book, tuple(sweep_points), tuple(axis_names))


def check(plan: SweepPlan) -> None:
    """Make sure that the notebook takes every point. Raises ParameterFault where it does not."""
    for point in plan.points:
        parameters.resolve(plan.book.node, plan.book.language, point.params)


def read_notebook(context: Context, path: Path) -> Notebook:
    """A notebook whose parameters can vary.

    Raises:
        InputMissing: there is none. ParameterFault: it has no parameters.
    """
    book = notebook.read((context.cwd / path).absolute())
    if book.parameters is None:
        text = f"{path} has no cell tagged `parameters`, so that nothing in it can vary"
        raise ParameterFault(text, hint='tag the cell that sets them: {"tags": ["parameters"]} in its metadata')
    return book


def best(runs: Sequence[Run], metric: str, *, highest: bool) -> Run | None:
    """The run with the best last value among those that succeeded: what a failed one had reached is no result."""
    candidates = [
        (run.metrics[metric].last, run)
        for run in runs
        if run.status.good and metric in run.metrics and not math.isnan(run.metrics[metric].last)
    ]
    return (max if highest else min)(candidates, key=lambda pair: pair[0])[1] if candidates else None


def _require_unique(
    axes: Sequence[points.ParamAxis], rows: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]
) -> None:
    """Make sure that no value is set aside by another one; the defaults of ``-f`` are there for that.

    Raises:
        ParameterFault: a name is given in two ways.
    """
    axis_names, row_names = {axis.name for axis in axes}, {name for row in rows for name in row}
    ways = {"by -p and in the file": axis_names & row_names, "by -p and by -r": axis_names & raw.keys()}
    ways["by -r and in the file"] = row_names & raw.keys()
    for words, names in ways.items():
        if names:
            raise ParameterFault(f"{min(names)} is given {words}", hint="leave one of the two out")


def _sets(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[points.ParamAxis], sweep_options: SweepOptions, seeds: int
) -> Iterator[dict[str, Any]]:
    """Each row of the file with each point of the grid, or of a sample of it."""
    count = len(rows) * seeds * (sweep_options.random if sweep_options.random is not None else points.size(axes))
    if count > points.RUNS_MOST:
        raise UsageFault(f"that is {count:,} runs", hint="fewer values, or --random 100")
    combinations = (
        list(points.grid(axes))
        if sweep_options.random is None
        else points.sample(axes, sweep_options.random, seed=sweep_options.seed)
    )
    return ({**row, **combination} for row in rows for combination in combinations)


def _text(context: Context, path: Path) -> str:
    try:
        return (context.cwd / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputMissing(f"cannot read {path}: {error}", hint=f"ls -l {path}") from error
