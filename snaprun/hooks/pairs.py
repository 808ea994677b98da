"""Find the jupytext pairs that a commit touches, say which side is stale, and stage the other one where asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from snaprun.errors import InputMissing
from snaprun.git.command import call
from snaprun.hooks import gitindex
from snaprun.hooks.gate import NOTEBOOK, TEXT, related
from snaprun.hooks.gitindex import Change, Index
from snaprun.hooks.strip import overwrite
from snaprun.notebooks.half import Config, Half, Jupytext, config_paths, is_config

HEADER = 4096
"""So many bytes of a text file are searched for jupytext's header."""


@dataclass(frozen=True)
class Staged:
    """What the hook has read of an index: what the commit changes, every file with mode and id, contents by id."""

    index: Index
    changes: Sequence[Change]
    entries: Mapping[str, tuple[str, str]]
    blobs: Mapping[str, bytes]

    def content(self, path: str) -> bytes | None:
        """The staged content of a path, or None where the index has none (or it was not read)."""
        entry = self.entries.get(path)
        return None if entry is None else self.blobs.get(entry[1])

    def changed(self, path: str) -> Change | None:
        """What the commit does to a path."""
        return next((change for change in self.changes if change.path == path), None)


@dataclass(frozen=True)
class Pair:
    """A notebook and one text file that jupytext keeps the same."""

    notebook: str
    text: Half


@dataclass(frozen=True)
class PairVerdict:
    """How the two staged halves stand to each other.

    ``kind``: ``same``; ``stale`` (``side`` was not staged with the other), ``both`` (both were changed, differently),
    ``deleted`` (the commit deletes ``side`` alone), ``unstaged`` (``side`` is on disk, unknown to git), ``absent``
    (``side`` is nowhere), ``skipped`` (``side`` is ignored by git, or kept by git-lfs).
    """

    pair: Pair
    kind: str
    side: str = ""
    cells: tuple[str, ...] = ()


def is_candidate(path: str, content: bytes) -> bool:
    """Whether a file may be a notebook with something to say about pairs."""
    if path.endswith(NOTEBOOK):
        return b'"jupytext"' in content
    return is_text_notebook(path, content)


def is_text_notebook(path: str, content: bytes) -> bool:
    """Whether a file is a text notebook: its ending is one of theirs, and jupytext's header stands in it."""
    return os.path.splitext(path)[1] in TEXT and b"jupytext:" in content[:HEADER]


def find(seen: Staged, load: Callable[[], Jupytext]) -> list[Pair]:
    """Every pair of which the commit changes a half. jupytext is loaded only where there may be one."""
    found: dict[tuple[str, str], Pair] = {}
    for change in sorted(seen.changes, key=lambda change: not change.path.endswith(NOTEBOOK)):
        extension = os.path.splitext(change.path)[1]
        if (extension != NOTEBOOK and extension not in TEXT) or any(change.path == text for _, text in found):
            continue
        for path, content in _sources(seen, change):
            config = _config(seen, path)
            if config is None and not is_candidate(path, content):
                continue
            try:
                halves = load().members(path, content, config)
            except InputMissing:
                continue  # damaged: that is told elsewhere
            for pair in _pairs(halves):
                if change.path in (pair.notebook, pair.text.path):
                    found.setdefault((pair.notebook, pair.text.path), pair)
    return [pair for pair in found.values() if not _given_up(seen, pair, load)]


def judge(seen: Staged, pair: Pair, load: Callable[[], Jupytext]) -> PairVerdict:
    """Compare the staged halves of a pair, whether or not both were changed.

    Raises:
        InputMissing: a half is damaged.
    """
    for side in (pair.text.path, pair.notebook):
        if side not in seen.entries:
            return PairVerdict(pair, _absence(seen, side), side)
    notebook, text = seen.content(pair.notebook), seen.content(pair.text.path)
    if notebook is None or text is None or gitindex.is_lfs(notebook) or gitindex.is_lfs(text):
        return PairVerdict(pair, "skipped")
    cells = load().differing(notebook, text, pair.text)
    if not cells:
        return PairVerdict(pair, "same")
    changed = [side for side in (pair.notebook, pair.text.path) if seen.changed(side) is not None]
    if len(changed) == 2:
        return PairVerdict(pair, "both", cells=cells)
    stale = pair.text.path if changed == [pair.notebook] else pair.notebook
    return PairVerdict(pair, "stale", stale, cells)


def fix(seen: Staged, verdict: PairVerdict, load: Callable[[], Jupytext]) -> bool:
    """Stage the stale half anew, made from the other one; whether the file on disk was brought along.

    It is only where it is still what the index held: edits that are not staged stay as they are.
    """
    pair = verdict.pair
    notebook, text = seen.content(pair.notebook), seen.content(pair.text.path)
    if notebook is None or text is None:
        return False
    if verdict.side == pair.notebook:
        made = load().notebook_from(text, notebook, pair.text)
    else:
        made = load().text_from(notebook, text, pair.text)
    return put(seen, verdict.side, made)


def put(seen: Staged, path: str, content: bytes) -> bool:
    """Stage ``content`` at ``path``, and write it to disk where the file there is what the index held before."""
    mode, old = seen.entries[path]
    same = on_disk(seen.index, path) == old
    oid = gitindex.write_blob(seen.index, content, path)
    gitindex.stage(seen.index, path, mode=mode, oid=oid)
    if same:
        overwrite(seen.index.place.top / path, content)
        # without this, git would show the file as modified until the next `git status`
        call(["update-index", "-q", "--refresh", "--", path], cwd=seen.index.place.top, env=seen.index.env)
    return same


def on_disk(index: Index, path: str) -> str | None:
    """The id that the file on disk would be stored under, or None where there is no such file."""
    if not (index.place.top / path).is_file():
        return None
    code, out, _ = call(["hash-object", "--", path], cwd=index.place.top, env=index.env)
    return out.decode("ascii").strip() if code == 0 else None


def others(seen: Staged) -> list[str]:
    """The object ids that :func:`find` and :func:`judge` may want to read beyond the changed files."""
    stems = {os.path.basename(path)[: -len(NOTEBOOK)]: path for path in seen.entries if path.endswith(NOTEBOOK)}
    wanted = []
    for change in seen.changes:
        if os.path.splitext(change.path)[1] in TEXT:
            wanted += [path for stem, path in stems.items() if related(change.path, stem)]
        wanted += [path for path in config_paths(change.path) if path in seen.entries]
    return [seen.entries[path][1] for path in dict.fromkeys(wanted)]


def _sources(seen: Staged, change: Change) -> list[tuple[str, bytes]]:
    """The files that may say to which pair a changed file belongs: itself, and notebooks that may be its other half."""
    own = seen.blobs.get(change.old_oid if change.status == "D" else change.oid)
    found = [(change.path, own)] if own is not None and not gitindex.is_lfs(own) else []
    if not change.path.endswith(NOTEBOOK):
        for path in seen.entries:
            if path.endswith(NOTEBOOK) and related(change.path, os.path.basename(path)[: -len(NOTEBOOK)]):
                content = seen.content(path)
                if content is not None and not gitindex.is_lfs(content):
                    found.append((path, content))
    return found


def _given_up(seen: Staged, pair: Pair, load: Callable[[], Jupytext]) -> bool:
    """Whether the commit ends the pair: it deletes both halves, or the script, and the notebook names it no more."""
    if pair.text.path in seen.entries:
        return False
    content = seen.content(pair.notebook)
    if content is None:
        return pair.notebook not in seen.entries
    try:
        halves = load().members(pair.notebook, content, _config(seen, pair.notebook))
    except InputMissing:
        return False
    return all(half.path != pair.text.path for half in halves)


def _pairs(halves: Sequence[Half]) -> list[Pair]:
    return [Pair(nb.path, text) for nb in halves if nb.is_notebook for text in halves if not text.is_notebook]


def _config(seen: Staged, path: str) -> Config | None:
    for name in config_paths(path):
        content = seen.content(name)
        if content is not None and is_config(name, content):
            return Config(name, content)
    return None


def _absence(seen: Staged, side: str) -> str:
    """Why the index has no such half."""
    change = seen.changed(side)
    if change is not None and change.status == "D":
        return "deleted"
    if gitindex.is_ignored(seen.index, side):
        return "skipped"
    return "unstaged" if (seen.index.place.top / side).exists() else "absent"
