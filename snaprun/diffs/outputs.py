"""Compare what one cell put out in two runs: texts, numbers, tables, pictures, errors; not when and in which chunks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from snaprun.diffs import htmltable, noise, pictures, textdiff
from snaprun.diffs.textdiff import Hunk
from snaprun.notebooks.cells import join_lines

TEXT_MOST = 2_000_000
"""Characters of a text that are compared word for word; of a longer one only the part that differs, up to here."""

HUNK_LINES = 40
EXAMPLES = 3

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
TEXTS = ("text/html", "text/markdown", "text/latex", "application/json", "text/plain")
"""The forms of a display, in the order in which one of them is taken to compare; other forms come in between."""

WIDGET_FORMS = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
"""Forms that hold nothing but the random name of a widget."""


@dataclass(frozen=True)
class OutputItem:
    """One output made comparable. ``kind``: stdout, stderr, error, picture, html, text or data."""

    kind: str
    mime: str
    text: str = ""
    data: bytes = b""
    plain: str = ""

    @property
    def sha(self) -> str:
        """sha256 of the content."""
        return hashlib.sha256(self.data or self.text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class OutputDiff:
    """How one output differs. ``state``: same, numbers (only these differ), changed, added or removed.

    ``noise``: the bytes differ, but only in addresses, moments and durations. ``largest`` is the largest relative
    difference of the numbers. ``left_out`` counts the lines that the hunks do not show.
    """

    state: str
    kind: str
    mime: str
    summary: str = ""
    a: OutputItem | None = None
    b: OutputItem | None = None
    noise: bool = False
    largest: float | None = None
    hunks: tuple[Hunk, ...] = field(default=())
    left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """The object in ``snaprun.diff/1``."""
        return {
            "state": self.state,
            "kind": self.kind,
            "mime": self.mime,
            "summary": self.summary,
            "a_sha": self.a.sha if self.a else None,
            "b_sha": self.b.sha if self.b else None,
            "noise": self.noise,
            "max_rel": self.largest if self.largest is None or self.largest < float("inf") else None,
            "hunks": [hunk.to_json() for hunk in self.hunks],
        }


def compare(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> list[OutputDiff]:
    """Every output of a cell in two runs: matched by kind and order, then compared by content."""
    items_a, items_b = items(a), items(b)
    matcher = SequenceMatcher(
        None, [_key(item_a) for item_a in items_a], [_key(item_b) for item_b in items_b], autojunk=False
    )
    diffs = []
    for tag, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if tag == "equal":
            diffs += [
                _compare_pair(old, new) for old, new in zip(items_a[a_from:a_to], items_b[b_from:b_to], strict=True)
            ]
            continue
        diffs += [_one_sided("removed", removal) for removal in items_a[a_from:a_to]]
        diffs += [_one_sided("added", addition) for addition in items_b[b_from:b_to]]
    return diffs


def items(outputs: Iterable[Mapping[str, Any]]) -> list[OutputItem]:
    """The outputs of a cell without the accidents of timing: each stream is one text, in its end state, and first."""
    display_items: list[OutputItem | None] = []
    streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            streams["stderr" if output.get("name") == "stderr" else "stdout"].append(join_lines(output.get("text")))
        elif kind == "error":
            display_items.append(_error(output))
        elif isinstance(output.get("data"), dict):
            display_items.append(_display(output["data"]))
    texts = {name: noise.collapse("".join(chunks)) for name, chunks in streams.items()}
    first = [OutputItem(name, "text/plain", text) for name, text in texts.items() if text.strip("\n")]
    return first + [item for item in display_items if item is not None]


def _error(output: Mapping[str, Any]) -> OutputItem:
    lines = output.get("traceback")
    trace = noise.collapse("\n".join(lines if isinstance(lines, list) else []))
    return OutputItem("error", "error", f"{output.get('ename', '')}: {output.get('evalue', '')}", plain=trace)


def _display(bundle: Mapping[str, Any]) -> OutputItem | None:
    """The form of a display that says most."""
    forms = [mime for mime in bundle if mime not in WIDGET_FORMS]
    if not forms or (len(forms) == 1 and forms != list(bundle) and forms == ["text/plain"]):
        return None
    rich = [mime for mime in forms if mime not in PICTURES and mime not in TEXTS]
    mime = next(mime for mime in (*PICTURES, *rich, *TEXTS) if mime in forms)
    plain = noise.collapse(join_lines(bundle.get("text/plain")))
    content = bundle[mime]
    if mime.startswith("image/") and mime != "image/svg+xml":
        return OutputItem("picture", mime, data=_decode(join_lines(content)), plain=plain)
    if mime == "text/html":
        return OutputItem("html", mime, join_lines(content), plain=plain)
    if mime in ("text/plain", "text/markdown", "text/latex", "image/svg+xml"):
        return OutputItem("text", mime, noise.collapse(join_lines(content)), plain=plain)
    text = join_lines(content) if isinstance(content, (str, list)) else json.dumps(content, sort_keys=True, indent=1)
    return OutputItem("data", mime, text, plain=plain)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "surrogatepass")


def _key(item: OutputItem) -> tuple[str, str]:
    return item.kind, item.mime


def _one_sided(state: str, item: OutputItem) -> OutputDiff:
    a, b = (item, None) if state == "removed" else (None, item)
    return OutputDiff(state, item.kind, item.mime, f"{_name(item)} {_extent(item)}", a, b)


def _compare_pair(a: OutputItem, b: OutputItem) -> OutputDiff:
    if (a.text, a.data) == (b.text, b.data):
        return OutputDiff("same", a.kind, a.mime, a=a, b=b)
    if a.kind == "picture":
        return _compare_pictures(a, b)
    if a.kind == "html":
        return _compare_html(a, b)
    return _compare_texts(a, b, a.text, b.text)


def _compare_pictures(a: OutputItem, b: OutputItem) -> OutputDiff:
    difference = pictures.difference(a.data, b.data)
    if difference is None:
        sizes = [pictures.size(item.data) for item in (a, b)]
        size_text = (
            " -> ".join(f"{size[0]}x{size[1]}" for size in sizes if size) or f"{len(a.data)} -> {len(b.data)} bytes"
        )
        return OutputDiff("changed", a.kind, a.mime, f"picture {size_text}, not the same bytes", a, b)
    if difference.share == 0:
        return OutputDiff("same", a.kind, a.mime, "picture: the same pixels", a, b, noise=True)
    size_a, size_b = (f"{width}x{height}" for width, height in (difference.size_a, difference.size_b))
    if size_a != size_b:
        return OutputDiff("changed", a.kind, a.mime, f"picture {size_a} -> {size_b}", a, b)
    share = f"{difference.share:.1%}" if difference.share >= 0.001 else "under 0.1%"
    text = f"picture {size_a}: {share} of the pixels differ, by at most {difference.largest} of 255"
    return OutputDiff("changed", a.kind, a.mime, text, a, b)


def _compare_html(a: OutputItem, b: OutputItem) -> OutputDiff:
    table_a, table_b = htmltable.read(a.text), htmltable.read(b.text)
    if table_a and table_b:
        if table_a == table_b:
            return OutputDiff("same", "table", a.mime, "table: the same cells", a, b, noise=True)
        return _compare_tables(a, b, table_a, table_b)
    if a.plain and b.plain and a.plain != b.plain:
        return _compare_texts(a, b, a.plain, b.plain)
    return _compare_texts(a, b, a.text, b.text)


def _compare_tables(a: OutputItem, b: OutputItem, table_a: htmltable.Table, table_b: htmltable.Table) -> OutputDiff:
    if [len(row) for row in table_a] != [len(row) for row in table_b]:
        shape = " -> ".join(f"{len(rows)} x {max(map(len, rows))}" for rows in (table_a, table_b))
        diff = _compare_texts(a, b, _table_text(table_a), _table_text(table_b))
        return OutputDiff("changed", "table", a.mime, f"table {shape}", a, b, hunks=diff.hunks, left_out=diff.left_out)
    pairs = [
        (row, column, old, new)
        for row, (olds, news) in enumerate(zip(table_a, table_b, strict=True))
        for column, (old, new) in enumerate(zip(olds, news, strict=True))
        if noise.mask(old) != noise.mask(new)
    ]
    if not pairs:
        return OutputDiff("same", "table", a.mime, "table: only times differ", a, b, noise=True)
    largest = _largest(" ".join(old for _, _, old, _ in pairs), " ".join(new for _, _, _, new in pairs))
    head = table_a[0]
    examples = [
        f"{table_a[row][0]}/{head[column] if column < len(head) else column}: {old} -> {new}"
        for row, column, old, new in pairs[:EXAMPLES]
    ]
    count = sum(map(len, table_a))
    text = f"table: {len(pairs)} of {count} cells differ{_format_difference(largest)}: {'; '.join(examples)}"
    state = "changed" if largest is None else "numbers"
    return OutputDiff(state, "table", a.mime, text + (" …" if len(pairs) > EXAMPLES else ""), a, b, largest=largest)


def _table_text(rows: htmltable.Table) -> str:
    return "\n".join("  ".join(row) for row in rows)


def _compare_texts(a: OutputItem, b: OutputItem, text_a: str, text_b: str) -> OutputDiff:
    lines_a, lines_b, is_cut = _find_difference(text_a, text_b)
    masked_a, masked_b = (noise.mask("\n".join(lines)).split("\n") for lines in (lines_a, lines_b))
    name = _name(a)
    if masked_a == masked_b and not is_cut:
        return OutputDiff("same", a.kind, a.mime, f"{name}: only times or addresses differ", a, b, noise=True)
    hunks = textdiff.hunks(masked_a, masked_b, context=0)
    largest = None if is_cut else _largest("\n".join(masked_a), "\n".join(masked_b))
    additions, deletions = textdiff.count_changes(hunks)
    first_hunks, left_out = textdiff.cut(hunks, HUNK_LINES)
    if largest is not None:
        text = f"{name}: numbers differ in {max(additions, deletions)} lines{_format_difference(largest)}"
        return OutputDiff(
            "numbers", a.kind, a.mime, _singular(text), a, b, False, largest, tuple(first_hunks), left_out
        )
    if a.kind == "error":
        text = f"{name}: {text_a} -> {text_b}"
    elif additions == deletions:
        text = f"{name}: {additions} lines differ"
    elif additions and deletions:
        text = f"{name}: {deletions} lines -> {additions} lines"
    else:
        text = f"{name}: {additions} lines more" if additions else f"{name}: {deletions} lines fewer"
    if is_cut:
        text += ", and more"
    return OutputDiff("changed", a.kind, a.mime, _singular(text), a, b, False, None, tuple(first_hunks), left_out)


def _find_difference(a: str, b: str) -> tuple[list[str], list[str], bool]:
    """The lines of two texts; of huge ones only those from the first difference on, and whether that cut something."""
    if len(a) + len(b) <= TEXT_MOST:
        return a.split("\n"), b.split("\n"), False
    lines_a, lines_b = a.split("\n"), b.split("\n")
    start = 0
    for line_a, line_b in zip(lines_a, lines_b, strict=False):
        if line_a != line_b:
            break
        start += 1
    end = 0
    while end < min(len(lines_a), len(lines_b)) - start and lines_a[-1 - end] == lines_b[-1 - end]:
        end += 1
    parts = [lines[start : len(lines) - end] for lines in (lines_a, lines_b)]
    limit = textdiff.LINES_MOST
    short = [[line[: TEXT_MOST // limit] for line in part[:limit]] for part in parts]
    return short[0], short[1], short != parts


def _largest(a: str, b: str) -> float | None:
    """The largest relative difference where two texts differ in nothing but numbers, else None."""
    (frame_a, numbers_a), (frame_b, numbers_b) = noise.numbers(a), noise.numbers(b)
    if " ".join(frame_a.split()) != " ".join(frame_b.split()) or len(numbers_a) != len(numbers_b):
        return None
    return noise.largest_relative(numbers_a, numbers_b)


def _format_difference(largest: float | None) -> str:
    return "" if largest is None else f", by {largest:.2g} relative at most"


def _singular(text: str) -> str:
    return text.replace(" 1 lines differ", " 1 line differs").replace(" 1 lines", " 1 line")


def _name(item: OutputItem) -> str:
    return {"text": "text", "html": "HTML", "data": item.mime}.get(item.kind, item.kind)


def _extent(item: OutputItem) -> str:
    if item.kind == "picture":
        size = pictures.size(item.data)
        return f"{size[0]}x{size[1]}" if size else f"{len(item.data)} bytes"
    if item.kind == "error":
        return item.text
    lines = item.text.rstrip("\n").count("\n") + 1
    return f"{lines} lines" if lines > 1 else "1 line"
