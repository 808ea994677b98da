"""The checks of the git hook on what a commit is about to take: pairs, runs, outputs, secrets, sizes, damage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snaprun.errors import InputMissing, SettingsFault
from snaprun.hooks import gitindex, guards, messages, outputs, pairs, provenance
from snaprun.hooks.gate import NOTEBOOK, TEXT
from snaprun.hooks.gitindex import Change, Index
from snaprun.hooks.messages import HookFinding, level, of_complaint, quote
from snaprun.hooks.pairs import IndexView, Pair, PairVerdict
from snaprun.hooks.policy import Policies, Policy
from snaprun.hooks.provenance import ProvenanceVerdict, Runs
from snaprun.hooks.strip import strip
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.half import Jupytext


@dataclass(frozen=True)
class Report:
    """What the hook found; ``special`` names a merge or the like, in which less is checked."""

    findings: tuple[HookFinding, ...] = ()
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
    at all. ``special`` names a merge that git's folder does not show yet.
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
    special: str | None = None


@dataclass(frozen=True)
class Scene:
    """One run of the hook: the question, and what was read for it."""

    question: Question
    view: IndexView
    pairs: Sequence[Pair]
    special: str | None

    def includes(self, path: str) -> bool:
        """Whether the caller asked about this path."""
        return self.question.files is None or path in self.question.files


def check(question: Question) -> Report:
    """Check every notebook that the commit changes."""
    view = read_view(question.index, question.files)
    if not view.changes:
        return Report()
    special = question.special or gitindex.special(question.index.place)
    findings: list[HookFinding] = []
    paired: Sequence[Pair] = ()
    try:
        paired = pairs.find(view, question.load)
    except SettingsFault as error:
        findings.append(HookFinding("jupytext", "pair", "fail", error.message, error.hint))
    scene = Scene(question, view, paired, special)
    notebooks = 0
    for change in view.changes:
        if change.is_file and scene.includes(change.path):
            content = view.blobs.get(change.oid)
            if content is not None and _is_notebook(change.path, content) and not gitindex.is_lfs(content):
                notebooks += 1
                findings += _of_notebook(scene, change, content)
    if special is None:
        for pair in paired:
            if scene.includes(pair.notebook) or scene.includes(pair.text.path):
                findings += _of_pair(scene, pair)
    return Report(tuple(findings), notebooks, special)


def read_view(index: Index, files: frozenset[str] | None = None) -> IndexView:
    """Read what the commit changes of notebooks and text files, and what belongs to them."""
    changes = [change for change in gitindex.changes(index) if os.path.splitext(change.path)[1] in (NOTEBOOK, *TEXT)]
    if not changes and not files:
        return IndexView(index, (), {}, {})
    entries = gitindex.entries(index)
    changed_paths = {change.path for change in changes}
    for path in sorted(files or ()):
        if path in entries and path not in changed_paths and os.path.splitext(path)[1] in (NOTEBOOK, *TEXT):
            mode, oid = entries[path]
            changes.append(Change(path, "M", mode, oid, oid))
    view = IndexView(index, tuple(changes), entries, {})
    oids = [change.old_oid if change.status == "D" else change.oid for change in changes]
    blobs = gitindex.contents(index, [*oids, *pairs.related_oids(view)])
    view = IndexView(index, view.changes, entries, blobs)
    return IndexView(index, view.changes, entries, {**blobs, **_other_halves(view)})


def _other_halves(view: IndexView) -> Mapping[str, bytes]:
    """The contents of every staged text and notebook that shares its name with a changed one."""
    stems = {os.path.splitext(os.path.basename(change.path))[0] for change in view.changes}
    oids = []
    for path, (_, oid) in view.entries.items():
        stem, extension = os.path.splitext(os.path.basename(path))
        if extension in (NOTEBOOK, *TEXT) and oid not in view.blobs and any(s in stem or stem in s for s in stems):
            oids.append(oid)
    return gitindex.contents(view.index, oids)


def _is_notebook(path: str, content: bytes) -> bool:
    return path.endswith(NOTEBOOK) or pairs.is_text_notebook(path, content)


def _of_notebook(scene: Scene, change: Change, content: bytes) -> Iterator[HookFinding]:
    """Everything to say about one notebook but its pair."""
    path = change.path
    policy = scene.question.policies.of(path)
    if policy.is_off:
        return
    complaint = None if path.endswith(NOTEBOOK) else guards.markers(path, content)
    half = _has_notebook(scene, path)
    node = None
    if complaint is None:
        try:
            node = guards.text_as_node(content.decode("utf-8", "replace")) if half else _document(scene, path, content)
        except InputMissing as error:
            complaint = guards.damage(path, error)
    if complaint is not None:
        yield of_complaint(path, complaint, "fail")
    if node is None:
        return
    if policy.secrets != "off" and not _is_second_half(scene, path):
        for issue in guards.leaks(node, scene.question.secrets):
            yield of_complaint(path, issue, level(policy.secrets) if issue.check == "secrets" else "warn")
    if scene.special is not None or half:
        return
    if policy.size != "off":
        for issue in guards.sizes(node, max_output=policy.max_output, max_image=policy.max_image):
            yield of_complaint(path, issue, level(policy.size), f"jupyter nbconvert --clear-output --inplace {path}")
    if policy.leftovers != "off":
        for issue in guards.leftovers(node):
            yield of_complaint(path, issue, level(policy.leftovers))
    yield from _of_runs(scene, path, node, content, policy)


def _document(scene: Scene, path: str, content: bytes) -> Node | None:
    """The notebook's document; None for the formats before nbformat 4, which no run has as its source."""
    if not path.endswith(NOTEBOOK):
        return scene.question.load().document(path, content)
    document = cells.decode(content, path)
    return None if cells.version(document) in (2, 3) else cells.normalize(document, path)


def _is_second_half(scene: Scene, path: str) -> bool:
    """Whether a text half is staged together with its notebook, which is searched anyway."""
    return any(pair.text.path == path and scene.view.change_of(pair.notebook) for pair in scene.pairs)


def _has_notebook(scene: Scene, path: str) -> bool:
    """Whether a text half's notebook is in the index too: then runs are asked about that."""
    return any(pair.text.path == path and pair.notebook in scene.view.entries for pair in scene.pairs)


def _of_runs(scene: Scene, path: str, node: Node, content: bytes, policy: Policy) -> Iterator[HookFinding]:
    """What the runs say about a notebook's source and about its outputs."""
    if policy.run == "off" and policy.outputs == "off":
        return
    question = scene.question
    runs = question.runs()
    if question.framework and not question.demand and not runs.has_runs():
        return  # a fresh clone, as in continuous integration, has no runs: that says nothing about the notebook
    verdict = provenance.judge(question.index, runs, path, node, lambda name, raw: _require_document(scene, name, raw))
    if policy.run != "off":
        yield messages.of_run(path, verdict, level(policy.run))
    if path.endswith(NOTEBOOK) and policy.outputs != "off" and outputs.has_outputs(node):
        yield from _of_outputs(scene, path, node, content, verdict, policy)


def _require_document(scene: Scene, path: str, raw: bytes) -> Node:
    document = _document(scene, path, raw)
    if document is None:
        raise InputMissing(f"{path} has an old notebook format", hint="open and save it in Jupyter")
    return document


def _of_outputs(
    scene: Scene, path: str, node: Node, content: bytes, verdict: ProvenanceVerdict, policy: Policy
) -> Iterator[HookFinding]:
    origin = provenance.origin(scene.question.index, node, verdict.runs)
    if verdict.kind == "changed":  # another source: its run's outputs say only how old these are
        before, origin = origin, None
        if before is not None and before.match.is_exact and policy.outputs != "strip":
            yield messages.of_before(path, before, level(policy.outputs))
            return
    if policy.outputs == "strip":
        yield _strip(scene, path, content, origin)
        return
    order = outputs.out_of_order(node)
    if order and (origin is None or not origin.match.same):
        yield messages.of_order(path, order, level(policy.outputs))
    elif origin is not None:
        yield messages.of_outputs(path, origin, level(policy.outputs))
    elif policy.outputs == "require":
        yield messages.of_no_run(path, "fail")


def _strip(scene: Scene, path: str, content: bytes, origin: provenance.Origin | None) -> HookFinding:
    """Stage the notebook without its outputs, if a run keeps them."""
    if origin is None or not origin.match.is_recorded:
        return messages.not_kept(path, origin)
    if scene.question.framework or scene.question.index.partial:
        return messages.not_stripped(path, origin, "a framework" if scene.question.framework else "git commit -- PATH")
    return messages.of_strip(path, origin, on_disk=pairs.put(scene.view, path, strip(content)))


def _of_pair(scene: Scene, pair: Pair) -> Iterator[HookFinding]:
    """Whether the staged halves of a pair say the same; with ``--fix``, the stale one is staged anew."""
    question = scene.question
    policy = question.policies.of(pair.notebook)
    if policy.pair == "off":
        return
    try:
        verdict = pairs.judge(scene.view, pair, question.load)
        if verdict.kind == "stale" and question.fix and not question.framework and not question.index.partial:
            yield messages.of_fix(verdict, on_disk=pairs.fix(scene.view, verdict, question.load))
            return
    except InputMissing as error:
        yield HookFinding(pair.notebook, "pair", "fail", error.message, error.hint)
        return
    command = _mend_stale(scene, verdict) if verdict.kind == "stale" else ""
    finding = messages.of_pair(verdict, level(policy.pair), command)
    if finding is not None:
        yield finding


def _mend_stale(scene: Scene, verdict: PairVerdict) -> str:
    """The command that stages the stale half: enough to add it where the file on disk is in sync already."""
    index = scene.question.index
    side = verdict.side
    try:
        content = (index.place.top / side).read_bytes()
        notebook, text = (
            content if path == side else scene.view.content(path) or b""
            for path in (verdict.pair.notebook, verdict.pair.text.path)
        )
        if not scene.question.load().find_differences(notebook, text, verdict.pair.text):
            return f"git add {quote(side)}"
    except (OSError, InputMissing):
        pass  # no such file, or a damaged one: it has to be made anew
    if scene.question.framework or index.partial:
        return f"jupytext --sync {quote(verdict.pair.notebook)} && git add {quote(side)}"
    return "snaprun hook run --fix pre-commit"
