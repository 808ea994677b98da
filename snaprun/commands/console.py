"""``snaprun console``: talk to the kernel of a run in progress."""

from __future__ import annotations

import click


@click.command("console", short_help="Talk to the kernel of a run in progress.")
@click.argument("run", metavar="RUN", default="@running")
@click.option("-c", "--code", metavar="CODE", help="Run CODE in the kernel, print what it says, and leave.")
def command(run: str, code: str | None) -> int:
    """Look at the variables of RUN while it goes on, or mend a run that is held after an error.

    \b
      snaprun console @running
      snaprun console base -c 'len(history)'
      snaprun console @running                then: snaprun resume

    Leaving never ends the run, and Ctrl-C only stops the waiting. A kernel with subshells (ipykernel 7) answers while a
    cell is busy; others answer when the cell is done. What you type can change the run, so its record says that a
    console was opened.
    """
    from snaprun.commands.talking import talk

    return talk(run, code)
