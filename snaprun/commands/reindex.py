"""``snaprun reindex``: rebuild the index from git."""

from __future__ import annotations

import click


@click.command("reindex", short_help="Rebuild the index from the refs in git.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
def command(quiet: bool) -> int:
    """Rebuild the index from git: git is the truth, the database can be thrown away.

    \b
      snaprun reindex
    """
    from snaprun.api.keep import rebuild_index
    from snaprun.commands.terminal import here

    done = rebuild_index(here())
    if done.set_aside:
        click.echo(f"warning: the damaged index is now {done.set_aside}", err=True)
    for run in done.damaged:
        click.echo(f"warning: run {run.id[:8]} cannot be read: {run.why}", err=True)
    if not quiet:
        click.echo(f"{done.count} run{'s' if done.count != 1 else ''} indexed", err=True)
    return 65 if done.damaged else 0
