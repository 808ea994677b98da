"""Search with Optuna instead of going through a grid: begin a search, follow it, go on with it and end it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snaprun import runplan
from snaprun.api.sweep import INTERVAL
from snaprun.context import Context
from snaprun.errors import DataFault, UsageFault, os_fault
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import make_private
from snaprun.index.runlist import Filter, query
from snaprun.live import bell, envfile, searches
from snaprun.live.order import write_order
from snaprun.machine import process
from snaprun.model import Run, RunSpec, Snapshot
from snaprun.notebooks import parameters
from snaprun.reader import find, index
from snaprun.sweeps import pace, searchfile, sweepplan
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.searchplan import Goal, SearchPlan, SearchProgress, plan, require_optuna
from snaprun.sweeps.sweepplan import SweepProgress

if TYPE_CHECKING:
    from snaprun.sweeps import trialrun

__all__ = ["Goal", "Search", "SearchPlan", "SearchProgress", "end", "follow", "go_on", "plan", "read_progress", "start"]


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
        write_order(path, order)
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
    require_optuna()
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


def follow(context: Context, group: str) -> Iterator[SearchProgress]:
    """How a search stands, twice a second, until it is over. Leaving the loop changes nothing for it.

    Raises:
        DataFault: there is no such search.
    """
    while True:
        progress = read_progress(context, group)
        yield progress
        if progress.over:
            return
        time.sleep(INTERVAL)


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
