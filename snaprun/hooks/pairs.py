"""Find the jupytext pairs that a commit touches, say which side is stale, and stage the other one where asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snaprun import files
from snaprun.errors import InputMissing
from snaprun.git.command import call
from snaprun.hooks import gitindex
from snaprun.hooks.document import is_text_notebook, may_be_notebook
from snaprun.hooks.gate import NOTEBOOK, is_related
from snaprun.hooks.gitindex import Change, Index
from snaprun.hooks.indexview import IndexView
from snaprun.notebooks.half import Config, Half, Jupytext, config_paths, find_config


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


def find(view: IndexView, load: Callable[[], Jupytext]) -> list[Pair]:
    """Every pair of which the commit changes a half. jupytext is loaded only where there may be one."""
    pairs: dict[tuple[str, str], Pair] = {}
    for change in sorted(view.changes, key=lambda change: not change.path.endswith(NOTEBOOK)):
        if not may_be_notebook(change.path) or any(change.path == text for _, text in pairs):
            continue
        for path, content in _sources(view, change):
            config = _config(view, path)
            if config is None and not _may_be_paired(path, content):
                continue
            try:
                halves = load().members(path, content, config)
            except InputMissing:
                continue  # damaged: that is told elsewhere
            for pair in _pairs(halves):
                if change.path in (pair.notebook, pair.text.path):
                    pairs.setdefault((pair.notebook, pair.text.path), pair)
    return [pair for pair in pairs.values() if not _ends_pair(view, pair, load)]


def judge(view: IndexView, pair: Pair, load: Callable[[], Jupytext]) -> PairVerdict:
    """Compare the staged halves of a pair, whether or not both were changed.

    Raises:
        InputMissing: a half is damaged.
    """
    for side in (pair.text.path, pair.notebook):
        if side not in view.entries:
            return PairVerdict(pair, _absence(view, side), side)
    notebook, text = view.content(pair.notebook), view.content(pair.text.path)
    if notebook is None or text is None or gitindex.is_lfs(notebook) or gitindex.is_lfs(text):
        return PairVerdict(pair, "skipped")
    cells = load().find_differences(notebook, text, pair.text)
    if not cells:
        return PairVerdict(pair, "same")
    staged_sides = [side for side in (pair.notebook, pair.text.path) if view.change_of(side) is not None]
    if len(staged_sides) == 2:
        return PairVerdict(pair, "both", cells=cells)
    stale = pair.text.path if staged_sides == [pair.notebook] else pair.notebook
    return PairVerdict(pair, "stale", stale, cells)


def fix(view: IndexView, verdict: PairVerdict, load: Callable[[], Jupytext]) -> bool:
    """Stage the stale half anew, made from the other one; whether the file on disk was brought along.

    It is only where it is still what the index held: edits that are not staged stay as they are.
    """
    pair = verdict.pair
    notebook, text = view.content(pair.notebook), view.content(pair.text.path)
    if notebook is None or text is None:
        return False
    if verdict.side == pair.notebook:
        content = load().notebook_from(text, notebook, pair.text)
    else:
        content = load().text_from(notebook, text, pair.text)
    return put(view, verdict.side, content)


def put(view: IndexView, path: str, content: bytes) -> bool:
    """Stage ``content`` at ``path``, and write it to disk where the file there is what the index held before."""
    mode, old_oid = view.entries[path]
    in_sync = on_disk(view.index, path) == old_oid
    oid = gitindex.write_blob(view.index, content, path)
    gitindex.stage(view.index, path, mode=mode, oid=oid)
    if in_sync:
        files.overwrite(view.index.place.top / path, content)
        # without this, git would show the file as modified until the next `git status`
        call(["update-index", "-q", "--refresh", "--", path], cwd=view.index.place.top, env=view.index.env)
    return in_sync


def on_disk(index: Index, path: str) -> str | None:
    """The id that the file on disk would be stored under, or None where there is no such file."""
    if not (index.place.top / path).is_file():
        return None
    code, out, _ = call(["hash-object", "--", path], cwd=index.place.top, env=index.env)
    return out.decode("ascii").strip() if code == 0 else None


def _may_be_paired(path: str, content: bytes) -> bool:
    return b'"jupytext"' in content if path.endswith(NOTEBOOK) else is_text_notebook(path, content)


def _sources(view: IndexView, change: Change) -> list[tuple[str, bytes]]:
    """The files that may say to which pair a changed file belongs: itself, and notebooks that may be its other half."""
    own_content = view.blobs.get(change.old_oid if change.status == "D" else change.oid)
    sources = [(change.path, own_content)] if own_content is not None and not gitindex.is_lfs(own_content) else []
    if not change.path.endswith(NOTEBOOK):
        for path in view.entries:
            if path.endswith(NOTEBOOK) and is_related(change.path, os.path.basename(path)[: -len(NOTEBOOK)]):
                content = view.content(path)
                if content is not None and not gitindex.is_lfs(content):
                    sources.append((path, content))
    return sources


def _ends_pair(view: IndexView, pair: Pair, load: Callable[[], Jupytext]) -> bool:
    """Whether the commit ends the pair: it deletes both halves, or the script, and the notebook names it no more."""
    if pair.text.path in view.entries:
        return False
    content = view.content(pair.notebook)
    if content is None:
        return pair.notebook not in view.entries
    try:
        halves = load().members(pair.notebook, content, _config(view, pair.notebook))
    except InputMissing:
        return False
    return all(half.path != pair.text.path for half in halves)


def _pairs(halves: Sequence[Half]) -> list[Pair]:
    return [
        Pair(notebook.path, text)
        for notebook in halves
        if notebook.is_notebook
        for text in halves
        if not text.is_notebook
    ]


def _config(view: IndexView, path: str) -> Config | None:
    return find_config((name, view.content(name)) for name in config_paths(path))


def _absence(view: IndexView, side: str) -> str:
    """Why the index has no such half."""
    change = view.change_of(side)
    if change is not None and change.status == "D":
        return "deleted"
    if gitindex.is_ignored(view.index, side):
        return "skipped"
    return "unstaged" if (view.index.place.top / side).exists() else "absent"
