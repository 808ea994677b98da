"""Write the trailer ``Snaprun-Run: <id> <path>`` into a commit message: which run executed a notebook in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snaprun import files
from snaprun.errors import InputMissing, UsageFault
from snaprun.git.command import ask, call
from snaprun.hooks import document, gitindex, provenance
from snaprun.hooks.document import is_notebook, may_be_notebook
from snaprun.hooks.gate import NOTEBOOK, is_related
from snaprun.hooks.gitindex import Change, Index
from snaprun.hooks.indexview import IndexView
from snaprun.hooks.provenance import Runs
from snaprun.model import Run
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.half import Jupytext

NAME = "Snaprun-Run"

_LINE = re.compile(rb"^Snaprun-Run: ([0-9a-f]{7,64}) ([^\r\n]+)\r?\n?", re.MULTILINE)

_SCISSORS = re.compile(rb"^\S+ -{24} >8 -{24}\r?$", re.MULTILINE)


@dataclass(frozen=True)
class RunLink:
    """A notebook of a commit and the run that executed its source."""

    path: str
    run: Run


@dataclass(frozen=True)
class Library:
    """What links are found with: runs, and jupytext for text notebooks, each only when needed."""

    runs: Callable[[], Runs]
    load: Callable[[], Jupytext]


def write(index: Index, message: Path, view: IndexView, library: Library) -> list[RunLink]:
    """Bring the trailers of a commit message up to date with the staged notebooks; returns the links that it now has.

    Trailers that are no longer true are dropped. A message that git takes for "abort" is left alone.

    Raises:
        UsageFault: there is no such message file.
    """
    try:
        text = message.read_bytes()
    except OSError as error:
        raise UsageFault(
            f"{message} cannot be read: {error.strerror}", hint="git calls this hook with the message's file"
        ) from error
    if _is_abort(index, text):
        return []
    valid_links = list(_valid_links(index, text, library))
    changed_paths = {change.path for change in view.changes}
    links = [
        *(link for link in valid_links if link.path not in changed_paths),
        *find_links(index, view, library, prefer=valid_links),
    ]
    bare_text = _LINE.sub(b"", text)
    if bare_text != text:
        files.overwrite(message, bare_text)
    args = [f"--trailer={NAME}: {link.run.id} {link.path}" for link in links if "\n" not in link.path]
    if args:
        command = ["interpret-trailers", "--in-place", "--no-divider", "--if-exists=addIfDifferent", *args]
        ask([*command, os.path.abspath(message)], cwd=index.place.top, env=index.env)
    return links


def find_links(index: Index, view: IndexView, library: Library, *, prefer: Sequence[RunLink] = ()) -> Iterator[RunLink]:
    """The links of every changed notebook whose very source a run executed with success.

    Of several runs, the one whose outputs the notebook stores is taken, else one in ``prefer``, else the newest.
    """
    notebooks: list[RunLink] = []
    for change in sorted(view.changes, key=lambda change: not change.path.endswith(NOTEBOOK)):
        content = view.blobs.get(change.oid) if change.is_file else None
        if content is None:
            continue
        run = _run_of(index, change.path, content, library, {link.run.id for link in prefer})
        if run is None or any(_is_half(change.path, run, link) for link in notebooks):
            continue
        notebooks.append(RunLink(change.path, run))
        yield notebooks[-1]


MAX_SOURCES = 500
"""So many notebooks of a commit are asked about: SQLite before 3.32 takes no more than 999 values."""


def sources(index: Index, revision: str, load: Callable[[], Jupytext]) -> tuple[str, ...]:
    """The code hashes of the notebooks that a commit changed, or of all that it holds where it changed none.

    None for a commit of snaprun's own: a run belongs to itself alone. ``revision`` is a resolved commit id.
    """
    commit = ask(["cat-file", "commit", revision], cwd=index.place.top, env=index.env)
    if b"\nSnaprun-Schema: " in commit:
        return ()
    hashes = []
    for change, content in _notebooks(index, revision, changed_only=False):
        node = _document(change.path, content, load)
        if node is not None:
            hashes.append(cells.code_hash(node))
    return tuple(dict.fromkeys(hashes))[:MAX_SOURCES]


def of_commit(index: Index, revision: str, library: Library, *, changed_only: bool = False) -> list[RunLink]:
    """Which runs the notebooks of a commit are from: by their source, so that nothing needs to be kept or can go stale.

    Asked are the notebooks that the commit changed, and all that it holds where it changed none (unless
    ``changed_only``). ``revision`` is a resolved commit id.
    """
    notebooks = _notebooks(index, revision, changed_only=changed_only)
    changes = tuple(change for change, _ in notebooks)
    view = IndexView(index, changes, {}, {change.oid: content for change, content in notebooks})
    return list(find_links(index, view, library))


def _notebooks(index: Index, revision: str, *, changed_only: bool) -> list[tuple[Change, bytes]]:
    """The notebooks that a commit changed, or all that it holds where it changed none, with their contents."""
    readers = [gitindex.commit_changes] if changed_only else [gitindex.commit_changes, gitindex.tree]
    for reader in readers:
        changes = [change for change in reader(index, revision) if change.is_file and may_be_notebook(change.path)]
        blobs = gitindex.contents(index, [change.oid for change in changes])
        files = [(change, blobs[change.oid]) for change in changes if change.oid in blobs]
        notebooks = [(change, content) for change, content in files if is_notebook(change.path, content)]
        if notebooks:
            return notebooks
    return []


def _is_half(path: str, run: Run, link: RunLink) -> bool:
    """Whether ``path`` is the text half of a notebook that has its link already."""
    stem = os.path.basename(link.path).removesuffix(NOTEBOOK)
    return link.path.endswith(NOTEBOOK) and run.code_hash == link.run.code_hash and is_related(path, stem)


def _is_abort(index: Index, message: bytes) -> bool:
    """Whether git will give the commit up: the message says nothing, signs off nothing, or is the template untouched.

    What git itself looks at: builtin/commit.c, ``message_is_empty`` and ``template_untouched``.
    """
    clean_text = _clean_message(index, message)
    lines = [line for line in clean_text.splitlines() if line and not line.startswith(b"Signed-off-by: ")]
    if not lines:
        return True
    code, out, _ = call(["config", "--type=path", "--get", "commit.template"], cwd=index.place.top, env=index.env)
    if code != 0:
        return False
    try:
        template = (index.place.top / os.fsdecode(out.rstrip(b"\n"))).read_bytes()
    except OSError:
        return False
    return _clean_message(index, template) == clean_text


def _clean_message(index: Index, message: bytes) -> bytes:
    """A message as git will store it: without the diff of ``commit -v``, comments and empty lines around it."""
    cut = _SCISSORS.search(message)
    text = message[: cut.start()] if cut else message
    return ask(["stripspace", "-s"], cwd=index.place.top, env=index.env, stdin=text).strip()


def _run_of(index: Index, path: str, content: bytes, library: Library, prefer: set[str]) -> Run | None:
    node = _document(path, content, library.load)
    if node is None or all(cell.is_injected for cell in cells.code_cells(node)):
        return None
    runs = [run for run in library.runs().by_code(cells.code_hash(node)) if run.status.good]
    if len(runs) < 2 or not path.endswith(NOTEBOOK):
        return runs[0] if runs else None
    origin = provenance.find_origin(index, node, runs)
    if origin is not None and origin.match.same and origin.match.is_recorded:
        return origin.run
    return next((run for run in runs if run.id in prefer), runs[0])


def _document(path: str, content: bytes, load: Callable[[], Jupytext]) -> Node | None:
    if gitindex.is_lfs(content) or not is_notebook(path, content):
        return None
    try:
        return document.read(path, content, load)
    except InputMissing:
        return None


def _valid_links(index: Index, message: bytes, library: Library) -> Iterator[RunLink]:
    """The links that a message has already, as far as the staged notebook is still what that run executed."""
    for match in _LINE.finditer(message):
        path = os.fsdecode(match[2])
        entry = gitindex.entries(index, [path]).get(path)
        content = gitindex.contents(index, [entry[1]]).get(entry[1]) if entry else None
        node = _document(path, content, library.load) if content is not None else None
        if node is None:
            continue
        for run in library.runs().by_code(cells.code_hash(node)):
            if run.id.startswith(match[1].decode("ascii")):
                yield RunLink(path, run)
