"""``snaprun rerun``: run a snapshot again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    gather,
    limit_options,
    params_options,
    run_options,
    view_options,
    where_options,
)

if TYPE_CHECKING:
    from snaprun.api.run import RunOptions
    from snaprun.commands.view import ViewOptions


@click.command("rerun", short_help="Run the snapshot of an earlier run again.")
@click.argument("run", metavar="RUN", default="@")
@params_options
@click.option("--name", metavar="NAME", help="A name to find the new run by.")
@click.option("-m", "--message", metavar="TEXT", help="What this run is about.")
@click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A tag; may be given again.")
@where_options("the run", "a Slurm job")
@limit_options
@click.option("-d", "--detach", is_flag=True, help="Return at once, and print the run's id alone.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended run as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the run's own output.")
@gather(view_options)
@gather(run_options)
def command(options: RunOptions, view_options: ViewOptions, run: str) -> int:
    """Run the very code of RUN again as a new run, with its parameters and the given ones on top.

    \b
      snaprun rerun base                      the same once more
      snaprun rerun base -p seed=2
      snaprun rerun base --on ssh://gpu1/home/me/project
      snaprun rerun $(snaprun snapshot train.ipynb)

    The work tree as it is now plays no part. Engine and time limits are those of RUN, where it runs is not.
    """
    from dataclasses import replace
    from functools import partial

    from snaprun.api.run import rerun
    from snaprun.commands.terminal import command_line, load_context
    from snaprun.commands.view import print_snapshot, view_start

    context = load_context()
    options = replace(options, argv=command_line())
    snapshot = rerun(context, run, options, on_snapshot=partial(print_snapshot, options=view_options))
    return view_start(context, snapshot, view_options)
