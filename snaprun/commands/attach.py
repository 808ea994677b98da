"""``snaprun attach``: the view of a foreground ``exec``, on a run that is in progress."""

from __future__ import annotations

import click


@click.command("attach", short_help="Watch a run in progress as exec would show it.")
@click.argument("run", metavar="RUN", default="@running")
def command(run: str) -> int:
    """Watch RUN as a foreground `snaprun exec` would: its output, and the cell it is at.

    \b
      snaprun attach                          the latest that is running
      snaprun attach base

    Ctrl-C leaves the view; the run goes on. The exit code is the run's own.
    """
    from snaprun.api.attend import find_launched
    from snaprun.api.look import find
    from snaprun.commands.terminal import load_context
    from snaprun.commands.view import print_ends, view

    context = load_context()
    target = find_launched(context, run)
    code = view(context, target.id, target.notebook, stops=False)
    print_ends([find(context, target.id)])
    return code
