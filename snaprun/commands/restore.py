"""``snaprun restore``: files of a run, back as files."""

from __future__ import annotations

from pathlib import Path

import click

from snaprun.errors import UsageFault


@click.command("restore", short_help="Write files of a run back to disk.")
@click.argument("run", metavar="RUN")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@click.option(
    "--to", "target", type=click.Path(path_type=Path), metavar="DIR", help="Into this folder, made if missing."
)
@click.option("--outputs", is_flag=True, help="Put the run's outputs back into the notebook in the work tree.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(run: str, paths: tuple[str, ...], target: Path | None, outputs: bool, force: bool) -> int:
    """Write files of RUN to disk: all of its tree, or the given paths. What is there is never overwritten unasked.

    \b
      snaprun restore base --to ../base       the whole tree
      snaprun restore base src/model.py --force
      snaprun restore @ --outputs             the outputs, into the notebook as it is now
    """
    from snaprun.api.use import restore, restore_outputs
    from snaprun.commands.terminal import load_context

    if outputs:
        if target is not None or len(paths) > 1:
            raise UsageFault(
                "--outputs takes one notebook in the work tree", hint="snaprun restore RUN --outputs NOTEBOOK"
            )
        notebook, report = restore_outputs(load_context(), run, paths[0] if paths else None)
        click.echo(notebook)
        if report.unknown:
            click.echo(
                f"left as they are, for the run has no such code: cells {', '.join(map(str, report.unknown))}", err=True
            )
        return 0
    for path in restore(load_context(), run, paths, target=target, force=force):
        click.echo(path)
    return 0
