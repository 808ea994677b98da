"""Start many runs of one notebook, and follow them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from snaprun import launchers, runplan
from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.freeze import bulk, capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.index.runlist import Filter, query
from snaprun.launchers import Lineup, handover
from snaprun.live import bell, livefolder
from snaprun.model import Snapshot, short_id
from snaprun.queue import access
from snaprun.reader import find, index
from snaprun.runplan import RunOptions, RunPlan
from snaprun.sweeps import pace, sweepplan
from snaprun.sweeps.requests import make_requests
from snaprun.sweeps.sweepplan import SweepOptions, SweepPlan, SweepProgress, check, plan

__all__ = ["SweepOptions", "SweepPlan", "SweepProgress", "check", "follow", "plan", "read_progress", "start"]

INTERVAL = 0.5
"""Seconds between two looks at a sweep, or a search."""


def start(context: Context, plan: SweepPlan) -> list[Snapshot]:
    """Freeze the work tree once, make each run's snapshot of it, and queue them in order.

    With another launcher than the local one they are all submitted there at once, for it to let them take turns.

    Raises:
        SnaprunError: as :func:`snaprun.api.run.start`; nothing is queued then.
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
    """How the runs of the sweep ``group`` stand, the oldest first; the best of them by the last value of ``metric``."""
    with index(context) as reader:
        runs = query(reader, Filter(group=group, ascending=True))
    best_run = None if metric is None else sweepplan.best(runs, metric, highest=highest)
    return SweepProgress(tuple(runs), best_run, pace.seconds_left(runs, len(runs), now=time.time()))


def follow(
    context: Context, group: str, *, metric: str | None = None, highest: bool = False
) -> Iterator[SweepProgress]:
    """How a sweep stands, twice a second, until none of its runs will go on; leaving the loop changes nothing."""
    while True:
        progress = read_progress(context, group, metric=metric, highest=highest)
        yield progress
        if progress.over:
            return
        time.sleep(INTERVAL)


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
