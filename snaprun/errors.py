"""Define the kinds of error that snaprun raises, each with the exit code that the command line gives it.

The codes follow BSD's ``sysexits.h`` where it has one.
"""

from __future__ import annotations


class SnaprunError(Exception):
    """Something that a user can understand and mend: one message, one hint with the command that mends it."""

    code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageFault(SnaprunError):
    """The command was called in a way that makes no sense."""

    code = 2


class NothingFound(SnaprunError):
    """A search matched no run."""

    code = 3


class ParameterFault(SnaprunError):
    """A parameter is unknown, malformed, or cannot be written exactly."""

    code = 64


class DataFault(SnaprunError):
    """A run id is unknown or ambiguous, or stored data is damaged."""

    code = 65


class InputMissing(SnaprunError):
    """There is no such notebook, or it cannot be read as one."""

    code = 66


class Unavailable(SnaprunError):
    """Git, a kernel, an engine or a service is not available."""

    code = 69


class CannotCreate(SnaprunError):
    """A file, ref or folder cannot be created."""

    code = 73


class WriteFault(SnaprunError):
    """Writing failed half-way: the disk is full, or it answers with errors."""

    code = 74


class Busy(SnaprunError):
    """Another process holds what is needed: try again."""

    code = 75


class Denied(SnaprunError):
    """The operating system or git refuses access."""

    code = 77


class SettingsFault(SnaprunError):
    """A setting is wrong, or the index was written by a newer snaprun."""

    code = 78


class RunFault(SnaprunError):
    """The run had started, and snaprun itself failed."""

    code = 125
