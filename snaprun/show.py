"""The only formatter: turns what the library returns into the text that a person reads."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from snaprun.model import RUN_FIELDS, SCHEMA, Details, Finding, Metric, Run, RunField, Snapshot, Status, timestamp
from snaprun.quantities import format_clock, format_duration, format_size

if TYPE_CHECKING:  # a listing shows no progress
    from snaprun.live.progress import RunInProgress

ID_LENGTH = 8
"""Hex digits of an id that people are shown; any unique prefix of 4 or more is taken back."""


@dataclass(frozen=True)
class Look:
    """How to show: with colour or without, and how many columns there are (None: as wide as it gets)."""

    colour: bool = False
    width: int | None = None

    def style(self, text: str, colour: str | None = None, *, bold: bool = False) -> str:
        """``text`` in a colour, where colour is wanted."""
        return click.style(text, fg=colour, bold=bold) if self.colour else text


def choose_look(*, terminal: bool, env: Mapping[str, str]) -> Look:
    """The way to show on this stream: colour on a terminal without NO_COLOR, full width when piped."""
    if not terminal:
        return Look()
    return Look(colour=not env.get("NO_COLOR") and env.get("TERM") != "dumb", width=shutil.get_terminal_size().columns)


def short_id(run_id: str) -> str:
    """An id as people are shown it."""
    return run_id[:ID_LENGTH]


def moment(text: str | None) -> str:
    """A time in UTC as local time to the second."""
    if not text:
        return ""
    return datetime.fromtimestamp(timestamp(text)).strftime("%Y-%m-%d %H:%M:%S")


def age(text: str, now: float) -> str:
    """How long ago a moment was: ``12 s``, ``5 m``, ``3 h``, ``2 d``; older than 30 days: the date."""
    start = timestamp(text)
    seconds = max(0.0, now - start)
    for limit, unit, span in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"), (30 * 86400, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // unit)} {span} ago"
    return datetime.fromtimestamp(start).strftime("%Y-%m-%d")


def value(thing: Any) -> str:
    """A parameter or metric as short as it can be said exactly; strings without quotes where that is clear."""
    if isinstance(thing, float):
        return f"{thing:.6g}"
    if isinstance(thing, str):
        return (
            thing if thing and thing == thing.strip() and not any(mark in thing for mark in "\n\t,=") else repr(thing)
        )
    if isinstance(thing, Mapping) and set(thing) == {"$yaml"}:
        return str(thing["$yaml"])
    if thing is None or isinstance(thing, bool):
        return str(thing).lower() if thing is not None else "null"
    if isinstance(thing, (list, dict)):
        return json.dumps(thing, ensure_ascii=False, separators=(",", ":"))
    return str(thing)


def pairs(params: Mapping[str, Any]) -> str:
    """Parameters on one line."""
    return " ".join(f"{name}={value(thing)}" for name, thing in params.items())


def status(run_status: Status, look: Look) -> str:
    """A status in its colour."""
    return look.style(run_status.value, run_status.colour)


def as_json(document: Mapping[str, Any]) -> str:
    """A document as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Columns:
    """Which parameters and metrics get a column of their own."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def history(runs: Sequence[Run], columns: Columns, look: Look, *, now: float) -> str:
    """Runs as a table for a person."""
    fields = [
        field
        for field in RUN_FIELDS
        if field.heading and (not field.sparse or any(getattr(run, field.name) for run in runs))
    ]
    header = [*(field.heading or "" for field in fields), *(columns.params or ["params"]), *columns.metrics]
    rows = []
    for run in runs:
        row = [_field(run, field, look, now) for field in fields]
        row += [_param(run.params, name) for name in columns.params] or [pairs(run.params)]
        row += [_metric(run.metrics.get(name)) for name in columns.metrics]
        rows.append(row)
    return fit(rows, header, look, shrink_column=header.index("params") if "params" in header else None)


def _field(run: Run, field: RunField, look: Look, now: float) -> str:
    """A field of a run in a list."""
    thing = getattr(run, field.name)
    if field.name == "started" and thing is None:
        thing = run.created
    if thing is None:
        return ""
    match field.kind:
        case "oid":
            return look.style(short_id(thing), bold=True)
        case "status":
            return status(thing, look)
        case "time":
            return age(thing, now)
        case "duration":
            return format_duration(thing)
        case _:
            return str(thing)


def fit(rows: Sequence[Sequence[str]], header: Sequence[str], look: Look, *, shrink_column: int | None = None) -> str:
    """A table as wide as the terminal where ``shrink_column`` can be shortened for it; nothing else is left out."""
    text = _table(rows, header)
    if look.width is None:
        return text
    excess = max(len(click.unstyle(line)) for line in text.splitlines()) - look.width
    if excess > 0 and shrink_column is not None:
        widest = max(len(row[shrink_column]) for row in rows)
        room = max(8, widest - excess)
        rows = [
            [_cut(cell, room) if column == shrink_column else cell for column, cell in enumerate(row)] for row in rows
        ]
        text = _table(rows, header)
    return text


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    text: str = tabulate(rows, header, tablefmt="plain", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _param(params: Mapping[str, Any], name: str) -> str:
    return value(params[name]) if name in params else ""


def _metric(metric: Metric | None) -> str:
    return value(metric.last) if metric else ""


def history_json(runs: Sequence[Run]) -> str:
    """Runs as the document of ``history --json``."""
    return as_json({"schema": SCHEMA, "runs": [run.to_json() for run in runs]})


def history_csv(runs: Sequence[Run], columns: Columns) -> str:
    """Runs as CSV: the plain fields, then ``params.<name>`` and ``metrics.<name>`` (the last value)."""
    params = columns.params or tuple(dict.fromkeys(name for run in runs for name in run.params))
    metrics = columns.metrics or tuple(dict.fromkeys(name for run in runs for name in run.metrics))
    plain = [field.name for field in RUN_FIELDS if field.in_json and field.is_column]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*plain, "tags", *(f"params.{name}" for name in params), *(f"metrics.{name}" for name in metrics)])
    for run in runs:
        data = run.to_json()
        row = ["" if data[key] is None else data[key] for key in plain]
        row.append(" ".join(run.tags))
        row += [_csv_value(run.params[name]) if name in run.params else "" for name in params]
        row += [run.metrics[name].last if name in run.metrics else "" for name in metrics]
        writer.writerow(row)
    return out.getvalue().removesuffix("\n")


def _csv_value(thing: Any) -> Any:
    return value(thing) if isinstance(thing, (list, dict, bool)) or thing is None else thing


def run_text(details: Details, look: Look) -> str:
    """Everything of one run for a person."""
    sections = [_head(details, look)]
    run = details.run
    if run.params:
        sections.append(_section("params", _two_columns(_param_values(details), look), look))
    if run.metrics:
        rows = [[name, value(m.last), value(m.min), value(m.max), str(m.steps)] for name, m in run.metrics.items()]
        sections.append(_section("metrics", _indent(_table(rows, ["metric", "last", "min", "max", "steps"])), look))
    if run.cells:
        rows = [
            [str(c.number or "·"), _cell_state(c.state, look), format_duration(c.seconds), c.label] for c in run.cells
        ]
        sections.append(_section("cells", _indent(_table(rows, ["cell", "state", "time", "what"])), look))
    result = details.result
    if result and result.error:
        sections.append(_section(f"cell {result.error.number or 'parameters'} failed", _failure(details), look))
    if result and result.artifacts:
        rows = [[item.path, format_size(item.size), item.sha256[:12], item.stored] for item in result.artifacts]
        sections.append(_section("artifacts", _indent(_table(rows, ["file", "size", "sha256", "kept in"])), look))
    if details.environment:
        sections.append(_section("environment", _indent(_environment(details.environment)), look))
    if details.spec.left_out:
        rows = [[item.path, item.why, format_size(item.size)] for item in details.spec.left_out]
        sections.append(_section("not in the snapshot", _indent(_table(rows, ["path", "why", "size"])), look))
    warnings = [*details.spec.warnings, *(result.warnings if result else ())]
    if warnings:
        sections.append(_section("warnings", _indent("\n".join(warnings)), look))
    return "\n\n".join(sections)


def _head(details: Details, look: Look) -> str:
    run, spec = details.run, details.spec
    exit_text = f"  exit {run.exit_code}" if run.exit_code is not None else ""
    time_text = f"  {format_duration(run.seconds)}" if run.seconds is not None else ""
    head = f"{look.style(short_id(run.id), bold=True)}  {run.notebook}"
    lines = [f"{head}  {status(run.status, look)}{exit_text}{time_text}"]
    branch = f" ({run.branch})" if run.branch else ""
    facts = {
        "id": run.id,
        "name": run.name,
        "reason": run.reason,
        "message": run.message,
        "tags": " ".join(run.tags),
        "group": run.group,
        "created": f"{moment(run.created)} by {run.user} on {run.host}",
        "started": moment(run.started),
        "ended": moment(run.ended),
        "based on": f"{short_id(run.parent)}{branch}{' with changes' if run.dirty else ''}"
        if run.parent
        else "no commit",
        "result": short_id(run.commit) if run.commit != run.id else None,
        "engine": f"{run.engine}, {run.launcher}" + (", in place" if spec.in_place else ""),
        "kernel": " ".join(part for part in (spec.kernel, spec.python) if part),
        "attempts": str(run.attempts) if run.attempts > 1 else None,
        "limits": _limits(details),
        "memory": f"{format_size(details.result.peak_memory)} at most"
        if details.result and details.result.peak_memory
        else None,
    }
    return "\n".join([*lines, _two_columns({name: text for name, text in facts.items() if text}, look)])


def _limits(details: Details) -> str:
    """The GPUs that were wanted and those that the run got, and how much memory it might use."""
    spec, parts = details.spec, []
    if spec.gpus:
        visible = details.environment.get("variables", {}).get("CUDA_VISIBLE_DEVICES")
        visible_text = f" (CUDA_VISIBLE_DEVICES={visible})" if visible is not None else ""
        parts.append(f"{spec.gpus} GPU{'s' if spec.gpus > 1 else ''}{visible_text}")
    if spec.max_memory:
        parts.append(f"{format_size(spec.max_memory)} of memory")
    return ", ".join(parts)


def _param_values(details: Details) -> dict[str, str]:
    explicit_names = set(details.spec.given)
    return {
        name: value(thing) + ("" if name in explicit_names or not explicit_names else "  (default)")
        for name, thing in details.run.params.items()
    }


def _failure(details: Details) -> str:
    error = details.result.error if details.result else None
    if error is None:
        return ""
    source = "\n".join(f"  {number:>3}  {line}" for number, line in enumerate(error.source.splitlines(), 1))
    return f"{source}\n\n{_indent(error.traceback.rstrip() or f'{error.ename}: {error.evalue}')}"


def _environment(environment: Mapping[str, Any]) -> str:
    lines = [
        f"{name}: {value(thing)}"
        for name, thing in environment.items()
        if name != "schema" and isinstance(thing, (str, int, float))
    ]
    packages = environment.get("packages")
    if packages:
        lines.append(f"packages: {len(packages)} (snaprun show RUN:.snaprun/environment.json lists them)")
    gpus = environment.get("gpus")
    if gpus:
        lines.append(f"gpus: {', '.join(map(str, gpus))}")
    return "\n".join(lines)


def _cell_state(state: str, look: Look) -> str:
    colours = {"ok": "green", "failed": "red", "stopped": "yellow"}
    return look.style(state, colours.get(state))


def _section(title: str, body: str, look: Look) -> str:
    return f"{look.style(title, bold=True)}\n{body}"


def _two_columns(facts: Mapping[str, str], look: Look) -> str:
    width = max((len(name) for name in facts), default=0)
    return "\n".join(f"  {look.style(name.ljust(width), 'bright_black')}  {text}" for name, text in facts.items())


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def in_progress(active_runs: Sequence[RunInProgress], look: Look) -> str:
    """The runs in progress as a table for a person."""
    header = ["run", "name", "notebook", "cell", "elapsed", "left", "cpu", "memory", "last metric"]
    rows = []
    for item in active_runs:
        progress = item.progress
        number = progress.cell if progress.cell is not None else progress.done
        activity = "held after an error" if progress.state == "held" else progress.label or progress.state
        position = f"{number}/{progress.total} {activity}" if progress.total else activity
        rows.append(
            [
                look.style(short_id(item.run.id), bold=True),
                item.run.name or "",
                item.run.notebook,
                f"{position}{_contact(item)}",
                format_clock(item.duration) if item.duration is not None else "",
                format_clock(item.eta) if item.eta is not None else "",
                f"{item.cpu:.0f} %" if item.cpu is not None else "",
                format_size(item.memory),
                item.metric or "",
            ]
        )
    return fit(rows, header, look, shrink_column=3)


def _contact(item: RunInProgress) -> str:
    """Where else a run is, and whether what is known of it is old."""
    parts = [f"on {item.host}"] if item.host is not None else []
    if item.trouble is None:
        return f" ({parts[0]})" if parts else ""
    silence = f"no word for {format_clock(item.silence)}" if item.silence is not None else "no word yet"
    return f" ({', '.join([*parts, silence])}: {item.trouble})"


def in_progress_json(active_runs: Sequence[RunInProgress]) -> str:
    """The runs in progress as JSON: the keys of ``history``, and ``progress``."""
    runs = []
    for item in active_runs:
        run_progress = item.progress
        progress = {
            "state": run_progress.state,
            "cell": run_progress.cell,
            "cells": run_progress.total,
            "done": run_progress.done,
            "label": run_progress.label,
            "elapsed": item.duration,
            "left": item.eta,
            "cpu": item.cpu,
            "memory": item.memory,
            "metric": item.metric,
            "host": item.host,
            "trouble": item.trouble,
        }
        runs.append({**item.run.to_json(), "progress": progress})
    return as_json({"schema": SCHEMA, "runs": runs})


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


def start_json(snapshot: Snapshot) -> str:
    """The document of ``exec --detach --json``."""
    run = Run.from_commits(snapshot.id, snapshot.spec, snapshot.params, commit=snapshot.id, status=Status.RUNNING)
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


def settings(entries: Sequence[tuple[str, Any, str]], look: Look) -> str:
    """Every setting with its value and its origin."""
    rows = [[name, _setting(thing), look.style(origin, "bright_black")] for name, thing, origin in entries]
    return _table(rows, ["setting", "value", "from"])


def findings(items: Sequence[Finding], look: Look) -> str:
    """What was looked at, a line each, with the command that mends it below what is wrong."""
    lines = []
    for item in items:
        mark = look.style("ok   ", "green") if item.fine else look.style("wrong", "red")
        lines.append(f"{mark}  {item.what}: {item.said}")
        if item.hint:
            lines.append(f"       {item.hint}")
    return "\n".join(lines)


def _setting(thing: Any) -> str:
    if thing is None or thing == () or thing == {}:
        return "-"
    if isinstance(thing, tuple):
        return " ".join(map(str, thing))
    return value(thing)
