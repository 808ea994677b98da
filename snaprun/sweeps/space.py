"""Turn the axes of a sweep into what a search draws from: numbers between bounds, and categories. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun.notebooks import exact
from snaprun.quantities import is_finite
from snaprun.sweeps.points import ParamAxis

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

    def value(self, suggestion: Any) -> Any:
        """The parameter that a drawn number or label stands for."""
        if self.values:
            return self.values[int(self.place(suggestion))]
        return int(suggestion) if self.whole else float(suggestion)

    def suggestion_at(self, index: int) -> Any:
        """What the search calls the value of this number, counted from 0."""
        if self.labels:
            return self.labels[index]
        number = self.low + index * (self.step or 1)
        return int(number) if self.whole else number

    def place(self, suggestion: Any) -> float:
        """What tells a drawn value from others: its number where it has one, without the rounding of its steps.

        Labels of different kinds are never the same, however equal Python finds 1, 1.0 and True.
        """
        if self.labels:
            return next(
                n for n, label in enumerate(self.labels) if type(label) is type(suggestion) and label == suggestion
            )
        return float(suggestion) if self.count is None else round((suggestion - self.low) / (self.step or 1))


def dimensions(axes: Iterable[ParamAxis]) -> tuple[Dimension, ...]:
    """The axes that vary, as a search sees them; one with a single value does not."""
    candidates = (_dimension(axis) for axis in axes)
    return tuple(dimension for dimension in candidates if dimension.count != 1)


def constants(axes: Iterable[ParamAxis]) -> dict[str, Any]:
    """The axes with a single value."""
    return {axis.name: axis.choices[0] for axis in axes if axis.span is None and len(_distinct(axis.choices)) == 1}


def size(dimensions: Sequence[Dimension]) -> int | None:
    """How many different points there are; None where they have no end."""
    counts = [dimension.count for dimension in dimensions]
    return None if None in counts else math.prod(count for count in counts if count is not None)


def point(dimensions: Sequence[Dimension], index: int) -> dict[str, Any]:
    """The point of this number, as the search calls its values."""
    suggestions = {}
    for dimension in reversed(dimensions):
        index, place = divmod(index, dimension.count or 1)
        suggestions[dimension.name] = dimension.suggestion_at(place)
    return {axis.name: suggestions[axis.name] for axis in dimensions}


def values(dimensions: Sequence[Dimension], suggestions: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a drawn point stands for."""
    return {dimension.name: dimension.value(suggestions[dimension.name]) for dimension in dimensions}


def _dimension(axis: ParamAxis) -> Dimension:
    if axis.span is not None:
        span = axis.span
        low, high = (int(span.low), int(span.high)) if span.whole else (span.low, span.high)
        return Dimension(axis.name, low=low, high=high, whole=span.whole, log=span.log)
    if isinstance(axis.choices, range):
        numbers = axis.choices if axis.choices.step > 0 else axis.choices[::-1]
        return Dimension(axis.name, numbers, low=numbers[0], high=numbers[-1], step=numbers.step, whole=True)
    choices = _distinct(axis.choices)
    step = _step(sorted(choices)) if all(is_finite(value) for value in choices) else None
    if step is None:
        return Dimension(axis.name, choices, labels=_labels(choices))
    choices = sorted(choices)
    whole = all(isinstance(value, int) for value in choices)
    return Dimension(axis.name, choices, low=choices[0], high=choices[-1], step=step, whole=whole)


def _distinct(choices: Sequence[Any]) -> Sequence[Any]:
    """The values, each once."""
    if isinstance(choices, range):
        return choices
    return list({json.dumps(exact.to_json(value)): value for value in reversed(choices)}.values())[::-1]


def _labels(choices: Sequence[Any]) -> Sequence[str | float | bool | None]:
    """What can be told apart, and kept by Optuna, as it is; else the text of each."""
    plain = all(value is None or isinstance(value, (str, bool)) or is_finite(value) for value in choices)
    if plain and len(set(choices)) == len(choices):
        return choices
    return [json.dumps(exact.to_json(value), ensure_ascii=False) for value in choices]


def _step(numbers: Sequence[Any]) -> float | None:
    """By how much evenly spaced numbers differ; None where they are not, or where there are only two."""
    if len(numbers) < 3:
        return None
    step = (numbers[-1] - numbers[0]) / (len(numbers) - 1)
    if any(abs(numbers[0] + index * step - value) > ALIKE * step for index, value in enumerate(numbers)):
        return None
    return round(step) if all(isinstance(value, int) for value in numbers) else float(f"{step:.12g}")
