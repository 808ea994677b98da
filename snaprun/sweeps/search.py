"""Plan a search with Optuna, begin it, go on with it, end it, and read how it goes."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snaprun import launchers, runplan
from snaprun.context import Context
from snaprun.errors import DataFault, ParameterFault, Unavailable, UsageFault, os_fault
from snaprun.files import write_json
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import make_private
from snaprun.index.runlist import Filter, query
from snaprun.live import bell, envfile, searches
from snaprun.live.order import ORDER_FILE
from snaprun.machine import process
from snaprun.model import Run, RunSpec, Snapshot
from snaprun.nearest import nearest
from snaprun.notebooks import parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.reader import find, index
from snaprun.runplan import RunOptions
from snaprun.sweeps import pace, points, searchfile, space, sweepplan
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.space import Dimension
from snaprun.sweeps.sweepplan import SweepOptions, SweepProgress

if TYPE_CHECKING:
    from snaprun.sweeps import trialrun

SEARCHES = ("optuna",)
"""What ``--search`` knows."""

INSTALL = "pip install 'snaprun[optuna]'"


@dataclass(frozen=True)
class Goal:
    """What a search is after: the metric, whether the highest value is the best, how many runs, giving up or not."""

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
    def prune_count(self) -> int:
        """How many runs were given up."""
        return sum(searchfile.is_pruned(run) for run in self.runs)


def plan(context: Context, options: RunOptions, sweep_options: SweepOptions, goal: Goal) -> SearchPlan:
    """Work out what a search draws from; nothing is frozen or started yet.

    Raises:
        UsageFault: nothing varies, something is missing, or does not go with a search. Unavailable: Optuna is missing.
        ParameterFault: a parameter is wrong. InputMissing: no such notebook.
    """
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


def start(context: Context, plan: SearchPlan) -> Search:
    """Freeze the work tree, queue the first run, and have a process see to the others.

    Raises:
        SnaprunError: as for one run; nothing is left then.
    """
    options = replace(plan.options, group=plan.group, params=(), raw=(), files=())
    after = find(context, plan.sweep_options.after).id if plan.sweep_options.after else None
    run_plan = runplan.plan_run(context, options)
    repo = GitRepo(context.place)
    frozen_tree = capture.freeze(repo, run_plan.request)
    path = searches.folder(context.place, plan.group)
    spec = replace(run_plan.request.spec, warnings=(*run_plan.request.spec.warnings, *frozen_tree.tree.warnings))
    try:
        _make_folder(path)
        order = runplan.make_order(context, options, run_plan, Snapshot("", "", spec, {}))
        write_json(path / ORDER_FILE, order.to_json())
        search = _search(context, plan, envfile.keep(path, context.env), spec, after)
        from snaprun.sweeps import trialrun  # Optuna takes a second to import

        setup = trialrun.TrialSetup(repo, path, plan.book, run_plan.request, frozen_tree)
        _start_first(context, setup, search)
    except OSError as error:
        _forget(context, plan.group)
        raise os_fault(error, f"cannot write {path}", path.parent) from error
    except BaseException:
        _forget(context, plan.group)
        raise
    bell.wake(context.place, context.env)
    return search


def _start_first(context: Context, setup: trialrun.TrialSetup, search: Search) -> None:
    """Start the first run, so that whatever stands against it is told to the caller."""
    from snaprun.sweeps import trialrun  # Optuna takes a second to import
    from snaprun.sweeps.study import Study

    study = Study(setup.path, search.dimensions, highest=search.highest, seed=search.seed)

    def record_run(run: str) -> None:
        searchfile.write(setup.path, replace(search, first=run))
        searches.mark(context.place, search.group)

    lock = searches.take(setup.path)
    try:
        trialrun.launch(context, setup, search, study, on_run=record_run)
    finally:
        study.close()
        if lock is not None:
            os.close(lock)


def go_on(context: Context, group: str, *, trials: int, jobs: int | None = None) -> Search:
    """Let a search make more trials, on the same frozen code, with the caller's environment.

    Raises:
        DataFault: there is no such search. UsageFault: there is nothing left to try. Busy: it does not answer.
    """
    _require_optuna()
    path = _find_folder(context, group)
    with searches.gate(path):
        search = searchfile.read(path)
        if search.state == searchfile.STATE_EXHAUSTED:
            raise UsageFault(f"search {group} has tried every point", hint=f"snaprun history --group {group}")
        is_open = search.state == searchfile.STATE_OPEN
        trial_count = search.trials if is_open else sum(1 for run in _runs(context, group))
        new_search = replace(
            search,
            trials=trial_count + trials,
            state=searchfile.STATE_OPEN,
            why=None,
            env=envfile.keep(path, context.env),
            jobs=jobs or search.jobs,
            room=jobs or search.room,
        )
        searchfile.write(path, new_search)
        searches.mark(context.place, group)
    (path / searches.TROUBLE).unlink(missing_ok=True)
    bell.wake(context.place, context.env)
    return new_search


def end(context: Context, group: str) -> bool:
    """Let a search start nothing more; whether it was going on. Its runs are the caller's to stop.

    Raises:
        Busy: it does not answer.
    """
    path = searchfile.find(context.place, group)
    if path is None:
        return False
    with searches.gate(path):
        search = searchfile.read(path)
        if search.state != searchfile.STATE_OPEN:
            return False
        searchfile.write(path, search.with_state(searchfile.STATE_STOPPED))
        if searches.read_trouble(path) and (lock := searches.take(path)) is not None:  # nobody could end it
            searches.unmark(context.place, group)
            (path / searches.TROUBLE).unlink(missing_ok=True)
            os.close(lock)
    return True


def read_progress(context: Context, group: str) -> SearchProgress:
    """How a search goes.

    Raises:
        DataFault: there is no such search.
    """
    path = _find_folder(context, group)
    is_open = searches.is_active(context.place, group)
    runs = _runs(context, group)
    search = searchfile.read(path)
    best = sweepplan.best(runs, search.metric, highest=search.highest)
    seconds_left = pace.seconds_left(runs, max(search.trials, len(runs)), now=time.time()) if is_open else None
    return SearchProgress(
        search,
        SweepProgress(tuple(runs), best, seconds_left),
        not is_open,
        searches.read_trouble(path) if is_open else None,
    )


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
    _require_optuna()


def _require_optuna() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise Unavailable("Optuna is not installed", hint=INSTALL)


def _bound(dimension: Dimension, index: int) -> Any:
    if dimension.values:
        return dimension.values[index]
    return dimension.value(dimension.low if index == 0 else dimension.high)


def _search(context: Context, plan: SearchPlan, env: str, spec: RunSpec, after: str | None) -> Search:
    sweep_options, goal = plan.sweep_options, plan.goal
    return Search(
        group=plan.group,
        axes=tuple(sweep_options.axes),
        fixed=parameters.to_json(plan.constants),
        metric=str(goal.metric),
        highest=goal.highest,
        trials=int(goal.trials or 0),
        seed=sweep_options.seed,
        prune=goal.prune,
        room=sweep_options.jobs or context.settings.jobs or process.count_processors(),
        jobs=sweep_options.jobs,
        retries=sweep_options.retries,
        after=after,
        spec=spec.to_json(),
        env=env,
        index_url=context.settings.index_url,
    )


def _make_folder(path: Path) -> None:
    make_private(path.parent)
    path.mkdir(mode=0o700)


def _forget(context: Context, group: str) -> None:
    """Take back a search that never began."""
    searches.unmark(context.place, group)
    shutil.rmtree(searches.folder(context.place, group), ignore_errors=True)


def _find_folder(context: Context, group: str) -> Path:
    path = searchfile.find(context.place, group)
    if path is None:
        raise DataFault(f"there is no search {group}", hint="snaprun history shows the sweeps' ids")
    return path


def _runs(context: Context, group: str) -> list[Run]:
    with index(context) as reader:
        return query(reader, Filter(group=group, ascending=True))
