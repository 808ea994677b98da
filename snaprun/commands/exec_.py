"""``snaprun exec``: freeze a notebook and run the frozen copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import (
    gather,
    hold_option,
    limit_options,
    notify_option,
    params_options,
    run_options,
    snapshot_options,
    view_options,
    where_options,
)

if TYPE_CHECKING:
    from snaprun.api.run import RunOptions
    from snaprun.commands.view import ViewOptions


@click.command("exec", short_help="Freeze a notebook and run the frozen copy.")
@click.argument("notebook", type=click.Path(path_type=Path))
@params_options
@snapshot_options
@where_options("the run", "a Slurm job")
@limit_options
@hold_option
@click.option("--in-place", is_flag=True, help="Run in your own work tree, not in a checkout of the snapshot.")
@click.option("-d", "--detach", is_flag=True, help="Return at once, and print the run's id alone.")
@notify_option
@click.option("--json", "as_json", is_flag=True, help="Print the ended run (or with --detach the started one) as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the run's own output.")
@gather(view_options)
@gather(run_options)
def command(options: RunOptions, view_options: ViewOptions) -> int:
    """Freeze NOTEBOOK with its parameters and all the code around it, then run the frozen copy in the background.

    \b
      snaprun exec train.ipynb
      snaprun exec train.ipynb -p lr=0.01 -p epochs=5 --name base
      snaprun exec train.ipynb -f sweep/base.yaml -r tag=007 --timeout 2h
      id=$(snaprun exec train.ipynb --detach)
      snaprun exec train.ipynb --on ssh://gpu1/home/me/project

    What you edit from now on does not reach the run. Closing the terminal does not end it; Ctrl-C does (twice: at
    once). The exit code is the run's own.
    """
    from dataclasses import replace
    from functools import partial

    from snaprun.api.run import start
    from snaprun.commands.terminal import command_line, load_context
    from snaprun.commands.view import print_snapshot, ring, view_start

    context = load_context()
    options = replace(options, argv=command_line())
    snapshot = start(context, options, on_snapshot=partial(print_snapshot, options=view_options))
    code = view_start(context, snapshot, view_options)
    if options.notify and not view_options.detach:
        ring(code)
    return code
