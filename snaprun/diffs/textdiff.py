"""Find the differences of texts: hunks of lines as ``diff -u`` has them, and the words changed within a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

LINES_MOST = 4000
"""Beyond so many differing lines the middle is not aligned: the time would grow with the square."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Hunk:
    """Lines with their first character `` ``, ``-`` or ``+``; ``a_start`` and ``b_start`` count from 1."""

    a_start: int
    b_start: int
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object in ``snaprun.diff/1``."""
        return {"a_start": self.a_start, "b_start": self.b_start, "lines": list(self.lines)}


def hunks(a: Sequence[str], b: Sequence[str], *, context: int = 3) -> list[Hunk]:
    """The differences of two lists of lines, with ``context`` lines around each."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    if not middle_a and not middle_b:
        return []
    lead = max(0, start - context)
    tail = min(end, context)
    part_a, part_b = a[lead : len(a) - end + tail], b[lead : len(b) - end + tail]
    if len(middle_a) + len(middle_b) > LINES_MOST:
        lines = [" " + line for line in a[lead:start]]
        lines += ["-" + line for line in middle_a] + ["+" + line for line in middle_b]
        lines += [" " + line for line in a[len(a) - end : len(a) - end + tail]]
        return [Hunk(lead + 1, lead + 1, tuple(lines))]
    diff = []
    for group in SequenceMatcher(None, part_a, part_b, autojunk=False).get_grouped_opcodes(context):
        lines = []
        for tag, a_from, a_to, b_from, b_to in group:
            if tag == "equal":
                lines += [" " + line for line in part_a[a_from:a_to]]
                continue
            lines += ["-" + line for line in part_a[a_from:a_to]]
            lines += ["+" + line for line in part_b[b_from:b_to]]
        diff.append(Hunk(lead + group[0][1] + 1, lead + group[0][3] + 1, tuple(lines)))
    return diff


def cut(hunks: Sequence[Hunk], limit: int) -> tuple[list[Hunk], int]:
    """At most ``limit`` lines of hunks, and how many lines were left out."""
    head: list[Hunk] = []
    budget = limit
    total = sum(len(hunk.lines) for hunk in hunks)
    for hunk in hunks:
        if budget <= 0:
            break
        head.append(replace(hunk, lines=hunk.lines[:budget]))
        budget -= len(head[-1].lines)
    return head, total - sum(len(hunk.lines) for hunk in head)


def count_changes(hunks: Sequence[Hunk]) -> tuple[int, int]:
    """How many lines hunks add and remove."""
    lines = [line for hunk in hunks for line in hunk.lines]
    return sum(line[0] == "+" for line in lines), sum(line[0] == "-" for line in lines)


ALIKE_LEAST = 0.3
"""Two lines with less in common than this are shown whole."""

Part = tuple[str, str]
"""A piece of two lines: ``=`` in both, ``-`` only in the old, ``+`` only in the new one; and its text."""


def diff_words(old: str, new: str) -> list[Part]:
    """Two lines as one sequence of pieces, word by word; nothing at all where hardly anything is common."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if not a or not b or matcher.ratio() < ALIKE_LEAST:
        return []
    parts: list[Part] = []
    for tag, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if tag == "equal":
            parts.append(("=", "".join(a[a_from:a_to])))
            continue
        parts += [
            (sign, text) for sign, text in (("-", "".join(a[a_from:a_to])), ("+", "".join(b[b_from:b_to]))) if text
        ]
    return parts


def pair_lines(lines: Sequence[str]) -> list[tuple[int, int]]:
    """The places of a removed and an added line that belong together: blocks of as many ``-`` as ``+`` lines."""
    pairs = []
    cursor = 0
    while cursor < len(lines):
        old = cursor
        while cursor < len(lines) and lines[cursor][0] == "-":
            cursor += 1
        new = cursor
        while cursor < len(lines) and lines[cursor][0] == "+":
            cursor += 1
        if new - old == cursor - new:
            pairs += list(zip(range(old, new), range(new, cursor), strict=True))
        if cursor == old:
            cursor += 1
    return pairs
