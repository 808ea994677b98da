"""Set one value in the text of a JSON document and leave every other byte of it alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented, and there since Python 3.0
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class _Member:
    """A name and its value in an object: where the name starts, where the value starts and ends."""

    name: str
    start: int
    value: int
    end: int


def put(text: str, path: Sequence[str], value: Any) -> str:
    """``text`` with ``value`` at ``path`` (names of nested objects); what is missing on the way is made.

    New names stand in alphabetical order where their neighbours do, in the indentation of the file.

    Raises:
        ValueError: ``text`` is no JSON, or something on the way is no object.
    """
    start = _skip(text, 0)
    depth = 0
    while True:
        if text[start : start + 1] != "{":
            raise ValueError(f"{path[depth - 1] if depth else 'the document'} is no object")
        members = _members(text, start)
        found = next((one for one in members if one.name == path[depth]), None)
        if found is None:
            rest: Any = value
            for name in reversed(path[depth + 1 :]):
                rest = {name: rest}
            return _insert(text, start, members, path[depth], rest)
        if depth == len(path) - 1:
            return text[: found.value] + json.dumps(value, ensure_ascii=False) + text[found.end :]
        start = found.value
        depth += 1


def _members(text: str, start: int) -> list[_Member]:
    """The members of the object that opens at ``start``."""
    found = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        begin = at
        name, at = scanstring(text, at + 1, True)
        at = _skip(text, _skip(text, at) + 1)  # behind the colon
        _, end = _DECODER.raw_decode(text, at)
        found.append(_Member(name, begin, at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _insert(text: str, start: int, members: list[_Member], name: str, value: Any) -> str:
    after = [one for one in members if one.name > name]
    where = after[0].start if after and members == sorted(members, key=lambda one: one.name) else None
    if not members:
        outer = _indent(text, start)
        step = _step(text)
        inner = None if outer is None or not step else outer + step
        close = "" if inner is None else f"\n{outer}"
        opening = "" if inner is None else f"\n{inner}"
        made = f"{{{opening}{_written(name, value, inner, step)}{close}}}"
        return text[:start] + made + text[_skip(text, start + 1) + 1 :]
    inner = _indent(text, members[0].start)
    gap = " " if inner is None else f"\n{inner}"
    made = _written(name, value, inner, _step(text))
    if where is not None:
        return f"{text[:where]}{made},{gap}{text[where:]}"
    end = members[-1].end
    return f"{text[:end]},{gap}{made}{text[end:]}"


def _written(name: str, value: Any, indent: str | None, step: str) -> str:
    said = json.dumps(value, ensure_ascii=False, indent=step if indent is not None and step else None)
    return f"{json.dumps(name, ensure_ascii=False)}: " + said.replace("\n", f"\n{indent}")


def _indent(text: str, at: int) -> str | None:
    """The white space before what stands at ``at`` on its line; None where the file is written on one line."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    blank = line[: len(line) - len(line.lstrip(" \t"))]
    return blank if "\n" in text.strip() else None


def _step(text: str) -> str:
    """One level of the file's indentation."""
    found = re.match(r"\s*\{\s*\n([ \t]*)\S", text)
    return found[1] if found else ""


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
