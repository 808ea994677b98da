"""Collect what a run left for its result: the changed entries of its tree, its artifacts, its log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snaprun.checkouts import artifacts, changes, checkout, slots
from snaprun.checkouts.artifacts import Store
from snaprun.checkouts.fill import WHOLE
from snaprun.checkouts.slots import Slot
from snaprun.git.gitrepo import GitRepo
from snaprun.git.indexfile import copy_index
from snaprun.git.objects import Entry
from snaprun.model import SNAP_DIR, Artifact

SHOWN = 1 << 20
"""Bytes of its head and of its tail that stay in git of a log too large for it."""


@dataclass(frozen=True)
class Ground:
    """Where a run left its files: ``inner`` is git in its checkout, None where that is gone or was never there.

    ``folder`` is a private empty one.
    """

    repo: GitRepo
    inner: GitRepo | None
    slot: Slot | None
    folder: Path
    store: Store


@dataclass(frozen=True)
class Kept:
    """What goes into the result: changed entries of the tree (None: gone), artifacts, and notes for the user."""

    entries: Mapping[bytes, Entry | None] = field(default_factory=dict)
    made: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()


def keep(ground: Ground, asked: tuple[str, ...]) -> Kept:
    """Store what the run changed in its checkout, and the files ``asked`` for, wherever they lie.

    Raises:
        SnaprunError, OSError: git or the store cannot write.
    """
    extra = [Path(path) for path in asked]
    if ground.inner is None or ground.slot is None:
        top = ground.repo.place.top
        _, made, notes = changes.sort_out(top, (), extra, store=ground.store)
        return Kept({}, tuple(made), tuple(notes))
    record = slots.links(ground.slot)
    found = changes.changed(ground.inner, links=record.links)
    extra += [ground.slot.path / name for name in record.outputs]
    for module in checkout.submodules(ground.repo, ground.inner):  # their files are no part of the snapshot's tree
        place = f"{os.path.relpath(module.place.top, ground.slot.path)}/"
        linked = [path.removeprefix(place) for path in record.links if path.startswith(place)]
        files = [module.place.top / path for path in changes.changed(module, links=linked).present]
        extra += [path for path in files if not path.is_symlink()]
    top = ground.slot.path
    for_git, made, notes = changes.sort_out(top, found.present, extra, store=ground.store)
    notes += [f"{path} was not kept: it looks like a credential" for path in found.secret]
    if not for_git and not found.gone:
        return Kept({}, tuple(made), tuple(notes))
    entries, refused = store_entries(ground, ground.inner, for_git, found.gone)
    return Kept(entries, tuple(made), (*notes, *refused))


def store_entries(
    ground: Ground, inner: GitRepo, for_git: Iterable[str], deleted: Iterable[str]
) -> tuple[dict[bytes, Entry | None], list[str]]:
    """Store files as git does (filters, line ends, modes): the entries that then differ, and notes on what failed."""
    index = ground.folder / "index"
    copy_index(inner.place.git_dir / checkout.INDEX, index)
    refused = changes.add(inner, index, for_git, deleted)
    base = slots.laid_out(ground.slot) if ground.slot else "HEAD"
    args = ("diff-index", "--cached", "--raw", "-z", "--no-renames", "--ignore-submodules=all", base)
    fields = inner.run(*args, index=index, options=WHOLE).out.split(b"\0")[:-1]
    entries: dict[bytes, Entry | None] = {}
    for about, path in zip(fields[::2], fields[1::2], strict=True):  # ":100644 100644 <old> <new> M"
        _, mode, _, oid, _ = about.decode().split(" ")
        entries[path] = None if mode == "000000" else Entry(mode, oid)
    return entries, refused


def log(ground: Ground, source: Path | bytes) -> tuple[Path | bytes, tuple[Artifact, ...]]:
    """The log as it goes into git; of one above the limit its head and tail, and the whole as an artifact."""
    if isinstance(source, bytes):
        path = ground.folder / "log.txt"
        if len(source) <= max(ground.store.limit, 2 * SHOWN):
            return source, ()
        path.write_bytes(source)
    elif not source.exists():
        return b"", ()
    else:
        path = source
    size = path.stat().st_size
    if size <= max(ground.store.limit, 2 * SHOWN):
        return (path if size > SHOWN else path.read_bytes()), ()
    sha, size = artifacts.keep(ground.store, path)
    with path.open("rb") as whole:
        head = whole.read(SHOWN)
        whole.seek(size - SHOWN)
        tail = whole.read(SHOWN)
    note = f"\n[snaprun: {size - 2 * SHOWN} bytes are left out here; the whole log is artifact {sha}]\n"
    return head + note.encode() + tail, (Artifact(f"{SNAP_DIR}/log.txt", size, sha, "store"),)
