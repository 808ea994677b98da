"""Print a table of many runs in the form asked for: ``compare``, and ``history --mean``."""

from __future__ import annotations

from pathlib import Path

import click

from snaprun import show
from snaprun.charts import tables
from snaprun.charts.grid import Grid
from snaprun.commands.terminal import stdout
from snaprun.files import write


def print_table(grid: Grid, *, as_json: bool, as_csv: bool, html: Path | None = None) -> None:
    """On standard output, for a person unless another form is asked for; or into a page."""
    if html is not None:
        write(html, tables.as_html(grid).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(grid.to_json()))
    elif as_csv:
        click.echo(tables.as_csv(grid), nl=False)
    elif html is None:
        click.echo(tables.text(grid, stdout()))
