"""``snaprun logs``: what a run has printed."""

from __future__ import annotations

import click


@click.command("logs", short_help="Print what a run has printed, and follow it.")
@click.argument("run", metavar="RUN", default="@")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends; Ctrl-C leaves the view only.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Start with the last N lines.")
@click.option("--cell", type=click.IntRange(min=0), metavar="N", help="Only the output of code cell N.")
@click.option("--timestamps", is_flag=True, help="Put the time of arrival before each line.")
def command(run: str, follow: bool, tail: int | None, cell: int | None, timestamps: bool) -> int:
    """Print the standard output and error of RUN, byte for byte, during the run and after it.

    \b
      snaprun logs                            of the latest run
      snaprun logs -f 4f2a9c1e
      snaprun logs @failed --tail 50
      snaprun logs base --cell 3
    """
    from snaprun.api import look
    from snaprun.commands.terminal import load_context, raw_stdout, require_reader

    out = raw_stdout()
    pieces = look.logs(load_context(), run, until_end=follow, tail=tail, cell=cell, with_times=timestamps)
    for piece in pieces:
        out.write(piece)
        out.flush()
        if follow and not piece:
            require_reader()
    return 0
