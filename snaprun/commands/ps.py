"""``snaprun ps``: the runs in progress."""

from __future__ import annotations

import time

import click

from snaprun.commands.options import json_option


@click.command("ps", short_help="List the runs in progress.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print full ids only, one a line.")
def command(as_json: bool, quiet: bool) -> int:
    """List the runs in progress: the cell each is at, how long it has taken and may still take, CPU and memory.

    \b
      snaprun ps
      snaprun stop $(snaprun ps -q)
    """
    from snaprun import show
    from snaprun.api.ps import in_progress
    from snaprun.commands.terminal import load_context, stdout

    entries = in_progress(load_context(), now=time.time())
    if as_json:
        click.echo(show.in_progress_json(entries))
    elif quiet:
        click.echo("\n".join(item.run.id for item in entries), nl=bool(entries))
    elif entries:
        click.echo(show.in_progress(entries, stdout()))
    else:
        click.echo("nothing is running", err=True)
    return 0
