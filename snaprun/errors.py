"""Define the kinds of error that snaprun raises, each with the exit code that the command line gives it.

The codes follow BSD's ``sysexits.h`` where it has one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping


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


INTERRUPT_CODE = 130
"""Exit code of a command or a run that Ctrl-C ended, as a shell gives it."""

KINDS: Mapping[int | None, type[SnaprunError]] = {
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.ENOENT: CannotCreate,
    errno.ENOTDIR: CannotCreate,
    errno.EISDIR: CannotCreate,
    errno.EROFS: CannotCreate,
    errno.ENOSPC: WriteFault,
    errno.EDQUOT: WriteFault,
    errno.EFBIG: WriteFault,
    errno.EIO: WriteFault,
}
"""What the operating system's refusal to write means, by errno(3)."""


def os_fault(
    error: OSError,
    text: str = "",
    folder: str | os.PathLike[str] = "",
    *,
    otherwise: type[SnaprunError] = WriteFault,
) -> SnaprunError:
    """The error that fits what the operating system said.

    ``text`` says what could not be done, and ``folder`` where to look; where nobody knows, the file that the system
    names stands for both. ``otherwise`` is the kind of what :data:`KINDS` leaves open: a file in the way, a name too
    long.
    """
    reason = error.strerror or str(error)
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
    message = f"{text}: {reason}" if text else f"{reason}: {file}" if file else reason
    kind = KINDS.get(error.errno, otherwise)
    return kind(message, hint=_hint(error.errno, os.fspath(folder) or os.path.dirname(file)))


def _hint(number: int | None, folder: str) -> str:
    """The command that shows what is wrong with a folder, or with the system where none is known."""
    if number in (errno.ENOSPC, errno.EIO):
        return f"df -h {folder}".strip()
    if number == errno.EDQUOT:
        return "quota -s"
    if number == errno.EFBIG:
        return "ulimit -f"
    if number == errno.EROFS:
        return "the file system is read-only: clone the repository to where you can write"
    if not folder:
        return "snaprun doctor"
    return f"mkdir -p {folder}" if number == errno.ENOENT else f"ls -ld {folder}"
