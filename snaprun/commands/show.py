"""``snaprun show``: everything of one run, or one file of it."""

from __future__ import annotations

import click

from snaprun.commands.options import json_option


@click.command("show", short_help="Show everything of one run, or print one file of it.")
@click.argument("run", metavar="RUN[:PATH]", default="@")
@json_option
def command(run: str, as_json: bool) -> int:
    """Show everything of one run: status, parameters, metrics, cells, the failing cell with its traceback.

    \b
      snaprun show                            the latest run
      snaprun show 4f2a9c1e
      snaprun show @failed                    the latest that failed
      snaprun show @:.snaprun/log.txt         print a file of the run
      snaprun show base:src/model.py          as it was when the run named base started

    RUN is an id or its first digits, @ for the latest, @~2 for the second before it, @running, @failed, @succeeded, or
    a run's name.
    """
    from snaprun import show
    from snaprun.api.look import details
    from snaprun.api.use import file_of
    from snaprun.commands.terminal import load_context, raw_stdout, stdout

    context = load_context()
    selector, colon, path = run.partition(":")
    if colon:
        out = raw_stdout()
        for piece in file_of(context, selector, path):
            out.write(piece)
        return 0
    whole = details(context, selector)
    click.echo(show.as_json(whole.to_json()) if as_json else show.run_text(whole, stdout()))
    return 0
