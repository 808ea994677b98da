"""Find the texts that a reader of a notebook sees: in outputs, decoded, and in metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from snaprun.notebooks import cells

MAX_SEARCH = 10_000_000
"""Characters of one text that are searched: of a longer one the beginning, for secrets the end too."""

_TEXT_MIMES = ("text/", "application/json", "application/javascript", "application/vnd.jupyter.stderr", "image/svg")


def output_texts(cell: Mapping[str, Any]) -> Iterator[str]:
    """What the outputs of a cell show as text."""
    for output in cell.get("outputs") or ():
        yield cells.join_lines(output.get("text"))
        yield cells.join_lines(output.get("traceback"))
        yield cells.join_lines(output.get("evalue"))
        for mime, value in output_data(output).items():
            if mime.startswith(_TEXT_MIMES) or mime.endswith("+json"):
                yield from find_strings(value)


def find_strings(value: Any, *, depth: int = 0) -> Iterator[str]:
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
                yield from find_strings(item, depth=depth + 1)


def output_data(output: Mapping[str, Any]) -> dict[str, Any]:
    """The forms of an output by their MIME types; none where it is no display."""
    data = output.get("data")
    return {str(mime): value for mime, value in data.items()} if isinstance(data, dict) else {}
