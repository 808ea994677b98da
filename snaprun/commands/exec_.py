"""``snaprun exec``: freeze a notebook and run the frozen copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import (
    hold_option,
    limit_options,
    notify_option,
    params_options,
    snapshot_options,
    where_options,
)


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
def command(**options: Any) -> int:
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
    from snaprun.commands.running import execute

    return execute(**options)
