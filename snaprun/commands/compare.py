"""``snaprun compare``: many runs as one table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from snaprun.commands.history import filters
from snaprun.commands.options import how_many, json_option, stack

group_options = stack(
    click.option(
        "--mean/--no-mean",
        default=None,
        help="Put runs together that differ in nothing but their seed; so it is for a sweep (--group) with seeds.",
    ),
    click.option(
        "--by", multiple=True, metavar="NAME", help="Put runs together by this parameter; may be given again."
    ),
)


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
@click.option("--sort", default="", metavar="[-]NAME", help="Sort by a parameter or metric; with - the largest first.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one self-contained page.")
def command(
    runs: tuple[str, ...],
    mean: bool | None,
    by: tuple[str, ...],
    metrics: tuple[str, ...],
    pick: str,
    sort: str,
    as_json: bool,
    as_csv: bool,
    html: Path | None,
    **selection: Any,
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
    from snaprun.api import compare
    from snaprun.commands.tables import print_table
    from snaprun.commands.terminal import load_context

    context = load_context()
    selected_runs = compare.runs_of(
        context, runs, {**selection, "count": how_many(selection), "sort": None}, now=time.time()
    )
    group_rule = compare.choose_rule(selected_runs, mean=mean, by=by, group=selection["group"])
    run_grid = compare.table(context, selected_runs, group_rule, metrics=metrics, pick=pick, sort=sort)
    print_table(run_grid, as_json=as_json, as_csv=as_csv, html=html)
    return 0
