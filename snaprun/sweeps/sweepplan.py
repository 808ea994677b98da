"""Many runs of one notebook: plan them, freeze them as one, queue them, and see how they go."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snaprun import runplan
from snaprun.context import Door
from snaprun.errors import InputMissing, ParameterFault, UsageFault
from snaprun.freeze import bulk, capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.index.runlist import Filter, query
from snaprun.launchers import AT_ONCE, Lineup
from snaprun.lifecycle import handover, limits
from snaprun.live import bell, livefolder
from snaprun.model import Run, Snapshot, Status
from snaprun.notebooks import notebook, parameters
from snaprun.notebooks.notebook import Notebook
from snaprun.queue import access
from snaprun.reader import find, index
from snaprun.runplan import Intake, Wanted
from snaprun.sweeps import pace, points
from snaprun.sweeps.points import Point
from snaprun.sweeps.requests import requests as each


@dataclass(frozen=True)
class Asked:
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
class Plan:
    """The runs of a sweep, and what they have in common. ``group`` names the sweep."""

    group: str
    wanted: Wanted
    asked: Asked
    found: Notebook
    points: tuple[Point, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """How a sweep goes; ``best`` is the run that succeeded with the lowest (or highest) last value of the metric."""

    runs: tuple[Run, ...]
    best: Run | None = None
    left: float | None = None

    def count(self, *states: str) -> int:
        """How many runs are in these states."""
        return sum(run.status.value in states for run in self.runs)

    @property
    def over(self) -> bool:
        """Whether none of them will go on."""
        return all(run.status.over for run in self.runs)


def plan(door: Door, wanted: Wanted, asked: Asked) -> Plan:
    """Work out the runs of a sweep; nothing is frozen or started yet.

    ``wanted`` is what every run has, its ``params`` empty: what varies is in ``asked``.

    Raises:
        UsageFault: nothing varies, or there are too many. ParameterFault: a parameter is wrong.
        InputMissing: no such notebook, or no such file.
    """
    if wanted.notebook is None:
        raise UsageFault("no notebook is named", hint="snaprun sweep NOTEBOOK -p lr=0.1,0.01")
    found = read(door, wanted.notebook)
    fixed = parameters.parse((), wanted.raw, wanted.files)
    seeds = points.seeds(asked.seeds) if asked.seeds is not None else []
    axes = points.axes(asked.axes)
    rows = [{}] if asked.file is None else points.rows(_text(door, asked.file), asked.file.name)
    _once(axes, rows, parameters.parse((), wanted.raw))
    sets = list(_sets(rows, axes, asked, len(seeds) or 1))
    if len(sets) * (len(seeds) or 1) == 1 and asked.file is None and not asked.seeds:
        raise UsageFault("nothing varies", hint="snaprun sweep NOTEBOOK -p lr=0.1,0.01 --seeds 3, or snaprun exec")
    names = parameters.resolve(found.node, found.language, fixed).merged
    each_once = {name: value for one in reversed(sets) for name, value in one.items()}
    parameters.resolve(found.node, found.language, {**fixed, **each_once})
    made = points.points(sets, fixed=fixed, seeds=seeds, names=list(names))
    varied = [*dict.fromkeys(name for one in sets for name in one), *([points.SEED] if seeds else [])]
    return Plan(secrets.token_hex(4), wanted, asked, found, tuple(made), tuple(varied))


def check(planned: Plan) -> None:
    """Make sure that the notebook takes every point. Raises ParameterFault as :func:`start` does."""
    for point in planned.points:
        parameters.resolve(planned.found.node, planned.found.language, point.params)


def read(door: Door, path: Path) -> Notebook:
    """A notebook whose parameters can vary.

    Raises:
        InputMissing: there is none. ParameterFault: it has no parameters.
    """
    found = notebook.read((door.cwd / path).absolute())
    if found.parameters is None:
        text = f"{path} has no cell tagged `parameters`, so that nothing in it can vary"
        raise ParameterFault(text, hint='tag the cell that sets them: {"tags": ["parameters"]} in its metadata')
    return found


def start(door: Door, planned: Plan) -> list[Snapshot]:
    """Freeze the work tree once, make each run's snapshot of it, and queue them in order.

    With another launcher than the local one they are all submitted there at once, for it to let them take turns.

    Raises:
        SnaprunError: as for one run; nothing is queued then.
    """
    wanted = replace(planned.wanted, group=planned.group, params=(), raw=(), files=())
    name = wanted.launcher or door.settings.launcher
    how = _lineup(door, planned.asked, name)
    if name != handover.LOCAL:
        wanted = _limited(wanted, name)
        _, notes = handover.begin(door, name, wishes=wanted.wishes, lineup=how)
        wanted = replace(wanted, notes=(*wanted.notes, *notes))
    ready = runplan.run(door, wanted)
    requests = list(each(planned.found, ready.request, planned.points))
    repo = GitRepo(door.place)
    made = bulk.commit_runs(repo, capture.freeze(repo, requests[0]), requests)
    try:
        if name == handover.LOCAL:
            _queue(door, planned, ready, made, how)
        else:
            _submit(door, wanted, ready, made, how)
    except BaseException:
        bulk.delete_runs(repo, [one.id for one in made if livefolder.find(door.place, one.id) is None])
        raise
    if name == handover.LOCAL:
        bell.wake(door.place, door.env)
    return made


def standing(door: Door, group: str, *, metric: str | None = None, highest: bool = False) -> Standing:
    """How the runs of a group stand, oldest first."""
    with index(door) as reader:
        runs = query(reader, Filter(group=group, ascending=True))
    found = None if metric is None else best(runs, metric, highest=highest)
    return Standing(tuple(runs), found, pace.left(runs, len(runs), now=time.time()))


def best(runs: Sequence[Run], metric: str, *, highest: bool) -> Run | None:
    """The run with the best last value among those that succeeded: what a failed one had reached is no result."""
    scored = [
        (run.metrics[metric].last, run)
        for run in runs
        if run.status is Status.SUCCEEDED and metric in run.metrics and not math.isnan(run.metrics[metric].last)
    ]
    return (max if highest else min)(scored, key=lambda pair: pair[0])[1] if scored else None


def _limited(wanted: Wanted, name: str) -> Wanted:
    """What another launcher is asked for, GPUs and memory included; runs that wait for GPUs need a queue.

    Raises:
        UsageFault: the launcher starts them all at once.
    """
    if wanted.gpus and name in AT_ONCE:
        raise UsageFault(f"{name} starts all runs of a sweep at once: none waits for GPUs", hint="--launcher local")
    wishes = limits.wishes(name, wanted.wishes, gpu_count=wanted.gpus, max_memory=wanted.max_memory)
    return replace(wanted, wishes=wishes)


def _once(axes: Sequence[points.Axis], rows: Sequence[Mapping[str, Any]], raw: Mapping[str, Any]) -> None:
    """Make sure that no value is set aside by another one; the defaults of ``-f`` are there for that.

    Raises:
        ParameterFault: a name is given in two ways.
    """
    typed, listed = {axis.name for axis in axes}, {name for row in rows for name in row}
    ways = {"by -p and in the file": typed & listed, "by -p and by -r": typed & raw.keys()}
    ways["by -r and in the file"] = listed & raw.keys()
    for words, names in ways.items():
        if names:
            raise ParameterFault(f"{min(names)} is given {words}", hint="leave one of the two out")


def _sets(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[points.Axis], asked: Asked, seeds: int
) -> Iterator[dict[str, Any]]:
    """Each row of the file with each point of the grid, or of a sample of it."""
    count = len(rows) * seeds * (asked.random if asked.random is not None else points.size(axes))
    if count > points.MOST:
        raise UsageFault(f"that is {count:,} runs", hint="fewer values, or --random 100")
    combinations = (
        list(points.grid(axes)) if asked.random is None else points.sample(axes, asked.random, seed=asked.seed)
    )
    return ({**row, **one} for row in rows for one in combinations)


def _lineup(door: Door, asked: Asked, launcher: str) -> Lineup:
    """How the runs take turns. A run to wait for that has succeeded elsewhere than in this queue is no more asked for.

    Raises:
        DataFault: there is no such run to wait for. UsageFault: nothing can come after it.
    """
    first = find(door, asked.after) if asked.after else None
    if first is not None and launcher != handover.LOCAL and first.status.over:
        if first.status is not Status.SUCCEEDED:
            text = f"run {first.id[:8]} has {first.status}: nothing can come after it"
            raise UsageFault(text, hint=f"snaprun rerun {first.id[:8]}")
        first = None
    return Lineup(asked.jobs, asked.retries, first.id if first else None)


def _queue(door: Door, planned: Plan, ready: Intake, made: Sequence[Snapshot], how: Lineup) -> None:
    entries = [
        claims.Entry(
            one, runplan.order_of(door, planned.wanted, ready, one), jobs=how.jobs, after=how.after, retries=how.retries
        )
        for one in made
    ]
    access.enqueue(door, entries)


def _submit(door: Door, wanted: Wanted, ready: Intake, made: Sequence[Snapshot], how: Lineup) -> None:
    """Give all runs to a launcher in one go: Slurm makes an array of them, ssh queues them there."""
    folders = []
    try:
        for one in made:
            folders.append(livefolder.create(door.place, one, runplan.order_of(door, wanted, ready, one).to_json()))
        handover.submit(door, made[0].spec.launcher, folders, lineup=how)
    except BaseException:
        for folder in folders:
            if not handover.taken(folder):
                livefolder.remove(folder)
        raise


def _text(door: Door, path: Path) -> str:
    try:
        return (door.cwd / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputMissing(f"cannot read {path}: {error}", hint=f"ls -l {path}") from error
