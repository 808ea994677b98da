"""Change IPython's shell for a run, in a kernel or without one. Standard library only, Python 3.8 and later.

Not imported as part of snaprun: the other files of this folder execute it in the user's interpreter.
"""

from __future__ import annotations

import builtins
import contextlib
import sys
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GROUP = getattr(builtins, "BaseExceptionGroup", ())  # Python 3.11 and later


class OutputHistory(dict):  # type: ignore[type-arg]
    """Lists of outputs that nobody keeps."""

    def __missing__(self, key: Any) -> Any:
        return []


def forget_outputs(shell: Any) -> None:
    """IPython 9 keeps all that was printed and shown in memory, for ``%notebook`` alone; it may be gigabytes."""
    shell._tee = lambda **_: contextlib.nullcontext()
    shell.history_manager.outputs = OutputHistory()


def show_groups(shell: Any) -> None:
    """Show exception groups as errors; IPython 9 prints them to standard error."""
    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        error: Any = (exc_tuple or sys.exc_info())[1]
        if _has_group(error):
            shell._showtraceback(type(error), error, _format_traceback(error))
        else:
            show(exc_tuple, *args, **options)

    shell.showtraceback = showtraceback


def _has_group(error: Any) -> bool:
    """Whether it, or one that it came out of, is an exception group."""
    while error is not None:
        if isinstance(error, GROUP):
            return True
        error = error.__context__
    return False


def _format_traceback(error: BaseException) -> list[str]:
    """The traceback in Python's own words, without IPython's frame that called the user's code."""
    frames = error.__traceback__
    inner = frames.tb_next if frames is not None else None
    return "".join(traceback.format_exception(type(error), error, inner or frames)).splitlines()
