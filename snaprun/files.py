"""Write a file that a user asked for: all of it or nothing."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snaprun.errors import CannotCreate, Denied, SnaprunError, WriteFault


def write(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` in one step, over what was there.

    Raises:
        CannotCreate, Denied, WriteFault: it cannot be written; nothing half-made is left.
    """
    temporary_path = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
            path.write_bytes(content)
            return
        temporary_path.write_bytes(content)
        os.replace(temporary_path, path)
    except OSError as error:
        temporary_path.unlink(missing_ok=True)
        raise _fault(path, error) from error


def _fault(path: Path, error: OSError) -> SnaprunError:
    message = f"cannot write {path}: {error.strerror}"
    if isinstance(error, PermissionError):
        return Denied(message, hint=f"ls -ld {path.parent}")
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return CannotCreate(message, hint=f"mkdir -p {path.parent}")
    return WriteFault(message, hint=f"df {path.parent}")


def write_atomic(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small JSON file so that a reader sees the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        write_new(temporary, json.dumps(content).encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file.

    Raises:
        OSError, ValueError: there is none, or it is no JSON object.
    """
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no JSON object")
    return data


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a small JSON object so that a reader sees all of it or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(data).encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
