"""Show a table of many runs: in a terminal, as CSV, as a page."""

from __future__ import annotations

import csv
import io
from html import escape
from importlib import resources

from tabulate import tabulate

from snaprun import show
from snaprun.charts.grid import Grid, Row, Summary
from snaprun.diffs.linediff import clean
from snaprun.show import Look


def text(found: Grid, how: Look) -> str:
    """The table for a terminal; the best value of each metric is marked with a star, and green."""
    header = _columns(found)
    rows = [
        [
            *_lead(found, row),
            *(_value(row, name) for name in found.params),
            *(_metric(row, name, how) for name in found.metrics),
        ]
        for row in found.rows
    ]
    lines = [tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True, stralign="left")]
    if found.constant:
        lines += ["", how.style(f"the same in all: {show.pairs(found.constant)}", "bright_black")]
    return "\n".join(lines)


def as_csv(found: Grid) -> str:
    """The table as CSV: a metric of a group has three columns, its mean, standard deviation and number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    grouped = found.grouped_by is not None
    parts = ("", "_sd", "_n") if grouped else ("",)
    writer.writerow([*_lead_names(found), *found.params, *(name + part for name in found.metrics for part in parts)])
    for row in found.rows:
        cells: list[object] = [*_lead(found, row, full=True), *(_value(row, name) for name in found.params)]
        for name in found.metrics:
            one = row.metrics.get(name)
            cells += [one.mean if one else ""]
            cells += [one.sd if one and one.sd is not None else "", one.n if one else 0] if grouped else []
        writer.writerow(cells)
    return out.getvalue()


def as_html(found: Grid) -> str:
    """The table as a page that needs no network."""
    style = (resources.files("snaprun") / "assets" / "diff.css").read_text(encoding="utf-8")
    header = _columns(found)
    plain = Look()
    rows = []
    for row in found.rows:
        cells = [*_lead(found, row), *(_value(row, name) for name in found.params)]
        made = "".join(f"<td>{escape(clean(cell))}</td>" for cell in cells)
        for name in found.metrics:
            kind = ' class="better"' if name in row.best else ""
            made += f"<td{kind}>{escape(_metric(row, name, plain))}</td>"
        rows.append(f"<tr>{made}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    same = f"<p class='dim'>the same in all: {escape(show.pairs(found.constant))}</p>" if found.constant else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>Runs compared</title>'
        f'<style>{style}</style></head><body><h1>Runs compared</h1><table class="facts"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{same}</body></html>\n"
    )


def _columns(found: Grid) -> list[str]:
    return [*_lead_names(found), *map(clean, (*found.params, *found.metrics))]


def _lead_names(found: Grid) -> list[str]:
    return ["n", "status"] if found.grouped_by is not None else ["run", "name", "status"]


def _lead(found: Grid, row: Row, *, full: bool = False) -> list[str]:
    """What stands before the parameters: which run it is, or how many."""
    ended = row.statuses
    if found.grouped_by is not None:
        said = next(iter(ended)) if len(ended) == 1 else ", ".join(f"{count} {name}" for name, count in ended.items())
        return [str(row.n), said]
    run = row.runs[0]
    return [run.id if full else show.short(run.id), clean(run.name or ""), run.status.value]


def _value(row: Row, name: str) -> str:
    return clean(show.value(row.params[name])) if name in row.params else ""


def _metric(row: Row, name: str, how: Look) -> str:
    one = row.metrics.get(name)
    if one is None:
        return ""
    said = _summary(one) + (" *" if name in row.best else "")
    return how.style(said, "green") if name in row.best else said


def _summary(one: Summary) -> str:
    if one.n == 1 or one.sd is None:
        return show.value(one.mean)
    digits = _digits(one.sd)
    return f"{one.mean:.{digits}f} ± {one.sd:.{digits}f} (n={one.n})"


def _digits(sd: float) -> int:
    """Places behind the point so that a standard deviation shows two significant digits."""
    if sd == 0:
        return 4
    exponent = int(f"{sd:e}".split("e")[1])
    return max(0, min(10, 1 - exponent))
