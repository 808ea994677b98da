"""``snaprun queue``: runs that wait for their turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import (
    COUNT_MOST,
    code_options,
    duration,
    json_option,
    limit_options,
    params_options,
    snapshot_options,
)

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
    from snaprun.commands.sweeping import list_queue

    return list_queue(jobs=jobs, as_json=as_json, quiet=quiet)


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
def add(**options: Any) -> int:
    """Freeze NOTEBOOK as it is now, and run the frozen copy when its turn comes.

    \b
      snaprun queue add train.ipynb -p lr=0.1 --retries 2
      snaprun queue add eval.ipynb --after @
    """
    from snaprun.commands.sweeping import queue_add

    return queue_add(**options)


@command.command("drop", short_help="Take runs out of the queue; their snapshots stay.")
@RUNS
def drop(runs: tuple[str, ...]) -> int:
    """Take waiting runs out of the queue. Their snapshots stay, as saved ones.

    \b
      snaprun queue drop 3f2a1c9e
    """
    from snaprun.commands.sweeping import queue_drop

    return queue_drop(runs)


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
    from snaprun.commands.sweeping import queue_move

    return queue_move(runs, first=first, last=last, before=before)


@command.command("pause", short_help="Start nothing more; what runs, runs on.")
def pause() -> int:
    """Start no run of the queue any more. What runs, runs on.

    \b
      snaprun queue pause
    """
    from snaprun.commands.sweeping import queue_pause

    return queue_pause()


@command.command("resume", short_help="Go on starting what waits.")
def resume() -> int:
    """Go on starting what waits.

    \b
      snaprun queue resume
    """
    from snaprun.commands.sweeping import queue_resume

    return queue_resume()
