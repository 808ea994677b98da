"""``snaprun resume``: go on with a held run, or try again what did not succeed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import hold_option, notify_option


@click.command("resume", short_help="Go on with a held run, or try a failed or lost one again.")
@click.argument("run", metavar="RUN", default="@")
@click.option("--edit", is_flag=True, help="Change the failed cell of a held run in your editor first.")
@click.option(
    "--source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Take the new text of a held run's failed cell from FILE (- is standard input).",
)
@hold_option
@click.option("-d", "--detach", is_flag=True, help="Return at once, and print the run's id alone.")
@notify_option
@click.option("--json", "as_json", is_flag=True, help="Print the ended run as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the run's own output.")
def command(**options: Any) -> int:
    """Go on with RUN.

    \b
      snaprun resume @                        from the failed cell, in the same kernel
      snaprun resume base --edit              with that cell changed
      snaprun resume 4f2a9c1e                 a lost run: the same snapshot once more

    A run held by --hold-on-error goes on from its failed cell. A run that has ended without success is started again
    from its first cell as its next attempt; what the notebook kept in $SNAPRUN_CHECKPOINT_DIR is still there. Only such
    an attempt takes --hold-on-error and --notify, which do not last from one attempt to the next.
    """
    from snaprun.commands.talking import go_on

    return go_on(**options)
