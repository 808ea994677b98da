"""The hook's findings in words: what is so, and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snaprun.hooks.guards import Complaint
from snaprun.hooks.pairs import PairVerdict
from snaprun.hooks.provenance import Origin, Verdict
from snaprun.model import Run
from snaprun.notebooks import exact

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


def level(policy: str) -> str:
    """How bad it is when a check with this policy finds something."""
    return "fail" if policy == "require" else "warn"


def complained(path: str, complaint: Complaint, how_bad: str, mend: str = "") -> Finding:
    """What a guard found."""
    where = f"{complaint.where}: " if complaint.where else ""
    return Finding(path, complaint.check, how_bad, f"{where}{complaint.text}", complaint.mend or mend)


def of_run(path: str, verdict: Verdict, how_bad: str) -> Finding:
    """Which run executed a notebook's source."""
    again = f"snaprun exec {quoted(path)}"
    run = verdict.runs[0] if verdict.runs else None
    if run is None:
        return Finding(path, "run", how_bad, "no run executed this source", again)
    if verdict.kind == "validated":
        more = f", and {len(verdict.runs) - 1} more" if len(verdict.runs) > 1 else ""
        return Finding(path, "run", "note", f"run {named(run)} executed this very source{more}")
    if verdict.kind == "running":
        text = f"run {run.id[:8]} of this source is {run.status}"
        return Finding(path, "run", how_bad, text, f"snaprun wait {run.id[:8]}")
    if verdict.kind == "failed":
        text = f"this source never succeeded: run {named(run)}"
        return Finding(path, "run", how_bad, text, f"snaprun show {run.id[:8]}")
    changed = f": {in_cells(verdict.cells)}" if verdict.cells else ""
    return Finding(path, "run", how_bad, f"changed since run {named(run)}{changed}", again)


def of_outputs(path: str, origin: Origin, how_bad: str) -> Finding:
    """How the stored outputs compare with those of the run that comes nearest."""
    run, match = origin.run.id[:8], origin.match
    again = f"snaprun restore {run} --outputs {quoted(path)}"
    if match.whole:
        return Finding(path, "outputs", "note", f"its outputs are run {run}'s")
    if not match.same:
        return Finding(path, "outputs", how_bad, f"its outputs are not those of run {run}", again)
    if match.kept:
        text = f"its outputs are part of run {run}'s, those of {_numbers(match.missing)} are missing"
    else:
        wrong = _numbers(sorted((*match.other, *match.extra)))
        text = f"outputs of {wrong} are not run {run}'s: edited by hand, or executed since"
    return Finding(path, "outputs", how_bad, text, again)


def of_before(path: str, origin: Origin, how_bad: str) -> Finding:
    """Outputs of a run of this notebook as it was before."""
    text = f"its outputs are run {origin.run.id[:8]}'s, from before the change"
    return Finding(path, "outputs", how_bad, text, f"snaprun exec {quoted(path)}")


def of_order(path: str, order: Sequence[int], how_bad: str) -> Finding:
    """Outputs of no run, executed in another order than they stand in."""
    text = f"outputs are out of order: {_numbers(order)} ran before a cell above"
    return Finding(path, "outputs", how_bad, text, f"snaprun exec {quoted(path)}")


def of_no_run(path: str, how_bad: str) -> Finding:
    """Outputs that no run made."""
    return Finding(path, "outputs", how_bad, "its outputs are of no run", f"snaprun exec {quoted(path)}")


def not_kept(path: str, origin: Origin | None) -> Finding:
    """Outputs that were to be stripped, and would be lost."""
    where = "" if origin is None else f" of {_numbers((*origin.match.other, *origin.match.extra))}"
    text = f"outputs{where} are kept by no run, so they are not stripped"
    return Finding(path, "outputs", "fail", text, f"snaprun exec {quoted(path)}, or clear the outputs")


def not_stripped(path: str, origin: Origin, why: str) -> Finding:
    """Outputs that were to be stripped where the hook may stage nothing."""
    run = origin.run.id[:8]
    text = f"is to be committed without its outputs (run {run} keeps them); under {why} the hook stages nothing"
    clear = f"jupyter nbconvert --clear-output --inplace {quoted(path)} && git add {quoted(path)}"
    return Finding(path, "outputs", "fail", text, clear)


def stripped(path: str, origin: Origin, *, on_disk: bool) -> Finding:
    """Outputs that were stripped."""
    run = origin.run.id[:8]
    where = "" if on_disk else " in the commit alone: the file on disk has further edits"
    back = f"snaprun restore {run} --outputs {quoted(path)}"
    return Finding(path, "outputs", "note", f"outputs stripped{where}; run {run} keeps them: {back}")


def of_pair(verdict: PairVerdict, how_bad: str, mend_stale: str) -> Finding | None:
    """How the halves of a pair stand to each other; nothing of a half that git ignores."""
    notebook, text, side = verdict.pair.notebook, verdict.pair.text.path, verdict.side
    other = notebook if side == text else text
    sync = f"jupytext --sync {quoted(notebook)} && git add"
    said, mend = {
        "same": (f"in sync with {text}", ""),
        "stale": (f"{side} is stale: {in_cells(verdict.cells)}", mend_stale),
        "both": (f"differs from {text}: {in_cells(verdict.cells)}", f"{sync} {quoted(notebook)} {quoted(text)}"),
        "deleted": (
            f"the commit deletes {side}, and keeps its other half {other}",
            f"git restore --staged --worktree {quoted(side)}, or git rm {quoted(other)}",
        ),
        "unstaged": (f"its other half {side} is not staged", f"git add {quoted(side)}"),
        "absent": (
            f"its other half {side} does not exist",
            f"jupytext --sync {quoted(other)} && git add {quoted(side)}",
        ),
    }.get(verdict.kind, ("", ""))
    if not said:
        return None
    return Finding(notebook, "pair", "note" if verdict.kind == "same" else how_bad, said, mend)


def fixed(verdict: PairVerdict, *, on_disk: bool) -> Finding:
    """A stale half that was staged anew."""
    where = "" if on_disk else "; the file on disk has further edits, and was left alone"
    text = f"{verdict.side} was stale ({in_cells(verdict.cells)}), and is staged anew{where}"
    return Finding(verdict.pair.notebook, "pair", "note", text)


def named(run: Run) -> str:
    """A run in one breath: id, status, exit code, the first of its parameters."""
    code = "" if run.exit_code is None else f", exit {run.exit_code}"
    shown = [f"{name}={exact.text(exact.from_json(value))}" for name, value in list(run.params.items())[:SHOWN_PARAMS]]
    more = " …" if len(run.params) > SHOWN_PARAMS else ""
    params = f" ({', '.join(shown)}{more})" if shown else ""
    return f"{run.id[:8]} ({run.status}{code}){params}"


def in_cells(names: Sequence[str]) -> str:
    """Cells in words: ``cell 3``, ``cells 3, 5``, ``markdown cell 1``."""
    shown = [name.removeprefix("cell ") for name in names[:SHOWN_CELLS]]
    more = f" and {len(names) - SHOWN_CELLS} more" if len(names) > SHOWN_CELLS else ""
    plain = [name for name in shown if name.isdigit()]
    if not plain:
        return ", ".join(shown) + more
    word = "cell " if len(plain) == 1 and not more else "cells "
    return word + ", ".join([*plain, *(name for name in shown if not name.isdigit())]) + more


def quoted(path: str) -> str:
    """A path as a shell takes it."""
    plain = all(char.isalnum() or char in "_./+=:,@%-" for char in path) and not path.startswith("-")
    return path if plain else "'" + path.replace("'", "'\\''") + "'"


def _numbers(cells: Sequence[int]) -> str:
    return in_cells([str(number) for number in cells])
