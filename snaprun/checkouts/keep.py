"""Collect what a run left for its result: the changed entries of its tree, its artifacts, its log."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snaprun.checkouts import artifacts, changes, checkout, slots
from snaprun.checkouts.artifacts import ArtifactStore
from snaprun.checkouts.fill import CHECKOUT_OPTIONS
from snaprun.checkouts.slots import Slot
from snaprun.git.gitrepo import GitRepo
from snaprun.git.indexfile import copy_index
from snaprun.git.objects import ABSENT_MODE, TreeEntry
from snaprun.model import SNAP_DIR, Artifact

EXCERPT_SIZE = 1 << 20
"""Bytes of its head and of its tail that stay in git of a log too large for it."""


@dataclass(frozen=True)
class RunFiles:
    """Where a run left its files: ``inner`` is git in its checkout, None where that is gone or was never there.

    ``folder`` is a private empty one.
    """

    repo: GitRepo
    inner: GitRepo | None
    slot: Slot | None
    folder: Path
    store: ArtifactStore


@dataclass(frozen=True)
class RunOutputs:
    """What goes into the result: changed entries of the tree (None: gone), artifacts, and notes for the user."""

    entries: Mapping[bytes, TreeEntry | None] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()


def keep_outputs(run_files: RunFiles, artifact_paths: tuple[str, ...]) -> RunOutputs:
    """Store what the run changed in its checkout, and the files at ``artifact_paths``, wherever they lie.

    Raises:
        SnaprunError, OSError: git or the store cannot write.
    """
    extra = [Path(path) for path in artifact_paths]
    if run_files.inner is None or run_files.slot is None:
        top = run_files.repo.place.top
        _, run_artifacts, notes = changes.sort_out(top, (), extra, store=run_files.store)
        return RunOutputs({}, tuple(run_artifacts), tuple(notes))
    slot_links = slots.read_links(run_files.slot)
    tree_changes = changes.find_changes(run_files.inner, links=slot_links.links)
    extra += [run_files.slot.path / name for name in slot_links.outputs]
    # the files of submodules are no part of the snapshot's tree
    for module in checkout.open_submodules(run_files.repo, run_files.inner):
        prefix = f"{os.path.relpath(module.place.top, run_files.slot.path)}/"
        link_paths = [path.removeprefix(prefix) for path in slot_links.links if path.startswith(prefix)]
        files = [module.place.top / path for path in changes.find_changes(module, links=link_paths).present]
        extra += [path for path in files if not path.is_symlink()]
    top = run_files.slot.path
    git_paths, run_artifacts, notes = changes.sort_out(top, tree_changes.present, extra, store=run_files.store)
    notes += [f"{path} was not kept: it looks like a credential" for path in tree_changes.secret]
    if not git_paths and not tree_changes.absent:
        return RunOutputs({}, tuple(run_artifacts), tuple(notes))
    entries, failures = store_entries(run_files, run_files.inner, git_paths, tree_changes.absent)
    return RunOutputs(entries, tuple(run_artifacts), (*notes, *failures))


def store_entries(
    run_files: RunFiles, inner: GitRepo, git_paths: Iterable[str], absent: Iterable[str]
) -> tuple[dict[bytes, TreeEntry | None], list[str]]:
    """Store files as git does (filters, line ends, modes): the entries that then differ, and notes on what failed."""
    index = run_files.folder / "index"
    copy_index(inner.place.git_dir / checkout.INDEX, index)
    failures = changes.update_index(inner, index, git_paths, absent)
    base = slots.read_snapshot_id(run_files.slot) if run_files.slot else "HEAD"
    args = ("diff-index", "--cached", "--raw", "-z", "--no-renames", "--ignore-submodules=all", base)
    fields = inner.run(*args, index=index, options=CHECKOUT_OPTIONS).out.split(b"\0")[:-1]
    entries: dict[bytes, TreeEntry | None] = {}
    for header, path in zip(fields[::2], fields[1::2], strict=True):  # ":100644 100644 <old> <new> M"
        _, mode, _, oid, _ = header.decode().split(" ")
        entries[path] = None if mode == ABSENT_MODE else TreeEntry(mode, oid)
    return entries, failures


def keep_log(run_files: RunFiles, source: Path | bytes) -> tuple[Path | bytes, tuple[Artifact, ...]]:
    """The log as it goes into git; of one above the limit its head and tail, and the whole as an artifact."""
    if isinstance(source, bytes):
        path = run_files.folder / "log.txt"
        if len(source) <= max(run_files.store.limit, 2 * EXCERPT_SIZE):
            return source, ()
        path.write_bytes(source)
    elif not source.exists():
        return b"", ()
    else:
        path = source
    size = path.stat().st_size
    if size <= max(run_files.store.limit, 2 * EXCERPT_SIZE):
        return (path if size > EXCERPT_SIZE else path.read_bytes()), ()
    sha, size = artifacts.keep(run_files.store, path)
    with path.open("rb") as file:
        head = file.read(EXCERPT_SIZE)
        file.seek(size - EXCERPT_SIZE)
        tail = file.read(EXCERPT_SIZE)
    note = f"\n[snaprun: {size - 2 * EXCERPT_SIZE} bytes are left out here; the whole log is artifact {sha}]\n"
    return head + note.encode() + tail, (Artifact(f"{SNAP_DIR}/log.txt", size, sha, "store"),)
