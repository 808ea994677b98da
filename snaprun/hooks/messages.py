"""Put the hook's findings into words: what is so, and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snaprun.hooks.complaint import Complaint
from snaprun.hooks.pairs import PairVerdict
from snaprun.hooks.provenance import Origin, ProvenanceVerdict
from snaprun.hooks.shell import quote
from snaprun.model import Run
from snaprun.notebooks import exact

MAX_PARAMS = 4
MAX_CELLS = 6


@dataclass(frozen=True)
class HookFinding:
    """One line of the hook: ``level`` is ``note``, ``warn`` or ``fail``; ``mend`` is the command that mends it."""

    path: str
    check: str
    level: str
    text: str
    mend: str = ""


def severity_of(policy: str) -> str:
    """How bad it is when a check with this policy finds something."""
    return "fail" if policy == "require" else "warn"


def of_complaint(path: str, complaint: Complaint, severity: str, mend: str = "") -> HookFinding:
    """What a guard found."""
    prefix = f"{complaint.location}: " if complaint.location else ""
    return HookFinding(path, complaint.check, severity, f"{prefix}{complaint.text}", complaint.mend or mend)


def of_run(path: str, verdict: ProvenanceVerdict, severity: str) -> HookFinding:
    """Which run executed a notebook's source."""
    command = f"snaprun exec {quote(path)}"
    run = verdict.runs[0] if verdict.runs else None
    if run is None:
        return HookFinding(path, "run", severity, "no run executed this source", command)
    if verdict.kind == "validated":
        suffix = f", and {len(verdict.runs) - 1} more" if len(verdict.runs) > 1 else ""
        return HookFinding(path, "run", "note", f"run {describe_run(run)} executed this very source{suffix}")
    if verdict.kind == "running":
        text = f"run {run.id[:8]} of this source is {run.status}"
        return HookFinding(path, "run", severity, text, f"snaprun wait {run.id[:8]}")
    if verdict.kind == "failed":
        text = f"this source never succeeded: run {describe_run(run)}"
        return HookFinding(path, "run", severity, text, f"snaprun show {run.id[:8]}")
    detail = f": {describe_cells(verdict.cells)}" if verdict.cells else ""
    return HookFinding(path, "run", severity, f"changed since run {describe_run(run)}{detail}", command)


def of_outputs(path: str, origin: Origin, severity: str) -> HookFinding:
    """How the stored outputs compare with those of the run that comes nearest."""
    run, match = origin.run.id[:8], origin.match
    command = f"snaprun restore {run} --outputs {quote(path)}"
    if match.is_exact:
        return HookFinding(path, "outputs", "note", f"its outputs are run {run}'s")
    if not match.same:
        return HookFinding(path, "outputs", severity, f"its outputs are not those of run {run}", command)
    if match.is_recorded:
        text = f"its outputs are part of run {run}'s, those of {_describe_numbers(match.missing)} are missing"
    else:
        wrong = _describe_numbers(sorted((*match.other, *match.extra)))
        text = f"outputs of {wrong} are not run {run}'s: edited by hand, or executed since"
    return HookFinding(path, "outputs", severity, text, command)


def of_before(path: str, origin: Origin, severity: str) -> HookFinding:
    """Outputs of a run of this notebook as it was before."""
    text = f"its outputs are run {origin.run.id[:8]}'s, from before the change"
    return HookFinding(path, "outputs", severity, text, f"snaprun exec {quote(path)}")


def of_order(path: str, order: Sequence[int], severity: str) -> HookFinding:
    """Outputs of no run, executed in another order than they stand in."""
    text = f"outputs are out of order: {_describe_numbers(order)} ran before a cell above"
    return HookFinding(path, "outputs", severity, text, f"snaprun exec {quote(path)}")


def of_no_run(path: str, severity: str) -> HookFinding:
    """Outputs that no run made."""
    return HookFinding(path, "outputs", severity, "its outputs are of no run", f"snaprun exec {quote(path)}")


def of_unrecorded_outputs(path: str, origin: Origin | None) -> HookFinding:
    """Outputs that were to be stripped, and would be lost."""
    suffix = "" if origin is None else f" of {_describe_numbers((*origin.match.other, *origin.match.extra))}"
    text = f"outputs{suffix} are kept by no run, so they are not stripped"
    return HookFinding(path, "outputs", "fail", text, f"snaprun exec {quote(path)}, or clear the outputs")


def of_refused_strip(path: str, origin: Origin, reason: str) -> HookFinding:
    """Outputs that were to be stripped where the hook may stage nothing."""
    run = origin.run.id[:8]
    text = f"is to be committed without its outputs (run {run} keeps them); under {reason} the hook stages nothing"
    clear = f"jupyter nbconvert --clear-output --inplace {quote(path)} && git add {quote(path)}"
    return HookFinding(path, "outputs", "fail", text, clear)


def of_strip(path: str, origin: Origin, *, on_disk: bool) -> HookFinding:
    """Outputs that were stripped."""
    run = origin.run.id[:8]
    suffix = "" if on_disk else " in the commit alone: the file on disk has further edits"
    command = f"snaprun restore {run} --outputs {quote(path)}"
    return HookFinding(path, "outputs", "note", f"outputs stripped{suffix}; run {run} keeps them: {command}")


def of_pair(verdict: PairVerdict, severity: str, mend_stale: str) -> HookFinding | None:
    """How the halves of a pair stand to each other; nothing of a half that git ignores."""
    notebook, text, side = verdict.pair.notebook, verdict.pair.text.path, verdict.side
    other_side = notebook if side == text else text
    sync = f"jupytext --sync {quote(other_side if verdict.kind == 'absent' else notebook)} && git add"
    match verdict.kind:
        case "same":
            return HookFinding(notebook, "pair", "note", f"in sync with {text}")
        case "stale":
            message, mend = f"{side} is stale: {describe_cells(verdict.cells)}", mend_stale
        case "both":
            message = f"differs from {text}: {describe_cells(verdict.cells)}"
            mend = f"{sync} {quote(notebook)} {quote(text)}"
        case "deleted":
            message = f"the commit deletes {side}, and keeps its other half {other_side}"
            mend = f"git restore --staged --worktree {quote(side)}, or git rm {quote(other_side)}"
        case "unstaged":
            message, mend = f"its other half {side} is not staged", f"git add {quote(side)}"
        case "absent":
            message, mend = f"its other half {side} does not exist", f"{sync} {quote(side)}"
        case _:
            return None
    return HookFinding(notebook, "pair", severity, message, mend)


def of_fix(verdict: PairVerdict, *, on_disk: bool) -> HookFinding:
    """A stale half that was staged anew."""
    suffix = "" if on_disk else "; the file on disk has further edits, and was left alone"
    text = f"{verdict.side} was stale ({describe_cells(verdict.cells)}), and is staged anew{suffix}"
    return HookFinding(verdict.pair.notebook, "pair", "note", text)


def describe_run(run: Run) -> str:
    """A run in one breath: id, status, exit code, the first of its parameters."""
    code = "" if run.exit_code is None else f", exit {run.exit_code}"
    assignments = [
        f"{name}={exact.text(exact.from_json(value))}" for name, value in list(run.params.items())[:MAX_PARAMS]
    ]
    ellipsis = " …" if len(run.params) > MAX_PARAMS else ""
    params = f" ({', '.join(assignments)}{ellipsis})" if assignments else ""
    return f"{run.id[:8]} ({run.status}{code}){params}"


def describe_cells(names: Sequence[str]) -> str:
    """Cells in words: ``cell 3``, ``cells 3, 5``, ``markdown cell 1``."""
    labels = [name.removeprefix("cell ") for name in names[:MAX_CELLS]]
    suffix = f" and {len(names) - MAX_CELLS} more" if len(names) > MAX_CELLS else ""
    plain = [name for name in labels if name.isdigit()]
    if not plain:
        return ", ".join(labels) + suffix
    word = "cell " if len(plain) == 1 and not suffix else "cells "
    return word + ", ".join([*plain, *(name for name in labels if not name.isdigit())]) + suffix


def _describe_numbers(cells: Sequence[int]) -> str:
    return describe_cells([str(number) for number in cells])
