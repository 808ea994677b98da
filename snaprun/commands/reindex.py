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
    from snaprun.commands.terminal import load_context

    report = rebuild_index(load_context())
    if report.set_aside:
        click.echo(f"warning: the damaged index is now {report.set_aside}", err=True)
    for run in report.damaged:
        click.echo(f"warning: run {run.id[:8]} cannot be read: {run.reason}", err=True)
    if not quiet:
        click.echo(f"{report.count} run{'s' if report.count != 1 else ''} indexed", err=True)
    return 65 if report.damaged else 0
