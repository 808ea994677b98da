"""``snaprun resume``: go on with a held run, or try again what did not succeed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snaprun.commands.options import gather, hold_option, notify_option, view_options
from snaprun.errors import UsageFault

if TYPE_CHECKING:
    from snaprun.commands.view import ViewOptions
    from snaprun.context import Context


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
@gather(view_options)
def command(
    view_options: ViewOptions, run: str, edit: bool, source: Path | None, hold_on_error: float | None, notify: bool
) -> int:
    """Go on with RUN.

    \b
      snaprun resume @                        from the failed cell, in the same kernel
      snaprun resume base --edit              with that cell changed
      snaprun resume 4f2a9c1e                 a lost run: the same snapshot once more

    A run held by --hold-on-error goes on from its failed cell. A run that has ended without success is started again
    from its first cell as its next attempt; what the notebook kept in $SNAPRUN_CHECKPOINT_DIR is still there. Only such
    an attempt takes --hold-on-error and --notify, which do not last from one attempt to the next.
    """
    from snaprun.api.run import resume
    from snaprun.commands.terminal import load_context
    from snaprun.commands.view import ring, view_to_end

    context = load_context()
    resumed_run = resume(
        context,
        run,
        source=None if source is None else _read_source(source),
        edit=_edit if edit else None,
        hold_on_error=hold_on_error,
        notify=notify,
    )
    if view_options.detach:
        click.echo(_describe(context, resumed_run.id) if view_options.as_json else resumed_run.id)
        return 0
    code = view_to_end(context, resumed_run.id, resumed_run.notebook, view_options)
    if notify:
        ring(code)
    return code


def _describe(context: Context, run_id: str) -> str:
    from snaprun import show
    from snaprun.api.look import details

    return show.as_json(details(context, run_id).to_json())


def _read_source(path: Path) -> str:
    """The new text of a cell, from a file or from standard input."""
    content = sys.stdin.buffer.read() if os.fspath(path) == "-" else path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path} is no text in UTF-8: {error.reason}", hint=f"file {path}") from error


def _edit(source: str) -> str | None:
    """The text of a cell as the user leaves it in the editor; None where nothing was saved."""
    return click.edit(source, extension=".py")
