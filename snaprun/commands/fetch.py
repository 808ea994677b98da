"""``snaprun fetch``: bring home what runs on other machines have made."""

from __future__ import annotations

import click


@click.command("fetch", short_help="Bring home the results of runs on other machines, now.")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@click.option("--artifacts", is_flag=True, help="Copy the large files as well that the runs left over there.")
@click.option("--give-up", is_flag=True, help="Take these runs for lost: their machine will not come back.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(runs: tuple[str, ...], artifacts: bool, give_up: bool, quiet: bool) -> int:
    """Ask the machines of RUNs, by default of all runs in progress, and fetch the results that are there.

    \b
      snaprun fetch
      snaprun fetch 4f2a9c1e --artifacts

    Every command that looks at runs does so too, every few seconds at most and without waiting for a machine that does
    not answer; this one asks at once, waits, and says what stands against it.
    """
    from snaprun.commands.fetching import fetch

    return fetch(runs, artifacts=artifacts, give_up=give_up, quiet=quiet)
