"""Lay out tables for people, and lists of runs as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from tabulate import tabulate

from snaprun.model import RUN_FIELDS, SCHEMA, Metric, Run, RunField, short_id
from snaprun.quantities import format_duration
from snaprun.show.words import Look, age, as_json, pairs, status, value


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
    text = lay_out(rows, header)
    if look.width is None:
        return text
    excess = max(len(click.unstyle(line)) for line in text.splitlines()) - look.width
    if excess > 0 and shrink_column is not None:
        widest = max(len(row[shrink_column]) for row in rows)
        room = max(8, widest - excess)
        rows = [
            [_cut(cell, room) if column == shrink_column else cell for column, cell in enumerate(row)] for row in rows
        ]
        text = lay_out(rows, header)
    return text


def lay_out(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Put rows below a header, in columns as wide as their widest cell, without a space at the end of a line."""
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


def settings(entries: Sequence[tuple[str, Any, str]], look: Look) -> str:
    """Every setting with its value and its origin."""
    rows = [[name, _setting(thing), look.style(origin, "bright_black")] for name, thing, origin in entries]
    return lay_out(rows, ["setting", "value", "from"])


def _setting(thing: Any) -> str:
    if thing is None or thing == () or thing == {}:
        return "-"
    if isinstance(thing, tuple):
        return " ".join(map(str, thing))
    return value(thing)
