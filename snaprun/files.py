"""Write files whole: a reader sees the old content or the new one, never half of it. Standard library only.

Every file goes through a draft, a new file under a name of its own in the same file system, which then takes its name
in one step. What fails leaves nothing behind, and what was there stays as it was. By default a file is durable: after a
power cut, too, its name stands for the whole old content or the whole new one. The name itself is on the disk for
certain only after :func:`sync_folder`.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from snaprun.errors import os_fault

PRIVATE = 0o600
"""The mode of our own files: for the owner alone."""

DRAFT_PREFIX = ".snaprun-draft-"
"""What the name of a draft begins with."""

HALF_MADE_AGE = 3600.0
"""Seconds after which what a killed process left half made or half removed is nobody's any more."""


def write(path: Path, content: bytes, *, mode: int | None = PRIVATE, durable: bool = True) -> None:
    """Put ``content`` at ``path``, over what was there; a symbolic link is replaced, not followed.

    ``mode``: the permission bits; None leaves them to the umask, as for any file that the user makes.

    Raises:
        OSError: it cannot be written.
    """
    with draft(path.parent, mode=mode) as file:
        file.write(content)
        publish(file, path, durable=durable)


def overwrite(path: Path, content: bytes) -> None:
    """As :func:`write`, with the mode of what is there. Raises OSError where nothing is."""
    write(path, content, mode=mode_of(path))


def write_new(path: Path, content: bytes, *, mode: int | None = PRIVATE, durable: bool = True) -> None:
    """Put ``content`` at ``path``, where nothing may be yet: of two that try at once, one succeeds.

    Raises:
        FileExistsError: something is there, be it a link to nowhere. OSError: it cannot be written.
    """
    with draft(path.parent, mode=mode) as file:
        file.write(content)
        publish_new(file, path, durable=durable)


def export(path: Path, content: bytes) -> None:
    """Write a file that a user asked for, over what was there and with its mode; a device or a pipe is written into.

    Raises:
        CannotCreate, Denied, WriteFault: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
            path.write_bytes(content)
        elif path.exists():
            overwrite(path, content)
        else:
            write(path, content, mode=None)
    except OSError as error:
        raise os_fault(error, f"cannot write {path}", path.parent) from error


def mode_of(path: Path) -> int:
    """The permission bits of a file. Raises OSError where it is gone."""
    return stat.S_IMODE(path.stat().st_mode)


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file.

    Raises:
        OSError, ValueError: there is none, or it is no JSON object.
    """
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no JSON object")
    return data


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """A small JSON object from a file; an empty one where it is gone, may not be read, or is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def write_json(path: Path, data: Mapping[str, Any], *, durable: bool = True) -> None:
    """Write a small JSON object, as :func:`write` does."""
    write(path, json.dumps(data).encode(), durable=durable)


@contextmanager
def draft(folder: Path, *, mode: int | None = PRIVATE) -> Iterator[IO[bytes]]:
    """A new file in ``folder``, open for writing; :func:`publish` gives it its name, else it is gone again afterwards.

    For what is too large for memory, or gets its name from its content.
    """
    path = os.path.join(folder, f"{DRAFT_PREFIX}{os.urandom(8).hex()}")
    first_mode = 0o666 if mode is None else PRIVATE
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, first_mode)) as file:
        try:
            if mode not in (None, PRIVATE):
                os.fchmod(file.fileno(), mode)
            yield file
        finally:
            with suppress(FileNotFoundError):  # it has its name
                os.unlink(path)


def publish(file: IO[bytes], path: Path, *, durable: bool = True) -> None:
    """Close a draft, or another file that is complete, and give it this name, over what was there."""
    _finish(file, durable=durable)
    os.replace(file.name, path)


def publish_new(file: IO[bytes], path: Path, *, durable: bool = True) -> None:
    """As :func:`publish`, where nothing may be yet. Raises FileExistsError where something is."""
    _finish(file, durable=durable)
    os.link(file.name, path)


def remove_drafts(folder: Path, *, age: float, now: float) -> None:
    """Remove the drafts that killed processes left in a folder, once they are ``age`` seconds old."""
    for path in folder.glob(f"{DRAFT_PREFIX}*"):
        with suppress(FileNotFoundError):  # it has its name just now
            if now - path.lstat().st_mtime > age:
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _finish(file: IO[bytes], *, durable: bool) -> None:
    """Close a file before it gets its name: some file systems say only then that the disk is full."""
    file.flush()
    if durable:
        os.fsync(file.fileno())
    file.close()
