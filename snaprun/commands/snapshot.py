"""``snaprun snapshot``: freeze without running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import json_option, params_options, snapshot_options


@click.command("snapshot", short_help="Freeze the work tree without running anything.")
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
@params_options
@snapshot_options
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print the id only.")
def command(**options: Any) -> int:
    """Freeze the work tree, and NOTEBOOK if given, without running anything; `snaprun rerun` can run it later.

    \b
      snaprun snapshot -m "before the big change"
      snaprun snapshot train.ipynb -p lr=0.01
      git diff $(snaprun snapshot -q)         what changes from here on

    Nothing of yours is touched: not the index, not HEAD, not the stash.
    """
    from snaprun import show
    from snaprun.api.look import details
    from snaprun.api.run import RunOptions, snapshot
    from snaprun.commands.terminal import load_context, stderr

    quiet, as_json = options.pop("quiet"), options.pop("as_json")
    context = load_context()
    made = snapshot(context, RunOptions(**options))
    if not quiet:
        click.echo(show.snapshot_line(made, stderr()), err=True)
    if as_json:
        click.echo(show.as_json(details(context, made.id).to_json()))
    else:
        click.echo(made.id)
    return 0
