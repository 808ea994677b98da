"""Make the points of a sweep from its axes: all of a grid or a sample, each once a seed. Pure.

``lr=0.1,0.01`` and ``opt=[adam,sgd]`` list values, ``depth=2..6`` counts from 2 to 6, ``x=0..1..0.25`` in steps,
``lr=1e-4..1e-1..log`` is a span to draw from, evenly by order of magnitude; anything else is one value, typed as ``-p``
types it. A list as a value stands in a list of its own: ``layers=[[64,32],[128]]``.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from snaprun.errors import ParameterFault, UsageFault
from snaprun.model import seed_of
from snaprun.notebooks import parameters

RUNS_MOST = 1_000_000
"""Runs above which a sweep is refused."""

SEED = "seed"
"""The parameter that ``--seeds`` sets."""

_SPAN = re.compile(r"([^.,\[\]{}\"'\s]+(?:\.[^.,\[\]{}\"'\s]+)?)\.\.([^,\[\]{}\"'\s]+?)(?:\.\.([^,\[\]{}\"'\s]+))?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``, both ends included, to draw from; ``whole`` ones only, or spread by ``log``."""

    low: float
    high: float
    whole: bool = False
    log: bool = False


@dataclass(frozen=True)
class ParamAxis:
    """One parameter of a sweep: ``choices`` in their order (a range is not counted out), or a span."""

    name: str
    choices: Sequence[Any] = ()
    span: Span | None = None


@dataclass(frozen=True)
class Point:
    """One run of a sweep: ``params`` to set, seed included. Points of one ``set`` differ by their seed alone."""

    number: int
    set: int
    params: Mapping[str, Any]
    seed: int | None = None


def axes(assignments: Sequence[str]) -> tuple[ParamAxis, ...]:
    """The axes of ``NAME=VALUES``, in their order.

    Raises:
        ParameterFault: no ``=``, a name given twice, a range that is empty, a value that is no YAML.
    """
    by_name: dict[str, ParamAxis] = {}
    for item in assignments:
        name, sign, text = item.partition("=")
        name = name.strip()
        if not sign or not name:
            raise ParameterFault(f"-p {item}: no NAME=VALUES", hint=f"-p {name or 'lr'}=0.1,0.01")
        if name in by_name:
            raise ParameterFault(f"{name} is given twice", hint=f"list its values in one: -p {name}=1,2,3")
        by_name[name] = _axis(name, text)
    return tuple(by_name.values())


def size(axes: Sequence[ParamAxis]) -> int:
    """How many points a grid over these axes has.

    Raises:
        UsageFault: an axis is a span, which has no end of values.
    """
    for axis in axes:
        if axis.span is not None:
            text = f"{axis.name} is a span, which has no end of values"
            raise UsageFault(
                text, hint=f"--random 20, or a step: {axis.name}={axis.span.low:g}..{axis.span.high:g}..STEP"
            )
    return math.prod(len(axis.choices) for axis in axes)


def grid(axes: Sequence[ParamAxis]) -> Iterator[dict[str, Any]]:
    """Every combination, the last axis changing fastest. Raises UsageFault as :func:`size` does."""
    return (_combination(axes, index) for index in range(size(axes)))


def sample(axes: Sequence[ParamAxis], count: int, *, seed: int) -> list[dict[str, Any]]:
    """``count`` different combinations, drawn with this seed; all of them where there are no more.

    With a span on an axis, each draws its own number from it.
    """
    if count < 1:
        raise UsageFault(f"--random {count} asks for no run", hint="--random 20")
    generator = random.Random(seed)
    choice_axes = [axis for axis in axes if axis.span is None]
    total = math.prod(len(axis.choices) for axis in choice_axes)
    span_axes = [axis for axis in axes if axis.span is not None]
    if not span_axes:
        return [_combination(axes, index) for index in _indices(total, count, generator)]
    samples = []
    for _ in range(count):
        params = {axis.name: axis.choices[generator.randrange(len(axis.choices))] for axis in choice_axes}
        params.update({axis.name: draw(axis.span, generator) for axis in span_axes if axis.span})
        samples.append({axis.name: params[axis.name] for axis in axes})
    return samples


def draw(span: Span, generator: random.Random) -> float | int:
    """One number of a span."""
    if span.log:
        raw = math.exp(generator.uniform(math.log(span.low), math.log(span.high)))
        number = min(max(raw, span.low), span.high)
        return round(number) if span.whole else number
    return generator.randint(int(span.low), int(span.high)) if span.whole else generator.uniform(span.low, span.high)


def seeds(option: str) -> list[int]:
    """The seeds of ``--seeds``: ``5`` means 0 to 4; ``1,2,3``, ``10..14`` and ``7,`` list them.

    Raises:
        UsageFault: that is none of these, or none at all.
    """
    text = option.strip()
    hint = "--seeds 5, --seeds 1,2,3, --seeds 10..14"
    try:
        if _WHOLE.fullmatch(text):
            if not 0 < _parse_whole(SEED, text) <= RUNS_MOST:
                raise UsageFault(f"--seeds {option}: a number of seeds from 1 to {RUNS_MOST}", hint=hint)
            return list(range(int(text)))
        numbers = _axis(SEED, text.rstrip(",")).choices
    except ParameterFault as error:
        raise UsageFault(f"--seeds {option}: {error.message}", hint=hint) from error
    if len(numbers) > RUNS_MOST:
        raise UsageFault(f"--seeds {option}: that is {len(numbers):,} seeds", hint=hint)
    if not numbers or not all(
        isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 for seed in numbers
    ):
        raise UsageFault(f"--seeds {option}: seeds are whole numbers from 0", hint=hint)
    return list(dict.fromkeys(numbers))


def points(
    sets: Sequence[Mapping[str, Any]],
    *,
    constants: Mapping[str, Any],
    seeds: Sequence[int] = (),
    names: Sequence[str] = (),
) -> list[Point]:
    """The runs of a sweep: each set of parameters on top of the ``constants``, once a seed, sets in their order.

    ``names`` are the parameters that the notebook has, where they are known.

    Raises:
        UsageFault: seeds for a notebook without a ``seed`` parameter, or for sets that set it themselves.
    """
    if not seeds:
        return [
            Point(number, number, {**constants, **params}, seed_of({**constants, **params}))
            for number, params in enumerate(sets)
        ]
    if SEED not in names:
        text = "the notebook has no parameter named seed"
        raise UsageFault(text, hint="add `seed = 0` to the cell tagged `parameters`, and use it for what is random")
    if SEED in constants or any(SEED in values for values in sets):
        raise UsageFault("seed is given by --seeds and as a parameter", hint="leave one of the two out")
    run_points: list[Point] = []
    for index, param_set in enumerate(sets):
        for seed in seeds:
            run_points.append(Point(len(run_points), index, {**constants, **param_set, SEED: seed}, seed))
    return run_points


def _axis(name: str, text: str) -> ParamAxis:
    """One axis from what stands behind the ``=``."""
    parts = _split(text)
    if len(parts) > 1:
        choice_lists = [_choices(name, part.strip()) for part in parts]
        _limit_count(name, text, sum(map(len, choice_lists)), RUNS_MOST)
        return ParamAxis(name, tuple(choice for choices in choice_lists for choice in choices))
    span = _span(name, text.strip())
    if isinstance(span, Span):
        return ParamAxis(name, span=span)
    if span is not None:
        return ParamAxis(name, span)
    value = parameters.value(text, name)
    if isinstance(value, list):
        if not value:
            raise ParameterFault(
                f"{name}={text} lists no value", hint=f"-p {name}=1,2, or for an empty list {name}=[[]]"
            )
        return ParamAxis(name, tuple(value))
    return ParamAxis(name, (value,))


def _choices(name: str, part: str) -> Sequence[Any]:
    """The values of one part of a list: a range counted out, or one value."""
    if not part:
        raise ParameterFault(f"{name} has an empty value in its list", hint=f"-p {name}=1,2; the empty text is '\"\"'")
    span = _span(name, part)
    if isinstance(span, Span):
        raise ParameterFault(f"{name} mixes a span with other values", hint=f"-p {name}={part} alone, or with a step")
    return [parameters.value(part, name)] if span is None else span


def _span(name: str, text: str) -> Sequence[Any] | Span | None:
    """``2..6``, ``0..1..0.25``, ``1e-4..1e-1..log``; None where it is none of these."""
    match = _SPAN.fullmatch(text)
    if not match:
        return None
    low, high, step = match.groups()
    if not _NUMBER.fullmatch(low) or not _NUMBER.fullmatch(high):
        return None
    whole = bool(_WHOLE.fullmatch(low) and _WHOLE.fullmatch(high))
    if step is None and whole:
        first, last = _parse_whole(name, low), _parse_whole(name, high)
        return _count_range(name, text, (first, last, 1 if first <= last else -1))
    if step is None or step == "log":
        return _check_span(name, text, Span(float(low), float(high), whole=whole, log=step == "log"))
    if not _NUMBER.fullmatch(step):
        raise ParameterFault(f"{name}={text}: the step {step!r} is no number", hint=f"-p {name}=0..1..0.25")
    if whole and _WHOLE.fullmatch(step):
        return _count_range(name, text, (_parse_whole(name, low), _parse_whole(name, high), _parse_whole(name, step)))
    return _step_values(name, text, (low, high, step))


def _check_span(name: str, text: str, span: Span) -> Span:
    if math.isinf(span.low) or math.isinf(span.high) or math.isinf(span.high - span.low):
        raise ParameterFault(f"{name}={text} goes beyond the largest number there is", hint=f"-p {name}=0.1..0.5")
    if span.low >= span.high:
        raise ParameterFault(f"{name}={text} is empty", hint=f"from the smaller to the larger: -p {name}=0.1..0.5")
    if span.log and span.low <= 0:
        raise ParameterFault(f"{name}={text}: a logarithm needs numbers above 0", hint=f"-p {name}=1e-4..1e-1..log")
    return span


def _step_values(name: str, text: str, parts: tuple[str, str, str]) -> Sequence[Any]:
    """Counted in decimals, so that 0..1..0.1 has 0.3 and ends at 1."""
    if not all(math.isfinite(float(part)) for part in parts):
        raise ParameterFault(f"{name}={text} goes beyond the largest number there is", hint=f"-p {name}=0..1..0.25")
    low, high, step = (Decimal(part) if float(part) else Decimal(0) for part in parts)
    _require_forward(name, text, (low, high, step))
    count = int((high - low) / step) + 1
    _limit_count(name, text, count, RUNS_MOST)
    return tuple(float(low + step * index) for index in range(count))


def _count_range(name: str, text: str, parts: tuple[int, int, int]) -> range:
    """Whole numbers, not counted out: a sample takes some of very many."""
    _require_forward(name, text, parts)
    low, high, step = parts
    _limit_count(name, text, (high - low) // step + 1, sys.maxsize)
    return range(low, high + (1 if step > 0 else -1), step)


def _require_forward(name: str, text: str, parts: tuple[Any, Any, Any]) -> None:
    """Make sure that the steps lead from one end to the other."""
    low, high, step = parts
    if step == 0 or (low < high and step < 0) or (low > high and step > 0):
        raise ParameterFault(f"{name}={text} is empty", hint=f"-p {name}=0..1..0.25, or downwards 1..0..-0.25")


def _limit_count(name: str, text: str, count: int, limit: int) -> None:
    """Make sure that these are not too many values to list, or to number."""
    if count > limit:
        many = f"{count:,}" if count < 10**24 else "far too many"
        raise ParameterFault(f"{name}={text} has {many} values", hint="a larger step, or fewer values")


def _parse_whole(name: str, digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python reads a few thousand digits, no more
        text = f"{name}: a number of {len(digits):,} digits is too long"
        raise ParameterFault(text, hint=f"-r {name}=… gives it as text") from error


def _indices(total: int, count: int, generator: random.Random) -> Sequence[int]:
    """``count`` different numbers below ``total``, which may be beyond what ``range`` can number."""
    if count >= total or total <= sys.maxsize:
        return generator.sample(range(total), min(count, total))
    indices: dict[int, None] = {}
    while len(indices) < count:
        indices[generator.randrange(total)] = None
    return list(indices)


def _combination(axes: Sequence[ParamAxis], index: int) -> dict[str, Any]:
    """The grid's point of this number, without counting the others out."""
    params: dict[str, Any] = {}
    for axis in reversed(axes):
        index, place = divmod(index, len(axis.choices))
        params[axis.name] = axis.choices[place]
    return {axis.name: params[axis.name] for axis in axes}


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    parts, depth, quote, part = [], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and not part.strip():
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(part)
            part = ""
            continue
        part += letter
    return [*parts, part]
