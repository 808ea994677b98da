"""See in a small index file, without a child process, that git looks at every file in it: ``gitformat-index(5)``."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from pathlib import Path

LIMIT = 2500
"""Entries up to which looking here is faster than a child process."""

LARGEST = LIMIT * 200
"""Bytes of an index file that is worth a look."""

ODD = 0xC000
"""The flags ``assume-valid`` and ``extended`` (skip-worktree, intent-to-add)."""


FIXED = 62
"""Bytes of an entry before its name: stat data, SHA-1 and flags."""


def ordinary(data: bytes) -> bool:
    """Whether this is a whole index of version 2, by SHA-1, with no entry that git was told not to look at.

    False also where it is large or of another make: then git has to be asked.
    """
    if data[:4] != b"DIRC" or len(data) < 32 or hashlib.sha1(data[:-20], usedforsecurity=False).digest() != data[-20:]:
        return False
    version, count = struct.unpack_from(">II", data, 4)
    if version != 2 or count > LIMIT:
        return False
    at, end = 12, len(data) - 20
    for _ in range(count):
        flags = data[at + FIXED - 2] << 8 | data[at + FIXED - 1]
        length = flags & 0xFFF
        if flags & ODD or length == 0xFFF:
            return False
        at += (FIXED + length + 8) & ~7
    while at < end:
        if data[at : at + 4] in (b"link", b"sdir"):  # entries of a shared index; folders of a sparse one
            return False
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
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
            about = os.fstat(original.fileno())
    except FileNotFoundError:
        return False
    os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
    return True
