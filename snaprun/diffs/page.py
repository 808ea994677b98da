"""Show a comparison as one HTML page that needs no network: code side by side, pictures overlaid, nothing trusted.

What the notebooks put out as HTML stands in sandboxed frames without scripts; the page's policy allows one script, by
its hash, and nothing from outside.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from html import escape

from snaprun import webpage
from snaprun.diffs import terminal, textdiff, words
from snaprun.diffs.outputs import OutputDiff, OutputItem
from snaprun.diffs.rundiff import SECTIONS, CellDiff, CellVersion, Comparison
from snaprun.diffs.terminal import DiffOptions
from snaprun.printable import clean

CONTEXT = 3
LINES_MOST = 400
"""Lines of a text output that the page shows."""

HTML_MOST = 2_000_000
PICTURE_MOST = 20_000_000
"""Characters and bytes beyond which an output is only named."""


def page(comparison: Comparison) -> str:
    """The whole page."""
    title = f"{words.side_title(comparison.a)} → {words.side_title(comparison.b)}"
    sections = "\n".join(_body(comparison))
    body = (
        f"<h1>{escape(title)}</h1>\n{sections}\n"
        '<nav class="keys">n next change · p the one before · e open or close what is the same</nav>'
    )
    style, script = webpage.asset("diff.css"), webpage.asset("diff.js")
    return webpage.page(title, body, style=style, script=script, sources="img-src data:; font-src data:")


def _body(comparison: Comparison) -> Iterator[str]:
    yield from (f'<p class="first">{escape(line)}</p>' for line in words.divergence_lines(comparison))
    yield from (f'<p class="dim">note: {escape(clean(note))}</p>' for note in comparison.notes)
    if not comparison.differs:
        yield f"<p>{escape(words.no_difference(comparison))}</p>"
    yield from _params(comparison)
    yield from _metrics(comparison)
    if comparison.cells is not None:
        yield "<h2>Cells</h2>"
        for cell in comparison.cells:
            yield _cell(cell)
    options = DiffOptions(only=tuple(section.name for section in SECTIONS))
    for section in SECTIONS:
        rows = terminal.rows(section, comparison, options) if section.in_page else ()
        if rows:
            items = "".join(f"<li>{escape(row)}</li>" for row in rows)
            yield f"<h2>{section.name.capitalize()}</h2><ul>{items}</ul>"


def _params(comparison: Comparison) -> Iterator[str]:
    values = comparison.params or ()
    changed_rows = [(value.name, *words.format_values(value), "") for value in values if value.state != "same"]
    same_rows = [(value.name, words.format_value(value.a), "", "") for value in values if value.state == "same"]
    if changed_rows:
        yield "<h2>Parameters</h2>" + _table(changed_rows)
    if same_rows:
        summary = f"<summary>{len(same_rows)} parameters the same</summary>"
        yield f'<details class="dim">{summary}{_table(same_rows)}</details>'


def _metrics(comparison: Comparison) -> Iterator[str]:
    rows = []
    for metric in comparison.metrics or ():
        kind = {True: "better", False: "worse", None: ""}[metric.better]
        rows.append(
            (
                metric.name,
                *words.metric_sides(metric),
                f'<span class="{kind}">{escape(words.metric_change(metric))}</span>',
            )
        )
    if rows:
        yield "<h2>Metrics</h2>" + _table(rows)


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    body = "".join(
        f"<tr><th>{escape(clean(name))}</th><td>{escape(a)}</td><td>{escape(b)}</td><td>{change}</td></tr>"
        for name, a, b, change in rows
    )
    return f'<table class="facts">{body}</table>'


def _cell(cell: CellDiff) -> str:
    title = escape(words.cell_row(cell))
    source = f"<pre>{escape(cell.cell_b.source if cell.cell_b else '')}</pre>"
    outputs = "".join(_output(output) for output in cell.outputs or () if output.state != "same")
    if cell.state == "same" and not outputs:
        return f'<details class="cell"><summary>{title}</summary>{source}</details>'
    if cell.state == "same":
        code = f'<details><summary class="dim">source, the same</summary>{source}</details>'
    else:
        code = _code(_lines(cell.cell_a), _lines(cell.cell_b))
    return f'<section class="cell change"><h3>{title}</h3>{code}{outputs}</section>'


def _lines(cell: CellVersion | None) -> list[str]:
    return [] if cell is None else cell.source.rstrip("\n").split("\n")


def _code(a: Sequence[str], b: Sequence[str]) -> str:
    """Two sources side by side, what is the same between changes folded to a few lines."""
    rows: list[str] = []
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if a == b:
        return ""
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if number:
            rows.append('<tr><td class="gap" colspan="2">⋯</td></tr>')
        for tag, a_from, a_to, b_from, b_to in group:
            if tag == "equal":
                rows += [f"<tr><td>{escape(line)}</td><td>{escape(line)}</td></tr>" for line in a[a_from:a_to]]
            else:
                rows += _changed_rows(a[a_from:a_to], b[b_from:b_to])
    return f'<table class="code">{"".join(rows)}</table>'


def _changed_rows(old: Sequence[str], new: Sequence[str]) -> list[str]:
    rows = []
    for number in range(max(len(old), len(new))):
        old_line = old[number] if number < len(old) else None
        new_line = new[number] if number < len(new) else None
        parts = textdiff.diff_words(old_line, new_line) if old_line is not None and new_line is not None else []
        rows.append(f"<tr>{_side_cell('old', old_line, parts)}{_side_cell('new', new_line, parts)}</tr>")
    return rows


def _side_cell(kind: str, line: str | None, parts: Sequence[textdiff.Part]) -> str:
    if line is None:
        return "<td></td>"
    sign, tag = ("-", "del") if kind == "old" else ("+", "ins")
    body = "".join(
        escape(text) if mark == "=" else f"<{tag}>{escape(text)}</{tag}>" for mark, text in parts if mark in ("=", sign)
    )
    return f'<td class="{kind}">{body if parts else escape(line)}</td>'


def _output(output: OutputDiff) -> str:
    body = _pictures(output) if output.kind == "picture" or output.mime == "image/svg+xml" else ""
    if output.mime == "text/html":
        body = _frames(output)
    elif not body:
        body = _text(output)
    return f'<div class="output"><p>{escape(clean(output.summary))}</p>{body}</div>'


def _pictures(output: OutputDiff) -> str:
    figures = []
    for name, item in (("A", output.a), ("B", output.b)):
        if item is None:
            continue
        data = item.data or item.text.encode("utf-8", "surrogatepass")
        if len(data) > PICTURE_MOST:
            figures.append(f"<figure><figcaption>{name}: {len(data)} bytes, not shown</figcaption></figure>")
            continue
        source = f"data:{item.mime};base64,{base64.b64encode(data).decode()}"
        figures.append(f'<figure><figcaption>{name}</figcaption><img alt="{name}" src="{escape(source)}"></figure>')
    kind = "picture" if output.a and output.b else ""
    return f'<div class="{kind}"><div class="sides">{"".join(figures)}</div></div>'


def _frames(output: OutputDiff) -> str:
    """HTML of a notebook: in frames that run no script and reach nothing."""
    figures = []
    for name, item in (("A", output.a), ("B", output.b)):
        if item is None:
            figures.append("<figure></figure>")
        elif len(item.text) > HTML_MOST:
            figures.append(f"<figure><figcaption>{name}: {len(item.text)} characters, not shown</figcaption></figure>")
        else:
            frame = f'<iframe sandbox="" title="{name}" srcdoc="{escape(item.text)}"></iframe>'
            figures.append(f"<figure><figcaption>{name}</figcaption>{frame}</figure>")
    return f'<div class="sides">{"".join(figures)}</div>'


def _text(output: OutputDiff) -> str:
    lines: list[str] = []
    if output.hunks:
        for hunk in output.hunks:
            lines += hunk.lines
    else:
        lines = _signed_lines(output.a, "-") + _signed_lines(output.b, "+")
    body = "".join(_text_line(line) for line in lines[:LINES_MOST])
    left_out = output.left_out + max(0, len(lines) - LINES_MOST)
    note = f'<span class="dim">… {left_out} more lines</span>' if left_out else ""
    return f"<pre>{body}{note}</pre>"


def _signed_lines(item: OutputItem | None, sign: str) -> list[str]:
    if item is None:
        return []
    text = item.plain if item.kind == "error" and item.plain else item.text
    return [sign + line for line in text.rstrip("\n").split("\n")]


def _text_line(line: str) -> str:
    kind = {"+": "new", "-": "old"}.get(line[:1])
    body = escape(clean(line))
    return f'<span class="{kind}">{body}</span>' if kind else f"{body}\n"
