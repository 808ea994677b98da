"""Link the user's ignored data into a slot, and tell afterwards whether it changed while the run was reading it."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from snaprun.checkouts import slots
from snaprun.checkouts.checkout import INDEX, open_submodules
from snaprun.checkouts.slots import Slot, SlotLinks
from snaprun.checkouts.worktree import open_worktree
from snaprun.git.gitrepo import GitRepo, join_paths, split_paths
from snaprun.git.objects import LINK_MODE
from snaprun.model import SNAP_DIR

PRIVATE = {
    ".eggs",
    ".git",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".venv",
    ".virtualenv",
    "__pycache__",
    "__pypackages__",
    "node_modules",
    "venv",
}
"""Caches and environments: a run makes its own, or does not need them. ``link`` in the settings overrides."""

MAX_FILES = 10_000
"""Files fingerprinted at most: a stat each, 5 µs, twice a run."""

MAX_SINGLE_LINKS = 1000
"""Ignored files linked one by one in a folder that is not ignored itself; where there are more, the folder is."""

MAX_WARNINGS = 10
"""Changed inputs named at most in the warnings of a run."""

_LINK = re.compile(rb"(?:^|\0)%s [0-9a-f]+ 0\t([^\0]+)" % LINK_MODE.encode())

Fingerprints = Mapping[str, tuple[int, int]]


def link(
    repo: GitRepo,
    slot: Slot,
    *,
    patterns: Sequence[str] = (),
    outputs: Sequence[str] = (),
    left_out: Sequence[str] = (),
    path_map: Mapping[str, str] | None = None,
) -> SlotLinks:
    """Link into a laid out slot what the user's tree has and the snapshot has not; what was linked.

    That is every ignored file and folder (the topmost ignored folder as one link) but caches and environments, what
    ``patterns`` name (globs relative to the top), and the ``left_out`` paths of the snapshot. Folders that ``outputs``
    names are not linked: the run gets empty ones of its own, and what it writes there is kept. ``path_map`` has places
    in the tree, with the absolute path that each leads to wherever it is on this machine. A link of the user's own that
    leads out of the tree by a relative path (``data -> ../../elsewhere``) is made to lead to the same place from there.

    Raises:
        OSError: the slot cannot be written.
    """
    top = repo.place.top
    private = tuple(path for path in _match_paths(top, outputs) if _is_within(slot, f"{path}/file"))
    candidates = dict.fromkeys(path for path in _find_ignored(repo, slot) if not _is_private(top, path))
    candidates.update(dict.fromkeys([*_match_paths(top, patterns), *left_out]))
    paths = [
        path
        for candidate in candidates
        for path in _split_around(top, candidate.rstrip("/"), private)
        if os.path.lexists(top / path) and not os.path.lexists(slot.path / path) and not _holds_git(repo, path)
    ]
    external_links = {
        path: Path(target) for path, target in (path_map or {}).items() if not os.path.lexists(slot.path / path)
    }
    paths = [path for path in paths if path not in external_links]
    escapes = _find_escapes(repo, slot)
    slot_links = SlotLinks(links=(*paths, *external_links, *escapes), outputs=private)
    slots.record_links(slot, slot_links)
    for path in private:
        (slot.path / path).mkdir(parents=True, exist_ok=True)
    for path in escapes:
        (slot.path / path).unlink()
    targets = {**escapes, **external_links}
    for path in slot_links.links:
        link_path = slot.path / path
        if _is_within(slot, path) and not os.path.lexists(link_path):  # a pattern may name what lies below another link
            link_path.parent.mkdir(parents=True, exist_ok=True)
            link_path.symlink_to(targets.get(path, top / path))
    return slot_links


def fingerprint(top: Path, slot_links: SlotLinks) -> dict[str, tuple[int, int]]:
    """Size and time of change (ns) of every linked file by its path relative to ``top``, of the first ten thousand."""
    fingerprints: dict[str, tuple[int, int]] = {}
    for path in slot_links.links:
        for name, file_stat in _list_files(top, path):
            if len(fingerprints) == MAX_FILES:
                return fingerprints
            fingerprints[name] = (file_stat.st_size, file_stat.st_mtime_ns)
    return fingerprints


def compare(before: Fingerprints, after: Fingerprints) -> list[str]:
    """Warnings on the inputs that changed or vanished between two fingerprints; new files are no inputs."""
    messages = [
        f"{path} {'changed' if path in after else 'vanished'} during the run"
        for path, stamp in before.items()
        if after.get(path, stamp if len(after) == MAX_FILES else None) != stamp
    ]
    warnings = messages[:MAX_WARNINGS]
    if len(messages) > MAX_WARNINGS:
        warnings.append(f"{len(messages) - MAX_WARNINGS} more linked files changed during the run")
    if warnings and len(before) == MAX_FILES:
        warnings.append(f"only the first {MAX_FILES} linked files were looked at")
    return warnings


def _find_escapes(repo: GitRepo, slot: Slot) -> dict[str, Path]:
    """The links of the snapshot that lead out of the tree by a relative path, and where they lead from the user's."""
    inner = open_worktree(repo, slot.path)
    if inner is None:
        return {}
    output = inner.run("ls-files", "-s", "-z", index=inner.place.git_dir / INDEX).out
    escapes = {}
    for path in (os.fsdecode(match[1]) for match in _LINK.finditer(output)):
        if not os.path.islink(slot.path / path):
            continue
        folder, target = os.path.dirname(path), os.readlink(slot.path / path)
        if not os.path.isabs(target) and os.path.normpath(os.path.join(folder, target)).split("/")[0] == "..":
            escapes[path] = repo.place.top / folder / target
    if escapes:  # git in the run shall not call them changed
        inner.run("update-index", "--assume-unchanged", "-z", "--stdin", stdin=join_paths(escapes))
    return escapes


def _is_within(slot: Slot, path: str) -> bool:
    """Whether making a path would stay in the slot: no folder on the way is a link out of it."""
    top = os.path.realpath(slot.path)
    return f"{os.path.realpath(os.path.dirname(slot.path / path))}/".startswith(f"{top}/")


def _find_ignored(repo: GitRepo, slot: Slot) -> list[str]:
    """The ignored files and folders of the user's tree and its submodules that are not in the snapshot."""
    inner = open_worktree(repo, slot.path)
    if inner is None:
        return []
    paths = _list_ignored(repo, inner)
    for module in open_submodules(repo, inner):
        name = os.path.relpath(module.place.top, slot.path)
        submodule = repo.open_submodule(name)
        paths += [f"{name}/{path}" for path in _list_ignored(submodule, module)] if submodule else []
    return paths


def _list_ignored(repo: GitRepo, inner: GitRepo) -> list[str]:
    """The ignored files and folders of one repository that are not in its checkout, a folder with a slash.

    An ignored folder stands for all that is in it. Git also names a folder that is not ignored itself but holds
    ignored files only, and then these files: the run may make files there that belong into its result, so the files
    are linked one by one, unless they are too many.
    """
    args = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    index = inner.place.git_dir / INDEX
    entries = sorted(split_paths(repo.run(*args, index=index).out))
    paths: list[str] = []
    folder = ""
    for number, path in enumerate(entries):
        if folder and path.startswith(folder):
            continue
        if path.endswith("/"):
            is_large = number + MAX_SINGLE_LINKS < len(entries) and entries[number + MAX_SINGLE_LINKS].startswith(path)
            if not is_large and number + 1 < len(entries) and entries[number + 1].startswith(path):
                continue
            folder = path
        paths.append(path)
    return paths


def _is_private(top: Path, path: str) -> bool:
    """Whether an ignored path is a cache, an environment, or what snaprun itself puts there."""
    parts = path.rstrip("/").split("/")
    if parts[0] == SNAP_DIR or not PRIVATE.isdisjoint(parts) or path.endswith((".pyc", ".pyo")):
        return True
    return path.endswith("/") and (top / path / "pyvenv.cfg").exists()


def _split_around(top: Path, path: str, private: tuple[str, ...]) -> Iterator[str]:
    """``path`` itself, or, where a private folder lies inside, its entries around that folder."""
    if path in private or any(path.startswith(f"{folder}/") for folder in private):
        return
    if not any(folder.startswith(f"{path}/") for folder in private) or os.path.islink(top / path):
        yield path
        return
    for name in sorted(os.listdir(top / path)):
        yield from _split_around(top, f"{path}/{name}", private)


def _match_paths(top: Path, patterns: Iterable[str]) -> Iterator[str]:
    """The existing paths that globs relative to ``top`` name, without a trailing slash."""
    for pattern in patterns:
        clean = pattern.strip("/")
        if not clean or ".." in clean.split("/"):
            continue
        if os.path.lexists(top / clean):
            yield clean
            continue
        for match in sorted(top.glob(clean)):
            yield match.relative_to(top).as_posix()


def _holds_git(repo: GitRepo, path: str) -> bool:
    """Whether the repository itself, and with it the slot, lies below a path."""
    return repo.place.common_dir.is_relative_to(repo.place.top / path)


def _list_files(top: Path, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A linked file, or the files below a linked folder; what cannot be read is passed over."""
    queue = deque([path])
    while queue:
        name = queue.popleft()  # what lies higher up first: there may be too many to see them all
        try:
            if os.path.isdir(top / name):
                with os.scandir(top / name) as entries:
                    children = sorted(entries, key=lambda entry: entry.name)
                for entry in children:
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(f"{name}/{entry.name}")
                    elif entry.is_file():
                        yield f"{name}/{entry.name}", entry.stat()
            else:
                yield name, os.stat(top / name)
        except OSError:
            continue
