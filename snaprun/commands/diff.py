"""``snaprun diff``: what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from snaprun.commands.options import json_option

SECTIONS = ["run", "params", "metrics", "code", "outputs", "timings", "files", "environment", "artifacts"]


@click.command("diff", short_help="Show what changed between two runs.")
@click.argument("a", metavar="RUN-A", default="@")
@click.argument("b", metavar="[RUN-B]", required=False)
@click.option("--all", "everything", is_flag=True, help="Show what is the same, too.")
@click.option("--only", metavar="NAMES", help=f"Only these sections, with commas: {', '.join(SECTIONS)}.")
@click.option("--stat", is_flag=True, help="One line a section.")
@click.option(
    "-U", "--unified", type=click.IntRange(min=0), default=3, show_default=True, help="Lines around a change."
)
@click.option("--word-diff", is_flag=True, help="Mark the words that changed, not only the lines.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one self-contained page.")
@click.option("--md", "as_md", is_flag=True, help="Print Markdown, for a pull request.")
@click.option(
    "--tool", type=click.Choice(["nbdime", "nbdime-web"]), help="Show the two notebooks in another tool instead."
)
@json_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 when the runs differ.")
def command(**options: Any) -> int:
    """Show what differs between two runs: parameters, metrics, code by cell, files, outputs, environment.

    \b
      snaprun diff @~1 @                      the run before the latest, against the latest
      snaprun diff base                       the run named base against the one before it of its notebook
      snaprun diff base .                     what has changed in the work tree since
      snaprun diff 4f2a 91bc --only params,metrics
      snaprun diff @~1 @ --html diff.html

    A side is a run, a commit or branch of yours, or . for the work tree as it is now. Only what differs is shown.
    """
    from snaprun.commands.comparing import compare

    return compare(**options)
