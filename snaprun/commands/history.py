"""``snaprun history``: list runs, newest first."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import choose_count, filters, gather, history_options, json_option
from snaprun.errors import UsageFault

if TYPE_CHECKING:
    from snaprun.api.history import HistoryOptions
    from snaprun.context import Context
    from snaprun.show import Columns


@click.command("history", short_help="List runs, newest first.")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many runs.")
@click.option("--all", "everything", is_flag=True, help="All runs, however many.")
@filters
@click.option("-p", "--param", "params", multiple=True, metavar="NAME", help="Give this parameter a column.")
@click.option(
    "-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Give this metric's last value a column."
)
@click.option("--sort", metavar="[-]KEY", help="Sort by a field, parameter or metric; with - the largest first.")
@click.option(
    "--mean", is_flag=True, help="A row a parameter set: mean ± standard deviation over its seeds, as compare has it."
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print full ids only, one a line.")
@gather(history_options)
def command(
    options: HistoryOptions,
    everything: bool,
    params: tuple[str, ...],
    metrics: tuple[str, ...],
    mean: bool,
    as_json: bool,
    as_csv: bool,
    quiet: bool,
) -> int:
    """List runs, newest first: what ran, how it ended, with which parameters.

    \b
      snaprun history
      snaprun history --status failed --since 2d
      snaprun history --notebook train.ipynb -p lr -m loss --sort loss
      snaprun history --where 'lr < 0.1 and accuracy > 0.9' --json
      snaprun history --group aad60d03 --mean

    Exit code 3 when no run matches.
    """
    from snaprun import show
    from snaprun.api.history import history
    from snaprun.commands.terminal import load_context, stdout

    context, columns = load_context(), show.Columns(params, metrics)
    if mean:
        if params or quiet:
            raise UsageFault("--mean goes with neither -p nor -q", hint="snaprun compare --by NAME")
        return _print_means(context, choose_count(options, everything=everything), columns, as_json, as_csv)
    now = time.time()
    runs = history(context, replace(options, count=None) if everything else options, now=now)
    if as_json:
        click.echo(show.history_json(runs))
    elif as_csv:
        click.echo(show.history_csv(runs, columns))
    elif quiet:
        click.echo("\n".join(run.id for run in runs), nl=bool(runs))
    elif runs:
        click.echo(show.history(runs, columns, stdout(), now=now))
        if options.group:
            _print_means_below(context, options.group)
    else:
        click.echo("no run matches" if options.is_filtered else "no runs yet: snaprun exec NOTEBOOK", err=True)
    return 3 if not runs and options.is_filtered else 0


def _print_means(context: Context, options: HistoryOptions, columns: Columns, as_json: bool, as_csv: bool) -> int:
    """``--mean``: the runs as a table of means."""
    from snaprun.api.compare import CompareOptions, compare
    from snaprun.commands.compare import print_grid

    compare_options = CompareOptions(mean=True, metrics=columns.metrics, sort=options.sort)
    grid = compare(context, compare_options, replace(options, sort=None), now=time.time())
    print_grid(grid, as_json=as_json, as_csv=as_csv)
    return 0


def _print_means_below(context: Context, group: str) -> None:
    """Below the runs of a sweep with seeds, what they come to: of all of its runs, not only of those that are shown."""
    from snaprun.api.compare import compare
    from snaprun.api.history import HistoryOptions
    from snaprun.charts import tables
    from snaprun.commands.terminal import stdout

    grid = compare(context, filters=HistoryOptions(group=group), now=time.time())
    if grid.grouped_by is not None and grid.metrics:
        click.echo("\n" + tables.text(grid, stdout()))
