"""Plan the runs of a sweep, freeze them as one, queue or submit them, and read how they go."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snaprun import launchers, runplan
from snaprun.context import Context
from snaprun.errors import InputMissing, ParameterFault, UsageFault
from snaprun.freeze import bulk, capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.index.runlist import Filter, query
from snaprun.launchers import Lineup, handover
from snaprun.live import bell, livefolder
from snaprun.model import Run, Snapshot, short_id
from snaprun.notebooks import notebook, parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.queue import access
from snaprun.reader import find, index
from snaprun.runplan import RunOptions, RunPlan
from snaprun.sweeps import pace, points, rowfile
from snaprun.sweeps.points import Point
from snaprun.sweeps.requests import make_requests


@dataclass(frozen=True)
class SweepOptions:
    """What a caller asks of a sweep beyond what ``exec`` takes; ``seeds`` as typed, ``seed`` is that of ``random``."""

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


def plan(context: Context, options: RunOptions, sweep_options: SweepOptions) -> SweepPlan:
    """Work out the runs of a sweep; nothing is frozen or started yet.

    ``options`` are what every run has, their ``params`` empty: what varies is in ``sweep_options``.

    Raises:
        UsageFault: nothing varies, or there are too many. ParameterFault: a parameter is wrong.
        InputMissing: no such notebook, or no such file.
    """
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
    """Make sure that the notebook takes every point. Raises ParameterFault as :func:`start` does."""
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


def start(context: Context, plan: SweepPlan) -> list[Snapshot]:
    """Freeze the work tree once, make each run's snapshot of it, and queue them in order.

    With another launcher than the local one they are all submitted there at once, for it to let them take turns.

    Raises:
        SnaprunError: as for one run; nothing is queued then.
    """
    options = replace(plan.options, group=plan.group, params=(), raw=(), files=())
    name = options.launcher or context.settings.launcher
    has_queue = launchers.kind(name).has_queue
    turns = _make_turns(context, plan.sweep_options, has_queue=has_queue)
    if not has_queue:
        options = _add_launcher_options(options, name)
        _, notes = handover.begin(context, name, options=options.launcher_options, lineup=turns)
        options = replace(options, notes=(*options.notes, *notes))
    run_plan = runplan.plan_run(context, options)
    requests = list(make_requests(plan.book, run_plan.request, plan.points))
    repo = GitRepo(context.place)
    snapshots = bulk.commit_runs(repo, capture.freeze(repo, requests[0]), requests)
    try:
        if has_queue:
            _queue(context, plan, run_plan, snapshots, turns)
        else:
            _submit(context, options, run_plan, snapshots, turns)
    except BaseException:
        bulk.delete_runs(
            repo, [snapshot.id for snapshot in snapshots if livefolder.find(context.place, snapshot.id) is None]
        )
        raise
    if has_queue:
        bell.wake(context.place, context.env)
    return snapshots


def read_progress(context: Context, group: str, *, metric: str | None = None, highest: bool = False) -> SweepProgress:
    """How the runs of a group stand, oldest first."""
    with index(context) as reader:
        runs = query(reader, Filter(group=group, ascending=True))
    best_run = None if metric is None else best(runs, metric, highest=highest)
    return SweepProgress(tuple(runs), best_run, pace.seconds_left(runs, len(runs), now=time.time()))


def best(runs: Sequence[Run], metric: str, *, highest: bool) -> Run | None:
    """The run with the best last value among those that succeeded: what a failed one had reached is no result."""
    candidates = [
        (run.metrics[metric].last, run)
        for run in runs
        if run.status.good and metric in run.metrics and not math.isnan(run.metrics[metric].last)
    ]
    return (max if highest else min)(candidates, key=lambda pair: pair[0])[1] if candidates else None


def _add_launcher_options(options: RunOptions, name: str) -> RunOptions:
    """What another launcher is asked for, GPUs and memory included; runs that wait for GPUs need a queue.

    Raises:
        UsageFault: the launcher starts them all at once.
    """
    if options.gpus and launchers.kind(name).at_once:
        raise UsageFault(f"{name} starts all runs of a sweep at once: none waits for GPUs", hint="--launcher local")
    launcher_options = launchers.limit_options(
        name, options.launcher_options, gpu_count=options.gpus, max_memory=options.max_memory
    )
    return replace(options, launcher_options=launcher_options)


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


def _make_turns(context: Context, sweep_options: SweepOptions, *, has_queue: bool) -> Lineup:
    """How the runs take turns. A run to wait for that has succeeded elsewhere than in this queue is no more asked for.

    Raises:
        DataFault: there is no such run to wait for. UsageFault: nothing can come after it.
    """
    prior_run = find(context, sweep_options.after) if sweep_options.after else None
    if prior_run is not None and not has_queue and prior_run.status.over:
        if not prior_run.status.good:
            text = f"run {short_id(prior_run.id)} has {prior_run.status}: nothing can come after it"
            raise UsageFault(text, hint=f"snaprun rerun {short_id(prior_run.id)}")
        prior_run = None
    return Lineup(sweep_options.jobs, sweep_options.retries, prior_run.id if prior_run else None)


def _queue(context: Context, plan: SweepPlan, run_plan: RunPlan, snapshots: Sequence[Snapshot], turns: Lineup) -> None:
    entries = [
        claims.QueueEntry(
            snapshot,
            runplan.make_order(context, plan.options, run_plan, snapshot),
            jobs=turns.jobs,
            after=turns.after,
            retries=turns.retries,
        )
        for snapshot in snapshots
    ]
    access.enqueue(context, entries)


def _submit(
    context: Context, options: RunOptions, run_plan: RunPlan, snapshots: Sequence[Snapshot], turns: Lineup
) -> None:
    """Give all runs to a launcher in one go: Slurm makes an array of them, ssh queues them there."""
    folders = []
    try:
        for snapshot in snapshots:
            folders.append(
                livefolder.create(
                    context.place, snapshot, runplan.make_order(context, options, run_plan, snapshot).to_json()
                )
            )
        handover.submit(context, snapshots[0].spec.launcher, folders, lineup=turns)
    except BaseException:
        for folder in folders:
            if not handover.is_taken(folder):
                livefolder.remove(folder)
        raise


def _text(context: Context, path: Path) -> str:
    try:
        return (context.cwd / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputMissing(f"cannot read {path}: {error}", hint=f"ls -l {path}") from error
