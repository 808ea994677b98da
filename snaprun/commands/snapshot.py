"""``snaprun snapshot``: freeze without running."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import gather, json_option, params_options, run_options, snapshot_options

if TYPE_CHECKING:
    from snaprun.api.run import RunOptions


@click.command("snapshot", short_help="Freeze the work tree without running anything.")
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
@params_options
@snapshot_options
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Print the id only.")
@gather(run_options)
def command(options: RunOptions, as_json: bool, quiet: bool) -> int:
    """Freeze the work tree, and NOTEBOOK if given, without running anything; `snaprun rerun` can run it later.

    \b
      snaprun snapshot -m "before the big change"
      snaprun snapshot train.ipynb -p lr=0.01
      git diff $(snaprun snapshot -q)         what changes from here on

    Nothing of yours is touched: not the index, not HEAD, not the stash.
    """
    from snaprun import show
    from snaprun.api.look import details
    from snaprun.api.run import snapshot
    from snaprun.commands.terminal import load_context, stderr

    context = load_context()
    new_snapshot = snapshot(context, options)
    if not quiet:
        click.echo(show.snapshot_line(new_snapshot, stderr()), err=True)
    click.echo(show.as_json(details(context, new_snapshot.id).to_json()) if as_json else new_snapshot.id)
    return 0
