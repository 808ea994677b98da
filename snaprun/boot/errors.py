"""What a run has to know of an exception. Standard library only, Python 3.8 and later.

Not imported as part of snaprun: the other files of this folder execute it in the user's interpreter.
"""

from __future__ import annotations

import builtins
import traceback

GROUP = getattr(builtins, "BaseExceptionGroup", ())  # Python 3.11 and later


def text(error: BaseException) -> str:
    """What it says; where saying fails, the words are traceback's own."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001
        return "<exception str() failed>"


def status(error: BaseException | None) -> int | None:
    """The exit status with which plain Python would end; None where the exception is not made to end it."""
    if not isinstance(error, SystemExit):
        return None
    if error.code is None:
        return 0
    return int(error.code) if isinstance(error.code, int) else 1


def has_group(error: BaseException | None) -> bool:
    """Whether it, or one that it came out of, is an exception group: IPython 9 prints those instead of showing them."""
    while error is not None:
        if isinstance(error, GROUP):
            return True
        error = error.__context__
    return False


def native(error: BaseException) -> list[str]:
    """The traceback in Python's own words, without IPython's frame that called the user's code."""
    frames = error.__traceback__
    inner = frames.tb_next if frames is not None else None
    return "".join(traceback.format_exception(type(error), error, inner or frames)).splitlines()
