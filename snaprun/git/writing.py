"""Write a file that a user asked for: all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path

from snaprun.errors import CannotCreate, Denied, SnaprunError, WriteFault


def write(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step, over what was there.

    Raises:
        CannotCreate, Denied, WriteFault: it cannot be written; nothing half-made is left.
    """
    other = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
            path.write_bytes(content)
            return
        other.write_bytes(content)
        os.replace(other, path)
    except OSError as error:
        other.unlink(missing_ok=True)
        raise _fault(path, error) from error


def _fault(path: Path, error: OSError) -> SnaprunError:
    said = f"cannot write {path}: {error.strerror}"
    if isinstance(error, PermissionError):
        return Denied(said, hint=f"ls -ld {path.parent}")
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return CannotCreate(said, hint=f"mkdir -p {path.parent}")
    return WriteFault(said, hint=f"df {path.parent}")
