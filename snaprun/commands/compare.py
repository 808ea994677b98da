"""``snaprun compare``: many runs as one table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from snaprun.commands.history import filters
from snaprun.commands.options import json_option, stack

grouping = stack(
    click.option("--mean", is_flag=True, help="Put runs together that differ in nothing but their seed."),
    click.option(
        "--by", multiple=True, metavar="NAME", help="Put runs together by this parameter; may be given again."
    ),
)


@click.command("compare", short_help="Show many runs as one table.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs.")
@click.option("--all", "everything", is_flag=True, help="All runs, however many.")
@filters
@grouping
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; may be given again.")
@click.option(
    "--pick",
    type=click.Choice(["last", "min", "max"]),
    default="last",
    show_default=True,
    help="Which value of a metric counts.",
)
@click.option("--sort", default="", metavar="[-]NAME", help="Sort by a parameter or metric; with - the largest first.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one self-contained page.")
def command(
    runs: tuple[str, ...],
    mean: bool,
    by: tuple[str, ...],
    metrics: tuple[str, ...],
    pick: str,
    sort: str,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
    **chosen: Any,
) -> int:
    """Show many runs as one table: the parameters that differ, every metric, the best marked.

    \b
      snaprun compare base 4f2a @
      snaprun compare --notebook train.ipynb --since 2d --sort loss
      snaprun compare --where 'epochs == 10' --mean
      snaprun compare --all --by lr -m accuracy --pick max

    Runs are named, or filtered as in history. Grouped rows show mean ± standard deviation and the number of runs.
    """
    from snaprun import show
    from snaprun.commands.context import here, stdout
    from snaprun.diffs import showgrid, surveying
    from snaprun.diffs.surveying import Grouping
    from snaprun.git.writing import write

    door = here()
    listed = surveying.runs_of(door, runs, {**chosen, "sort": None}, now=time.time())
    found = surveying.table(door, listed, Grouping(mean, by), metrics=metrics, pick=pick, sort=sort)
    if html is not None:
        write(html, showgrid.as_html(found).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(found.to_json()))
    elif as_csv:
        click.echo(showgrid.as_csv(found), nl=False)
    elif html is None:
        click.echo(showgrid.text(found, stdout()))
    return 0
