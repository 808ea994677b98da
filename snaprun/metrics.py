"""Sum up the lines of ``metrics.jsonl``: what the index and the lists keep of each logged series."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable

from snaprun.model import Metric


def summarise(lines: bytes | Iterable[bytes]) -> dict[str, Metric]:
    """The last, smallest and largest value and the number of values of each name, in order of first appearance.

    Only numbers count. NaN is a possible last value; it is the smallest or largest only where there is nothing else.
    A torn or foreign line is passed over.
    """
    found: dict[str, Metric] = {}
    for line in lines.splitlines() if isinstance(lines, bytes) else lines:
        logged = _number(line)
        if logged is None:
            continue
        name, value = logged
        so_far = found.get(name)
        if so_far is None:
            found[name] = Metric(last=value, min=value, max=value, steps=1)
            continue
        found[name] = Metric(
            last=value,
            min=_pick(min, so_far.min, value),
            max=_pick(max, so_far.max, value),
            steps=so_far.steps + 1,
        )
    return found


def _number(line: bytes) -> tuple[str, float] | None:
    try:
        entry = json.loads(line)
        name, value = entry["name"], entry["value"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return name, float(value)
    except OverflowError:  # an integer beyond the range of a float
        return name, math.copysign(math.inf, value)


def _pick(choose: Callable[[float, float], float], one: float, other: float) -> float:
    if math.isnan(one):
        return other
    return one if math.isnan(other) else choose(one, other)
