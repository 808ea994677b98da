"""``snaprun log``: how a cell changed from run to run."""

from __future__ import annotations

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
    from snaprun.commands.comparing import follow

    return follow(place, count=count, as_json=as_json)
