"""``snaprun queue``: runs that wait for their turn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    COUNT_MOST,
    code_options,
    duration,
    gather,
    json_option,
    limit_options,
    params_options,
    run_options,
    snapshot_options,
)
from snaprun.errors import UsageFault

if TYPE_CHECKING:
    from snaprun.api.run import RunOptions

RUNS = click.argument("runs", metavar="RUN...", nargs=-1, required=True)


@click.group(
    "queue", short_help="List runs that wait for their turn, and set them in order.", invoke_without_command=True
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(0, COUNT_MOST),
    metavar="N",
    help="Let at most N runs work at a time from now on; 0: as each sweep asked.",
)
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print full ids only, one a line.")
@click.pass_context
def command(context: click.Context, jobs: int | None, as_json: bool, quiet: bool) -> int:
    """List what runs and what waits, in the order of starting.

    \b
      snaprun queue
      snaprun queue --jobs 2
      snaprun queue add train.ipynb -p lr=0.1 --retries 2
      snaprun queue add eval.ipynb --after @
      snaprun queue move 3f2a1c9e --first
      snaprun queue pause

    Nothing has to be started for it: runs start by themselves, and go on when the terminal is closed.
    """
    if context.invoked_subcommand is not None:
        return 0
    from snaprun.api.queue import limit, listing
    from snaprun.commands.terminal import load_context, stdout
    from snaprun.queue.table import queue_json, queue_table

    caller = load_context()
    if jobs is not None:
        limit(caller, jobs or None)
    entries, runs = listing(caller)
    if as_json:
        click.echo(queue_json(entries, runs))
    elif quiet:
        click.echo("\n".join(entry.run for entry in entries.runs), nl=bool(entries.runs))
    elif entries.runs:
        click.echo(queue_table(entries, runs, stdout()))
    else:
        click.echo("the queue is empty" + (" and paused" if entries.is_paused else ""), err=True)
    return 0


@command.command("add", short_help="Freeze a notebook now, and run it when its turn comes.")
@click.argument("notebook", type=click.Path(path_type=Path))
@params_options
@snapshot_options
@code_options
@click.option("--timeout", type=duration, metavar="TIME", help="Stop the run after this long (90, 30m, 2h): exit 124.")
@limit_options
@click.option("--after", metavar="RUN", help="Start it only when this run has succeeded.")
@click.option(
    "--retries",
    type=click.IntRange(0, COUNT_MOST),
    default=0,
    metavar="N",
    help="Try it again, up to N times, if it fails.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print the run's id alone.")
@gather(run_options)
def add(options: RunOptions, after: str | None, retries: int, quiet: bool) -> int:
    """Freeze NOTEBOOK as it is now, and run the frozen copy when its turn comes.

    \b
      snaprun queue add train.ipynb -p lr=0.1 --retries 2
      snaprun queue add eval.ipynb --after @
    """
    from dataclasses import replace

    from snaprun import show
    from snaprun.api import queue
    from snaprun.commands.terminal import command_line, load_context, stderr

    snapshot = queue.add(load_context(), replace(options, argv=command_line()), after=after, retries=retries)
    if not quiet:
        notes = show.notes(snapshot)
        click.echo(show.snapshot_line(snapshot, stderr()) + (f"\n{notes}" if notes else ""), err=True)
    click.echo(snapshot.id)
    return 0


@command.command("drop", short_help="Take runs out of the queue; their snapshots stay.")
@RUNS
def drop(runs: tuple[str, ...]) -> int:
    """Take waiting runs out of the queue. Their snapshots stay, as saved ones.

    \b
      snaprun queue drop 3f2a1c9e
    """
    from snaprun.api import queue
    from snaprun.commands.terminal import load_context
    from snaprun.model import short_id

    for run in queue.drop(load_context(), runs):
        click.echo(f"dropped {short_id(run)}; its snapshot stays", err=True)
    return 0


@command.command("move", short_help="Set waiting runs first, last, or before another.")
@RUNS
@click.option("--first", is_flag=True, help="Before all that wait; the default.")
@click.option("--last", is_flag=True, help="Behind all that wait.")
@click.option("--before", metavar="RUN", help="Before this one.")
def move(runs: tuple[str, ...], first: bool, last: bool, before: str | None) -> int:
    """Set waiting runs, in the order given, at another place of the queue.

    \b
      snaprun queue move 3f2a1c9e 77aa01bc --first
      snaprun queue move 3f2a1c9e --before 77aa01bc
    """
    from snaprun.api import queue
    from snaprun.commands.terminal import load_context

    if first + last + (before is not None) > 1:
        raise UsageFault("--first, --last and --before exclude each other", hint="snaprun queue move RUN --first")
    queue.move(load_context(), runs, before=before, last=last)
    return 0


@command.command("pause", short_help="Start nothing more; what runs, runs on.")
def pause() -> int:
    """Start no run of the queue any more. What runs, runs on.

    \b
      snaprun queue pause
    """
    from snaprun.api import queue
    from snaprun.commands.terminal import load_context

    queue.pause(load_context())
    return 0


@command.command("resume", short_help="Go on starting what waits.")
def resume() -> int:
    """Go on starting what waits.

    \b
      snaprun queue resume
    """
    from snaprun.api import queue
    from snaprun.commands.terminal import load_context

    queue.resume(load_context())
    return 0
