"""What a search draws from: the axes of a sweep as numbers between bounds and as categories. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun.notebooks import exact
from snaprun.sweeps.points import Axis

ALIKE = 1e-9
"""By how much of a step neighbours may be off and still count as evenly spaced: 0.1 is no binary fraction."""


@dataclass(frozen=True)
class Dimension:
    """One parameter that a search varies.

    ``values`` are what it may be, in their order, where they are listed; ``labels`` how the search calls them where
    they are no evenly spaced numbers. Else it is a number from ``low`` to ``high``, both included.
    """

    name: str
    values: Sequence[Any] = ()
    labels: Sequence[str | float | bool | None] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    whole: bool = False
    log: bool = False

    @property
    def count(self) -> int | None:
        """How many values it can have; None where they have no end."""
        if self.values:
            return len(self.values)
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def value(self, drawn: Any) -> Any:
        """The parameter that a drawn number or label stands for."""
        if self.values:
            return self.values[int(self.place(drawn))]
        return int(drawn) if self.whole else float(drawn)

    def drawn(self, index: int) -> Any:
        """What the search calls the value of this number, counted from 0."""
        if self.labels:
            return self.labels[index]
        found = self.low + index * (self.step or 1)
        return int(found) if self.whole else found

    def place(self, drawn: Any) -> float:
        """What tells a drawn value from others: its number where it has one, without the rounding of its steps.

        Labels of different kinds are never the same, however equal Python finds 1, 1.0 and True.
        """
        if self.labels:
            return next(n for n, one in enumerate(self.labels) if type(one) is type(drawn) and one == drawn)
        return float(drawn) if self.count is None else round((drawn - self.low) / (self.step or 1))


def dimensions(axes: Iterable[Axis]) -> tuple[Dimension, ...]:
    """The axes that vary, as a search sees them; one with a single value does not."""
    made = (_dimension(axis) for axis in axes)
    return tuple(one for one in made if one.count != 1)


def fixed(axes: Iterable[Axis]) -> dict[str, Any]:
    """The axes with a single value."""
    return {axis.name: axis.choices[0] for axis in axes if axis.span is None and len(_different(axis.choices)) == 1}


def size(found: Sequence[Dimension]) -> int | None:
    """How many different points there are; None where they have no end."""
    counts = [one.count for one in found]
    return None if None in counts else math.prod(count for count in counts if count is not None)


def point(found: Sequence[Dimension], index: int) -> dict[str, Any]:
    """The point of this number, as the search calls its values."""
    made = {}
    for one in reversed(found):
        index, place = divmod(index, one.count or 1)
        made[one.name] = one.drawn(place)
    return {one.name: made[one.name] for one in found}


def values(found: Sequence[Dimension], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a drawn point stands for."""
    return {one.name: one.value(drawn[one.name]) for one in found}


def _dimension(axis: Axis) -> Dimension:
    if axis.span is not None:
        span = axis.span
        low, high = (int(span.low), int(span.high)) if span.whole else (span.low, span.high)
        return Dimension(axis.name, low=low, high=high, whole=span.whole, log=span.log)
    if isinstance(axis.choices, range):
        ordered = axis.choices if axis.choices.step > 0 else axis.choices[::-1]
        return Dimension(axis.name, ordered, low=ordered[0], high=ordered[-1], step=ordered.step, whole=True)
    choices = _different(axis.choices)
    step = _step(sorted(choices)) if all(_number(value) for value in choices) else None
    if step is None:
        return Dimension(axis.name, choices, labels=_labels(choices))
    choices = sorted(choices)
    whole = all(isinstance(value, int) for value in choices)
    return Dimension(axis.name, choices, low=choices[0], high=choices[-1], step=step, whole=whole)


def _different(choices: Sequence[Any]) -> Sequence[Any]:
    """The values, each once."""
    if isinstance(choices, range):
        return choices
    return list({json.dumps(exact.to_json(value)): value for value in reversed(choices)}.values())[::-1]


def _labels(choices: Sequence[Any]) -> Sequence[str | float | bool | None]:
    """What can be told apart, and kept by Optuna, as it is; else the text of each."""
    plain = all(value is None or isinstance(value, (str, bool)) or _number(value) for value in choices)
    if plain and len(set(choices)) == len(choices):
        return choices
    return [json.dumps(exact.to_json(value), ensure_ascii=False) for value in choices]


def _step(ordered: Sequence[Any]) -> float | None:
    """By how much evenly spaced numbers differ; None where they are not, or where there are only two."""
    if len(ordered) < 3:
        return None
    step = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
    if any(abs(ordered[0] + index * step - value) > ALIKE * step for index, value in enumerate(ordered)):
        return None
    return round(step) if all(isinstance(value, int) for value in ordered) else float(f"{step:.12g}")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
