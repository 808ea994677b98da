"""What ``sweep`` and ``queue`` do: start many runs, watch them, change their order."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from snaprun import show
from snaprun.api import queue
from snaprun.commands import searching
from snaprun.commands.board import watch
from snaprun.commands.terminal import load_context, stderr, stdout
from snaprun.commands.view import ViewOptions
from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.model import short_id
from snaprun.queue import access
from snaprun.queue.table import queue_json, queue_table
from snaprun.runplan import RunOptions, resolve_launcher
from snaprun.sweeps import points, sweepplan, table
from snaprun.sweeps.search import Goal
from snaprun.sweeps.sweepplan import SweepOptions, SweepPlan, SweepProgress


def sweep(*, continued: str | None, **options: Any) -> int:
    """``snaprun sweep``."""
    view_options = ViewOptions(*(bool(options.pop(name)) for name in ("detach", "as_json", "quiet")))
    if continued is not None:
        _ask(options["trials"] or 0, yes=options["yes"])
        return searching.go_on(load_context(), continued, options, view_options)
    names = ("axes", "file", "random", "seed", "seeds", "jobs", "after", "retries")
    sweep_options = SweepOptions(**{name: options.pop(name) for name in names})
    dry_run, yes, name, trials, no_prune = (
        options.pop(key) for key in ("dry_run", "yes", "search", "trials", "no_prune")
    )
    lowest, highest = options.pop("minimize"), options.pop("maximize")
    if lowest and highest:
        raise UsageFault("--minimize and --maximize exclude each other", hint=f"--minimize {lowest}")
    context = load_context()
    run_options = resolve_launcher(context, RunOptions(**options, argv=tuple(sys.argv[1:])))
    goal = Goal(name or "", lowest or highest, bool(highest), trials, not no_prune)
    if name is None:
        _refuse(goal)
        return _sweep(context, run_options, sweep_options, goal, view_options, dry_run=dry_run, yes=yes)
    if not dry_run:
        _ask(trials or 0, yes=yes)
    return searching.begin(context, run_options, sweep_options, goal, view_options, dry_run=dry_run)


def _refuse(goal: Goal) -> None:
    """Refuse what belongs to a search where none is asked for."""
    if goal.trials is not None:
        raise UsageFault("--trials belongs to a search", hint=f"--search optuna, or --random {goal.trials}")
    if not goal.prune:
        raise UsageFault("--no-prune belongs to a search", hint="--search optuna")


def _sweep(
    context: Context,
    options: RunOptions,
    sweep_options: SweepOptions,
    goal: Goal,
    view_options: ViewOptions,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Go through all points."""
    plan = sweepplan.plan(context, options, sweep_options)
    if dry_run:
        sweepplan.check(plan)
        text = (
            table.points_json(plan.points) if view_options.as_json else table.points(plan.points, plan.axes, stdout())
        )
        click.echo(text)
        return 0
    _ask(len(plan.points), yes=yes)
    start_time = time.monotonic()
    snapshots = sweepplan.start(context, plan)
    if not view_options.quiet and not view_options.detach:
        count = f"{len(snapshots)} run{'s' if len(snapshots) > 1 else ''}"
        seconds = f"{time.monotonic() - start_time:.2f} s"
        click.echo(f"queued  {count} of {snapshots[0].spec.notebook}  sweep {plan.group}  {seconds}", err=True)
    if view_options.detach:
        click.echo(plan.group)
        return 0
    return _watch(context, plan, goal, view_options)


def _ask(count: int, *, yes: bool) -> None:
    """Above 1,000 runs a person has to say yes."""
    if count <= points.RUNS_TO_CONFIRM or yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # none: closed by the caller
        raise UsageFault(f"that is {count:,} runs", hint="--yes if that is meant, --dry-run to see them")
    click.confirm(f"That is {count:,} runs. Start them?", abort=True, err=True)


def _watch(context: Context, plan: SweepPlan, goal: Goal, view_options: ViewOptions) -> int:
    """Show how the sweep goes until all its runs are over; Ctrl-C only leaves."""
    stderr_look, group = stderr(), plan.group

    def poll() -> SweepProgress:
        return sweepplan.read_progress(context, group, metric=goal.metric, highest=goal.highest)

    def render(progress: SweepProgress) -> str:
        return table.sweep(progress, plan.axes, goal.metric, stderr_look)

    end_state = watch(poll, render, kind="sweep", group=group, quiet=view_options.quiet)
    if end_state is None:
        return 130
    if view_options.as_json:
        click.echo(show.history_json(end_state.runs))
    elif not view_options.quiet:
        click.echo(render(end_state), err=True)
    return 0 if all(run.status.good for run in end_state.runs) else 1


def list_queue(*, jobs: int | None, as_json: bool, quiet: bool) -> int:
    """``snaprun queue``."""
    context = load_context()
    if jobs is not None:
        queue.limit(context, jobs or None)
    listing, runs = access.listing(context)
    if as_json:
        click.echo(queue_json(listing, runs))
    elif quiet:
        click.echo("\n".join(entry.run for entry in listing.runs), nl=bool(listing.runs))
    elif listing.runs:
        click.echo(queue_table(listing, runs, access.sort_by_start(listing), stdout()))
    else:
        click.echo("the queue is empty" + (" and paused" if listing.is_paused else ""), err=True)
    return 0


def queue_add(*, after: str | None, retries: int, quiet: bool, **options: Any) -> int:
    """``snaprun queue add``."""
    snapshot = queue.add(load_context(), RunOptions(**options, argv=tuple(sys.argv[1:])), after=after, retries=retries)
    if not quiet:
        notes = show.notes(snapshot)
        click.echo(show.snapshot_line(snapshot, stderr()) + (f"\n{notes}" if notes else ""), err=True)
    click.echo(snapshot.id)
    return 0


def queue_drop(runs: tuple[str, ...]) -> int:
    """``snaprun queue drop``."""
    for run in queue.drop(load_context(), runs):
        click.echo(f"dropped {short_id(run)}; its snapshot stays", err=True)
    return 0


def queue_move(runs: tuple[str, ...], *, first: bool, last: bool, before: str | None) -> int:
    """``snaprun queue move``."""
    if first + last + (before is not None) > 1:
        raise UsageFault("--first, --last and --before exclude each other", hint="snaprun queue move RUN --first")
    queue.move(load_context(), runs, before=before, last=last)
    return 0


def queue_pause() -> int:
    """``snaprun queue pause``."""
    queue.pause(load_context())
    return 0


def queue_resume() -> int:
    """``snaprun queue resume``."""
    queue.resume(load_context())
    return 0
