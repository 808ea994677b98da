"""Talk to the kernel of a run in progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.launchers import handover
from snaprun.lifecycle import resume
from snaprun.lifecycle.console import AnswerPiece, Console
from snaprun.live import livefolder
from snaprun.model import Run
from snaprun.reader import find, require_launched

__all__ = ["AnswerPiece", "Console", "Conversation", "connect"]


@dataclass(frozen=True)
class Conversation:
    """An open connection to the kernel of a run; ``is_held``: the run waits after an error for somebody to go on."""

    run: Run
    console: Console
    is_held: bool


@contextmanager
def connect(context: Context, selector: str) -> Iterator[Conversation]:
    """Talk to the kernel of a run in progress; leaving never ends the run.

    ``console.ask(code)`` runs code there and gives what it prints, piece by piece.

    Raises:
        DataFault: there is no such run. UsageFault: it has ended, never started, or is on another machine.
        Unavailable: it has no Jupyter kernel, or the kernel does not answer.
    """
    run = find(context, selector)
    folder = livefolder.find(context.place, run.id)
    if folder is None:
        require_launched(run)
        raise UsageFault(f"run {run.id[:8]} has ended: it {run.status}", hint=f"snaprun open {run.id[:8]}")
    handover.require_here(folder, "console")
    is_held = resume.is_held(folder)
    with Console(folder, with_subshell=not is_held) as console:
        yield Conversation(run, console, is_held)
