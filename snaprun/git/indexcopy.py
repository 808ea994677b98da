"""Copy an index of git's so that it still tells which files changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


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
