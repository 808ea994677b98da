"""``snaprun fetch``: bring home what runs on other machines have made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snaprun.model import Artifact, Run


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
    from snaprun import show
    from snaprun.api import share
    from snaprun.commands.terminal import load_context, stderr
    from snaprun.model import short_id
    from snaprun.quantities import format_size

    def print_end(run: Run) -> None:
        click.echo(show.end_line(run, stderr()), err=True)

    def print_artifact(run_id: str, artifact: Artifact) -> None:
        click.echo(f"{short_id(run_id)}  {artifact.path}  {format_size(artifact.size)}", err=True)

    context = load_context()
    if give_up:
        share.give_up(context, runs)
    elif quiet:
        share.fetch(context, runs, artifacts=artifacts)
    else:
        share.fetch(context, runs, artifacts=artifacts, on_end=print_end, on_artifact=print_artifact)
    return 0
