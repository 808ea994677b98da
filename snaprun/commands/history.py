"""``snaprun history``: list runs, newest first."""

from __future__ import annotations

import time
from typing import Any

import click

from snaprun.commands.options import json_option, stack

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
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("-q", "--quiet", is_flag=True, help="Print full ids only, one a line.")
def command(**wanted: Any) -> int:
    """List runs, newest first: what ran, how it ended, with which parameters.

    \b
      snaprun history
      snaprun history --status failed --since 2d
      snaprun history --notebook train.ipynb -p lr -m loss --sort loss
      snaprun history --where 'lr < 0.1 and accuracy > 0.9' --json

    Exit code 3 when no run matches.
    """
    from snaprun import listing, show
    from snaprun.commands.context import here, stdout

    runs = listing.history(here(), wanted, now=time.time())
    columns = show.Columns(params=wanted["params"], metrics=wanted["metrics"])
    if wanted["as_json"]:
        click.echo(show.history_json(runs))
    elif wanted["as_csv"]:
        click.echo(show.history_csv(runs, columns))
    elif wanted["quiet"]:
        click.echo("\n".join(run.id for run in runs), nl=bool(runs))
    elif runs:
        click.echo(show.history(runs, columns, stdout(), now=time.time()))
    else:
        click.echo("no run matches" if listing.narrow(wanted) else "no runs yet: snaprun exec NOTEBOOK", err=True)
    return 3 if not runs and listing.narrow(wanted) else 0
