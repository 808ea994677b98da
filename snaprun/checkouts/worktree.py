"""Make a linked worktree without any file in it, find the one at a path, take one away.

An entry below ``.git/worktrees`` appears and goes as a whole, by one rename. ``git worktree add`` writes it file by
file, and another git that comes along then stops with "failed to read …/commondir" (seen with 2.39).
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from snaprun import filelock
from snaprun.checkouts.fill import CHECKOUT_OPTIONS
from snaprun.errors import CannotCreate, SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.git.scratch import scratch


def open_worktree(repo: GitRepo, path: Path, *, lock: int | None = None) -> GitRepo | None:
    """Git in the linked worktree at ``path``; None where there is none that is whole and belongs to ``repo``."""
    try:
        text = (path / ".git").read_bytes() if not path.is_symlink() and not (path / ".git").is_symlink() else b""
        git_dir = Path(os.fsdecode(text.removeprefix(b"gitdir: ").removesuffix(b"\n")))
        backlink = Path(os.fsdecode((git_dir / "gitdir").read_bytes().removesuffix(b"\n")))
    except OSError:
        return None
    if not text.startswith(b"gitdir: ") or backlink != path / ".git":
        return None
    if git_dir.parent != repo.place.common_dir / "worktrees" or not (git_dir / "commondir").is_file():
        return None
    if not (git_dir / "HEAD").is_file():
        return None
    return GitRepo(replace(repo.place, top=path, git_dir=git_dir, index=git_dir / "index"), lock=lock)


def create(repo: GitRepo, path: Path, commit: str, *, lock: int | None = None) -> GitRepo:
    """Make a linked worktree at ``path`` with its HEAD detached at ``commit``, and without files; git in it.

    Raises:
        SnaprunError, OSError: it cannot be written; nothing is left behind.
    """
    common = repo.place.common_dir
    try:
        if (common / "reftable").exists() or (repo.place.git_dir / "config.worktree").exists():
            _create_by_git(repo, path, commit, lock)  # there is more to an entry then
        else:
            _create_by_hand(repo, path, commit)
    except (SnaprunError, OSError):
        remove(repo, path)
        raise
    inner = open_worktree(repo, path, lock=lock)
    if inner is None:
        raise CannotCreate(f"there is no usable checkout at {path}", hint="git worktree list")
    return inner


def remove(repo: GitRepo, path: Path) -> None:
    """Take the worktree at ``path`` away, with its entry in the repository; nothing behind a link is touched.

    An entry that points to where the worktree was before the repository was moved goes as well.
    """
    erase(path)
    suffix = os.path.join(*path.parts[-3:], ".git")  # "snaprun/slots/<n>/.git"
    folder = repo.place.common_dir / "worktrees"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            backlink = os.fsdecode((entry / "gitdir").read_bytes().removesuffix(b"\n"))
        except OSError:
            continue
        is_stale = "/snaprun/slots/" in backlink and backlink.endswith(f"/{suffix}") and not os.path.exists(backlink)
        if is_stale or backlink == os.fspath(path / ".git"):
            with scratch(repo.place) as scratch_folder:
                os.rename(entry, scratch_folder / "entry")


def erase(path: Path) -> None:
    """Remove a file, a link or a whole folder, also where a run took its own permission away."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
    except FileNotFoundError:
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        open_up(path)
        shutil.rmtree(path)


def open_up(folder: Path) -> None:
    """Give ourselves access again to every folder below ``folder``."""
    os.chmod(folder, 0o700)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                open_up(Path(entry.path))


def _create_by_hand(repo: GitRepo, path: Path, commit: str) -> None:
    """Write the entry aside and rename it into place: gitrepository-layout(5) has its files."""
    folder = repo.place.common_dir / "worktrees"
    folder.mkdir(exist_ok=True)
    path.mkdir(parents=True)
    with scratch(repo.place) as scratch_folder:
        new_entry = scratch_folder / "entry"
        new_entry.mkdir()
        (new_entry / "HEAD").write_text(f"{commit}\n", encoding="ascii")
        (new_entry / "commondir").write_text("../..\n", encoding="ascii")
        (new_entry / "gitdir").write_bytes(os.fsencode(path / ".git") + b"\n")
        for number in itertools.count():
            entry = folder / f"snaprun-{path.name}{f'-{number}' if number else ''}"
            (path / ".git").write_bytes(b"gitdir: " + os.fsencode(entry) + b"\n")
            try:
                os.rename(new_entry, entry)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            else:
                return


def _create_by_git(repo: GitRepo, path: Path, commit: str, lock: int | None) -> None:
    args = ("worktree", "add", "--detach", "--no-checkout", "--quiet", "--", str(path), commit)
    with _worktree_lock(repo):
        GitRepo(repo.place, lock=lock).run(*args, options=(*CHECKOUT_OPTIONS, "-c", "worktree.useRelativePaths=false"))


@contextmanager
def _worktree_lock(repo: GitRepo) -> Iterator[None]:
    """Keep other processes of ours from reading half an entry."""
    repo.place.state.mkdir(mode=0o700, exist_ok=True)
    with filelock.hold(repo.place.state / "worktrees.lock"):
        yield
