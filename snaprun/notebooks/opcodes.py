"""What changed between two sequences: difflib's opcodes, with the equal beginning and end set aside first.

difflib takes quadratic time where items repeat (ten thousand equal cells: minutes); most edits touch few places.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
Opcode = tuple[str, int, int, int, int]

MOST = 2_000
"""Sequences longer than this, their equal ends set aside, are told to differ as a whole."""


def changed(before: Sequence[Item], after: Sequence[Item]) -> list[Opcode]:
    """The opcodes other than ``equal`` that turn ``before`` into ``after``."""
    shorter = min(len(before), len(after))
    start = 0
    while start < shorter and before[start] == after[start]:
        start += 1
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    left, right = before[start : len(before) - end], after[start : len(after) - end]
    if len(left) > MOST or len(right) > MOST:
        tag = "replace" if left and right else "delete" if left else "insert"
        return [(tag, start, start + len(left), start, start + len(right))]
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    return [
        (tag, start + a, start + b, start + c, start + d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"
    ]
