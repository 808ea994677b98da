"""Read a small index file without a child process, to see that git looks at all its files: ``gitformat-index(5)``."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from pathlib import Path

MAX_ENTRIES = 2500
"""Entries up to which looking here is faster than a child process."""

MAX_SIZE = MAX_ENTRIES * 200
"""Bytes of an index file that is worth a look."""

ODD_FLAGS = 0xC000
"""The flags ``assume-valid`` and ``extended`` (skip-worktree, intent-to-add)."""


ENTRY_HEADER = 62
"""Bytes of an entry before its name: stat data, SHA-1 and flags."""


def is_ordinary(data: bytes) -> bool:
    """Whether this is a whole index of version 2, by SHA-1, with no entry that git was told not to look at.

    False also where it is large or of another make: then git has to be asked.
    """
    if data[:4] != b"DIRC" or len(data) < 32 or hashlib.sha1(data[:-20], usedforsecurity=False).digest() != data[-20:]:
        return False
    version, count = struct.unpack_from(">II", data, 4)
    if version != 2 or count > MAX_ENTRIES:
        return False
    offset, end = 12, len(data) - 20
    for _ in range(count):
        flags = data[offset + ENTRY_HEADER - 2] << 8 | data[offset + ENTRY_HEADER - 1]
        length = flags & 0xFFF
        if flags & ODD_FLAGS or length == 0xFFF:
            return False
        offset += (ENTRY_HEADER + length + 8) & ~7
    while offset < end:
        if data[offset : offset + 4] in (b"link", b"sdir"):  # entries of a shared index; folders of a sparse one
            return False
        offset += 8 + int.from_bytes(data[offset + 4 : offset + 8], "big")
    return True


def holds(data: bytes, path: bytes) -> bool:
    """Whether an ordinary index tracks this path."""
    return len(path) < 0xFFF and struct.pack(">H", len(path)) + path + b"\0" in data


def copy_index(source: Path, target: Path) -> bool:
    """Copy an index with its time stamp; False where there is none.

    By that stamp git finds the files that changed within the tick (many builds: the second) in which it was written;
    with a later one it takes them for unchanged (git's documentation, technical/racy-git).
    """
    try:
        with open(source, "rb") as original, open(target, "wb") as copy:
            shutil.copyfileobj(original, copy, 1 << 20)
            file_stat = os.fstat(original.fileno())
    except FileNotFoundError:
        return False
    os.utime(target, ns=(file_stat.st_atime_ns, file_stat.st_mtime_ns))
    return True
