"""Check what a commit is about to take: pairs, runs, outputs, secrets, sizes, damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snaprun.errors import InputMissing, SettingsFault
from snaprun.hooks import document, gitindex, guards, leaks, messages, outputs, pairs, provenance
from snaprun.hooks.gate import NOTEBOOK
from snaprun.hooks.gitindex import Change, Index
from snaprun.hooks.indexview import IndexView, read_view
from snaprun.hooks.messages import HookFinding, of_complaint, severity_of
from snaprun.hooks.pairs import Pair, PairVerdict
from snaprun.hooks.policy import Policies, Policy
from snaprun.hooks.provenance import ProvenanceVerdict, Runs
from snaprun.hooks.shell import quote
from snaprun.hooks.strip import strip
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
class CheckRequest:
    """What to check, and with what: ``load`` gives jupytext's part, ``runs`` the runs, each only when it is needed.

    ``files`` restricts the check to these paths, and adds those that the commit leaves as they are (a framework calls
    the hook on all files). ``framework``: nothing is ever staged. ``require_runs``: runs are missed even where there
    are none at all. ``special`` names a merge that git's folder does not show yet.
    """

    index: Index
    policies: Policies
    load: Callable[[], Jupytext]
    runs: Callable[[], Runs]
    secrets: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] | None = None
    framework: bool = False
    fix: bool = False
    require_runs: bool = False
    special: str | None = None


@dataclass(frozen=True)
class Inspection:
    """One run of the hook: what was asked for, and what was read for it."""

    request: CheckRequest
    view: IndexView
    pairs: Sequence[Pair]
    special: str | None

    def includes(self, path: str) -> bool:
        """Whether the caller asked about this path."""
        return self.request.files is None or path in self.request.files


def check(request: CheckRequest) -> Report:
    """Check every notebook that the commit changes."""
    view = read_view(request.index, request.files)
    if not view.changes:
        return Report()
    special = request.special or gitindex.special(request.index.place)
    findings: list[HookFinding] = []
    paired: Sequence[Pair] = ()
    try:
        paired = pairs.find(view, request.load)
    except SettingsFault as error:
        findings.append(HookFinding("jupytext", "pair", "fail", error.message, error.hint))
    inspection = Inspection(request, view, paired, special)
    notebooks = 0
    for change in view.changes:
        if change.is_file and inspection.includes(change.path):
            content = view.blobs.get(change.oid)
            if content is not None and document.is_notebook(change.path, content) and not gitindex.is_lfs(content):
                notebooks += 1
                findings += _of_notebook(inspection, change, content)
    if special is None:
        for pair in paired:
            if inspection.includes(pair.notebook) or inspection.includes(pair.text.path):
                findings += _of_pair(inspection, pair)
    return Report(tuple(findings), notebooks, special)


def _of_notebook(inspection: Inspection, change: Change, content: bytes) -> Iterator[HookFinding]:
    """Everything to say about one notebook but its pair."""
    path = change.path
    policy = inspection.request.policies.of(path)
    if policy.is_off:
        return
    complaint = None if path.endswith(NOTEBOOK) else guards.markers(path, content)
    half = _has_notebook(inspection, path)
    node = None
    if complaint is None:
        try:
            text = content.decode("utf-8", "replace")
            node = leaks.text_as_node(text) if half else document.read(path, content, inspection.request.load)
        except InputMissing as error:
            complaint = guards.damage(path, error)
    if complaint is not None:
        yield of_complaint(path, complaint, "fail")
    if node is None:
        return
    if policy.secrets != "off" and not _is_second_half(inspection, path):
        for issue in leaks.find_leaks(node, inspection.request.secrets):
            yield of_complaint(path, issue, severity_of(policy.secrets) if issue.check == "secrets" else "warn")
    if inspection.special is not None or half:
        return
    for guard in guards.GUARDS:
        level = policy.level_of(guard.check)
        for issue in guard.find(node, policy) if level != "off" else ():
            yield of_complaint(path, issue, severity_of(level), guard.mend.format(path=path))
    yield from _of_runs(inspection, path, node, content, policy)


def _is_second_half(inspection: Inspection, path: str) -> bool:
    """Whether a text half is staged together with its notebook, which is searched anyway."""
    return any(pair.text.path == path and inspection.view.change_of(pair.notebook) for pair in inspection.pairs)


def _has_notebook(inspection: Inspection, path: str) -> bool:
    """Whether a text half's notebook is in the index too: then runs are asked about that."""
    return any(pair.text.path == path and pair.notebook in inspection.view.entries for pair in inspection.pairs)


def _of_runs(inspection: Inspection, path: str, node: Node, content: bytes, policy: Policy) -> Iterator[HookFinding]:
    """What the runs say about a notebook's source and about its outputs."""
    if policy.run == "off" and policy.outputs == "off":
        return
    request = inspection.request
    runs = request.runs()
    if request.framework and not request.require_runs and not runs.has_runs():
        return  # a fresh clone, as in continuous integration, has no runs: that says nothing about the notebook
    verdict = provenance.judge(
        request.index, runs, path, node, lambda name, raw: _require_document(inspection, name, raw)
    )
    if policy.run != "off":
        yield messages.of_run(path, verdict, severity_of(policy.run))
    if path.endswith(NOTEBOOK) and policy.outputs != "off" and outputs.has_outputs(node):
        yield from _of_outputs(inspection, path, node, content, verdict, policy)


def _require_document(inspection: Inspection, path: str, raw: bytes) -> Node:
    node = document.read(path, raw, inspection.request.load)
    if node is None:
        raise InputMissing(f"{path} has an old notebook format", hint="open and save it in Jupyter")
    return node


def _of_outputs(
    inspection: Inspection, path: str, node: Node, content: bytes, verdict: ProvenanceVerdict, policy: Policy
) -> Iterator[HookFinding]:
    origin = provenance.find_origin(inspection.request.index, node, verdict.runs)
    if verdict.kind == "changed":  # another source: its run's outputs say only how old these are
        before, origin = origin, None
        if before is not None and before.match.is_exact and policy.outputs != "strip":
            yield messages.of_before(path, before, severity_of(policy.outputs))
            return
    if policy.outputs == "strip":
        yield _strip(inspection, path, content, origin)
        return
    order = outputs.out_of_order(node)
    if order and (origin is None or not origin.match.same):
        yield messages.of_order(path, order, severity_of(policy.outputs))
    elif origin is not None:
        yield messages.of_outputs(path, origin, severity_of(policy.outputs))
    elif policy.outputs == "require":
        yield messages.of_no_run(path, "fail")


def _strip(inspection: Inspection, path: str, content: bytes, origin: provenance.Origin | None) -> HookFinding:
    """Stage the notebook without its outputs, if a run keeps them."""
    if origin is None or not origin.match.is_recorded:
        return messages.of_unrecorded_outputs(path, origin)
    if inspection.request.framework or inspection.request.index.partial:
        return messages.of_refused_strip(
            path, origin, "a framework" if inspection.request.framework else "git commit -- PATH"
        )
    return messages.of_strip(path, origin, on_disk=pairs.put(inspection.view, path, strip(content)))


def _of_pair(inspection: Inspection, pair: Pair) -> Iterator[HookFinding]:
    """Whether the staged halves of a pair say the same; with ``--fix``, the stale one is staged anew."""
    request = inspection.request
    policy = request.policies.of(pair.notebook)
    if policy.pair == "off":
        return
    try:
        verdict = pairs.judge(inspection.view, pair, request.load)
        if verdict.kind == "stale" and request.fix and not request.framework and not request.index.partial:
            yield messages.of_fix(verdict, on_disk=pairs.fix(inspection.view, verdict, request.load))
            return
    except InputMissing as error:
        yield HookFinding(pair.notebook, "pair", "fail", error.message, error.hint)
        return
    command = _mend_stale(inspection, verdict) if verdict.kind == "stale" else ""
    finding = messages.of_pair(verdict, severity_of(policy.pair), command)
    if finding is not None:
        yield finding


def _mend_stale(inspection: Inspection, verdict: PairVerdict) -> str:
    """The command that stages the stale half: enough to add it where the file on disk is in sync already."""
    index = inspection.request.index
    side = verdict.side
    try:
        content = (index.place.top / side).read_bytes()
        notebook, text = (
            content if path == side else inspection.view.content(path) or b""
            for path in (verdict.pair.notebook, verdict.pair.text.path)
        )
        if not inspection.request.load().find_differences(notebook, text, verdict.pair.text):
            return f"git add {quote(side)}"
    except (OSError, InputMissing):
        pass  # no such file, or a damaged one: it has to be made anew
    if inspection.request.framework or index.partial:
        return f"jupytext --sync {quote(verdict.pair.notebook)} && git add {quote(side)}"
    return "snaprun hook run --fix pre-commit"
