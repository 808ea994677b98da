"""Find which cell of one notebook became which of another: kept, edited, moved, added, removed, split, merged.

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

from snaprun.notebooks.cells import Node, normalize_source

SIMILARITY_LEAST = 0.5
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
class CellItem:
    """What is known of a cell for the purpose of matching."""

    kind: str
    source: str
    id: str | None = None

    @classmethod
    def of(cls, cell: Node) -> CellItem:
        """The item of a notebook's cell."""
        return cls(cell["cell_type"], cell["source"], cell.get("id"))


@dataclass(frozen=True)
class CellMatch:
    """A cell of A (its place in the list), a cell of B, or both. ``basis``: ``id``, ``source``, ``similar`` or nothing.

    ``part_of``: for a cell on one side only, the place in A of the cell that it was split from, or the place in B of
    the cell that it was merged into.
    """

    a: int | None
    b: int | None
    basis: str = ""
    similarity: float = 0.0
    is_moved: bool = False
    part_of: int | None = None


def match(a: Sequence[CellItem], b: Sequence[CellItem]) -> list[CellMatch]:
    """Match two lists of cells. The result is in the order of B, with what only A has at the place where it was."""
    texts_a, texts_b = [_key(item) for item in a], [_key(item) for item in b]
    links: dict[int, tuple[int, str]] = {}
    _match_by_id(a, b, links)
    _match_in_order(texts_a, texts_b, links)
    _match_elsewhere(texts_a, texts_b, links)
    scores = _match_by_similarity(a, b, links)
    moves = set(_find_moves(a, links))
    pairs = {
        i: CellMatch(
            i,
            j,
            basis,
            1.0 if texts_a[i] == texts_b[j] else scores.get(i) or _dice(a[i].source, b[j].source),
            i in moves,
        )
        for i, (j, basis) in links.items()
    }
    return list(_merged_order(a, b, pairs))


def tokens(source: str) -> list[str]:
    """The words and signs of a source."""
    return _TOKEN.findall(source)


def _key(item: CellItem) -> str:
    return f"{item.kind}\0{normalize_source(item.source)}"


def _match_by_id(a: Sequence[CellItem], b: Sequence[CellItem], links: dict[int, tuple[int, str]]) -> None:
    """The same id and kind, where the id is unique on both sides."""
    places_b = _unique_ids(b)
    for name, i in _unique_ids(a).items():
        j = places_b.get(name)
        if j is not None and a[i].kind == b[j].kind:
            links[i] = (j, "id")


def _unique_ids(items: Sequence[CellItem]) -> dict[str, int]:
    counts = Counter(item.id for item in items if item.id)
    return {item.id: number for number, item in enumerate(items) if item.id and counts[item.id] == 1}


def _leftover(count: int, matches: Iterable[int]) -> list[int]:
    match_set = set(matches)
    return [number for number in range(count) if number not in match_set]


def _match_in_order(a: list[str], b: list[str], links: dict[int, tuple[int, str]]) -> None:
    """Equal source in the same order: the longest such runs."""
    rest_a, rest_b = _leftover(len(a), links), _leftover(len(b), (j for j, _ in links.values()))
    start = 0
    while start < min(len(rest_a), len(rest_b)) and a[rest_a[start]] == b[rest_b[start]]:
        links[rest_a[start]] = (rest_b[start], "source")
        start += 1
    rest_a, rest_b = rest_a[start:], rest_b[start:]
    while rest_a and rest_b and a[rest_a[-1]] == b[rest_b[-1]]:
        links[rest_a.pop()] = (rest_b.pop(), "source")
    matcher = SequenceMatcher(None, [a[i] for i in rest_a], [b[j] for j in rest_b], autojunk=False)
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            links[rest_a[block.a + step]] = (rest_b[block.b + step], "source")


def _match_elsewhere(a: list[str], b: list[str], links: dict[int, tuple[int, str]]) -> None:
    """Equal source in another place; of several, the nearest one."""
    places: dict[str, list[int]] = defaultdict(list)
    for j in _leftover(len(b), (j for j, _ in links.values())):
        places[b[j]].append(j)
    for i in _leftover(len(a), links):
        if places.get(a[i]):
            j = min(places[a[i]], key=lambda place, own=i: abs(place - own))  # type: ignore[misc]
            places[a[i]].remove(j)
            links[i] = (j, "source")


def _match_by_similarity(
    a: Sequence[CellItem], b: Sequence[CellItem], links: dict[int, tuple[int, str]]
) -> dict[int, float]:
    """The most similar pairs first, of equally similar ones the nearest; the scores by cell of A."""
    rest_a, rest_b = _leftover(len(a), links), _leftover(len(b), (j for j, _ in links.values()))
    bags_a = {i: Counter(tokens(a[i].source)) for i in rest_a}
    bags_b = {j: Counter(tokens(b[j].source)) for j in rest_b}
    candidates = []
    for i, j in _candidates(a, b, bags_a, bags_b):
        score = _dice_bags(bags_a[i], bags_b[j])
        if score >= SIMILARITY_LEAST:
            candidates.append((-round(score, 6), abs(i - j), i, j))
    matches_b: set[int] = set()
    scores = {}
    for negative_score, _, i, j in sorted(candidates):
        if i not in links and j not in matches_b:
            links[i] = (j, "similar")
            matches_b.add(j)
            scores[i] = -negative_score
    return scores


def _candidates(
    a: Sequence[CellItem], b: Sequence[CellItem], bags_a: dict[int, Counter[str]], bags_b: dict[int, Counter[str]]
) -> Iterator[tuple[int, int]]:
    """The pairs of left-over cells worth looking at."""
    if len(bags_a) * len(bags_b) <= ALL_PAIRS:
        yield from ((i, j) for i in bags_a for j in bags_b if a[i].kind == b[j].kind)
        return
    places_by_token: dict[str, list[int]] = defaultdict(list)
    for j, bag in bags_b.items():
        for token in bag:
            places_by_token[token].append(j)
    places_b = list(bags_b)
    places_a = list(bags_a)
    for rank, i in enumerate(places_a):
        centre = bisect_left(places_b, i)
        even = rank * len(places_b) // len(places_a)
        neighbours = {*places_b[max(0, centre - NEAR) : centre + NEAR], *places_b[max(0, even - NEAR) : even + NEAR]}
        neighbours.update(
            j for token in bags_a[i] if len(places_by_token[token]) <= RARE for j in places_by_token[token]
        )
        yield from ((i, j) for j in sorted(neighbours) if a[i].kind == b[j].kind)


def _dice(source_a: str, source_b: str) -> float:
    return round(_dice_bags(Counter(tokens(source_a)), Counter(tokens(source_b))), 6)


def _dice_bags(bag_a: Counter[str], bag_b: Counter[str]) -> float:
    total = bag_a.total() + bag_b.total()
    if not total:
        return 1.0
    few, many = (bag_a, bag_b) if len(bag_a) < len(bag_b) else (bag_b, bag_a)
    common = sum(min(count, many[token]) for token, count in few.items() if token in many)
    return 2 * common / total


def _find_moves(a: Sequence[CellItem], links: dict[int, tuple[int, str]]) -> Iterator[int]:
    """The cells of A off the longest increasing subsequence of places in B, for each kind of cell by itself."""
    for kind in {item.kind for item in a}:
        order = [(i, links[i][0]) for i in sorted(links) if a[i].kind == kind]
        stationary = _longest_increasing([j for _, j in order])
        yield from (i for number, (i, _) in enumerate(order) if number not in stationary)


def _longest_increasing(values: list[int]) -> set[int]:
    """The places of a longest increasing subsequence (patience sorting)."""
    tails: list[int] = []
    ends: list[int] = []
    predecessors: list[int | None] = []
    for place, value in enumerate(values):
        pile = bisect_left(tails, value)
        predecessors.append(ends[pile - 1] if pile else None)
        if pile == len(tails):
            tails.append(value)
            ends.append(place)
        else:
            tails[pile] = value
            ends[pile] = place
    subsequence = set()
    cursor = ends[-1] if ends else None
    while cursor is not None:
        subsequence.add(cursor)
        cursor = predecessors[cursor]
    return subsequence


def _merged_order(a: Sequence[CellItem], b: Sequence[CellItem], pairs: dict[int, CellMatch]) -> Iterator[CellMatch]:
    """All matches in the order of B; a cell that only A has stands behind the cell of A that was before it."""
    by_b = {pair.b: pair for pair in pairs.values()}
    behind: dict[int | None, list[int]] = defaultdict(list)
    anchor: int | None = None
    for i in range(len(a)):
        if i not in pairs:
            behind[anchor].append(i)
        elif not pairs[i].is_moved:
            anchor = i
    edits = [candidate for candidate in pairs.values() if candidate.similarity < 1]
    removals = {i: CellMatch(i, None, part_of=_merged_into(i, a, b, edits)) for rows in behind.values() for i in rows}
    yield from (removals[i] for i in behind[None])
    for j in range(len(b)):
        match = by_b.get(j) or CellMatch(None, j, part_of=_split_from(j, a, b, edits))
        yield match
        if match.a is not None:
            yield from (removals[i] for i in behind[match.a])


def _split_from(j: int, a: Sequence[CellItem], b: Sequence[CellItem], edits: Iterable[CellMatch]) -> int | None:
    """The edited cell of A near by that lost just the lines of this cell of B."""
    for edit in edits:
        if (
            edit.a is not None
            and edit.b is not None
            and abs(edit.b - j) <= NEIGHBOUR
            and _has_part(a[edit.a], b[edit.b], b[j])
        ):
            return edit.a
    return None


def _merged_into(i: int, a: Sequence[CellItem], b: Sequence[CellItem], edits: Iterable[CellMatch]) -> int | None:
    """The edited cell of B near by that gained just the lines of this cell of A."""
    for edit in edits:
        if (
            edit.a is not None
            and edit.b is not None
            and abs(edit.a - i) <= NEIGHBOUR
            and _has_part(b[edit.b], a[edit.a], a[i])
        ):
            return edit.b
    return None


def _has_part(larger: CellItem, smaller: CellItem, part: CellItem) -> bool:
    """Whether all lines of ``part`` are among those that ``larger`` has and ``smaller`` has not."""
    lines = _lines(part)
    return bool(lines) and part.kind == larger.kind and lines <= _lines(larger) - _lines(smaller)


def _lines(item: CellItem) -> Counter[str]:
    return Counter(line.strip() for line in item.source.splitlines() if line.strip())
