"""What does not belong into a commit, whoever ran the notebook: secrets, huge outputs, merge markers, damage."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.errors import InputMissing
from snaprun.hooks.secrets import Secret, find
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.quantities import round_size

MARKER = re.compile(rb"^(<{7} |>{7} |={7}\r?$)", re.MULTILINE)
"""How git marks the two sides of a conflict."""

_LONG_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_HOME = re.compile(r"(?:/home/|/Users/|[A-Za-z]:\\\\?Users\\\\?)(?!runner|jovyan|vscode|shared)[\w.-]+", re.IGNORECASE)
"""A folder in somebody's home; not those of well-known containers."""

_MAX_BASE64 = 20_000
MAX_SEARCH = 10_000_000
"""Characters of one text that are searched for secrets: of a longer one the beginning and the end."""

_TEXT_MIMES = ("text/", "application/json", "application/javascript", "application/vnd.jupyter.stderr", "image/svg")


@dataclass(frozen=True)
class Complaint:
    """One thing found: ``location`` names the cell (``cell 3``, ``markdown cell 1``), ``mend`` says what to do."""

    check: str
    location: str
    text: str
    mend: str = ""


def markers(path: str, content: bytes) -> Complaint | None:
    """Merge markers in a text notebook; for an ``.ipynb`` its JSON tells."""
    kinds = {match[1][:7] for match in MARKER.finditer(content)}
    if len(kinds) < 3:
        return None
    return Complaint("damaged", "", "has unresolved merge markers", f"git mergetool -- {path}")


def damage(path: str, error: InputMissing) -> Complaint:
    """What is said of a file that is no readable notebook."""
    return Complaint("damaged", "", error.message.removeprefix(path).removeprefix(":").strip(), error.hint)


def text_as_node(text: str) -> Node:
    """A text as the one cell of a notebook, to be searched as such."""
    return {"cells": [{"cell_type": "text", "metadata": {}, "source": text}], "metadata": {}}


def sizes(node: Node, *, max_output: int, max_image: int) -> Iterator[Complaint]:
    """Outputs that make the notebook, or one image, larger than is allowed (bytes as stored)."""
    total = 0
    heaviest: tuple[int, str] = (0, "")
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        weight = 0
        for output in cell.get("outputs") or ():
            weight += _weight(output)
            for mime, value in _data(output).items():
                size = _weight(value)
                if mime.startswith("image/") and size > max_image:
                    yield Complaint(
                        "size",
                        label,
                        f"stores an image of {round_size(size)} (limit {round_size(max_image)})",
                    )
        total += weight
        heaviest = max(heaviest, (weight, label))
    if total > max_output:
        yield Complaint(
            "size",
            heaviest[1],
            f"outputs weigh {round_size(total)} (limit {round_size(max_output)}), "
            f"{round_size(heaviest[0])} of it in this cell",
        )


def leftovers(node: Node) -> Iterator[Complaint]:
    """What a reader elsewhere has no use for: tracebacks, paths of one's own home, the state of widgets."""
    if isinstance(node["metadata"].get("widgets"), dict):
        yield Complaint("leftovers", "metadata", "stores the state of widgets")
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        if any(output.get("output_type") == "error" for output in cell.get("outputs") or ()):
            yield Complaint("leftovers", label, "stores a traceback")
        for text in (cells.read_source(cell), *_texts(cell)):
            home = _HOME.search(text[:MAX_SEARCH])
            if home is not None:
                yield Complaint("leftovers", label, f"names a folder of one computer: {home[0]}")
                break


def leaks(node: Node, values: Mapping[str, str] | None = None) -> Iterator[Complaint]:
    """Secrets in sources, in what outputs show as text (decoded, as a reader sees it), and in attachments' names.

    Images and other binary data are not searched: what looks like a key there is chance. ``values`` are secrets known
    by name.
    """
    for label, cell in zip(cells.name_cells(node), node["cells"], strict=True):
        for secret in _secrets_in(cells.read_source(cell), values):
            yield Complaint("secrets", label, f"holds {secret.kind} ({secret.excerpt})", secret.mend)
        for text in _texts(cell):
            if len(text) > MAX_SEARCH:
                yield Complaint(
                    "size", label, f"prints {round_size(len(text))}: its middle is not searched for secrets"
                )
            for secret in _secrets_in(text, values):
                yield Complaint("secrets", label, f"its output shows {secret.kind} ({secret.excerpt})", secret.mend)
    for text in _strings(node.get("metadata"), depth=0):
        for secret in _secrets_in(text, values):
            yield Complaint("secrets", "metadata", f"holds {secret.kind} ({secret.excerpt})", secret.mend)


def _secrets_in(text: str, values: Mapping[str, str] | None) -> Iterator[Secret]:
    """Secrets in a text, and in what it holds as base64 of text."""
    excerpts = set()
    if len(text) > MAX_SEARCH:
        text = text[: MAX_SEARCH // 2] + "\n" + text[-MAX_SEARCH // 2 :]
    for secret in find(text, values):
        excerpts.add(secret.excerpt)
        yield secret
    for match in _LONG_BASE64.finditer(text):
        if len(match[0]) > _MAX_BASE64:
            continue
        for secret in find(_decode_base64(match[0]), values):
            if secret.excerpt not in excerpts:
                excerpts.add(secret.excerpt)
                yield secret


def _decode_base64(word: str) -> str:
    """The text that a word of base64 stands for, or nothing where it is no printable text."""
    try:
        raw = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
        text = raw.decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return text if text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable() else ""


def _texts(cell: Mapping[str, Any]) -> Iterator[str]:
    """What the outputs of a cell show as text."""
    for output in cell.get("outputs") or ():
        yield cells.join_lines(output.get("text"))
        yield cells.join_lines(output.get("traceback"))
        yield cells.join_lines(output.get("evalue"))
        for mime, value in _data(output).items():
            if mime.startswith(_TEXT_MIMES) or mime.endswith("+json"):
                yield from _strings(value, depth=0)


def _strings(value: Any, *, depth: int) -> Iterator[str]:
    """Every text in a JSON value; a list of texts is one text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        yield "".join(value)
    elif depth < 20 and isinstance(value, (list, dict)):
        if isinstance(value, dict):
            for key, item in value.items():
                yield f"{key} = {item!r}" if isinstance(item, (str, int)) else str(key)
        for item in value.values() if isinstance(value, dict) else value:
            if not isinstance(item, str):
                yield from _strings(item, depth=depth + 1)


def _data(output: Mapping[str, Any]) -> dict[str, Any]:
    data = output.get("data")
    return {str(mime): value for mime, value in data.items()} if isinstance(data, dict) else {}


def _weight(value: Any) -> int:
    """About how many bytes a JSON value takes in the file."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_weight(key) + _weight(item) + 6 for key, item in value.items())
    if isinstance(value, list):
        return sum(_weight(item) + 3 for item in value)
    return 5
