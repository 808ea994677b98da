"""``snaprun wait``: block until runs have ended."""

from __future__ import annotations

import click

from snaprun.commands.options import duration, json_option


@click.command("wait", short_help="Wait until runs have ended.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--any", "any_", is_flag=True, help="Wait for the first of them only.")
@click.option("--timeout", type=duration, metavar="TIME", help="Give up after this long: exit 75, the runs go on.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
def command(runs: tuple[str, ...], any_: bool, timeout: float | None, as_json: bool, quiet: bool) -> int:
    """Wait until every RUN has ended, and exit with the first code that is not 0.

    \b
      id=$(snaprun exec train.ipynb --detach); snaprun wait "$id" && echo it worked
      snaprun wait base wide --any --timeout 2h
    """
    from snaprun import show
    from snaprun.api.attend import wait
    from snaprun.commands.terminal import load_context
    from snaprun.commands.view import print_ends

    ended_runs = wait(load_context(), runs, first=any_, timeout=timeout)
    if as_json:
        click.echo(show.history_json(ended_runs))
    elif not quiet:
        print_ends(ended_runs)
    return next((run.exit_code for run in ended_runs if run.exit_code), 0)
