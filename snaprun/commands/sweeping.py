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
from snaprun.commands.placing import placed
from snaprun.commands.searching import Ways
from snaprun.commands.terminal import here, stderr, stdout
from snaprun.context import Door
from snaprun.errors import UsageFault
from snaprun.model import Status
from snaprun.queue import access
from snaprun.queue.table import queue_json, queue_table
from snaprun.runplan import Wanted
from snaprun.sweeps import points, sweepplan, table
from snaprun.sweeps.search import Goal
from snaprun.sweeps.sweepplan import Asked, Plan, Standing


def sweep(*, continued: str | None, **options: Any) -> int:
    """``snaprun sweep``."""
    ways = Ways(*(bool(options.pop(name)) for name in ("detach", "as_json", "quiet")))
    if continued is not None:
        _ask(options["trials"] or 0, yes=options["yes"])
        return searching.go_on(here(), continued, options, ways)
    names = ("axes", "file", "random", "seed", "seeds", "jobs", "after", "retries")
    asked = Asked(**{name: options.pop(name) for name in names})
    dry_run, yes, name, trials, no_prune = (
        options.pop(key) for key in ("dry_run", "yes", "search", "trials", "no_prune")
    )
    lowest, highest = options.pop("minimize"), options.pop("maximize")
    if lowest and highest:
        raise UsageFault("--minimize and --maximize exclude each other", hint=f"--minimize {lowest}")
    door = here()
    wanted = Wanted(**placed(door, options), argv=tuple(sys.argv[1:]))
    goal = Goal(name or "", lowest or highest, bool(highest), trials, not no_prune)
    if name is None:
        _refuse(goal)
        return _sweep(door, wanted, asked, goal, ways, dry_run=dry_run, yes=yes)
    if not dry_run:
        _ask(trials or 0, yes=yes)
    return searching.begin(door, wanted, asked, goal, ways, dry_run=dry_run)


def _refuse(goal: Goal) -> None:
    """Refuse what belongs to a search where none is asked for."""
    if goal.trials is not None:
        raise UsageFault("--trials belongs to a search", hint=f"--search optuna, or --random {goal.trials}")
    if not goal.prune:
        raise UsageFault("--no-prune belongs to a search", hint="--search optuna")


def _sweep(door: Door, wanted: Wanted, asked: Asked, goal: Goal, ways: Ways, *, dry_run: bool, yes: bool) -> int:
    """Go through all points."""
    planned = sweepplan.plan(door, wanted, asked)
    if dry_run:
        sweepplan.check(planned)
        text = (
            table.points_json(planned.points) if ways.as_json else table.points(planned.points, planned.axes, stdout())
        )
        click.echo(text)
        return 0
    _ask(len(planned.points), yes=yes)
    began = time.monotonic()
    made = sweepplan.start(door, planned)
    if not ways.quiet and not ways.detach:
        count = f"{len(made)} run{'s' if len(made) > 1 else ''}"
        seconds = f"{time.monotonic() - began:.2f} s"
        click.echo(f"queued  {count} of {made[0].spec.notebook}  sweep {planned.group}  {seconds}", err=True)
    if ways.detach:
        click.echo(planned.group)
        return 0
    return _watch(door, planned, goal, ways)


def _ask(count: int, *, yes: bool) -> None:
    """Above 1,000 runs a person has to say yes."""
    if count <= points.MANY or yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # none: closed by the caller
        raise UsageFault(f"that is {count:,} runs", hint="--yes if that is meant, --dry-run to see them")
    click.confirm(f"That is {count:,} runs. Start them?", abort=True, err=True)


def _watch(door: Door, planned: Plan, goal: Goal, ways: Ways) -> int:
    """Show how the sweep goes until all its runs are over; Ctrl-C only leaves."""
    how, group = stderr(), planned.group

    def look() -> Standing:
        return sweepplan.standing(door, group, metric=goal.metric, highest=goal.highest)

    def shown(now: Standing) -> str:
        return table.sweep(now, planned.axes, goal.metric, how)

    now = watch(look, shown, what="sweep", group=group, quiet=ways.quiet)
    if now is None:
        return 130
    if ways.as_json:
        click.echo(show.history_json(now.runs))
    elif not ways.quiet:
        click.echo(shown(now), err=True)
    return 0 if all(run.status is Status.SUCCEEDED for run in now.runs) else 1


def list_queue(*, jobs: int | None, as_json: bool, quiet: bool) -> int:
    """``snaprun queue``."""
    door = here()
    if jobs is not None:
        queue.limit(door, jobs or None)
    found, runs = access.listing(door)
    if as_json:
        click.echo(queue_json(found, runs))
    elif quiet:
        click.echo("\n".join(one.run for one in found.runs), nl=bool(found.runs))
    elif found.runs:
        click.echo(queue_table(found, runs, access.shown_first(found), stdout()))
    else:
        click.echo("the queue is empty" + (" and paused" if found.paused else ""), err=True)
    return 0


def queue_add(*, after: str | None, retries: int, quiet: bool, **options: Any) -> int:
    """``snaprun queue add``."""
    made = queue.add(here(), Wanted(**options, argv=tuple(sys.argv[1:])), after=after, retries=retries)
    if not quiet:
        notes = show.notes(made)
        click.echo(show.snapshot(made, stderr()) + (f"\n{notes}" if notes else ""), err=True)
    click.echo(made.id)
    return 0


def queue_drop(runs: tuple[str, ...]) -> int:
    """``snaprun queue drop``."""
    for run in queue.drop(here(), runs):
        click.echo(f"dropped {show.short(run)}; its snapshot stays", err=True)
    return 0


def queue_move(runs: tuple[str, ...], *, first: bool, last: bool, before: str | None) -> int:
    """``snaprun queue move``."""
    if first + last + (before is not None) > 1:
        raise UsageFault("--first, --last and --before exclude each other", hint="snaprun queue move RUN --first")
    queue.move(here(), runs, before=before, last=last)
    return 0


def queue_pause() -> int:
    """``snaprun queue pause``."""
    queue.pause(here())
    return 0


def queue_resume() -> int:
    """``snaprun queue resume``."""
    queue.resume(here())
    return 0
