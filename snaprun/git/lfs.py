"""Lay large files out as the user has them: content where they have content, pointers where they have pointers.

Without this, git-lfs would download into a checkout what the user chose not to have (``GIT_LFS_SKIP_SMUDGE``,
``lfs.fetchexclude``), and a kept checkout would keep a pointer after ``git lfs pull``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snaprun.git.gitrepo import GitRepo, split_paths

POINTER = b"version https://git-lfs.github.com/spec/"
MAX_POINTER_SIZE = 1024
"""A pointer is shorter than this: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""


@dataclass(frozen=True)
class SmudgeOptions:
    """What a checkout hands to git-lfs."""

    env: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def prepare(repo: GitRepo, checkout: Path) -> SmudgeOptions:
    """How to lay out so that git-lfs does as it did in the user's tree.

    Files of ``checkout`` that are of the other kind by now are removed, so that git writes them anew.
    """
    top = repo.place.top
    if not _in_use(repo):
        return SmudgeOptions()
    output = repo.run("ls-files", "-z", "--", ":(attr:filter=lfs)", ok=()).out
    paths = split_paths(output)
    kinds = {path: is_pointer(top / path) for path in paths}
    for path, pointer in kinds.items():
        checkout_pointer = is_pointer(checkout / path)
        if checkout_pointer is not None and pointer is not None and checkout_pointer != pointer:
            (checkout / path).unlink()
    pointers = [path for path, pointer in kinds.items() if pointer]
    if not pointers:
        return SmudgeOptions()
    if len(pointers) == len(kinds):
        return SmudgeOptions(env={"GIT_LFS_SKIP_SMUDGE": "1"})
    patterns = ",".join(re.sub(r"([*?\[\]\\{}!, ])", "?", path) for path in pointers)
    return SmudgeOptions(options=("-c", f"lfs.fetchexclude={patterns}"))


def list_files(repo: GitRepo) -> dict[str, str]:
    """The files that git-lfs keeps, as the index has them: path by the sha256 of the content."""
    if not _in_use(repo):
        return {}
    output = repo.run("ls-files", "--stage", "-z", "--", ":(attr:filter=lfs)", ok=()).out
    lines = [os.fsdecode(line).split("\t", 1) for line in output.split(b"\0")[:-1]]
    paths = {}
    for (_, path), pointer in zip(lines, repo.blobs(fields.split(" ")[1] for fields, _ in lines), strict=True):
        oid = re.search(rb"^oid sha256:([0-9a-f]{64})$", pointer or b"", re.MULTILINE)
        if oid and (pointer or b"").startswith(POINTER):
            paths[oid[1].decode()] = path
    return paths


def has_content(common_dir: Path, oid: str) -> bool:
    """Whether a repository has the content of this sha256."""
    return (common_dir / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).exists()


def is_pointer(path: Path) -> bool | None:
    """Whether a file holds a pointer instead of its content; None where there is no regular file."""
    if path.is_symlink() or not path.is_file():
        return None
    if path.stat().st_size >= MAX_POINTER_SIZE:
        return False
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def _in_use(repo: GitRepo) -> bool:
    """Whether the repository has anything to do with git-lfs, without asking git."""
    attributes = repo.place.top / ".gitattributes"
    if (repo.place.common_dir / "lfs").is_dir():
        return True
    return attributes.is_file() and b"filter=lfs" in attributes.read_bytes()
