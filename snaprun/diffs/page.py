"""Show a comparison as one HTML page that needs no network: code side by side, pictures overlaid, nothing trusted.

What the notebooks put out as HTML stands in sandboxed frames without scripts; the page's policy allows one script, by
its hash, and nothing from outside.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from html import escape
from importlib import resources

from snaprun.diffs import terminal, textdiff, words
from snaprun.diffs.linediff import clean
from snaprun.diffs.outputs import Item, OutputDiff
from snaprun.diffs.rundiff import CellDiff, Comparison
from snaprun.diffs.terminal import Wanted

CONTEXT = 3
LINES_MOST = 400
"""Lines of a text output that the page shows."""

HTML_MOST = 2_000_000
PICTURE_MOST = 20_000_000
"""Characters and bytes beyond which an output is only named."""


def page(found: Comparison) -> str:
    """The whole page."""
    style, script = (_asset(name) for name in ("diff.css", "diff.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; base-uri 'none'; "
        f"form-action 'none'; script-src 'sha256-{digest}'"
    )
    title = f"{words.side(found.a)} → {words.side(found.b)}"
    body = "\n".join(_body(found))
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n"
        '<nav class="keys">n next change · p the one before · e open or close what is the same</nav>'
        f"<script>{script}</script></body></html>\n"
    )


def _body(found: Comparison) -> Iterator[str]:
    yield from (f'<p class="first">{escape(line)}</p>' for line in words.first(found))
    yield from (f'<p class="dim">note: {escape(clean(note))}</p>' for note in found.notes)
    if not found.differs:
        yield f"<p>{escape(words.nothing(found))}</p>"
    yield from _params(found)
    yield from _metrics(found)
    if found.cells is not None:
        yield "<h2>Cells</h2>"
        for cell in found.cells:
            yield _cell(cell)
    for section in ("timings", "files", "environment", "artifacts"):
        rows = terminal.rows(section, found, Wanted(only=terminal.SECTIONS))
        if rows:
            items = "".join(f"<li>{escape(row)}</li>" for row in rows)
            yield f"<h2>{section.capitalize()}</h2><ul>{items}</ul>"


def _params(found: Comparison) -> Iterator[str]:
    listed = found.params or ()
    changed = [(value.name, *words.both(value), "") for value in listed if value.state != "same"]
    same = [(value.name, words.shown(value.a), "", "") for value in listed if value.state == "same"]
    if changed:
        yield "<h2>Parameters</h2>" + _table(changed)
    if same:
        yield f'<details class="dim"><summary>{len(same)} parameters the same</summary>{_table(same)}</details>'


def _metrics(found: Comparison) -> Iterator[str]:
    rows = []
    for one in found.metrics or ():
        kind = {True: "better", False: "worse", None: ""}[one.better]
        rows.append((one.name, *words.metric_sides(one), f'<span class="{kind}">{escape(words.change(one))}</span>'))
    if rows:
        yield "<h2>Metrics</h2>" + _table(rows)


def _table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    made = "".join(
        f"<tr><th>{escape(clean(name))}</th><td>{escape(a)}</td><td>{escape(b)}</td><td>{more}</td></tr>"
        for name, a, b, more in rows
    )
    return f'<table class="facts">{made}</table>'


def _cell(cell: CellDiff) -> str:
    title = escape(words.cell_row(cell))
    source = f"<pre>{escape(cell.b_source or '')}</pre>"
    outputs = "".join(_output(one) for one in cell.outputs or () if one.state != "same")
    if cell.state == "same" and not outputs:
        return f'<details class="cell"><summary>{title}</summary>{source}</details>'
    if cell.state == "same":
        code = f'<details><summary class="dim">source, the same</summary>{source}</details>'
    else:
        code = _code(_lines(cell.a_source), _lines(cell.b_source))
    return f'<section class="cell change"><h3>{title}</h3>{code}{outputs}</section>'


def _lines(source: str | None) -> list[str]:
    return [] if source is None else source.rstrip("\n").split("\n")


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
        left = old[number] if number < len(old) else None
        right = new[number] if number < len(new) else None
        parts = textdiff.inline(left, right) if left is not None and right is not None else []
        rows.append(f"<tr>{_side_cell('old', left, parts)}{_side_cell('new', right, parts)}</tr>")
    return rows


def _side_cell(kind: str, line: str | None, parts: Sequence[textdiff.Part]) -> str:
    if line is None:
        return "<td></td>"
    sign, tag = ("-", "del") if kind == "old" else ("+", "ins")
    said = "".join(
        escape(text) if mark == "=" else f"<{tag}>{escape(text)}</{tag}>" for mark, text in parts if mark in ("=", sign)
    )
    return f'<td class="{kind}">{said if parts else escape(line)}</td>'


def _output(one: OutputDiff) -> str:
    body = _pictures(one) if one.kind == "picture" or one.mime == "image/svg+xml" else ""
    if one.mime == "text/html":
        body = _frames(one)
    elif not body:
        body = _text(one)
    return f'<div class="output"><p>{escape(clean(one.summary))}</p>{body}</div>'


def _pictures(one: OutputDiff) -> str:
    figures = []
    for name, item in (("A", one.a), ("B", one.b)):
        if item is None:
            continue
        data = item.data or item.text.encode("utf-8", "surrogatepass")
        if len(data) > PICTURE_MOST:
            figures.append(f"<figure><figcaption>{name}: {len(data)} bytes, not shown</figcaption></figure>")
            continue
        source = f"data:{item.mime};base64,{base64.b64encode(data).decode()}"
        figures.append(f'<figure><figcaption>{name}</figcaption><img alt="{name}" src="{escape(source)}"></figure>')
    kind = "picture" if one.a and one.b else ""
    return f'<div class="{kind}"><div class="sides">{"".join(figures)}</div></div>'


def _frames(one: OutputDiff) -> str:
    """HTML of a notebook: in frames that run no script and reach nothing."""
    figures = []
    for name, item in (("A", one.a), ("B", one.b)):
        if item is None:
            figures.append("<figure></figure>")
        elif len(item.text) > HTML_MOST:
            figures.append(f"<figure><figcaption>{name}: {len(item.text)} characters, not shown</figcaption></figure>")
        else:
            frame = f'<iframe sandbox="" title="{name}" srcdoc="{escape(item.text)}"></iframe>'
            figures.append(f"<figure><figcaption>{name}</figcaption>{frame}</figure>")
    return f'<div class="sides">{"".join(figures)}</div>'


def _text(one: OutputDiff) -> str:
    lines: list[str] = []
    if one.hunks:
        for hunk in one.hunks:
            lines += hunk.lines
    else:
        lines = _lone(one.a, "-") + _lone(one.b, "+")
    shown = "".join(_text_line(line) for line in lines[:LINES_MOST])
    left_out = one.left_out + max(0, len(lines) - LINES_MOST)
    more = f'<span class="dim">… {left_out} more lines</span>' if left_out else ""
    return f"<pre>{shown}{more}</pre>"


def _lone(item: Item | None, sign: str) -> list[str]:
    if item is None:
        return []
    text = item.plain if item.kind == "error" and item.plain else item.text
    return [sign + line for line in text.rstrip("\n").split("\n")]


def _text_line(line: str) -> str:
    kind = {"+": "new", "-": "old"}.get(line[:1])
    said = escape(clean(line))
    return f'<span class="{kind}">{said}</span>' if kind else f"{said}\n"


def _asset(name: str) -> str:
    return (resources.files("snaprun") / "assets" / name).read_text(encoding="utf-8")
