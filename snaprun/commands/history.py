"""``snaprun history``: list runs, newest first."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import click

from snaprun.commands.options import how_many, json_option, stack
from snaprun.errors import UsageFault

filters = stack(
    click.option("--status", multiple=True, metavar="STATUS", help="Only runs of this status; may be given again."),
    click.option("--notebook", metavar="PATH", help="Only runs of this notebook (a path, a name, or a glob)."),
    click.option("--since", metavar="WHEN", help="Only runs since then: 2h, 3d, 1w, or a date."),
    click.option("--name", metavar="NAME", help="Only runs with this name."),
    click.option("--tag", metavar="TAG", help="Only runs with this tag."),
    click.option("--group", metavar="ID", help="Only runs of this sweep."),
    click.option("--commit", metavar="REV", help="Only runs that belong to this commit of yours, or run of that id."),
    click.option(
        "--where", metavar="EXPR", help="""Only runs for which this holds: 'lr < 0.1 and status == "failed"'."""
    ),
)


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
def command(**options: Any) -> int:
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
    from snaprun.api.history import history, is_filtered
    from snaprun.commands.terminal import load_context, stdout

    if options["mean"]:
        return _means(options)
    runs = history(load_context(), options, now=time.time())
    columns = show.Columns(params=options["params"], metrics=options["metrics"])
    if options["as_json"]:
        click.echo(show.history_json(runs))
    elif options["as_csv"]:
        click.echo(show.history_csv(runs, columns))
    elif options["quiet"]:
        click.echo("\n".join(run.id for run in runs), nl=bool(runs))
    elif runs:
        click.echo(show.history(runs, columns, stdout(), now=time.time()))
        if options["group"]:
            _means_below(options)
    else:
        click.echo("no run matches" if is_filtered(options) else "no runs yet: snaprun exec NOTEBOOK", err=True)
    return 3 if not runs and is_filtered(options) else 0


def _means_below(options: Mapping[str, Any]) -> None:
    """Below the runs of a sweep with seeds, what they come to: of all of its runs, not only of those that are shown."""
    from snaprun.api import compare
    from snaprun.api.compare import GroupRule
    from snaprun.charts import tables
    from snaprun.commands.terminal import load_context, stdout

    context = load_context()
    runs = compare.runs_of(context, (), {"group": options["group"]}, now=time.time())
    if compare.choose_rule(runs, mean=None, by=(), group=options["group"]).is_on and any(run.metrics for run in runs):
        click.echo("\n" + tables.text(compare.table(context, runs, GroupRule(mean=True)), stdout()))


def _means(options: Mapping[str, Any]) -> int:
    """``snaprun history --mean``: the runs as a table of means."""
    from snaprun.api import compare
    from snaprun.api.compare import GroupRule
    from snaprun.commands.tables import print_table
    from snaprun.commands.terminal import load_context

    if options["params"] or options["quiet"]:
        raise UsageFault("--mean goes with neither -p nor -q", hint="snaprun compare --by NAME")
    context = load_context()
    filters = {**options, "count": how_many(options), "sort": None}
    runs = compare.runs_of(context, (), filters, now=time.time())
    run_grid = compare.table(
        context, runs, GroupRule(mean=True), metrics=options["metrics"], sort=options["sort"] or ""
    )
    print_table(run_grid, as_json=options["as_json"], as_csv=options["as_csv"])
    return 0
