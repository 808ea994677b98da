"""What ``sweep --search`` and ``sweep --continue`` do: begin a search or go on with one, and watch it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from snaprun import show
from snaprun.commands.board import watch
from snaprun.commands.terminal import stderr, stdout
from snaprun.commands.view import ViewOptions
from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.runplan import RunOptions
from snaprun.sweeps import search, searchfile, table
from snaprun.sweeps.search import Goal, SearchProgress
from snaprun.sweeps.sweepplan import SweepOptions

CONTINUE_OPTIONS = ("trials", "jobs", "detach", "as_json", "quiet", "yes")
"""Options of ``sweep`` that may stand beside ``--continue``."""


def begin(
    context: Context,
    options: RunOptions,
    sweep_options: SweepOptions,
    goal: Goal,
    view_options: ViewOptions,
    *,
    dry_run: bool,
) -> int:
    """``snaprun sweep --search``."""
    plan = search.plan(context, options, sweep_options, goal)
    if dry_run:
        click.echo(table.space_json(plan) if view_options.as_json else table.space(plan, stdout()))
        return 0
    start_time = time.monotonic()
    new_search = search.start(context, plan)
    if not view_options.quiet and not view_options.detach:
        count = f"{new_search.trials} trial{'s' if new_search.trials > 1 else ''}"
        seconds = f"{time.monotonic() - start_time:.2f} s"
        click.echo(f"queued  {count} of {new_search.base.notebook}  search {new_search.group}  {seconds}", err=True)
    return _report(context, new_search.group, view_options)


def go_on(context: Context, group: str, options: Mapping[str, Any], view_options: ViewOptions) -> int:
    """``snaprun sweep --continue``."""
    for name, value in options.items():
        if value and name not in CONTINUE_OPTIONS:
            text = f"--continue makes more trials of the same search: {_spell(name)} cannot be changed"
            raise UsageFault(text, hint=f"snaprun sweep --continue {group} --trials 20")
    if options["trials"] is None:
        raise UsageFault("how many trials more?", hint=f"snaprun sweep --continue {group} --trials 20")
    new_search = search.go_on(context, group, trials=options["trials"], jobs=options["jobs"])
    if not view_options.quiet and not view_options.detach:
        click.echo(
            f"goes on to {new_search.trials} trials of {new_search.base.notebook}  search {new_search.group}", err=True
        )
    return _report(context, group, view_options)


def _spell(name: str) -> str:
    """How an option, or the argument, is written."""
    names = {"notebook": "the notebook", "axes": "-p", "seed": "--random-seed", "file": "--from", "tags": "--tag"}
    return names.get(name, f"--{name.replace('_', '-')}")


def _report(context: Context, group: str, view_options: ViewOptions) -> int:
    if view_options.detach:
        click.echo(group)
        return 0
    return _watch(context, group, view_options)


def _watch(context: Context, group: str, view_options: ViewOptions) -> int:
    """Show how a search goes until it is over; Ctrl-C only leaves."""
    stderr_look = stderr()
    troubles: set[str | None] = {None}

    def poll() -> SearchProgress:
        state = search.read_progress(context, group)
        if state.trouble not in troubles and not view_options.quiet:
            click.echo(f"the search waits, as it cannot go on: {state.trouble}", err=True)
        troubles.add(state.trouble)
        return state

    progress = watch(
        poll, lambda current: table.search(current, stderr_look), kind="search", group=group, quiet=view_options.quiet
    )
    if progress is None:
        return 130
    if view_options.as_json:
        click.echo(show.history_json(progress.runs))
    elif not view_options.quiet:
        click.echo(table.search(progress, stderr_look), err=True)
    return _code(progress)


def _code(progress: SearchProgress) -> int:
    """0 where it made its trials and one gave a value: giving up on points is what a search is for."""
    is_complete = progress.search.state in (searchfile.STATE_DONE, searchfile.STATE_EXHAUSTED)
    return 0 if is_complete and progress.sweep.best is not None else 1
