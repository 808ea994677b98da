"""Find out which cell of one notebook became which cell of another: kept, edited, moved, added, removed, split, merged.

Standard library only. The steps, each on what the ones before left over: the same id; equal source in order; equal
source elsewhere; similar tokens. A cell is moved if it is not on the longest run of pairs that keep their order.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from snaprun.notebooks.cells import plain

SIMILAR = 0.5
"""Dice coefficient of the token multisets from which two cells are the same cell edited. One scale for all cells:
mixing line and character ratios paired 80 of 80 edited cells wrongly."""

ALL_PAIRS = 40_000
"""Up to so many pairs of left-over cells each is looked at; beyond, only those near by or sharing a rare token."""

NEAR = 12
NEIGHBOUR = 3
RARE = 6
"""A token that at most so many left-over cells of the other side have."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Item:
    """What is known of a cell for the purpose of matching."""

    kind: str
    source: str
    id: str | None = None


@dataclass(frozen=True)
class Match:
    """A cell of A (its place in the list), a cell of B, or both. ``how``: ``id``, ``source``, ``similar`` or nothing.

    ``part_of``: for a cell on one side only, the place in A of the cell that it was split from, or the place in B of
    the cell that it was merged into.
    """

    a: int | None
    b: int | None
    how: str = ""
    similarity: float = 0.0
    moved: bool = False
    part_of: int | None = None


def match(a: Sequence[Item], b: Sequence[Item]) -> list[Match]:
    """Match two lists of cells. The result is in the order of B, with what only A has at the place where it was."""
    texts_a, texts_b = [_key(item) for item in a], [_key(item) for item in b]
    found: dict[int, tuple[int, str]] = {}
    _by_id(a, b, found)
    _in_order(texts_a, texts_b, found)
    _elsewhere(texts_a, texts_b, found)
    scores = _by_similarity(a, b, found)
    moved = set(_moved(a, found))
    pairs = {
        i: Match(
            i, j, how, 1.0 if texts_a[i] == texts_b[j] else scores.get(i) or _dice(a[i].source, b[j].source), i in moved
        )
        for i, (j, how) in found.items()
    }
    return list(_merged_order(a, b, pairs))


def tokens(source: str) -> list[str]:
    """The words and signs of a source."""
    return _TOKEN.findall(source)


def _key(item: Item) -> str:
    return f"{item.kind}\0{plain(item.source)}"


def _by_id(a: Sequence[Item], b: Sequence[Item], found: dict[int, tuple[int, str]]) -> None:
    """The same id and kind, where the id is unique on both sides."""
    there = _unique_ids(b)
    for name, i in _unique_ids(a).items():
        j = there.get(name)
        if j is not None and a[i].kind == b[j].kind:
            found[i] = (j, "id")


def _unique_ids(items: Sequence[Item]) -> dict[str, int]:
    counts = Counter(item.id for item in items if item.id)
    return {item.id: number for number, item in enumerate(items) if item.id and counts[item.id] == 1}


def _left(count: int, taken: Iterable[int]) -> list[int]:
    gone = set(taken)
    return [number for number in range(count) if number not in gone]


def _in_order(a: list[str], b: list[str], found: dict[int, tuple[int, str]]) -> None:
    """Equal source in the same order: the longest such runs."""
    left, right = _left(len(a), found), _left(len(b), (j for j, _ in found.values()))
    start = 0
    while start < min(len(left), len(right)) and a[left[start]] == b[right[start]]:
        found[left[start]] = (right[start], "source")
        start += 1
    left, right = left[start:], right[start:]
    while left and right and a[left[-1]] == b[right[-1]]:
        found[left.pop()] = (right.pop(), "source")
    matcher = SequenceMatcher(None, [a[i] for i in left], [b[j] for j in right], autojunk=False)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            found[left[block.a + step]] = (right[block.b + step], "source")


def _elsewhere(a: list[str], b: list[str], found: dict[int, tuple[int, str]]) -> None:
    """Equal source in another place; of several, the nearest one."""
    places: dict[str, list[int]] = defaultdict(list)
    for j in _left(len(b), (j for j, _ in found.values())):
        places[b[j]].append(j)
    for i in _left(len(a), found):
        if places.get(a[i]):
            j = min(places[a[i]], key=lambda place, own=i: abs(place - own))  # type: ignore[misc]
            places[a[i]].remove(j)
            found[i] = (j, "source")


def _by_similarity(a: Sequence[Item], b: Sequence[Item], found: dict[int, tuple[int, str]]) -> dict[int, float]:
    """The most similar pairs first, of equally similar ones the nearest; the scores by cell of A."""
    left, right = _left(len(a), found), _left(len(b), (j for j, _ in found.values()))
    bags_a = {i: Counter(tokens(a[i].source)) for i in left}
    bags_b = {j: Counter(tokens(b[j].source)) for j in right}
    scored = []
    for i, j in _candidates(a, b, bags_a, bags_b):
        score = _dice_bags(bags_a[i], bags_b[j])
        if score >= SIMILAR:
            scored.append((-round(score, 6), abs(i - j), i, j))
    taken: set[int] = set()
    scores = {}
    for minus, _, i, j in sorted(scored):
        if i not in found and j not in taken:
            found[i] = (j, "similar")
            taken.add(j)
            scores[i] = -minus
    return scores


def _candidates(
    a: Sequence[Item], b: Sequence[Item], bags_a: dict[int, Counter[str]], bags_b: dict[int, Counter[str]]
) -> Iterator[tuple[int, int]]:
    """The pairs of left-over cells worth looking at."""
    if len(bags_a) * len(bags_b) <= ALL_PAIRS:
        yield from ((i, j) for i in bags_a for j in bags_b if a[i].kind == b[j].kind)
        return
    having: dict[str, list[int]] = defaultdict(list)
    for j, bag in bags_b.items():
        for token in bag:
            having[token].append(j)
    right = list(bags_b)
    left = list(bags_a)
    for rank, i in enumerate(left):
        centre = bisect_left(right, i)
        even = rank * len(right) // len(left)
        near = {*right[max(0, centre - NEAR) : centre + NEAR], *right[max(0, even - NEAR) : even + NEAR]}
        near.update(j for token in bags_a[i] if len(having[token]) <= RARE for j in having[token])
        yield from ((i, j) for j in sorted(near) if a[i].kind == b[j].kind)


def _dice(one: str, other: str) -> float:
    return round(_dice_bags(Counter(tokens(one)), Counter(tokens(other))), 6)


def _dice_bags(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    if not total:
        return 1.0
    few, many = (one, other) if len(one) < len(other) else (other, one)
    common = sum(min(count, many[token]) for token, count in few.items() if token in many)
    return 2 * common / total


def _moved(a: Sequence[Item], found: dict[int, tuple[int, str]]) -> Iterator[int]:
    """The cells of A off the longest increasing subsequence of places in B, for each kind of cell by itself."""
    for kind in {item.kind for item in a}:
        order = [(i, found[i][0]) for i in sorted(found) if a[i].kind == kind]
        kept = _longest_increasing([j for _, j in order])
        yield from (i for number, (i, _) in enumerate(order) if number not in kept)


def _longest_increasing(values: list[int]) -> set[int]:
    """The places of a longest increasing subsequence (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    before: list[int | None] = []
    for place, value in enumerate(values):
        pile = bisect_left(tails, value)
        before.append(ends[pile - 1] if pile else None)
        if pile == len(tails):
            tails.append(value)
            ends.append(place)
        else:
            tails[pile] = value
            ends[pile] = place
    kept = set()
    at = ends[-1] if ends else None
    while at is not None:
        kept.add(at)
        at = before[at]
    return kept


def _merged_order(a: Sequence[Item], b: Sequence[Item], pairs: dict[int, Match]) -> Iterator[Match]:
    """All matches in the order of B; a cell that only A has stands behind the cell of A that was before it."""
    by_b = {one.b: one for one in pairs.values()}
    behind: dict[int | None, list[int]] = defaultdict(list)
    anchor: int | None = None
    for i in range(len(a)):
        if i not in pairs:
            behind[anchor].append(i)
        elif not pairs[i].moved:
            anchor = i
    edited = [one for one in pairs.values() if one.similarity < 1]
    removed = {i: Match(i, None, part_of=_merged_into(i, a, b, edited)) for rows in behind.values() for i in rows}
    yield from (removed[i] for i in behind[None])
    for j in range(len(b)):
        one = by_b.get(j) or Match(None, j, part_of=_split_from(j, a, b, edited))
        yield one
        if one.a is not None:
            yield from (removed[i] for i in behind[one.a])


def _split_from(j: int, a: Sequence[Item], b: Sequence[Item], edited: Iterable[Match]) -> int | None:
    """The edited cell of A near by that lost just the lines of this cell of B."""
    for one in edited:
        if one.a is not None and one.b is not None and abs(one.b - j) <= NEIGHBOUR and _holds(a[one.a], b[one.b], b[j]):
            return one.a
    return None


def _merged_into(i: int, a: Sequence[Item], b: Sequence[Item], edited: Iterable[Match]) -> int | None:
    """The edited cell of B near by that gained just the lines of this cell of A."""
    for one in edited:
        if one.a is not None and one.b is not None and abs(one.a - i) <= NEIGHBOUR and _holds(b[one.b], a[one.a], a[i]):
            return one.b
    return None


def _holds(more: Item, less: Item, part: Item) -> bool:
    """Whether all lines of ``part`` are among those that ``more`` has and ``less`` has not."""
    lines = _lines(part)
    return bool(lines) and part.kind == more.kind and lines <= _lines(more) - _lines(less)


def _lines(item: Item) -> Counter[str]:
    return Counter(line.strip() for line in item.source.splitlines() if line.strip())
