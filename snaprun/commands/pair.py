"""``snaprun pair``: keep a notebook and a script of it side by side."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("pair", short_help="Pair a notebook with a script, by jupytext.")
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--formats", default=None, metavar="FORMATS", help="Jupytext formats; ipynb,py:percent for Python.")
def command(notebook: Path, formats: str | None) -> int:
    """Pair NOTEBOOK with a script in jupytext's percent format, and write the script.

    \b
      snaprun pair train.ipynb                writes train.py
      snaprun pair train.ipynb --formats ipynb,md

    A file that is not the notebook's pair is never overwritten.
    """
    from snaprun.api import keep
    from snaprun.commands.terminal import load_context

    context = load_context()
    pairing = keep.pair(context, notebook, formats)
    for script, is_new in pairing.scripts:
        click.echo(f"{'wrote' if is_new else 'in sync:'} {os.path.relpath(script, context.cwd)}", err=True)
    return 0
