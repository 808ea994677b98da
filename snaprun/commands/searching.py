"""What ``sweep --search`` and ``sweep --continue`` do: begin a search or go on with one, and watch it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from snaprun import show
from snaprun.commands.board import watch
from snaprun.commands.terminal import stderr, stdout
from snaprun.context import Door
from snaprun.errors import UsageFault
from snaprun.runplan import Wanted
from snaprun.sweeps import search, searchfile, table
from snaprun.sweeps.search import Course, Goal
from snaprun.sweeps.sweepplan import Asked

GOES_ON = ("trials", "jobs", "detach", "as_json", "quiet", "yes")
"""Options of ``sweep`` that may stand beside ``--continue``."""


@dataclass(frozen=True)
class Ways:
    """How the caller wants to hear of a search."""

    detach: bool
    as_json: bool
    quiet: bool


def begin(door: Door, wanted: Wanted, asked: Asked, goal: Goal, ways: Ways, *, dry_run: bool) -> int:
    """``snaprun sweep --search``."""
    planned = search.plan(door, wanted, asked, goal)
    if dry_run:
        click.echo(table.space_json(planned) if ways.as_json else table.space(planned, stdout()))
        return 0
    began = time.monotonic()
    made = search.start(door, planned)
    if not ways.quiet and not ways.detach:
        count = f"{made.trials} trial{'s' if made.trials > 1 else ''}"
        seconds = f"{time.monotonic() - began:.2f} s"
        click.echo(f"queued  {count} of {made.base.notebook}  search {made.group}  {seconds}", err=True)
    return _told(door, made.group, ways)


def go_on(door: Door, group: str, options: Mapping[str, Any], ways: Ways) -> int:
    """``snaprun sweep --continue``."""
    for name, value in options.items():
        if value and name not in GOES_ON:
            text = f"--continue makes more trials of the same search: {_spelled(name)} cannot be changed"
            raise UsageFault(text, hint=f"snaprun sweep --continue {group} --trials 20")
    if options["trials"] is None:
        raise UsageFault("how many trials more?", hint=f"snaprun sweep --continue {group} --trials 20")
    made = search.go_on(door, group, trials=options["trials"], jobs=options["jobs"])
    if not ways.quiet and not ways.detach:
        click.echo(f"goes on to {made.trials} trials of {made.base.notebook}  search {made.group}", err=True)
    return _told(door, group, ways)


def _spelled(name: str) -> str:
    """How an option, or the argument, is written."""
    names = {"notebook": "the notebook", "axes": "-p", "seed": "--random-seed", "file": "--from", "tags": "--tag"}
    return names.get(name, f"--{name.replace('_', '-')}")


def _told(door: Door, group: str, ways: Ways) -> int:
    if ways.detach:
        click.echo(group)
        return 0
    return _watch(door, group, ways)


def _watch(door: Door, group: str, ways: Ways) -> int:
    """Show how a search goes until it is over; Ctrl-C only leaves."""
    how = stderr()
    said: set[str | None] = {None}

    def look() -> Course:
        now = search.course(door, group)
        if now.trouble not in said and not ways.quiet:
            click.echo(f"the search waits, as it cannot go on: {now.trouble}", err=True)
        said.add(now.trouble)
        return now

    now = watch(look, lambda now: table.search(now, how), what="search", group=group, quiet=ways.quiet)
    if now is None:
        return 130
    if ways.as_json:
        click.echo(show.history_json(now.runs))
    elif not ways.quiet:
        click.echo(table.search(now, how), err=True)
    return _code(now)


def _code(now: Course) -> int:
    """0 where it made its trials and one gave a value: giving up on points is what a search is for."""
    made = now.search.state in (searchfile.DONE, searchfile.EXHAUSTED)
    return 0 if made and now.standing.best is not None else 1
