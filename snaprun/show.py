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

from snaprun.model import SCHEMA, Details, Finding, Metric, Run, Snapshot, Status

if TYPE_CHECKING:  # a listing shows no progress
    from snaprun.live.progress import Going

ID_LENGTH = 8
"""Hex digits of an id that people are shown; any unique prefix of 4 or more is taken back."""

COLOURS = {
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.LOST: "red",
    Status.TIMED_OUT: "red",
    Status.STOPPED: "yellow",
    Status.RUNNING: "cyan",
    Status.QUEUED: "blue",
    Status.SAVED: "white",
}


@dataclass(frozen=True)
class Look:
    """How to show: with colour or without, and how many columns there are (None: as wide as it gets)."""

    colour: bool = False
    width: int | None = None

    def style(self, text: str, colour: str | None = None, *, bold: bool = False) -> str:
        """``text`` in a colour, where colour is wanted."""
        return click.style(text, fg=colour, bold=bold) if self.colour else text


def look(*, terminal: bool, env: Mapping[str, str]) -> Look:
    """The way to show on this stream: colour on a terminal without NO_COLOR, full width when piped."""
    if not terminal:
        return Look()
    return Look(colour=not env.get("NO_COLOR") and env.get("TERM") != "dumb", width=shutil.get_terminal_size().columns)


def short(run_id: str) -> str:
    """An id as people are shown it."""
    return run_id[:ID_LENGTH]


def duration(seconds: float | None) -> str:
    """Seconds as a person says them: ``0.08 s``, ``12.3 s``, ``3 m 12 s``, ``2 h 05 m``, ``3 d 04 h``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def clock(seconds: float) -> str:
    """Seconds as a clock: ``02:14``, ``1:02:14``."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text


def size(count: int | None) -> str:
    """Bytes as a person says them, in powers of 1000 as file managers and ``df -H`` do."""
    if count is None:
        return ""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def moment(text: str | None) -> str:
    """A time in UTC as local time to the second."""
    if not text:
        return ""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(text: str, now: float) -> str:
    """How long ago a moment was: ``12 s``, ``5 m``, ``3 h``, ``2 d``; older than 30 days: the date."""
    then = datetime.fromisoformat(text.replace("Z", "+00:00"))
    seconds = max(0.0, now - then.timestamp())
    for limit, unit, span in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"), (30 * 86400, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // unit)} {span} ago"
    return then.astimezone().strftime("%Y-%m-%d")


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


def status(run_status: Status, how: Look) -> str:
    """A status in its colour."""
    return how.style(run_status.value, COLOURS[run_status])


def as_json(document: Mapping[str, Any]) -> str:
    """A document as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Columns:
    """Which parameters and metrics get a column of their own."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def history(runs: Sequence[Run], columns: Columns, how: Look, *, now: float) -> str:
    """Runs as a table for a person."""
    named = any(run.name for run in runs)
    header = ["run", "name", "notebook", "status", "exit", "started", "time"]
    if not named:
        header.remove("name")
    header += columns.params or ["params"]
    header += columns.metrics
    rows = []
    for run in runs:
        row: list[str] = [how.style(short(run.id), bold=True)]
        if named:
            row.append(run.name or "")
        row += [run.notebook, status(run.status, how), "" if run.exit_code is None else str(run.exit_code)]
        row += [ago(run.started or run.created, now), duration(run.seconds)]
        row += [_named(run.params, name) for name in columns.params] or [pairs(run.params)]
        row += [_metric(run.metrics.get(name)) for name in columns.metrics]
        rows.append(row)
    return fit(rows, header, how, give=header.index("params") if "params" in header else None)


def fit(rows: Sequence[Sequence[str]], header: Sequence[str], how: Look, *, give: int | None = None) -> str:
    """A table as wide as the terminal where the column ``give`` can be shortened for it; nothing else is left out."""
    text = _table(rows, header)
    if how.width is None:
        return text
    over = max(len(click.unstyle(line)) for line in text.splitlines()) - how.width
    if over > 0 and give is not None:
        widest = max(len(row[give]) for row in rows)
        room = max(8, widest - over)
        rows = [[_cut(cell, room) if at == give else cell for at, cell in enumerate(row)] for row in rows]
        text = _table(rows, header)
    return text


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    text: str = tabulate(rows, header, tablefmt="plain", disable_numparse=True)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _named(params: Mapping[str, Any], name: str) -> str:
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
    plain = [key for key in Run("", "", Status.SAVED, "", "").to_json() if key not in ("params", "metrics", "tags")]
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


def run(details: Details, how: Look) -> str:
    """Everything of one run for a person."""
    sections = [_head(details, how)]
    run_ = details.run
    if run_.params:
        sections.append(_section("params", _two(_given(details), how), how))
    if run_.metrics:
        rows = [[name, value(m.last), value(m.min), value(m.max), str(m.steps)] for name, m in run_.metrics.items()]
        sections.append(_section("metrics", _indent(_table(rows, ["metric", "last", "min", "max", "steps"])), how))
    if run_.cells:
        rows = [[str(c.number or "·"), _cell_state(c.state, how), duration(c.seconds), c.label] for c in run_.cells]
        sections.append(_section("cells", _indent(_table(rows, ["cell", "state", "time", "what"])), how))
    result = details.result
    if result and result.error:
        sections.append(_section(f"cell {result.error.number or 'parameters'} failed", _failure(details), how))
    if result and result.artifacts:
        rows = [[item.path, size(item.size), item.sha256[:12], item.stored] for item in result.artifacts]
        sections.append(_section("artifacts", _indent(_table(rows, ["file", "size", "sha256", "kept in"])), how))
    if details.environment:
        sections.append(_section("environment", _indent(_environment(details.environment)), how))
    if details.spec.left_out:
        rows = [[item.path, item.why, size(item.size)] for item in details.spec.left_out]
        sections.append(_section("not in the snapshot", _indent(_table(rows, ["path", "why", "size"])), how))
    warnings = [*details.spec.warnings, *(result.warnings if result else ())]
    if warnings:
        sections.append(_section("warnings", _indent("\n".join(warnings)), how))
    return "\n\n".join(sections)


def _head(details: Details, how: Look) -> str:
    run_, spec = details.run, details.spec
    ended = f"  exit {run_.exit_code}" if run_.exit_code is not None else ""
    took = f"  {duration(run_.seconds)}" if run_.seconds is not None else ""
    lines = [f"{how.style(short(run_.id), bold=True)}  {run_.notebook}  {status(run_.status, how)}{ended}{took}"]
    branch = f" ({run_.branch})" if run_.branch else ""
    facts = {
        "id": run_.id,
        "name": run_.name,
        "reason": run_.reason,
        "message": run_.message,
        "tags": " ".join(run_.tags),
        "group": run_.group,
        "created": f"{moment(run_.created)} by {run_.user} on {run_.host}",
        "started": moment(run_.started),
        "ended": moment(run_.ended),
        "based on": f"{short(run_.parent)}{branch}{' with changes' if run_.dirty else ''}"
        if run_.parent
        else "no commit",
        "result": short(run_.commit) if run_.commit != run_.id else None,
        "engine": f"{run_.engine}, {run_.launcher}" + (", in place" if spec.in_place else ""),
        "kernel": " ".join(part for part in (spec.kernel, spec.python) if part),
        "attempts": str(run_.attempts) if run_.attempts > 1 else None,
        "limits": _limits(details),
        "memory": f"{size(details.result.peak_memory)} at most"
        if details.result and details.result.peak_memory
        else None,
    }
    return "\n".join([*lines, _two({name: text for name, text in facts.items() if text}, how)])


def _limits(details: Details) -> str:
    """The GPUs that were wanted and those that the run got, and how much memory it might use."""
    spec, said = details.spec, []
    if spec.gpus:
        visible = details.environment.get("variables", {}).get("CUDA_VISIBLE_DEVICES")
        got = f" (CUDA_VISIBLE_DEVICES={visible})" if visible is not None else ""
        said.append(f"{spec.gpus} GPU{'s' if spec.gpus > 1 else ''}{got}")
    if spec.max_memory:
        said.append(f"{size(spec.max_memory)} of memory")
    return ", ".join(said)


def _given(details: Details) -> dict[str, str]:
    given = set(details.spec.given)
    return {
        name: value(thing) + ("" if name in given or not given else "  (default)")
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


def _cell_state(state: str, how: Look) -> str:
    colours = {"ok": "green", "failed": "red", "stopped": "yellow"}
    return how.style(state, colours.get(state))


def _section(title: str, body: str, how: Look) -> str:
    return f"{how.style(title, bold=True)}\n{body}"


def _two(facts: Mapping[str, str], how: Look) -> str:
    width = max((len(name) for name in facts), default=0)
    return "\n".join(f"  {how.style(name.ljust(width), 'bright_black')}  {text}" for name, text in facts.items())


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())


def in_progress(found: Sequence[Going], how: Look) -> str:
    """The runs in progress as a table for a person."""
    header = ["run", "name", "notebook", "cell", "elapsed", "left", "cpu", "memory", "last metric"]
    rows = []
    for item in found:
        standing = item.standing
        at = standing.cell if standing.cell is not None else standing.done
        what = "held after an error" if standing.state == "held" else standing.label or standing.state
        where = f"{at}/{standing.total} {what}" if standing.total else what
        rows.append(
            [
                how.style(short(item.run.id), bold=True),
                item.run.name or "",
                item.run.notebook,
                f"{where}{_contact(item)}",
                clock(item.elapsed) if item.elapsed is not None else "",
                clock(item.left) if item.left is not None else "",
                f"{item.cpu:.0f} %" if item.cpu is not None else "",
                size(item.memory),
                item.metric or "",
            ]
        )
    return fit(rows, header, how, give=3)


def _contact(item: Going) -> str:
    """Where else a run is, and whether what is known of it is old."""
    where = [f"on {item.host}"] if item.host is not None else []
    if item.trouble is None:
        return f" ({where[0]})" if where else ""
    since = f"no word for {clock(item.silent)}" if item.silent is not None else "no word yet"
    return f" ({', '.join([*where, since])}: {item.trouble})"


def in_progress_json(found: Sequence[Going]) -> str:
    """The runs in progress as JSON: the keys of ``history``, and ``progress``."""
    runs = []
    for item in found:
        standing = item.standing
        progress = {
            "state": standing.state,
            "cell": standing.cell,
            "cells": standing.total,
            "done": standing.done,
            "label": standing.label,
            "elapsed": item.elapsed,
            "left": item.left,
            "cpu": item.cpu,
            "memory": item.memory,
            "metric": item.metric,
            "host": item.host,
            "trouble": item.trouble,
        }
        runs.append({**item.run.to_json(), "progress": progress})
    return as_json({"schema": SCHEMA, "runs": runs})


def snapshot(made: Snapshot, how: Look) -> str:
    """The line that tells of a snapshot, and one line each for what it could not take."""
    head = f"snapshot {how.style(short(made.id), bold=True)}  {_summary(made)}   {made.seconds:.2f} s"
    told = notes(made)
    return f"{head}\n{told}" if told else head


def _summary(made: Snapshot) -> str:
    words = made.spec.notebook or "work tree"
    if made.changed:
        words += f" + {made.changed} changed file{'s' if made.changed > 1 else ''}"
    return words + (f" ({made.untracked} untracked)" if made.untracked else "")


def notes(made: Snapshot) -> str:
    """What the snapshot could not take as it is, and what was decided unasked: a line each."""
    left_out = [f"left out {item.path}: {item.why}" for item in made.spec.left_out]
    return "\n".join([*left_out, *(f"note: {text}" for text in made.spec.warnings)])


def started_json(made: Snapshot) -> str:
    """The document of ``exec --detach --json``."""
    run_ = Run.of(made.id, made.spec, made.params, commit=made.id, status=Status.RUNNING)
    return as_json({"schema": SCHEMA, **run_.to_json()})


def started(made: Snapshot, how: Look) -> str:
    """The line that says that a run goes on by itself from here."""
    name = f"{made.spec.name}  " if made.spec.name else ""
    return f"started  {how.style(short(made.id), bold=True)}  {name}  logs: snaprun logs -f {short(made.id)}"


def ended(run_: Run, how: Look) -> str:
    """The line that says how a run ended."""
    reason = f"  {run_.reason}" if run_.reason and run_.status is not Status.SUCCEEDED else ""
    code = "" if run_.exit_code is None else f"  exit {run_.exit_code}"
    return f"{status(run_.status, how)}  {how.style(short(run_.id), bold=True)}{code}  {duration(run_.seconds)}{reason}"


def settings(listed: Sequence[tuple[str, Any, str]], how: Look) -> str:
    """Every setting with its value and its origin."""
    rows = [[name, _setting(thing), how.style(origin, "bright_black")] for name, thing, origin in listed]
    return _table(rows, ["setting", "value", "from"])


def findings(found: Sequence[Finding], how: Look) -> str:
    """What was looked at, a line each, with the command that mends it below what is wrong."""
    lines = []
    for item in found:
        mark = how.style("ok   ", "green") if item.fine else how.style("wrong", "red")
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
