"""``snaprun rerun``: run a snapshot again."""

from __future__ import annotations

from typing import Any

import click

from snaprun.commands.options import duration, params_options


@click.command("rerun", short_help="Run the snapshot of an earlier run again.")
@click.argument("run", metavar="RUN", default="@")
@params_options
@click.option("--name", metavar="NAME", help="A name to find the new run by.")
@click.option("-m", "--message", metavar="TEXT", help="What this run is about.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A tag; may be given again.")
@click.option("--timeout", type=duration, metavar="TIME", help="Stop the run after this long (90, 30m, 2h): exit 124.")
@click.option("-d", "--detach", is_flag=True, help="Return at once, and print the run's id alone.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended run as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the run's own output.")
def command(**wanted: Any) -> int:
    """Run the very code of RUN again as a new run, with its parameters and the given ones on top.

    \b
      snaprun rerun base                      the same once more
      snaprun rerun base -p seed=2
      snaprun rerun $(snaprun snapshot train.ipynb)

    The work tree as it is now plays no part.
    """
    from snaprun.commands.running import rerun

    return rerun(**wanted)
