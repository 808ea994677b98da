"""Read out of an exception what the worker has to know. Standard library only, Python 3.8 and later.

Not imported as part of snaprun: the other files of this folder execute it in the user's interpreter.
"""

from __future__ import annotations


def format_message(error: BaseException) -> str:
    """What it says; where saying fails, the words are traceback's own."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a broken __str__ of the user's
        return "<exception str() failed>"


def find_exit_status(error: BaseException | None) -> int | None:
    """The exit status with which plain Python would end; None where the exception is not made to end it."""
    if not isinstance(error, SystemExit):
        return None
    if error.code is None:
        return 0
    return int(error.code) if isinstance(error.code, int) else 1
