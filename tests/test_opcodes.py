"""What changed between two sequences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snaprun.notebooks.opcodes import ALIGNMENT_LIMIT, find_changes

LISTS = st.lists(st.integers(0, 3), max_size=30)


@given(LISTS, LISTS)
def test_the_opcodes_turn_one_into_the_other(before: list[int], after: list[int]) -> None:
    made = list(before)
    for _, start, end, left, right in reversed(find_changes(before, after)):
        made[start:end] = after[left:right]
    assert made == after
    assert find_changes(before, before) == []


def test_thousands_of_equal_items() -> None:
    many = ["x"] * 20_000
    assert find_changes(many, [*many[:5_000], "y", *many[5_001:]]) == [("replace", 5_000, 5_001, 5_000, 5_001)]
    assert find_changes(many, many[:-3]) == [("delete", 19_997, 20_000, 19_997, 19_997)]
    assert find_changes(["a", *many, "b"], ["c", *many, "d"]) == [("replace", 0, 20_002, 0, 20_002)]
    assert ALIGNMENT_LIMIT < 20_000
