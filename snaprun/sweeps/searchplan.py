"""Plan a search: what it draws from, and what it is after."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun import launchers, runplan
from snaprun.context import Context
from snaprun.errors import ParameterFault, Unavailable, UsageFault
from snaprun.model import Run
from snaprun.nearest import nearest
from snaprun.notebooks import parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.runplan import RunOptions
from snaprun.sweeps import points, searchfile, space, sweepplan
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.space import Dimension
from snaprun.sweeps.sweepplan import SweepOptions, SweepProgress

SEARCHES = ("optuna",)
"""What ``--search`` knows."""

INSTALL = "pip install 'snaprun[optuna]'"


@dataclass(frozen=True)
class Goal:
    """What a search is after: the ``name`` of the search (``optuna``), the metric, whether its highest last value is
    the best, how many runs to try, and whether runs without hope are given up."""

    name: str
    metric: str | None
    highest: bool
    trials: int | None
    prune: bool = True


@dataclass(frozen=True)
class SearchPlan:
    """A search that has not begun. ``axes`` are the names that vary."""

    group: str
    options: RunOptions
    sweep_options: SweepOptions
    goal: Goal
    book: Notebook
    dimensions: tuple[Dimension, ...]
    constants: Mapping[str, Any]

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of what varies."""
        return tuple(dimension.name for dimension in self.dimensions)

    @property
    def size(self) -> int | None:
        """How many different points there are; None where they have no end."""
        return space.size(self.dimensions)


@dataclass(frozen=True)
class SearchProgress:
    """How a search goes: its document, its runs, the best that succeeded, seconds left, why nobody serves it."""

    search: Search
    sweep: SweepProgress
    over: bool
    trouble: str | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its runs, oldest first."""
        return self.sweep.runs

    @property
    def good(self) -> bool:
        """Whether it made its trials and one gave a value: giving up on points is what a search is for."""
        return self.search.state in (searchfile.STATE_DONE, searchfile.STATE_EXHAUSTED) and self.sweep.best is not None

    @property
    def prune_count(self) -> int:
        """How many runs were given up."""
        return sum(searchfile.is_pruned(run) for run in self.runs)


def plan(context: Context, options: RunOptions, sweep_options: SweepOptions, goal: Goal) -> SearchPlan:
    """Work out what a search draws from; nothing is frozen or started yet.

    Raises:
        UsageFault: nothing varies, something is missing, or does not go with a search. Unavailable: Optuna is missing.
        ParameterFault: a parameter is wrong. InputMissing: no such notebook.
    """
    options = runplan.resolve_launcher(context, options)
    _check(context, options, sweep_options, goal)
    if options.notebook is None:
        raise UsageFault("no notebook is named", hint="snaprun sweep NOTEBOOK --search optuna")
    book = sweepplan.read_notebook(context, options.notebook)
    axes = points.axes(sweep_options.axes)
    dimensions = space.dimensions(axes)
    if not dimensions:
        raise UsageFault("nothing varies", hint="-p lr=1e-4..1e-1..log -p depth=2..6 -p opt=[adam,sgd]")
    constants = parameters.parse((), options.raw, options.files)
    clash = next((axis.name for axis in axes if axis.name in constants), None)
    if clash is not None:
        raise ParameterFault(f"{clash} is given twice", hint="leave one of the two out")
    for end in (0, -1):  # both ends of everything: what the notebook has no name for, or cannot be given
        values = {dimension.name: _bound(dimension, end) for dimension in dimensions}
        parameters.resolve(book.node, book.language, {**constants, **space.constants(axes), **values})
    return SearchPlan(secrets.token_hex(4), options, sweep_options, goal, book, dimensions, constants)


def require_optuna() -> None:
    """Refuse to search where Optuna is not installed. Raises Unavailable."""
    if importlib.util.find_spec("optuna") is None:
        raise Unavailable("Optuna is not installed", hint=INSTALL)


def _check(context: Context, options: RunOptions, sweep_options: SweepOptions, goal: Goal) -> None:
    """Refuse what makes no sense with a search."""
    if goal.name not in SEARCHES:
        suggestion = nearest(goal.name, SEARCHES)
        raise UsageFault(f"there is no search {goal.name!r}", hint=f"--search {suggestion or SEARCHES[0]}")
    if goal.metric is None:
        raise UsageFault("a search has to know what is best", hint="--minimize loss, or --maximize accuracy")
    if goal.trials is None:
        raise UsageFault("a search has to know where to end", hint="--trials 50")
    conflicts = {"--from": sweep_options.file, "--random": sweep_options.random, "--seeds": sweep_options.seeds}
    for option, value in conflicts.items():
        if value is not None:
            hint = "search first, then sweep the best point with --seeds" if option == "--seeds" else "leave one out"
            raise UsageFault(f"{option} and --search exclude each other", hint=hint)
    launcher = options.launcher or context.settings.launcher
    if not launchers.kind(launcher).has_queue:
        text = f"a search learns from its runs as they go, so they run on this machine, not by {launcher}"
        raise UsageFault(text, hint="--launcher local, or --random 50")
    require_optuna()


def _bound(dimension: Dimension, index: int) -> Any:
    if dimension.values:
        return dimension.values[index]
    return dimension.value(dimension.low if index == 0 else dimension.high)
