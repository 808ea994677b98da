"""``snaprun stop``: end runs, keeping what they have made."""

from __future__ import annotations

import click

from snaprun.commands.options import duration


@click.command("stop", short_help="End runs, keeping what they have made so far.")
@click.argument("runs", metavar="RUN...", nargs=-1)
@click.option("--group", metavar="ID", help="All runs of this sweep, those that wait in the queue as well.")
@click.option("--grace", type=duration, metavar="TIME", help="How long a cell may take to give in before it is killed.")
@click.option("--kill", is_flag=True, help="Kill at once, without interrupting first.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
def command(runs: tuple[str, ...], group: str | None, grace: float | None, kill: bool, quiet: bool) -> int:
    """End each RUN: interrupt the cell, then terminate, then kill. Outputs up to then are kept in its result.

    A run that waits in the queue is taken out of it.

    \b
      snaprun stop @running
      snaprun stop base --grace 60
      snaprun stop --group 5e84c11e
    """
    from snaprun.api.attend import stop
    from snaprun.commands.terminal import load_context
    from snaprun.commands.view import print_ends

    endings = stop(load_context(), runs, group=group, grace=grace, kill=kill)
    if quiet:
        return 0
    print_ends(endings.runs)
    if endings.dropped_ids:
        click.echo(f"{len(endings.dropped_ids)} taken out of the queue", err=True)
    elif not endings.runs:
        click.echo("the search has ended", err=True)
    return 0
