"""What the commands that compare runs share: one comparison in the form asked for, files written, filters taken."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import click

from snaprun import files, show
from snaprun.api import diff
from snaprun.commands.terminal import load_context, stdout
from snaprun.diffs import cellhistory, terminal, tool
from snaprun.diffs.markdown import markdown
from snaprun.diffs.page import page
from snaprun.diffs.rundiff import Comparison
from snaprun.diffs.terminal import SECTIONS, DiffOptions
from snaprun.errors import UsageFault
from snaprun.nearest import nearest


def compare(
    *,
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
    """``snaprun diff``: 1 where the sides differ and ``--exit-code`` was given."""
    options = DiffOptions(_sections(only), everything, stat, word_diff, stdout())
    comparison = diff.diff(load_context(), a, b, context_lines=unified)
    if tool is not None:
        _hand_over(tool, comparison)
    if html is not None:
        files.export(html, page(comparison).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(comparison.to_json()))
    elif as_md:
        click.echo(markdown(comparison))
    elif html is None and tool is None:
        click.echo(terminal.text(comparison, options))
    return int(exit_code and comparison.differs)


def follow(place: str, *, count: int | None, as_json: bool) -> int:
    """``snaprun log``."""
    versions = diff.cell_log(load_context(), place, count=count)
    if as_json:
        click.echo(show.as_json({"schema": "snaprun.log/1", "versions": [version.to_json() for version in versions]}))
    else:
        click.echo(cellhistory.text(versions, stdout(), now=time.time()))
    return 0


def _sections(only: str | None) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in (only or "").split(",") if name.strip())
    for name in names:
        if name not in SECTIONS:
            near = nearest(name, SECTIONS)
            raise UsageFault(f"there is no section {name}", hint=f"--only {near or ','.join(SECTIONS)}")
    return names


def _hand_over(program: str, comparison: Comparison) -> None:
    """Show the two notebooks in another tool, and wait until it is left."""
    with tempfile.TemporaryDirectory(prefix="snaprun-diff-") as folder:
        paths = tool.prepare(comparison.a, comparison.b, Path(folder))
        subprocess.run(tool.command(program, *paths), check=False)
