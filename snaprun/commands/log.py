"""``snaprun log``: how a cell changed from run to run."""

from __future__ import annotations

import time

import click

from snaprun.commands.options import json_option


@click.command("log", short_help="Show how a cell changed from run to run.")
@click.argument("place", metavar="NOTEBOOK:CELL")
@click.option("-n", "count", type=click.IntRange(min=1), help="How many versions; all without it.")
@json_option
def command(place: str, count: int | None, as_json: bool) -> int:
    """Show how a cell changed from run to run, the latest first, with the metrics beside it.

    \b
      snaprun log train.ipynb:5               cell 5, as show numbers it
      snaprun log train.ipynb:'fit model'     the cell of this heading, comment or code

    The cell is followed through edits, moves and splits, back to the run that it first stood in.
    """
    from snaprun import show
    from snaprun.api.diff import cell_log
    from snaprun.commands.terminal import load_context, stdout
    from snaprun.diffs import cellhistory

    versions = cell_log(load_context(), place, count=count)
    if as_json:
        click.echo(show.as_json({"schema": "snaprun.log/1", "versions": [version.to_json() for version in versions]}))
    else:
        click.echo(cellhistory.text(versions, stdout(), now=time.time()))
    return 0
