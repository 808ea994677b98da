"""``snaprun compare``: many runs as one table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    choose_count,
    compare_options,
    filters,
    gather,
    group_options,
    history_options,
    json_option,
)

if TYPE_CHECKING:
    from snaprun.api.compare import CompareOptions
    from snaprun.api.history import HistoryOptions
    from snaprun.charts.grid import Grid


@click.command("compare", short_help="Show many runs as one table.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs; of a sweep all."
)
@click.option("--all", "everything", is_flag=True, help="All runs, however many.")
@filters
@group_options
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; may be given again.")
@click.option(
    "--pick",
    type=click.Choice(["last", "min", "max"]),
    default="last",
    show_default=True,
    help="Which value of a metric counts.",
)
@click.option("--sort", metavar="[-]NAME", help="Sort by a parameter or metric; with - the largest first.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one self-contained page.")
@gather(compare_options)
@gather(history_options)
def command(
    selection: HistoryOptions,
    options: CompareOptions,
    everything: bool,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
) -> int:
    """Show many runs as one table: the parameters that differ, every metric, the best marked.

    \b
      snaprun compare base 4f2a @
      snaprun compare --notebook train.ipynb --since 2d --sort loss
      snaprun compare --where 'epochs == 10' --mean
      snaprun compare --group aad60d03
      snaprun compare --all --by lr -m accuracy --pick max

    Runs are named, or filtered as in history. Grouped rows show mean ± standard deviation and the number of runs, of
    those that succeeded.
    """
    from snaprun.api.compare import compare
    from snaprun.commands.terminal import load_context

    grid = compare(load_context(), options, choose_count(selection, everything=everything), now=time.time())
    print_grid(grid, as_json=as_json, as_csv=as_csv, html=html)
    return 0


def print_grid(grid: Grid, *, as_json: bool, as_csv: bool, html: Path | None = None) -> None:
    """Print a table of many runs on standard output, for a person unless another form is asked for; or into a page."""
    from snaprun import show
    from snaprun.charts import tables
    from snaprun.commands.terminal import stdout
    from snaprun.files import export

    if html is not None:
        export(html, tables.as_html(grid).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(grid.to_json()))
    elif as_csv:
        click.echo(tables.as_csv(grid), nl=False)
    elif html is None:
        click.echo(tables.text(grid, stdout()))
