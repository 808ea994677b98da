"""Show what the hook has found, and how the hooks stand, as lines for a person and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from snaprun.hooks.check import Report
from snaprun.hooks.status import Hook, HookStatus, is_outdated
from snaprun.model import SCHEMA
from snaprun.printable import one_line

MARKS = {"note": "ok  ", "warn": "warn", "fail": "FAIL"}


def lines(report: Report, *, quiet: bool = False) -> list[str]:
    """One line a finding, and one below it with the command that mends it; ``quiet`` leaves the notes out."""
    rows = []
    for finding in report.findings:
        if quiet and finding.level == "note":
            continue
        rows.append(f"{MARKS[finding.level]}  {one_line(finding.path)}: {one_line(finding.text)}")
        if finding.mend and finding.level != "note":
            rows.append(f"      mend: {one_line(finding.mend)}")
    return rows


def to_json(report: Report) -> dict[str, Any]:
    """The object that ``hook run --json`` prints; docs/hook.md describes it."""
    return {
        "schema": SCHEMA,
        "refused": report.refused > 0,
        "notebooks": report.notebooks,
        "special": report.special,
        "findings": [asdict(finding) for finding in report.findings],
    }


def status_lines(status: HookStatus) -> list[str]:
    """The state of every hook, one line each, and where git looks for them."""
    origin = f"  (core.hooksPath, {status.folder.scope}: {status.folder.origin})" if status.folder.origin else ""
    rows = [f"hooks in {one_line(str(status.folder.path))}{origin}"]
    rows += [f"{hook.kind:<16}  {_describe(hook)}" for hook in status.hooks]
    if status.framework:
        rows.append(f"{'framework':<16}  {status.framework} has our hook")
    if status.last:
        verdict = "refused" if status.last.get("refused") else "passed"
        rows.append(f"last check        {status.last.get('time')}: {status.last.get('notebooks')} notebooks, {verdict}")
    if not status.is_required:
        rows.append("snaprun.hookRequired is false: a hook that cannot run only warns")
    return rows


def _describe(hook: Hook) -> str:
    if hook.state == "none":
        return hook.problem or "not installed"
    if hook.via == "framework":
        return f"by {hook.manager}"
    if hook.state in ("manager", "foreign"):
        return f"{hook.manager or 'another program'}'s, ours is not installed"
    words = [f"installed, v{hook.version}, {hook.mode}"]
    if hook.state == "ours-edited":
        words.append("edited")
    if hook.via != "file":
        words.append(f"via {hook.manager or 'git'}'s {hook.via}")
    if hook.chained:
        words.append("runs the hook that was there first")
    if is_outdated(hook):
        words.append("out of date: snaprun hook install")
    if hook.problem:
        words.append(f"BROKEN: {hook.problem}")
    return ", ".join(words)
