"""The checks of the git hook on what a commit is about to take: pairs, runs, outputs, secrets, sizes, damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snaprun import cells, exact, guards, hookpairs, provenance, staged, stored
from snaprun.cells import Node
from snaprun.errors import InputMissing, SettingsFault
from snaprun.guards import Complaint
from snaprun.half import Jupytext
from snaprun.hookgate import NOTEBOOK, TEXT
from snaprun.hookpairs import Pair, PairVerdict, Staged
from snaprun.hookpolicy import Policies, Policy
from snaprun.model import Run
from snaprun.provenance import Runs, Verdict
from snaprun.staged import Change, Index
from snaprun.strip import strip

SHOWN_PARAMS = 4
SHOWN_CELLS = 6


@dataclass(frozen=True)
class Finding:
    """One line of the hook: ``level`` is ``note``, ``warn`` or ``fail``; ``mend`` is the command that mends it."""

    path: str
    check: str
    level: str
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Report:
    """What the hook found; ``special`` names a merge or the like, in which less is checked."""

    findings: tuple[Finding, ...] = ()
    notebooks: int = 0
    special: str | None = None

    @property
    def refused(self) -> int:
        """How many findings forbid the commit."""
        return sum(finding.level == "fail" for finding in self.findings)


@dataclass(frozen=True)
class Question:
    """What to check, and with what: ``load`` gives jupytext's part, ``runs`` the runs, each only when it is needed.

    ``files`` restricts the check to these paths, and adds those that the commit leaves as they are (a framework calls
    the hook on all files). ``framework``: nothing is ever staged. ``demand``: runs are missed even where there are none
    at all.
    """

    index: Index
    policies: Policies
    load: Callable[[], Jupytext]
    runs: Callable[[], Runs]
    secrets: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] | None = None
    framework: bool = False
    fix: bool = False
    demand: bool = False


@dataclass(frozen=True)
class Scene:
    """One run of the hook: the question, and what was read for it."""

    question: Question
    seen: Staged
    pairs: Sequence[Pair]
    special: str | None

    def wanted(self, path: str) -> bool:
        """Whether the caller asked about this path."""
        return self.question.files is None or path in self.question.files


def check(question: Question) -> Report:
    """Check every notebook that the commit changes."""
    seen = look(question.index, question.files)
    if not seen.changes:
        return Report()
    special = staged.special(question.index.place)
    findings: list[Finding] = []
    pairs: Sequence[Pair] = ()
    try:
        pairs = hookpairs.find(seen, question.load)
    except SettingsFault as error:
        findings.append(Finding("jupytext", "pair", "fail", error.message, error.hint))
    scene = Scene(question, seen, pairs, special)
    notebooks = 0
    for change in seen.changes:
        if change.is_file and scene.wanted(change.path):
            content = seen.blobs.get(change.oid)
            if content is not None and _is_notebook(change.path, content) and not staged.is_lfs(content):
                notebooks += 1
                findings += _of_notebook(scene, change, content)
    if special is None:
        for pair in pairs:
            if scene.wanted(pair.notebook) or scene.wanted(pair.text.path):
                findings += _of_pair(scene, pair)
    return Report(tuple(findings), notebooks, special)


def look(index: Index, files: frozenset[str] | None = None) -> Staged:
    """Read what the commit changes of notebooks and text files, and what belongs to them."""
    changes = [change for change in staged.changes(index) if os.path.splitext(change.path)[1] in (NOTEBOOK, *TEXT)]
    if not changes and not files:
        return Staged(index, (), {}, {})
    entries = staged.entries(index)
    known = {change.path for change in changes}
    for path in sorted(files or ()):
        if path in entries and path not in known and os.path.splitext(path)[1] in (NOTEBOOK, *TEXT):
            mode, oid = entries[path]
            changes.append(Change(path, "M", mode, oid, oid))
    seen = Staged(index, tuple(changes), entries, {})
    wanted = [change.old_oid if change.status == "D" else change.oid for change in changes]
    blobs = staged.contents(index, [*wanted, *hookpairs.others(seen)])
    seen = Staged(index, seen.changes, entries, blobs)
    return Staged(index, seen.changes, entries, {**blobs, **_other_halves(seen)})


def _other_halves(seen: Staged) -> Mapping[str, bytes]:
    """The contents of every staged text and notebook that shares its name with a changed one."""
    stems = {os.path.splitext(os.path.basename(change.path))[0] for change in seen.changes}
    wanted = []
    for path, (_, oid) in seen.entries.items():
        stem, extension = os.path.splitext(os.path.basename(path))
        if extension in (NOTEBOOK, *TEXT) and oid not in seen.blobs and any(s in stem or stem in s for s in stems):
            wanted.append(oid)
    return staged.contents(seen.index, wanted)


def _is_notebook(path: str, content: bytes) -> bool:
    return path.endswith(NOTEBOOK) or hookpairs.is_text_notebook(path, content)


def _of_notebook(scene: Scene, change: Change, content: bytes) -> Iterator[Finding]:
    """Everything to say about one notebook but its pair."""
    path = change.path
    policy = scene.question.policies.of(path)
    if policy.off:
        return
    complaint = None if path.endswith(NOTEBOOK) else guards.markers(path, content)
    half = _has_notebook(scene, path)
    node = None
    if complaint is None:
        try:
            node = guards.text_as_node(content.decode("utf-8", "replace")) if half else _document(scene, path, content)
        except InputMissing as error:
            complaint = guards.damaged(path, error)
    if complaint is not None:
        yield _complained(path, complaint, "fail")
    if node is None:
        return
    if policy.secrets != "off" and not _is_second_half(scene, path):
        for found in guards.leaks(node, scene.question.secrets):
            yield _complained(path, found, _level(policy.secrets))
    if scene.special is not None or half:
        return
    if policy.size != "off":
        for found in guards.sizes(node, max_output=policy.max_output, max_image=policy.max_image):
            yield _complained(path, found, _level(policy.size), f"jupyter nbconvert --clear-output --inplace {path}")
    yield from _of_runs(scene, path, node, content, policy)


def _document(scene: Scene, path: str, content: bytes) -> Node | None:
    """The notebook's document; None for the formats before nbformat 4, which no run has as its source."""
    if not path.endswith(NOTEBOOK):
        return scene.question.load().document(path, content)
    document = cells.decode(content, path)
    return None if cells.version(document) in (2, 3) else cells.normal(document, path)


def _is_second_half(scene: Scene, path: str) -> bool:
    """Whether a text half is staged together with its notebook, which is searched anyway."""
    return any(pair.text.path == path and scene.seen.changed(pair.notebook) for pair in scene.pairs)


def _has_notebook(scene: Scene, path: str) -> bool:
    """Whether a text half's notebook is in the index too: then runs are asked about that."""
    return any(pair.text.path == path and pair.notebook in scene.seen.entries for pair in scene.pairs)


def _of_runs(scene: Scene, path: str, node: Node, content: bytes, policy: Policy) -> Iterator[Finding]:
    """What the runs say about a notebook's source and about its outputs."""
    if policy.run == "off" and policy.outputs == "off":
        return
    question = scene.question
    runs = question.runs()
    if question.framework and not question.demand and not runs.any():
        return  # a fresh clone, as in continuous integration, has no runs: that says nothing about the notebook
    verdict = provenance.judge(question.index, runs, path, node, lambda name, raw: _any_document(scene, name, raw))
    if policy.run != "off":
        yield _said_of_run(path, verdict, policy)
    if path.endswith(NOTEBOOK) and policy.outputs != "off" and stored.has_outputs(node):
        yield from _said_of_outputs(scene, path, node, content, verdict, policy)


def _any_document(scene: Scene, path: str, raw: bytes) -> Node:
    found = _document(scene, path, raw)
    if found is None:
        raise InputMissing(f"{path} has an old notebook format", hint="open and save it in Jupyter")
    return found


def _said_of_run(path: str, verdict: Verdict, policy: Policy) -> Finding:
    level = _level(policy.run)
    again = f"snaprun exec {_quoted(path)}"
    run = verdict.runs[0] if verdict.runs else None
    if run is None:
        return Finding(path, "run", level, "no run executed this source", again)
    if verdict.kind == "validated":
        more = f", and {len(verdict.runs) - 1} more" if len(verdict.runs) > 1 else ""
        return Finding(path, "run", "note", f"run {named(run)} executed this very source{more}")
    if verdict.kind == "running":
        return Finding(
            path, "run", level, f"run {run.id[:8]} of this source is {run.status}", f"snaprun wait {run.id[:8]}"
        )
    if verdict.kind == "failed":
        text = f"this source never succeeded: run {named(run)}"
        return Finding(path, "run", level, text, f"snaprun show {run.id[:8]}")
    changed = f": {_cells(verdict.cells)}" if verdict.cells else ""
    return Finding(path, "run", level, f"changed since run {named(run)}{changed}", again)


def _said_of_outputs(
    scene: Scene, path: str, node: Node, content: bytes, verdict: Verdict, policy: Policy
) -> Iterator[Finding]:
    known = verdict.runs if verdict.kind in ("validated", "failed", "running") else ()
    origin = provenance.origin(scene.question.index, node, known)
    if policy.outputs == "strip":
        yield _stripped(scene, path, content, origin)
        return
    level = _level(policy.outputs)
    if origin is None or not origin.match.same:
        order = stored.out_of_order(node)
        if order:
            text = f"outputs are out of order: {_cells([str(n) for n in order])} ran before a cell above"
            yield Finding(path, "outputs", level, text, f"snaprun exec {_quoted(path)}")
        elif origin is not None and not origin.match.whole:
            yield Finding(path, "outputs", level, f"its outputs are not those of run {origin.run.id[:8]}")
        elif policy.outputs == "require" and origin is None:
            yield Finding(path, "outputs", level, "its outputs are of no run", f"snaprun exec {_quoted(path)}")
        return
    run, match = origin.run, origin.match
    if match.whole:
        yield Finding(path, "outputs", "note", f"its outputs are run {run.id[:8]}'s")
    elif match.kept:
        missing = _cells([str(n) for n in match.missing])
        text = f"its outputs are part of run {run.id[:8]}'s: {missing} stores none"
        yield Finding(path, "outputs", level, text, f"snaprun restore --outputs {run.id[:8]}")
    else:
        wrong = _cells([str(n) for n in sorted((*match.other, *match.extra))])
        text = f"outputs of {wrong} are not run {run.id[:8]}'s: edited by hand, or executed since"
        yield Finding(path, "outputs", level, text, f"snaprun restore --outputs {run.id[:8]}")


def _stripped(scene: Scene, path: str, content: bytes, origin: provenance.Origin | None) -> Finding:
    """Stage the notebook without its outputs, if a run keeps them."""
    if origin is None or not origin.match.kept:
        where = "" if origin is None else f" of {_cells([str(n) for n in (*origin.match.other, *origin.match.extra)])}"
        text = f"outputs{where} are kept by no run, so they are not stripped"
        return Finding(path, "outputs", "fail", text, f"snaprun exec {_quoted(path)}, or clear the outputs")
    run = origin.run.id[:8]
    if scene.question.framework or scene.question.index.partial:
        why = "a framework" if scene.question.framework else "`git commit -- PATH`"
        text = f"is to be committed without its outputs (run {run} keeps them); under {why} the hook stages nothing"
        clear = f"jupyter nbconvert --clear-output --inplace {_quoted(path)} && git add {_quoted(path)}"
        return Finding(path, "outputs", "fail", text, clear)
    on_disk = hookpairs.put(scene.seen, path, strip(content))
    where = "" if on_disk else " in the commit alone: the file on disk has further edits"
    text = f"outputs stripped{where}; run {run} keeps them: snaprun restore --outputs {run}"
    return Finding(path, "outputs", "note", text)


def _of_pair(scene: Scene, pair: Pair) -> Iterator[Finding]:
    """Whether the staged halves of a pair say the same; with ``--fix``, the stale one is staged anew."""
    question = scene.question
    policy = question.policies.of(pair.notebook)
    if policy.pair == "off":
        return
    try:
        verdict = hookpairs.judge(scene.seen, pair, question.load)
        if verdict.kind == "stale" and question.fix and not question.framework and not question.index.partial:
            on_disk = hookpairs.fix(scene.seen, verdict, question.load)
            where = "" if on_disk else "; the file on disk has further edits, and was left alone"
            text = f"{verdict.side} was stale ({_cells(verdict.cells)}), and is staged anew{where}"
            yield Finding(pair.notebook, "pair", "note", text)
            return
    except InputMissing as error:
        yield Finding(pair.notebook, "pair", "fail", error.message, error.hint)
        return
    found = _said_of_pair(scene, verdict, _level(policy.pair))
    if found is not None:
        yield found


def _said_of_pair(scene: Scene, verdict: PairVerdict, level: str) -> Finding | None:
    notebook, text, side = verdict.pair.notebook, verdict.pair.text.path, verdict.side
    if verdict.kind == "skipped":
        return None
    if verdict.kind == "same":
        return Finding(notebook, "pair", "note", f"in sync with {text}")
    if verdict.kind == "both":
        mend = f"jupytext --sync {_quoted(notebook)} && git add {_quoted(notebook)} {_quoted(text)}"
        return Finding(notebook, "pair", level, f"differs from {text}: {_cells(verdict.cells)}", mend)
    if verdict.kind == "deleted":
        other = notebook if side == text else text
        mend = f"git restore --staged --worktree {_quoted(side)}, or git rm {_quoted(other)}"
        return Finding(notebook, "pair", level, f"the commit deletes {side}, and keeps its other half {other}", mend)
    if verdict.kind == "unstaged":
        return Finding(notebook, "pair", level, f"its other half {side} is not staged", f"git add {_quoted(side)}")
    if verdict.kind == "absent":
        mend = f"jupytext --sync {_quoted(notebook if side == text else text)} && git add {_quoted(side)}"
        return Finding(notebook, "pair", level, f"its other half {side} does not exist", mend)
    return Finding(notebook, "pair", level, f"{side} is stale: {_cells(verdict.cells)}", _mend_stale(scene, verdict))


def _mend_stale(scene: Scene, verdict: PairVerdict) -> str:
    """The command that stages the stale half: enough to add it where the file on disk is in sync already."""
    index = scene.question.index
    side = verdict.side
    try:
        content = (index.place.top / side).read_bytes()
        notebook, text = (
            content if path == side else scene.seen.content(path) or b""
            for path in (verdict.pair.notebook, verdict.pair.text.path)
        )
        if not scene.question.load().differing(notebook, text, verdict.pair.text):
            return f"git add {_quoted(side)}"
    except (OSError, InputMissing):
        pass  # no such file, or a damaged one: it has to be made anew
    if scene.question.framework or index.partial:
        return f"jupytext --sync {_quoted(verdict.pair.notebook)} && git add {_quoted(side)}"
    return "snaprun hook run --fix pre-commit"


def named(run: Run) -> str:
    """A run in one breath: id, status, exit code, the first of its parameters."""
    code = "" if run.exit_code is None else f", exit {run.exit_code}"
    shown = [f"{name}={exact.text(exact.from_json(value))}" for name, value in list(run.params.items())[:SHOWN_PARAMS]]
    more = " …" if len(run.params) > SHOWN_PARAMS else ""
    params = f" ({', '.join(shown)}{more})" if shown else ""
    return f"{run.id[:8]} ({run.status}{code}){params}"


def _complained(path: str, complaint: Complaint, level: str, mend: str = "") -> Finding:
    where = f"{complaint.where}: " if complaint.where else ""
    return Finding(path, complaint.check, level, f"{where}{complaint.text}", complaint.mend or mend)


def _level(policy: str) -> str:
    return "fail" if policy == "require" else "warn"


def _cells(names: Sequence[str]) -> str:
    """Cells in words: ``cell 3``, ``cells 3, 5``, ``markdown cell 1``."""
    shown = [name.removeprefix("cell ") for name in names[:SHOWN_CELLS]]
    more = f" and {len(names) - SHOWN_CELLS} more" if len(names) > SHOWN_CELLS else ""
    plain = [name for name in shown if name.isdigit()]
    if not plain:
        return ", ".join(shown) + more
    word = "cell " if len(plain) == 1 and not more else "cells "
    return word + ", ".join([*plain, *(name for name in shown if not name.isdigit())]) + more


def _quoted(path: str) -> str:
    """A path as a shell takes it."""
    plain = all(char.isalnum() or char in "_./+=:,@%-" for char in path) and not path.startswith("-")
    return path if plain else "'" + path.replace("'", "'\\''") + "'"
