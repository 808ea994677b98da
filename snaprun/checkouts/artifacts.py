"""Keep files too large for git, or ignored by it, once each, by the sha256 of their content: the artifact store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from snaprun import files
from snaprun.git.locate import make_private

CHUNK = 1 << 20


@dataclass(frozen=True)
class ArtifactStore:
    """The store at ``folder``, written by way of ``scratch_folder``, a private folder on the same file system.

    Files above ``limit`` bytes go there instead of into git.
    """

    folder: Path
    scratch_folder: Path
    limit: int


def digest(path: Path) -> tuple[str, int]:
    """The sha256 of a file's content, and its size as read."""
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        while block := source.read(CHUNK):
            sha.update(block)
            size += len(block)
    return sha.hexdigest(), size


def keep(store: ArtifactStore, path: Path) -> tuple[str, int]:
    """Copy a file into the store, durably; its sha256 and size. What is there already stays as it is.

    The copy takes its name in the store only when it is complete and on the disk: a name never stands for half a file.

    Raises:
        OSError: the file cannot be read, or the store cannot be written.
    """
    folder = store.folder
    make_private(folder)
    sha, size = hashlib.sha256(), 0
    with path.open("rb") as source, files.draft(store.scratch_folder) as copy:
        while block := source.read(CHUNK):
            sha.update(block)
            size += copy.write(block)
        target = folder / sha.hexdigest()
        if not target.exists():
            files.publish(copy, target)
            files.sync_folder(folder)
    return sha.hexdigest(), size
