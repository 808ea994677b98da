"""``snaprun gc``: take away what no run needs any more."""

from __future__ import annotations

import time

import click

from snaprun.quantities import format_size


@click.command("gc", short_help="Remove checkouts and files that no run needs any more.")
@click.option("--keep", type=click.IntRange(min=0), default=0, show_default=True, help="Checkouts to keep for reuse.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
def command(keep: int, quiet: bool) -> int:
    """Remove free checkouts, artifacts and checkpoints of runs that are gone, and what killed processes left.

    \b
      snaprun gc
      snaprun gc --keep 2                     the next two runs start as fast as ever

    No run, no result and nothing of yours is removed.
    """
    from snaprun.api.keep import collect
    from snaprun.commands.terminal import load_context

    totals = collect(load_context(), keep_slots=keep, now=time.time())
    if not quiet:
        text = (
            f"removed {totals.slots} checkouts, {totals.artifacts} artifacts, {totals.checkpoints} checkpoint folders"
        )
        click.echo(f"{text} ({format_size(totals.bytes)})", err=True)
    return 0
