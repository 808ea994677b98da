"""Make a linked worktree hold exactly one commit, whatever was in it before, by writing only what differs."""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

from snaprun import lfs
from snaprun.errors import CannotCreate, Denied, SnaprunError, WriteFault
from snaprun.gitrepo import GitRepo
from snaprun.locate import clean_env, find

INDEX = "snaprun.index"
"""Our own index of a checkout, in its git directory: what was laid out, out of reach of ``git add`` in a run."""

PARTIAL = "snaprun.partial"
"""In a checkout's git directory: some files are left out, because a partial clone does not have them."""

KEPT = {"HEAD", "ORIG_HEAD", "commondir", "config.worktree", "gitdir", "index", "locked", "modules", "refs", "reftable"}
"""What a checkout's git directory keeps from run to run; a merge in progress, a lock, a reflog do not survive."""

WHOLE = [
    "-c",
    "core.sparseCheckout=false",
    "-c",
    "index.sparse=false",
    "-c",
    "core.trustctime=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.logAllRefUpdates=false",
    "-c",
    "checkout.workers=4",
]
"""Options of a checkout: whole even where the user's is sparse, and no shortcut in telling whether a file changed.

``checkout.workers`` (git 2.32) makes the first layout of 10,000 files take 1.2 s instead of up to 6 s.
"""
_SUBMODULE = re.compile(rb"(?:^|\0)160000 ([0-9a-f]+) 0\t([^\0]+)")


def bring(repo: GitRepo, path: Path, commit: str, *, afresh: bool = False) -> tuple[str, ...]:
    """Lay ``commit`` out at ``path``, a linked worktree of ``repo`` that is made if need be; notes for the user.

    Afterwards the folder holds the files of the commit and nothing else, HEAD is detached there, the index is clean.
    ``afresh`` distrusts every file that is there already.

    Raises:
        SnaprunError: git cannot write the files (disk full, a name too long for the file system, …).
    """
    inner = opened(repo, path)
    if inner is None:
        remove(repo, path)
        inner = _create(repo, path, commit)
    git_dir = inner.place.git_dir
    index = git_dir / INDEX
    afresh = afresh or (git_dir / PARTIAL).exists()
    _drop_leftovers(git_dir)
    if afresh:
        index.unlink(missing_ok=True)
    try:
        notes = list(_read_tree(repo, inner, index, commit))
    except WriteFault:
        raise
    except SnaprunError as error:  # our index is damaged, or the run before took its own permissions away
        if isinstance(error, Denied):
            open_up(path)
        index.unlink(missing_ok=True)
        _drop_leftovers(git_dir)
        notes = list(_read_tree(repo, inner, index, commit))
    listed = inner.run("ls-files", "-s", "-z", index=index, options=WHOLE).out
    _sweep(path, listed)
    for found in _SUBMODULE.finditer(listed):
        notes += _submodule(repo, inner, os.fsdecode(found[2]), found[1].decode())
    inner.run("update-ref", "--no-deref", "HEAD", commit, options=WHOLE)
    shutil.copyfile(index, git_dir / "index.new")
    os.replace(git_dir / "index.new", git_dir / "index")
    return tuple(notes)


def opened(repo: GitRepo, path: Path) -> GitRepo | None:
    """Git in the linked worktree at ``path``; None where there is none that is whole and belongs to ``repo``."""
    try:
        text = (path / ".git").read_bytes() if not path.is_symlink() and not (path / ".git").is_symlink() else b""
        git_dir = Path(os.fsdecode(text.removeprefix(b"gitdir: ").removesuffix(b"\n")))
        back = Path(os.fsdecode((git_dir / "gitdir").read_bytes().removesuffix(b"\n")))
    except OSError:
        return None
    if not text.startswith(b"gitdir: ") or back != path / ".git":
        return None
    if git_dir.parent != repo.place.common_dir / "worktrees" or not (git_dir / "commondir").is_file():
        return None
    if not (git_dir / "HEAD").is_file():
        return None
    return GitRepo(replace(repo.place, top=path, git_dir=git_dir, index=git_dir / "index"))


def dirty(repo: GitRepo, path: Path) -> bool:
    """Whether anything in a checkout differs from what was laid out, ignored files included."""
    inner = opened(repo, path)
    if inner is None:
        return True
    found = inner.run(
        "status",
        "--porcelain",
        "-z",
        "--ignored",
        "--untracked-files=all",
        "--ignore-submodules=none",
        index=inner.place.git_dir / INDEX,
        options=WHOLE,
    )
    return bool(found.out)


def remove(repo: GitRepo, path: Path) -> None:
    """Take the checkout at ``path`` away, with its entry in the repository; nothing behind a link is touched."""
    erase(path)
    folder = repo.place.common_dir / "worktrees"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            mine = os.fsdecode((entry / "gitdir").read_bytes().removesuffix(b"\n")) == str(path / ".git")
        except OSError:
            continue
        if mine:
            erase(entry)


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


def _create(repo: GitRepo, path: Path, commit: str) -> GitRepo:
    """Add a linked worktree at ``path`` without any file in it yet."""
    try:
        repo.run(
            "worktree",
            "add",
            "--detach",
            "--no-checkout",
            "--quiet",
            "--",
            str(path),
            commit,
            options=(*WHOLE, "-c", "worktree.useRelativePaths=false"),
        )
    except SnaprunError:
        remove(repo, path)
        raise
    inner = opened(repo, path)
    if inner is None:
        raise CannotCreate(f"git made no usable checkout at {path}", hint="git worktree list")
    return inner


def _drop_leftovers(git_dir: Path) -> None:
    """Remove what a run left in the checkout's git directory: only we hold the slot, so no lock there is alive."""
    for entry in git_dir.iterdir():
        if entry.name not in KEPT and entry.name != INDEX:
            erase(entry)


def _read_tree(repo: GitRepo, inner: GitRepo, index: Path, commit: str) -> tuple[str, ...]:
    """Write the files that differ, and give way where the repository cannot give a file as it should be.

    Raises:
        SnaprunError: git cannot write.
    """
    args = ("read-tree", "--reset", "-u", commit)
    absent = _absent(inner, commit)
    if absent:
        return _without_absent(inner, index, commit, absent)
    smudging = lfs.prepare(repo, inner.place.top)
    try:
        inner.run(*args, index=index, env=smudging.env, options=[*WHOLE, *smudging.options])
    except (WriteFault, Denied):
        raise
    except SnaprunError as error:
        drivers = _broken_filters(inner, error.message)
        if not drivers:
            raise
        _drop_leftovers(inner.place.git_dir)
        inner.run(*args, index=index, options=[*WHOLE, *_without(drivers)])
        return (f"a filter failed ({', '.join(drivers)}): its files are as git stores them",)
    return ()


def _absent(inner: GitRepo, commit: str) -> list[str]:
    """The files of a commit whose content is not here: what lies outside a sparse cone of a partial clone.

    They are not in the user's tree either, and are not fetched. ``rev-list`` is the command that tells without fetching
    (``GIT_NO_LAZY_FETCH`` came with git 2.44).
    """
    packs = inner.place.common_dir / "objects" / "pack"
    if not packs.is_dir() or not any(name.endswith(".promisor") for name in os.listdir(packs)):
        return []
    listed = inner.run("rev-list", "--objects", "--missing=print", "--max-count=1", commit).out.decode(
        "ascii", "replace"
    )
    missing = {line[1:] for line in listed.splitlines() if line.startswith("?")}
    return [entry.path for entry in inner.tree(commit) if entry.oid in missing]


def _without_absent(inner: GitRepo, index: Path, commit: str, absent: list[str]) -> tuple[str, ...]:
    """Write the files that the repository has. The next user of the checkout begins afresh."""
    git_dir = inner.place.git_dir
    _drop_leftovers(git_dir)
    (git_dir / PARTIAL).touch()
    index.unlink(missing_ok=True)
    inner.run("read-tree", commit, index=index, options=WHOLE)
    paths = b"".join(os.fsencode(path) + b"\0" for path in absent)
    inner.run("update-index", "--skip-worktree", "-z", "--stdin", stdin=paths, index=index, options=WHOLE)
    inner.run("checkout-index", "--all", "--force", "--index", "--quiet", index=index, options=WHOLE)
    return (f"{len(absent)} files are not in this partial clone, nor in the run: {absent[0]}, …",)


def _broken_filters(inner: GitRepo, said: str) -> list[str]:
    """The filter drivers that fail: those whose program is not there, else those that git named, else any.

    A filter process that does not start can end git by a broken pipe, with no word about a filter.
    """
    found = inner.run("config", "-z", "--get-regexp", r"^filter\..*\.(smudge|process)$", ok=()).out
    commands: dict[str, list[str]] = {}
    for line in found.split(b"\0")[:-1]:
        key, _, command = os.fsdecode(line).partition("\n")
        if command:
            commands.setdefault(key.removeprefix("filter.").rsplit(".", 1)[0], []).append(command)
    gone = [name for name, asked in commands.items() if any(not shutil.which(one.split()[0]) for one in asked)]
    named = [name for name, asked in commands.items() if name in said or any(one in said for one in asked)]
    return sorted(gone or named or commands)


def _without(drivers: list[str]) -> list[str]:
    """The options that switch filter drivers off."""
    return [
        part
        for name in drivers
        for key in ("clean=", "smudge=", "process=", "required=false")
        for part in ("-c", f"filter.{name}.{key}")
    ]


def _sweep(top: Path, listed: bytes) -> None:
    """Remove everything below ``top`` that ``ls-files -s -z`` did not list, without going behind any link.

    ``git clean -ffdx`` leaves FIFOs, sockets and devices, and stops at a folder that may not be read.
    """
    files = {line[line.index(b"\t") + 1 :] for line in listed.split(b"\0")[:-1]}
    folders = {b""}
    for path in files:
        folder = os.path.dirname(path)
        while folder not in folders:
            folders.add(folder)
            folder = os.path.dirname(folder)
    root = os.fsencode(top)
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                path = folder + b"/" + entry.name if folder else entry.name
                if path in files or path == b".git":
                    continue
                if path in folders and entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    erase(Path(os.fsdecode(entry.path)))


def _submodule(repo: GitRepo, inner: GitRepo, name: str, commit: str) -> list[str]:
    source, place = repo.place.top / name, inner.place.top / name
    sub = _own_repo(source)
    if sub is not None and sub.resolve(commit) == commit:
        return [f"{name}/: {note}" for note in bring(sub, place, commit)]
    erase(place)
    place.mkdir(parents=True)
    return [f"submodule {name} is empty in the run: its commit {commit[:8]} is not here"] if sub is not None else []


def _own_repo(folder: Path) -> GitRepo | None:
    """Git in the repository whose top is exactly ``folder``; None where that is no repository of its own."""
    if not (folder / ".git").exists():
        return None
    try:
        place = find(folder, clean_env(os.environ))
    except SnaprunError:
        return None
    return GitRepo(place) if place.top == folder else None
