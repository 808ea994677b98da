"""``snaprun open``: the executed notebook as a file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("open", short_help="Write a run's executed notebook to a file.")
@click.argument("run", metavar="RUN", default="@")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it.")
@click.option("--force", is_flag=True, help="Overwrite FILE if it is there.")
def command(run: str, output: Path | None, force: bool) -> int:
    """Write the executed notebook of RUN, with every output so far, to a file and print its path.

    \b
      jupyter lab "$(snaprun open @)"
      snaprun open base -o base.ipynb

    Without -o it goes to a temporary folder, so that nothing lands in your work tree.
    """
    from snaprun.api.use import write_notebook
    from snaprun.commands.terminal import load_context

    click.echo(write_notebook(load_context(), run, output, force=force))
    return 0
