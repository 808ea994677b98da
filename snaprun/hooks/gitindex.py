"""Read and change the staged index that a commit takes, exactly as git handed it over, never the work tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snaprun.git.command import ask, call, hook_env
from snaprun.git.locate import Place, find

LFS = b"version https://git-lfs.github.com/spec/"
"""How the stand-in begins that git stores for a file kept by git-lfs."""

SPECIAL = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
"""What lies in the git folder while the commit is not the user's own work alone."""


@dataclass(frozen=True)
class Change:
    """One path that differs between HEAD and the index. ``status`` is git's letter: A, D, M, T or U (unmerged)."""

    path: str
    status: str
    mode: str
    oid: str
    old_oid: str

    @property
    def is_file(self) -> bool:
        """Whether the index holds a regular file here: no link, no submodule, not deleted."""
        return self.mode.startswith("100") and self.status != "U"


@dataclass(frozen=True)
class Index:
    """A staged index: ``env`` points git at it."""

    place: Place
    env: Mapping[str, str]

    @property
    def file(self) -> Path:
        """The index file itself: ``index``, ``index.lock`` (commit -a) or ``next-index-*.lock`` (commit -- path)."""
        return self.place.index

    @property
    def partial(self) -> bool:
        """Whether this is the index of ``commit -- path``: git throws it away after the commit."""
        return self.file.name.startswith("next-index-")


def open_staged_index(cwd: Path, env: Mapping[str, str]) -> Index:
    """The index that git would use in ``cwd`` with this environment: in a hook, the one that it handed over.

    Raises:
        Unavailable, Denied: as :func:`snaprun.git.locate.find`.
    """
    own = hook_env(env, cwd)
    return Index(find(cwd, own), own)


def relative_paths(index: Index, names: Iterable[str]) -> frozenset[str]:
    """Paths as a caller in the current folder gives them, as git names them."""
    top = os.path.realpath(index.place.top)
    paths = []
    for name in names:
        folder, base = os.path.split(os.path.abspath(name))
        paths.append(os.path.relpath(os.path.join(os.path.realpath(folder), base), top))
    return frozenset(paths)


def changes(index: Index) -> list[Change]:
    """What the commit changes against HEAD (or against nothing, on an unborn branch), renames as delete and add."""
    out = ask(
        ["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-relative"],
        cwd=index.place.top,
        env=index.env,
    )
    return parse_raw(out)


def commit_changes(index: Index, revision: str = "HEAD") -> list[Change]:
    """What the commit ``revision`` changed against its first parent (or against nothing)."""
    options = ["-r", "--no-commit-id", "--raw", "-z", "--no-renames"]
    code, parent, _ = call(["rev-parse", "--verify", "--quiet", f"{revision}^1"], cwd=index.place.top, env=index.env)
    revisions = [parent.decode("ascii").strip(), revision] if code == 0 else ["--root", revision]
    return parse_raw(ask(["diff-tree", *options, *revisions], cwd=index.place.top, env=index.env))


def tree(index: Index, revision: str) -> list[Change]:
    """Every regular file of a commit, as if the commit added it."""
    out = ask(["ls-tree", "-r", "-z", "--full-tree", revision], cwd=index.place.top, env=index.env)
    files = []
    for line in out.split(b"\0")[:-1]:
        attributes, path = line.split(b"\t", 1)
        mode, _, oid = attributes.decode("ascii").split(" ")
        if mode.startswith("100"):
            files.append(Change(os.fsdecode(path), "A", mode, oid, ""))
    return files


def parse_raw(out: bytes) -> list[Change]:
    """Read git's ``--raw -z`` output."""
    parts = out.split(b"\0")
    changes = []
    for attributes, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, old_oid, oid, status = attributes.decode("ascii").lstrip(":").split(" ")
        changes.append(Change(os.fsdecode(path), status[0], mode, oid, old_oid))
    return changes


def entries(index: Index, paths: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Mode and object id of every regular file in the index at these paths (folders and globs are not expanded)."""
    pathspec = ["--", *paths] if paths else []
    out = ask(["--literal-pathspecs", "ls-files", "-s", "-z", *pathspec], cwd=index.place.top, env=index.env)
    files = {}
    for line in out.split(b"\0")[:-1]:
        attributes, path = line.split(b"\t", 1)
        mode, oid, stage = attributes.decode("ascii").split(" ")
        name = os.fsdecode(path)
        if stage == "0" and mode.startswith("100") and (not paths or name in paths):
            files[name] = (mode, oid)
    return files


def contents(index: Index, names: Iterable[str]) -> dict[str, bytes]:
    """The content of these objects (ids, or ``<commit>:<path>``) by one child process; what is missing is left out."""
    objects = list(dict.fromkeys(name for name in names if "\n" not in name))
    if not objects:
        return {}
    lines = "".join(f"{name}\n" for name in objects).encode("utf-8", "surrogateescape")
    out = ask(["cat-file", "--batch"], cwd=index.place.top, env=index.env, stdin=lines)
    blobs = {}
    start = 0
    for name in objects:
        end = out.index(b"\n", start)
        head = out[start:end].rsplit(b" ", 2)
        start = end + 1
        if head[-1] in (b"missing", b"ambiguous"):
            continue
        size = int(head[-1])
        if head[-2] == b"blob":
            blobs[name] = out[start : start + size]
        start += size + 1
    return blobs


def is_ignored(index: Index, path: str) -> bool:
    """Whether git ignores this path."""
    code, _, _ = call(["check-ignore", "-q", "--no-index", "--", path], cwd=index.place.top, env=index.env)
    return code == 0


def is_lfs(content: bytes) -> bool:
    """Whether this is the stand-in of a file that git-lfs keeps."""
    return content.startswith(LFS)


def special(place: Place) -> str | None:
    """The name of what is going on (a merge, rebase, cherry-pick or revert), or None for an ordinary commit."""
    return next((name for name in SPECIAL if (place.git_dir / name).exists()), None)


def write_blob(index: Index, content: bytes, path: str) -> str:
    """Store ``content`` as git would store it at ``path`` (its clean filter applied), and return its object id."""
    out = ask(["hash-object", "-w", "--stdin", "--path", path], cwd=index.place.top, env=index.env, stdin=content)
    return out.decode("ascii").strip()


def stage(index: Index, path: str, *, mode: str, oid: str) -> None:
    """Put an object at ``path`` into the staged index."""
    line = f"{mode} {oid}\t".encode("ascii") + os.fsencode(path) + b"\0"
    ask(["update-index", "-z", "--index-info"], cwd=index.place.top, env=index.env, stdin=line)
