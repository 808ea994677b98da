"""``snaprun console``: talk to the kernel of a run in progress."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from snaprun.api.console import AnswerPiece, Console, Conversation

LEAVE = re.compile(r"(exit|quit)\s*(\(\s*\w*\s*\))?\s*;?")
"""What people type to leave a Python prompt."""


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
    from snaprun.api.console import connect
    from snaprun.commands.terminal import load_context

    with connect(load_context(), run) as conversation:
        if code is not None:
            return _answer(conversation.console, code)
        _prompt(conversation)
    return 0


def _answer(console: Console, code: str) -> int:
    """Print what the kernel says to some code; 1 where that failed."""
    has_failed = False
    for piece in console.ask(code):
        has_failed = has_failed or piece.kind == "error"
        _print(piece)
    return int(has_failed)


def _prompt(conversation: Conversation) -> None:
    """Ask for code until the user leaves."""
    with contextlib.suppress(ImportError):  # not everywhere; it gives input() a history and arrow keys
        import readline  # noqa: F401

    console = conversation.console
    name = conversation.run.name or conversation.run.id[:8]
    state = "held after an error" if conversation.is_held else "running"
    click.echo(f"the kernel of {name}, {state}; Ctrl-D leaves it as it is", err=True)
    if not conversation.is_held and not console.has_subshell:
        click.echo("this kernel answers only between two cells", err=True)
    prompts = (f"{name}> ", "... ") if sys.stdin.isatty() else ("", "")
    while True:
        try:
            code = input(prompts[0])
            while code.strip() and not console.is_complete(code):
                next_line = input(prompts[1])
                code += "\n" + next_line
                if not next_line.strip():
                    break
        except EOFError:
            click.echo("", err=True)
            return
        except KeyboardInterrupt:
            click.echo("", err=True)
            continue
        if LEAVE.fullmatch(code.strip()):
            return
        if code.strip():
            _wait(console, code)


def _wait(console: Console, code: str) -> None:
    try:
        _answer(console, code)
    except KeyboardInterrupt:
        click.echo("not waiting any longer; it goes on in the kernel", err=True)


def _print(piece: AnswerPiece) -> None:
    """What the code printed as it is; the colours of a traceback where they are wanted."""
    from snaprun.commands.terminal import stderr

    colour = stderr().colour if piece.kind == "error" else True
    click.echo(piece.text, nl=False, err=piece.kind in ("stderr", "error"), color=colour)
