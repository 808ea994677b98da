"""Tell in a line or two what a command has done: a snapshot, a start, an end, findings."""

from __future__ import annotations

from collections.abc import Sequence

from snaprun.model import SCHEMA, Finding, Run, Snapshot, short_id
from snaprun.quantities import format_duration
from snaprun.show.words import Look, as_json, status


def snapshot_line(snapshot: Snapshot, look: Look) -> str:
    """The line that tells of a snapshot, and one line each for what it could not take."""
    head = f"snapshot {look.style(short_id(snapshot.id), bold=True)}  {_summary(snapshot)}   {snapshot.seconds:.2f} s"
    lines = notes(snapshot)
    return f"{head}\n{lines}" if lines else head


def _summary(snapshot: Snapshot) -> str:
    words = snapshot.spec.notebook or "work tree"
    if snapshot.changed_count:
        words += f" + {snapshot.changed_count} changed file{'s' if snapshot.changed_count > 1 else ''}"
    return words + (f" ({snapshot.untracked_count} untracked)" if snapshot.untracked_count else "")


def notes(snapshot: Snapshot) -> str:
    """What the snapshot could not take as it is, and what was decided unasked: a line each."""
    left_out = [f"left out {item.path}: {item.why}" for item in snapshot.spec.left_out]
    return "\n".join([*left_out, *(f"note: {text}" for text in snapshot.spec.warnings)])


def start_json(run: Run) -> str:
    """The document of ``exec --detach --json``."""
    return as_json({"schema": SCHEMA, **run.to_json()})


def start_line(snapshot: Snapshot, look: Look) -> str:
    """The line that says that a run goes on by itself from here."""
    name = f"{snapshot.spec.name}  " if snapshot.spec.name else ""
    run = short_id(snapshot.id)
    return f"started  {look.style(run, bold=True)}  {name}  logs: snaprun logs -f {run}"


def end_line(run: Run, look: Look) -> str:
    """The line that says how a run ended."""
    reason = f"  {run.reason}" if run.reason and not run.status.good else ""
    code = "" if run.exit_code is None else f"  exit {run.exit_code}"
    head = f"{status(run.status, look)}  {look.style(short_id(run.id), bold=True)}"
    return f"{head}{code}  {format_duration(run.seconds)}{reason}"


def findings(items: Sequence[Finding], look: Look) -> str:
    """What was looked at, a line each, with the command that mends it below what is wrong."""
    lines = []
    for item in items:
        mark = look.style("ok   ", "green") if item.fine else look.style("wrong", "red")
        lines.append(f"{mark}  {item.what}: {item.said}")
        if item.hint:
            lines.append(f"       {item.hint}")
    return "\n".join(lines)
