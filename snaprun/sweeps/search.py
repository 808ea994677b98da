"""Search with Optuna instead of going through a grid: plan it, begin it, go on with it, end it, and see how it goes."""

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

from snaprun import runplan
from snaprun.context import Door
from snaprun.errors import DataFault, ParameterFault, Unavailable, UsageFault, WriteFault
from snaprun.files import write_json
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import make_private
from snaprun.index import claims
from snaprun.index.runlist import Filter, query
from snaprun.lifecycle import handover
from snaprun.live import bell, searches
from snaprun.live.order import ORDER
from snaprun.model import Run, RunSpec, Snapshot
from snaprun.nearest import nearest
from snaprun.notebooks import parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.reader import find, index
from snaprun.runplan import Wanted
from snaprun.sweeps import pace, points, searchfile, space, sweepplan
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.space import Dimension
from snaprun.sweeps.sweepplan import Asked, Standing

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
class Plan:
    """A search that has not begun. ``axes`` are the names that vary."""

    group: str
    wanted: Wanted
    asked: Asked
    goal: Goal
    found: Notebook
    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of what varies."""
        return tuple(one.name for one in self.dimensions)

    @property
    def size(self) -> int | None:
        """How many different points there are; None where they have no end."""
        return space.size(self.dimensions)


@dataclass(frozen=True)
class Course:
    """How a search goes: its document, its runs, the best that succeeded, seconds left, why nobody serves it."""

    search: Search
    standing: Standing
    over: bool
    trouble: str | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Its runs, oldest first."""
        return self.standing.runs

    @property
    def pruned(self) -> int:
        """How many runs were given up."""
        return sum(searchfile.pruned(run) for run in self.runs)


def plan(door: Door, wanted: Wanted, asked: Asked, goal: Goal) -> Plan:
    """Work out what a search draws from; nothing is frozen or started yet.

    Raises:
        UsageFault: nothing varies, something is missing, or does not go with a search. Unavailable: Optuna is missing.
        ParameterFault: a parameter is wrong. InputMissing: no such notebook.
    """
    _check(door, wanted, asked, goal)
    if wanted.notebook is None:
        raise UsageFault("no notebook is named", hint="snaprun sweep NOTEBOOK --search optuna")
    found = sweepplan.read(door, wanted.notebook)
    axes = points.axes(asked.axes)
    dimensions = space.dimensions(axes)
    if not dimensions:
        raise UsageFault("nothing varies", hint="-p lr=1e-4..1e-1..log -p depth=2..6 -p opt=[adam,sgd]")
    fixed = parameters.parse((), wanted.raw, wanted.files)
    clash = next((axis.name for axis in axes if axis.name in fixed), None)
    if clash is not None:
        raise ParameterFault(f"{clash} is given twice", hint="leave one of the two out")
    for end in (0, -1):  # both ends of everything: what the notebook has no name for, or cannot be given
        values = {one.name: _end(one, end) for one in dimensions}
        parameters.resolve(found.node, found.language, {**fixed, **space.fixed(axes), **values})
    return Plan(secrets.token_hex(4), wanted, asked, goal, found, dimensions, fixed)


def start(door: Door, planned: Plan) -> Search:
    """Freeze the work tree, queue the first run, and have a process see to the others.

    Raises:
        SnaprunError: as for one run; nothing is left then.
    """
    wanted = replace(planned.wanted, group=planned.group, params=(), raw=(), files=())
    after = find(door, planned.asked.after).id if planned.asked.after else None
    ready = runplan.run(door, wanted)
    repo = GitRepo(door.place)
    frozen = capture.freeze(repo, ready.request)
    path = searches.folder(door.place, planned.group)
    spec = replace(ready.request.spec, warnings=(*ready.request.spec.warnings, *frozen.stored.warnings))
    try:
        _make(path)
        order = runplan.order_of(door, wanted, ready, Snapshot("", "", spec, {}))
        write_json(path / ORDER, order.to_json())
        search = _search(door, planned, claims.keep_env(path, door.env), spec, after)
        from snaprun.sweeps import trialrun  # Optuna takes a second to import

        stand = trialrun.Ground(repo, path, planned.found, ready.request, frozen)
        _first(door, stand, search)
    except OSError as error:
        _forget(door, planned.group)
        raise WriteFault(f"cannot write {path}: {error.strerror}", hint=f"df -h {path.parent}") from error
    except BaseException:
        _forget(door, planned.group)
        raise
    bell.wake(door.place, door.env)
    return search


def _first(door: Door, stand: trialrun.Ground, search: Search) -> None:
    """Start the first run, so that whatever stands against it is told to the caller."""
    from snaprun.sweeps import trialrun  # Optuna takes a second to import
    from snaprun.sweeps.study import Study

    study = Study(stand.path, search.dimensions, highest=search.highest, seed=search.seed)

    def told(run: str) -> None:
        searchfile.write(stand.path, replace(search, first=run))
        searches.mark(door.place, search.group)

    held = searches.take(stand.path)
    try:
        trialrun.launch(door, stand, search, study, told=told)
    finally:
        study.close()
        if held is not None:
            os.close(held)


def go_on(door: Door, group: str, *, trials: int, jobs: int | None = None) -> Search:
    """Let a search make more trials, on the same frozen code, with the caller's environment.

    Raises:
        DataFault: there is no such search. UsageFault: there is nothing left to try. Busy: it does not answer.
    """
    _installed()
    path = _found(door, group)
    with searches.gate(path):
        search = searchfile.read(path)
        if search.state == searchfile.EXHAUSTED:
            raise UsageFault(f"search {group} has tried every point", hint=f"snaprun history --group {group}")
        going = search.state == searchfile.OPEN
        done = search.trials if going else sum(1 for run in _runs(door, group))
        more = replace(
            search,
            trials=done + trials,
            state=searchfile.OPEN,
            why=None,
            env=claims.keep_env(path, door.env),
            jobs=jobs or search.jobs,
            room=jobs or search.room,
        )
        searchfile.write(path, more)
        searches.mark(door.place, group)
    (path / searches.TROUBLE).unlink(missing_ok=True)
    bell.wake(door.place, door.env)
    return more


def end(door: Door, group: str) -> bool:
    """Let a search start nothing more; whether it was going on. Its runs are the caller's to stop.

    Raises:
        Busy: it does not answer.
    """
    path = searchfile.find(door.place, group)
    if path is None:
        return False
    with searches.gate(path):
        search = searchfile.read(path)
        if search.state != searchfile.OPEN:
            return False
        searchfile.write(path, search.ended(searchfile.STOPPED))
        if searches.trouble(path) and (held := searches.take(path)) is not None:  # nobody could end it
            searches.unmark(door.place, group)
            (path / searches.TROUBLE).unlink(missing_ok=True)
            os.close(held)
    return True


def course(door: Door, group: str) -> Course:
    """How a search goes.

    Raises:
        DataFault: there is no such search.
    """
    path = _found(door, group)
    going = searches.going(door.place, group)
    runs = _runs(door, group)
    search = searchfile.read(path)
    best = sweepplan.best(runs, search.metric, highest=search.highest)
    left = pace.left(runs, max(search.trials, len(runs)), now=time.time()) if going else None
    return Course(search, Standing(tuple(runs), best, left), not going, searches.trouble(path) if going else None)


def _check(door: Door, wanted: Wanted, asked: Asked, goal: Goal) -> None:
    """Refuse what makes no sense with a search."""
    if goal.name not in SEARCHES:
        near = nearest(goal.name, SEARCHES)
        raise UsageFault(f"there is no search {goal.name!r}", hint=f"--search {near or SEARCHES[0]}")
    if goal.metric is None:
        raise UsageFault("a search has to know what is best", hint="--minimize loss, or --maximize accuracy")
    if goal.trials is None:
        raise UsageFault("a search has to know where to end", hint="--trials 50")
    others = {"--from": asked.file, "--random": asked.random, "--seeds": asked.seeds}
    for option, value in others.items():
        if value is not None:
            hint = "search first, then sweep the best point with --seeds" if option == "--seeds" else "leave one out"
            raise UsageFault(f"{option} and --search exclude each other", hint=hint)
    launcher = wanted.launcher or door.settings.launcher
    if launcher != handover.LOCAL:
        text = f"a search learns from its runs as they go, so they run on this machine, not by {launcher}"
        raise UsageFault(text, hint="--launcher local, or --random 50")
    _installed()


def _installed() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise Unavailable("Optuna is not installed", hint=INSTALL)


def _end(one: Dimension, index: int) -> Any:
    if one.values:
        return one.values[index]
    return one.value(one.low if index == 0 else one.high)


def _search(door: Door, planned: Plan, env: str, spec: RunSpec, after: str | None) -> Search:
    asked, goal = planned.asked, planned.goal
    return Search(
        group=planned.group,
        axes=tuple(asked.axes),
        fixed=parameters.to_json(planned.fixed),
        metric=str(goal.metric),
        highest=goal.highest,
        trials=int(goal.trials or 0),
        seed=asked.seed,
        prune=goal.prune,
        room=asked.jobs or door.settings.jobs or _processors(),
        jobs=asked.jobs,
        retries=asked.retries,
        after=after,
        spec=spec.to_json(),
        env=env,
        index_url=door.settings.index_url,
    )


def _make(path: Path) -> None:
    make_private(path.parent)
    path.mkdir(mode=0o700)


def _forget(door: Door, group: str) -> None:
    """Take back a search that never began."""
    searches.unmark(door.place, group)
    shutil.rmtree(searches.folder(door.place, group), ignore_errors=True)


def _found(door: Door, group: str) -> Path:
    path = searchfile.find(door.place, group)
    if path is None:
        raise DataFault(f"there is no search {group}", hint="snaprun history shows the sweeps' ids")
    return path


def _runs(door: Door, group: str) -> list[Run]:
    with index(door) as reader:
        return query(reader, Filter(group=group, ascending=True))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
