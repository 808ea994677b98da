"""Make a linked worktree hold exactly one commit, whatever was in it before, by writing only what differs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from snaprun import files
from snaprun.checkouts.fill import CHECKOUT_OPTIONS, PARTIAL, fill
from snaprun.checkouts.worktree import create, erase, open_up, open_worktree, remove
from snaprun.errors import Denied, SnaprunError, WriteFault
from snaprun.git.gitrepo import GitRepo, join_paths, split_paths
from snaprun.git.indexfile import copy_index
from snaprun.git.locate import clean_env, find
from snaprun.git.objects import SUBMODULE_MODE

INDEX = "snaprun.index"
"""Our own index of a checkout, in its git directory: what was laid out, out of reach of ``git add`` in a run."""

MODULES = "snaprun.modules"
"""In a checkout's git directory: the paths of its submodules, where it has any."""

PERMANENT_FILES = {
    "HEAD",
    "ORIG_HEAD",
    "commondir",
    "config.worktree",
    "gitdir",
    "index",
    "locked",
    "modules",
    "refs",
    "reftable",
}
"""What a checkout's git directory keeps from run to run; a merge in progress, a lock, a reflog do not survive."""

_SUBMODULE = re.compile(rb"(?:^|\0)%s commit ([0-9a-f]+)\t([^\0]+)" % SUBMODULE_MODE.encode())


def check_out(
    repo: GitRepo, path: Path, commit: str, *, from_scratch: bool = False, lock: int | None = None
) -> tuple[str, ...]:
    """Lay ``commit`` out at ``path``, a linked worktree of ``repo`` that is made if need be; notes for the user.

    Afterwards the folder holds the files of the commit and nothing else, HEAD is detached there, the index is clean.
    ``from_scratch`` distrusts every file that is there already. ``lock`` is the descriptor of a lock: the git processes
    that write hold it too, so that it is not free before the last of them has ended, whoever is killed.

    Raises:
        SnaprunError: git cannot write the files (disk full, a name too long for the file system, …).
    """
    inner = open_worktree(repo, path, lock=lock)
    if inner is None:
        remove(repo, path)
        inner = create(repo, path, commit, lock=lock)
    git_dir = inner.place.git_dir
    index = git_dir / INDEX
    from_scratch = from_scratch or (git_dir / PARTIAL).exists()
    _drop_leftovers(git_dir)
    if from_scratch:
        index.unlink(missing_ok=True)
    try:
        content = fill(repo, inner, index, commit)
    except WriteFault:
        raise
    except SnaprunError as error:  # our index is damaged, or the run before took its own permissions away
        if isinstance(error, Denied):
            open_up(path)
        index.unlink(missing_ok=True)
        _drop_leftovers(git_dir)
        content = fill(repo, inner, index, commit)
    head_update = inner.start("update-ref", "--no-deref", "HEAD", commit, options=CHECKOUT_OPTIONS)
    _sweep(path, content.listing)
    notes = list(content.notes)
    modules = {match[2]: match[1].decode() for match in _SUBMODULE.finditer(content.listing)}
    for name, module_commit in modules.items():
        notes += _check_out_submodule(repo, inner, os.fsdecode(name), module_commit, lock=lock)
    if modules:
        files.write(git_dir / MODULES, join_paths(map(os.fsdecode, modules)), durable=False)
    head_update.finish()
    copy_index(index, git_dir / "index.new")
    os.replace(git_dir / "index.new", git_dir / "index")
    return tuple(notes)


def open_submodules(repo: GitRepo, inner: GitRepo) -> Iterator[GitRepo]:
    """Git in each submodule that is laid out in a checkout, at any depth."""
    try:
        names = split_paths((inner.place.git_dir / MODULES).read_bytes())
    except FileNotFoundError:
        return
    for name in names:
        submodule = _own_repo(repo.place.top / name)
        module = None if submodule is None else open_worktree(submodule, inner.place.top / name)
        if submodule is not None and module is not None:
            yield module
            yield from open_submodules(submodule, module)


def is_dirty(repo: GitRepo, path: Path) -> bool:
    """Whether anything in a checkout differs from what was laid out, ignored files included."""
    inner = open_worktree(repo, path)
    if inner is None:
        return True
    answer = inner.run(
        "status",
        "--porcelain",
        "-z",
        "--ignored",
        "--untracked-files=all",
        "--ignore-submodules=none",
        index=inner.place.git_dir / INDEX,
        options=CHECKOUT_OPTIONS,
    )
    return bool(answer.out)


def _drop_leftovers(git_dir: Path) -> None:
    """Remove what a run left in the checkout's git directory: only we hold the slot, so no lock there is alive."""
    for entry in git_dir.iterdir():
        if entry.name not in PERMANENT_FILES and entry.name != INDEX:
            erase(entry)


def _sweep(top: Path, listing: bytes) -> None:
    """Remove everything below ``top`` that ``ls-tree -r -z`` did not list, without going behind any link.

    ``git clean -ffdx`` leaves FIFOs, sockets and devices, and stops at a folder that may not be read.
    """
    folders: dict[bytes, set[bytes]] = {b"": {b".git"}}
    for line in listing.split(b"\0")[:-1]:
        folder, _, name = line[line.index(b"\t") + 1 :].rpartition(b"/")
        while folder not in folders:
            folders[folder] = {name}
            folder, _, name = folder.rpartition(b"/")
        folders[folder].add(name)
    root = os.fsencode(top)
    for folder in sorted(folders):
        path = os.path.join(root, folder)
        with suppress(FileNotFoundError, NotADirectoryError):  # a partial clone: none of its files is here
            if os.path.islink(path):
                os.unlink(path)
            for name in os.listdir(path):
                if name not in folders[folder]:
                    erase(Path(os.fsdecode(os.path.join(path, name))))


def _check_out_submodule(repo: GitRepo, inner: GitRepo, name: str, commit: str, *, lock: int | None) -> list[str]:
    source, target = repo.place.top / name, inner.place.top / name
    submodule = _own_repo(source)
    if submodule is not None and submodule.resolve(commit) == commit:
        return [f"{name}/: {note}" for note in check_out(submodule, target, commit, lock=lock)]
    erase(target)
    target.mkdir(parents=True)
    return (
        [f"submodule {name} is empty in the run: its commit {commit[:8]} is not here"] if submodule is not None else []
    )


def _own_repo(folder: Path) -> GitRepo | None:
    """Git in the repository whose top is exactly ``folder``; None where that is no repository of its own."""
    if not (folder / ".git").exists():
        return None
    try:
        place = find(folder, clean_env(os.environ))
    except SnaprunError:
        return None
    return GitRepo(place) if place.top == folder else None
