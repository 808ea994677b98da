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
    from snaprun import api

    count, damaged = api.reindex(api.opened())
    for run_id, why in damaged:
        click.echo(f"warning: run {run_id} cannot be read: {why}", err=True)
    if not quiet:
        click.echo(f"{count} run{'s' if count != 1 else ''} indexed", err=True)
    return 65 if damaged else 0
