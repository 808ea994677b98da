"""Which cell became which: exact on notebooks with and without ids."""

from __future__ import annotations

import random
import time

import pytest

from snaprun.diffs.cellmatch import CellItem, CellMatch, match

WORDS = [
    "model",
    "fit",
    "x",
    "y",
    "plot",
    "axis",
    "loss",
    "data",
    "train",
    "load",
    "mean",
    "std",
    "print",
    "rng",
    "epoch",
]


def source(rng: random.Random, lines: int = 10) -> str:
    return "\n".join(
        f"{rng.choice(WORDS)}_{rng.randrange(200)} = {rng.choice(WORDS)}({rng.choice(WORDS)}, {rng.randrange(9)})"
        for _ in range(lines)
    )


def sources(count: int) -> list[str]:
    rng = random.Random(7)
    return [source(rng) for _ in range(count)]


def items(texts: list[str], ids: list[str] | None = None) -> list[CellItem]:
    return [CellItem("code", text, ids[number] if ids else None) for number, text in enumerate(texts)]


def changes(found: list[CellMatch]) -> list[tuple[int | None, int | None, str, bool]]:
    return [(one.a, one.b, one.basis, one.is_moved) for one in found if one.basis in ("", "similar") or one.is_moved]


@pytest.mark.parametrize("count", [60, 150, 1000])
@pytest.mark.parametrize("named", [False, True])
def test_an_insert_an_edit_and_a_move_are_named_exactly(count: int, named: bool) -> None:
    a = sources(count)
    ids = [f"id-{number}" for number in range(count)]
    b, ids_b = list(a), list(ids)
    b[4] = b[4].replace("=", "+=", 1)
    b.insert(2, source(random.Random(99)))
    ids_b.insert(2, "new")
    b.insert(15, b.pop(10))
    ids_b.insert(15, ids_b.pop(10))
    start = time.process_time()
    found = match(items(a, ids if named else None), items(b, ids_b if named else None))
    assert time.process_time() - start < 1
    edited = [(4, 5, "similar", False)]
    assert changes(found) == [
        (None, 2, "", False),
        *(edited if not named else []),
        (9, 15, "id" if named else "source", True),
    ]
    by_b = {one.b: one for one in found}
    assert by_b[5].a == 4
    assert 0.9 < by_b[5].similarity < 1
    assert by_b[15].similarity == 1


@pytest.mark.parametrize("count", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_when_every_cell_was_edited_each_finds_its_own(count: int) -> None:
    a = sources(count)
    b = [text.replace("_", "_z", 3) + "\nend = 1" for text in a]
    start = time.process_time()
    found = match(items(a), items(b))
    assert time.process_time() - start < 3
    assert [(one.a, one.b) for one in found] == [(number, number) for number in range(count)]


def test_ids_win_over_sources_and_need_to_be_unique() -> None:
    found = match(items(["x", "y"], ["a", "b"]), items(["y", "x"], ["a", "b"]))
    assert [(one.a, one.b, one.basis) for one in found] == [(0, 0, "id"), (1, 1, "id")]
    found = match(items(["x", "y"], ["a", "a"]), items(["y", "x"], ["a", "a"]))
    assert {(one.a, one.b, one.basis) for one in found} == {(0, 1, "source"), (1, 0, "source")}


def test_kinds_do_not_mix() -> None:
    found = match([CellItem("code", "# x")], [CellItem("markdown", "# x")])
    assert [(one.a, one.b) for one in found] == [(0, None), (None, 0)]


def test_a_duplicated_cell_is_one_added() -> None:
    found = match(items(["a", "b", "c"]), items(["a", "b", "b", "c"]))
    assert sum(one.a is None for one in found) == 1
    assert not any(one.is_moved for one in found)


def test_split_and_merged() -> None:
    whole, halves = ["a = 1\nb = 2\nc = 3\nd = 4", "e"], ["a = 1\nb = 2", "c = 3\nd = 4", "e"]
    split = match(items(whole), items(halves))
    assert [(one.a, one.b, one.part_of) for one in split] == [(0, 0, None), (None, 1, 0), (1, 2, None)]
    merged = match(items(halves), items(whole))
    assert [(one.a, one.b, one.part_of) for one in merged] == [(0, 0, None), (1, None, 0), (2, 1, None)]


def test_removed_cells_stand_where_they_were() -> None:
    found = match(items(["first", "alpha beta", "last"]), items(["first", "last", "gamma delta"]))
    assert [(one.a, one.b) for one in found] == [(0, 0), (1, None), (2, 1), (None, 2)]
    found = match(items(["gone gone", "kept"]), items(["kept"]))
    assert [(one.a, one.b) for one in found] == [(0, None), (1, 0)]


def test_nothing_and_much_of_the_same() -> None:
    assert match([], []) == []
    start = time.process_time()
    found = match(items(["x"] * 3000), items(["x"] * 2990 + ["other thing"] * 20))
    assert time.process_time() - start < 2
    assert sum(one.a is not None and one.b is not None for one in found) == 2990


def test_white_space_at_line_ends_is_no_edit() -> None:
    found = match(items(["x = 1  \ny = 2\n"]), items(["x = 1\ny = 2"]))
    assert (found[0].basis, found[0].similarity) == ("source", 1.0)


def test_every_cell_appears_once_whatever_happens() -> None:
    rng = random.Random(3)
    for _ in range(200):
        a = [rng.choice(["p", "q r", "q r s", "t u v w", ""]) for _ in range(rng.randrange(12))]
        b = [rng.choice(["p", "q r", "q r s", "t u v w", ""]) for _ in range(rng.randrange(12))]
        found = match(items(a), items(b))
        assert sorted(one.a for one in found if one.a is not None) == list(range(len(a)))
        assert [one.b for one in found if one.b is not None] == list(range(len(b)))
