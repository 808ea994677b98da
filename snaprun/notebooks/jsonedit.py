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
    start = _skip_space(text, 0)
    depth = 0
    while True:
        if text[start : start + 1] != "{":
            raise ValueError(f"{path[depth - 1] if depth else 'the document'} is no object")
        members = _read_members(text, start)
        member = next((candidate for candidate in members if candidate.name == path[depth]), None)
        if member is None:
            subtree: Any = value
            for name in reversed(path[depth + 1 :]):
                subtree = {name: subtree}
            return _insert(text, start, members, path[depth], subtree)
        if depth == len(path) - 1:
            return text[: member.value] + json.dumps(value, ensure_ascii=False) + text[member.end :]
        start = member.value
        depth += 1


def _read_members(text: str, start: int) -> list[_Member]:
    """The members of the object that opens at ``start``."""
    members = []
    position = _skip_space(text, start + 1)
    while text[position] != "}":
        begin = position
        name, position = scanstring(text, position + 1, True)
        position = _skip_space(text, _skip_space(text, position) + 1)  # behind the colon
        _, end = _DECODER.raw_decode(text, position)
        members.append(_Member(name, begin, position, end))
        position = _skip_space(text, end)
        if text[position] == ",":
            position = _skip_space(text, position + 1)
    return members


def _insert(text: str, start: int, members: list[_Member], name: str, value: Any) -> str:
    successors = [member for member in members if member.name > name]
    position = (
        successors[0].start if successors and members == sorted(members, key=lambda candidate: candidate.name) else None
    )
    if not members:
        outer = _find_indent(text, start)
        step = _find_step(text)
        inner = None if outer is None or not step else outer + step
        tail = "" if inner is None else f"\n{outer}"
        head = "" if inner is None else f"\n{inner}"
        insertion = f"{{{head}{_format_member(name, value, inner, step)}{tail}}}"
        return text[:start] + insertion + text[_skip_space(text, start + 1) + 1 :]
    inner = _find_indent(text, members[0].start)
    gap = " " if inner is None else f"\n{inner}"
    insertion = _format_member(name, value, inner, _find_step(text))
    if position is not None:
        return f"{text[:position]}{insertion},{gap}{text[position:]}"
    end = members[-1].end
    return f"{text[:end]},{gap}{insertion}{text[end:]}"


def _format_member(name: str, value: Any, indent: str | None, step: str) -> str:
    content = json.dumps(value, ensure_ascii=False, indent=step if indent is not None and step else None)
    return f"{json.dumps(name, ensure_ascii=False)}: " + content.replace("\n", f"\n{indent}")


def _find_indent(text: str, position: int) -> str | None:
    """The white space before what stands at ``position`` on its line; None where the file is written on one line."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    blank = line[: len(line) - len(line.lstrip(" \t"))]
    return blank if "\n" in text.strip() else None


def _find_step(text: str) -> str:
    """One level of the file's indentation."""
    match = re.match(r"\s*\{\s*\n([ \t]*)\S", text)
    return match[1] if match else ""


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
