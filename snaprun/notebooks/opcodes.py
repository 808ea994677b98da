"""Find what changed between two sequences, by difflib, with the equal beginning and end set aside first.

difflib takes quadratic time where items repeat (ten thousand equal cells: minutes); most edits touch few places.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
Opcode = tuple[str, int, int, int, int]

ALIGNMENT_LIMIT = 2_000
"""Sequences longer than this, their equal ends set aside, are told to differ as a whole."""


def find_changes(before: Sequence[Item], after: Sequence[Item]) -> list[Opcode]:
    """The opcodes other than ``equal`` that turn ``before`` into ``after``."""
    length = min(len(before), len(after))
    start = 0
    while start < length and before[start] == after[start]:
        start += 1
    end = 0
    while end < length - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old_middle, new_middle = before[start : len(before) - end], after[start : len(after) - end]
    if len(old_middle) > ALIGNMENT_LIMIT or len(new_middle) > ALIGNMENT_LIMIT:
        tag = "replace" if old_middle and new_middle else "delete" if old_middle else "insert"
        return [(tag, start, start + len(old_middle), start, start + len(new_middle))]
    matcher = SequenceMatcher(None, old_middle, new_middle, autojunk=False)
    return [
        (tag, start + a, start + b, start + c, start + d) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"
    ]
