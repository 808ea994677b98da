"""Show a table of many runs: in a terminal, as CSV, as a page."""

from __future__ import annotations

import csv
import io
from html import escape

from tabulate import tabulate

from snaprun import show, webpage
from snaprun.charts.grid import Grid, Row, Summary
from snaprun.model import short_id
from snaprun.printable import clean
from snaprun.show import Look

PAGE_TITLE = "Runs compared"


def text(grid: Grid, look: Look) -> str:
    """The table for a terminal; the best value of each metric is marked with a star, and green."""
    header = _columns(grid)
    rows = [
        [
            *_lead(grid, row),
            *(_value(row, name) for name in grid.params),
            *(_metric(row, name, look) for name in grid.metrics),
        ]
        for row in grid.rows
    ]
    lines = [tabulate(rows, headers=header, tablefmt="simple", disable_numparse=True, stralign="left")]
    if grid.constant:
        lines += ["", look.style(f"the same in all: {show.pairs(grid.constant)}", "bright_black")]
    return "\n".join(lines)


def as_csv(grid: Grid) -> str:
    """The table as CSV: a metric of a group has three columns, its mean, standard deviation and number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    is_grouped = grid.grouped_by is not None
    parts = ("", "_sd", "_n") if is_grouped else ("",)
    writer.writerow([*_lead_names(grid), *grid.params, *(name + part for name in grid.metrics for part in parts)])
    for row in grid.rows:
        cells: list[object] = [*_lead(grid, row, full=True), *(_value(row, name) for name in grid.params)]
        for name in grid.metrics:
            summary = row.metrics.get(name)
            cells += [summary.mean if summary else ""]
            cells += (
                [summary.sd if summary and summary.sd is not None else "", summary.n if summary else 0]
                if is_grouped
                else []
            )
        writer.writerow(cells)
    return out.getvalue()


def as_html(grid: Grid) -> str:
    """The table as a page that needs no network."""
    header = _columns(grid)
    plain = Look()
    rows = []
    for row in grid.rows:
        cells = [*_lead(grid, row), *(_value(row, name) for name in grid.params)]
        row_html = "".join(f"<td>{escape(clean(cell))}</td>" for cell in cells)
        for name in grid.metrics:
            kind = ' class="better"' if name in row.best else ""
            row_html += f"<td{kind}>{escape(_metric(row, name, plain))}</td>"
        rows.append(f"<tr>{row_html}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    constant_html = f"<p class='dim'>the same in all: {escape(show.pairs(grid.constant))}</p>" if grid.constant else ""
    table = f'<table class="facts"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    body = f"<h1>{PAGE_TITLE}</h1>{table}{constant_html}"
    return webpage.page(PAGE_TITLE, body, style=webpage.asset("diff.css"))


def _columns(grid: Grid) -> list[str]:
    return [*_lead_names(grid), *map(clean, (*grid.params, *grid.metrics))]


def _lead_names(grid: Grid) -> list[str]:
    return ["n", "status"] if grid.grouped_by is not None else ["run", "name", "status"]


def _lead(grid: Grid, row: Row, *, full: bool = False) -> list[str]:
    """What stands before the parameters: which run it is, or how many."""
    counts = row.statuses
    if grid.grouped_by is not None:
        status = (
            next(iter(counts)) if len(counts) == 1 else ", ".join(f"{count} {name}" for name, count in counts.items())
        )
        return [str(row.n), status]
    run = row.runs[0]
    return [run.id if full else short_id(run.id), clean(run.name or ""), run.status.value]


def _value(row: Row, name: str) -> str:
    return clean(show.value(row.params[name])) if name in row.params else ""


def _metric(row: Row, name: str, look: Look) -> str:
    summary = row.metrics.get(name)
    if summary is None:
        return ""
    value_text = _summary(summary) + (" *" if name in row.best else "")
    return look.style(value_text, "green") if name in row.best else value_text


def _summary(summary: Summary) -> str:
    if summary.n == 1 or summary.sd is None:
        return show.value(summary.mean)
    digits = _digits(summary.sd)
    return f"{summary.mean:.{digits}f} ± {summary.sd:.{digits}f} (n={summary.n})"


def _digits(sd: float) -> int:
    """Places behind the point so that a standard deviation shows two significant digits."""
    if sd == 0:
        return 4
    exponent = int(f"{sd:e}".split("e")[1])
    return max(0, min(10, 1 - exponent))
