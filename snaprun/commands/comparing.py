"""What the commands that compare runs share: one comparison in the form asked for, files written, filters taken."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

import click

from snaprun import show
from snaprun.api import diff
from snaprun.commands.terminal import here, stdout
from snaprun.diffs import cellhistory, terminal, tool
from snaprun.diffs.markdown import markdown
from snaprun.diffs.page import page
from snaprun.diffs.rundiff import Comparison
from snaprun.diffs.terminal import SECTIONS, Wanted
from snaprun.errors import UsageFault
from snaprun.files import write
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
    wanted = Wanted(_sections(only), everything, stat, word_diff, stdout())
    found = diff.diff(here(), a, b, context=unified)
    if tool is not None:
        _hand_over(tool, found)
    if html is not None:
        write(html, page(found).encode())
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(show.as_json(found.to_json()))
    elif as_md:
        click.echo(markdown(found))
    elif html is None and tool is None:
        click.echo(terminal.text(found, wanted))
    return int(exit_code and found.differs)


def follow(place: str, *, count: int | None, as_json: bool) -> int:
    """``snaprun log``."""
    found = diff.cell_log(here(), place, count=count)
    if as_json:
        click.echo(show.as_json({"schema": "snaprun.log/1", "versions": [one.to_json() for one in found]}))
    else:
        click.echo(cellhistory.text(found, stdout(), now=time.time()))
    return 0


def _sections(only: str | None) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in (only or "").split(",") if name.strip())
    for name in names:
        if name not in SECTIONS:
            near = nearest(name, SECTIONS)
            raise UsageFault(f"there is no section {name}", hint=f"--only {near or ','.join(SECTIONS)}")
    return names


def _hand_over(program: str, found: Comparison) -> None:
    """Show the two notebooks in another tool, and wait until it is left."""
    with tempfile.TemporaryDirectory(prefix="snaprun-diff-") as folder:
        paths = tool.prepare(found.a, found.b, Path(folder))
        subprocess.run(tool.command(program, *paths), check=False)
