"""Read what a commit changes of notebooks and text files, and what belongs to them, out of its index."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snaprun.hooks import gitindex
from snaprun.hooks.document import may_be_notebook
from snaprun.hooks.gate import NOTEBOOK, TEXT, is_related
from snaprun.hooks.gitindex import Change, Index
from snaprun.notebooks.half import config_paths


@dataclass(frozen=True)
class IndexView:
    """What the hook has read of an index: what the commit changes, every file with mode and id, contents by id."""

    index: Index
    changes: Sequence[Change]
    entries: Mapping[str, tuple[str, str]]
    blobs: Mapping[str, bytes]

    def content(self, path: str) -> bytes | None:
        """The staged content of a path, or None where the index has none (or it was not read)."""
        entry = self.entries.get(path)
        return None if entry is None else self.blobs.get(entry[1])

    def change_of(self, path: str) -> Change | None:
        """What the commit does to a path."""
        return next((change for change in self.changes if change.path == path), None)


def read_view(index: Index, files: frozenset[str] | None = None) -> IndexView:
    """Read what the commit changes of notebooks and text files, and what belongs to them."""
    changes = [change for change in gitindex.changes(index) if may_be_notebook(change.path)]
    if not changes and not files:
        return IndexView(index, (), {}, {})
    entries = gitindex.entries(index)
    changed_paths = {change.path for change in changes}
    for path in sorted(files or ()):
        if path in entries and path not in changed_paths and may_be_notebook(path):
            mode, oid = entries[path]
            changes.append(Change(path, "M", mode, oid, oid))
    view = IndexView(index, tuple(changes), entries, {})
    oids = [change.old_oid if change.status == "D" else change.oid for change in changes]
    blobs = gitindex.contents(index, [*oids, *_related_oids(view)])
    view = IndexView(index, view.changes, entries, blobs)
    return IndexView(index, view.changes, entries, {**blobs, **_other_halves(view)})


def _other_halves(view: IndexView) -> Mapping[str, bytes]:
    """The contents of every staged text and notebook that shares its name with a changed one."""
    stems = {os.path.splitext(os.path.basename(change.path))[0] for change in view.changes}
    oids = [
        oid
        for path, (_, oid) in view.entries.items()
        if may_be_notebook(path) and oid not in view.blobs and any(is_related(path, stem) for stem in stems)
    ]
    return gitindex.contents(view.index, oids)


def _related_oids(view: IndexView) -> list[str]:
    """The contents to read beyond the changed files: notebooks that may be other halves, and jupytext's settings."""
    stems = {os.path.basename(path)[: -len(NOTEBOOK)]: path for path in view.entries if path.endswith(NOTEBOOK)}
    paths = []
    for change in view.changes:
        if os.path.splitext(change.path)[1] in TEXT:
            paths += [path for stem, path in stems.items() if is_related(change.path, stem)]
        paths += [path for path in config_paths(change.path) if path in view.entries]
    return [view.entries[path][1] for path in dict.fromkeys(paths)]
