"""``snaprun diff``: what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import json_option
from snaprun.diffs.rundiff import SECTIONS
from snaprun.errors import UsageFault

if TYPE_CHECKING:
    from snaprun.diffs.rundiff import Comparison

NAMES = [section.name for section in SECTIONS]


@click.command("diff", short_help="Show what changed between two runs.")
@click.argument("a", metavar="RUN-A", default="@")
@click.argument("b", metavar="[RUN-B]", required=False)
@click.option("--all", "everything", is_flag=True, help="Show what is the same, too.")
@click.option("--only", metavar="NAMES", help=f"Only these sections, with commas: {', '.join(NAMES)}.")
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
def command(
    a: str,
    b: str | None,
    everything: bool,
    only: str | None,
    stat: bool,
    unified: int,
    word_diff: bool,
    html: Path | None,
    as_md: bool,
    tool: str | None,
    as_json: bool,
    exit_code: bool,
) -> int:
    """Show what differs between two runs: parameters, metrics, code by cell, files, outputs, environment.

    \b
      snaprun diff @~1 @                      the run before the latest, against the latest
      snaprun diff base                       the run named base against the one before it of its notebook
      snaprun diff base .                     what has changed in the work tree since
      snaprun diff 4f2a 91bc --only params,metrics
      snaprun diff @~1 @ --html diff.html

    A side is a run, a commit or branch of yours, or . for the work tree as it is now. Only what differs is shown.
    """
    from snaprun import files, show
    from snaprun.api.diff import diff
    from snaprun.commands.terminal import load_context, stdout
    from snaprun.diffs import markdown, page, terminal

    options = terminal.DiffOptions(_sections(only), everything, stat, word_diff, stdout())
    comparison = diff(load_context(), a, b, context_lines=unified)
    if tool is not None:
        _open_tool(tool, comparison)
    if html is not None:
        files.export(html, page.page(comparison).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(comparison.to_json()))
    elif as_md:
        click.echo(markdown.markdown(comparison))
    elif html is None and tool is None:
        click.echo(terminal.text(comparison, options))
    return int(exit_code and comparison.differs)


def _sections(only: str | None) -> tuple[str, ...]:
    """The sections that are asked for, none for all."""
    from snaprun.nearest import nearest

    names = tuple(name.strip().lower() for name in (only or "").split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            near = nearest(name, NAMES)
            raise UsageFault(f"there is no section {name}", hint=f"--only {near or ','.join(NAMES)}")
    return names


def _open_tool(program: str, comparison: Comparison) -> None:
    """Show the two notebooks in another tool, and wait until it is left."""
    import subprocess
    import tempfile

    from snaprun.diffs import tool

    with tempfile.TemporaryDirectory(prefix="snaprun-diff-") as folder:
        paths = tool.prepare(comparison.a, comparison.b, Path(folder))
        subprocess.run(tool.command(program, *paths), check=False)
