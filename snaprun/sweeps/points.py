"""What a sweep runs: the points of a grid, a sample of them, or the rows of a file, each once a seed. Pure.

``lr=0.1,0.01`` and ``opt=[adam,sgd]`` list values, ``depth=2..6`` counts from 2 to 6, ``x=0..1..0.25`` in steps,
``lr=1e-4..1e-1..log`` is a span to draw from, evenly by order of magnitude; anything else is one value, typed as ``-p``
types it. A list as a value stands in a list of its own: ``layers=[[64,32],[128]]``.
"""

from __future__ import annotations

import csv
import io
import math
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from snaprun.errors import ParameterFault, UsageFault
from snaprun.notebooks import parameters, yamlvalue

MANY = 1000
"""Runs above which a sweep is not started without being asked."""

MOST = 1_000_000
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
class Axis:
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


def axes(given: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of ``NAME=VALUES``, in their order.

    Raises:
        ParameterFault: no ``=``, a name given twice, a range that is empty, a value that is no YAML.
    """
    made: dict[str, Axis] = {}
    for item in given:
        name, sign, said = item.partition("=")
        name = name.strip()
        if not sign or not name:
            raise ParameterFault(f"-p {item}: no NAME=VALUES", hint=f"-p {name or 'lr'}=0.1,0.01")
        if name in made:
            raise ParameterFault(f"{name} is given twice", hint=f"list its values in one: -p {name}=1,2,3")
        made[name] = _axis(name, said)
    return tuple(made.values())


def size(found: Sequence[Axis]) -> int:
    """How many points a grid over these axes has.

    Raises:
        UsageFault: an axis is a span, which has no end of values.
    """
    for axis in found:
        if axis.span is not None:
            text = f"{axis.name} is a span, which has no end of values"
            raise UsageFault(
                text, hint=f"--random 20, or a step: {axis.name}={axis.span.low:g}..{axis.span.high:g}..STEP"
            )
    return math.prod(len(axis.choices) for axis in found)


def grid(found: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination, the last axis changing fastest. Raises UsageFault as :func:`size` does."""
    return (_combination(found, index) for index in range(size(found)))


def sample(found: Sequence[Axis], count: int, *, seed: int) -> list[dict[str, Any]]:
    """``count`` different combinations, drawn with this seed; all of them where there are no more.

    With a span on an axis, each draws its own number from it.
    """
    if count < 1:
        raise UsageFault(f"--random {count} asks for no run", hint="--random 20")
    chance = random.Random(seed)
    listed = [axis for axis in found if axis.span is None]
    total = math.prod(len(axis.choices) for axis in listed)
    spans = [axis for axis in found if axis.span is not None]
    if not spans:
        return [_combination(found, index) for index in _indices(total, count, chance)]
    made = []
    for _ in range(count):
        drawn = {axis.name: axis.choices[chance.randrange(len(axis.choices))] for axis in listed}
        drawn.update({axis.name: draw(axis.span, chance) for axis in spans if axis.span})
        made.append({axis.name: drawn[axis.name] for axis in found})
    return made


def draw(span: Span, chance: random.Random) -> float | int:
    """One number of a span."""
    if span.log:
        drawn = math.exp(chance.uniform(math.log(span.low), math.log(span.high)))
        near = min(max(drawn, span.low), span.high)
        return round(near) if span.whole else near
    return chance.randint(int(span.low), int(span.high)) if span.whole else chance.uniform(span.low, span.high)


def seeds(said: str) -> list[int]:
    """The seeds of ``--seeds``: ``5`` means 0 to 4; ``1,2,3``, ``10..14`` and ``7,`` list them.

    Raises:
        UsageFault: that is none of these, or none at all.
    """
    text = said.strip()
    hint = "--seeds 5, --seeds 1,2,3, --seeds 10..14"
    try:
        if _WHOLE.fullmatch(text):
            if not 0 < _whole(SEED, text) <= MOST:
                raise UsageFault(f"--seeds {said}: a number of seeds from 1 to {MOST}", hint=hint)
            return list(range(int(text)))
        found = _axis(SEED, text.rstrip(",")).choices
    except ParameterFault as error:
        raise UsageFault(f"--seeds {said}: {error.message}", hint=hint) from error
    if len(found) > MOST:
        raise UsageFault(f"--seeds {said}: that is {len(found):,} seeds", hint=hint)
    if not found or not all(
        isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 for seed in found
    ):
        raise UsageFault(f"--seeds {said}: seeds are whole numbers from 0", hint=hint)
    return list(dict.fromkeys(found))


def points(
    sets: Sequence[Mapping[str, Any]], *, fixed: Mapping[str, Any], seeds: Sequence[int] = (), names: Sequence[str] = ()
) -> list[Point]:
    """The runs of a sweep: each set of parameters on top of the ``fixed`` ones, once a seed, sets in their order.

    ``names`` are the parameters that the notebook has, where they are known.

    Raises:
        UsageFault: seeds for a notebook without a ``seed`` parameter, or for sets that set it themselves.
    """
    if not seeds:
        return [Point(number, number, {**fixed, **one}, _seed({**fixed, **one})) for number, one in enumerate(sets)]
    if SEED not in names:
        text = "the notebook has no parameter named seed"
        raise UsageFault(text, hint="add `seed = 0` to the cell tagged `parameters`, and use it for what is random")
    if SEED in fixed or any(SEED in one for one in sets):
        raise UsageFault("seed is given by --seeds and as a parameter", hint="leave one of the two out")
    made: list[Point] = []
    for index, one in enumerate(sets):
        for seed in seeds:
            made.append(Point(len(made), index, {**fixed, **one, SEED: seed}, seed))
    return made


def rows(text: str, name: str) -> list[dict[str, Any]]:
    """The sets of parameters in a file: a CSV with a head, a JSON or YAML list of mappings, or JSON lines.

    ``name`` tells which by its ending. CSV cells are typed as ``-p`` types them; an empty one sets nothing.

    Raises:
        ParameterFault: it is malformed, empty, or no list of mappings.
    """
    readers: Mapping[str, Callable[[str], Any]] = {
        ".csv": _csv,
        ".tsv": _csv,
        ".json": parameters.json_document,
        ".jsonl": _lines,
        ".yaml": _yaml,
        ".yml": _yaml,
    }
    reader = readers.get(PurePath(name).suffix.lower())
    if reader is None:
        raise ParameterFault(f"{name} is no .csv, .tsv, .json, .jsonl or .yaml file", hint="rename it to what it is")
    try:
        found = reader(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError, csv.Error) as error:
        said = " ".join(str(error).split())
        raise ParameterFault(f"{name} is malformed: {said}", hint=f"mend {name}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ParameterFault(f"{name} is no list of mappings", hint="- {lr: 0.1, depth: 3}  # a line a run")
    if not found:
        raise ParameterFault(f"{name} has no rows", hint="a row a run")
    if not all(isinstance(key, str) for row in found for key in row):
        raise ParameterFault(f"{name} has names that are no text", hint=f"mend {name}")
    return found


def _axis(name: str, said: str) -> Axis:
    """One axis from what stands behind the ``=``."""
    parts = _split(said)
    if len(parts) > 1:
        listed = [_choices(name, part.strip()) for part in parts]
        _few(name, said, sum(map(len, listed)), MOST)
        return Axis(name, tuple(choice for choices in listed for choice in choices))
    span = _span(name, said.strip())
    if isinstance(span, Span):
        return Axis(name, span=span)
    if span is not None:
        return Axis(name, span)
    value = parameters.value(said, name)
    if isinstance(value, list):
        if not value:
            raise ParameterFault(
                f"{name}={said} lists no value", hint=f"-p {name}=1,2, or for an empty list {name}=[[]]"
            )
        return Axis(name, tuple(value))
    return Axis(name, (value,))


def _choices(name: str, part: str) -> Sequence[Any]:
    """The values of one part of a list: a range counted out, or one value."""
    if not part:
        raise ParameterFault(f"{name} has an empty value in its list", hint=f"-p {name}=1,2; the empty text is '\"\"'")
    span = _span(name, part)
    if isinstance(span, Span):
        raise ParameterFault(f"{name} mixes a span with other values", hint=f"-p {name}={part} alone, or with a step")
    return [parameters.value(part, name)] if span is None else span


def _span(name: str, said: str) -> Sequence[Any] | Span | None:
    """``2..6``, ``0..1..0.25``, ``1e-4..1e-1..log``; None where it is none of these."""
    match = _SPAN.fullmatch(said)
    if not match:
        return None
    low, high, step = match.groups()
    if not _NUMBER.fullmatch(low) or not _NUMBER.fullmatch(high):
        return None
    whole = bool(_WHOLE.fullmatch(low) and _WHOLE.fullmatch(high))
    if step is None and whole:
        first, last = _whole(name, low), _whole(name, high)
        return _count(name, said, (first, last, 1 if first <= last else -1))
    if step is None or step == "log":
        return _to_draw(name, said, Span(float(low), float(high), whole=whole, log=step == "log"))
    if not _NUMBER.fullmatch(step):
        raise ParameterFault(f"{name}={said}: the step {step!r} is no number", hint=f"-p {name}=0..1..0.25")
    if whole and _WHOLE.fullmatch(step):
        return _count(name, said, (_whole(name, low), _whole(name, high), _whole(name, step)))
    return _stepped(name, said, (low, high, step))


def _to_draw(name: str, said: str, span: Span) -> Span:
    if math.isinf(span.low) or math.isinf(span.high) or math.isinf(span.high - span.low):
        raise ParameterFault(f"{name}={said} goes beyond the largest number there is", hint=f"-p {name}=0.1..0.5")
    if span.low >= span.high:
        raise ParameterFault(f"{name}={said} is empty", hint=f"from the smaller to the larger: -p {name}=0.1..0.5")
    if span.log and span.low <= 0:
        raise ParameterFault(f"{name}={said}: a logarithm needs numbers above 0", hint=f"-p {name}=1e-4..1e-1..log")
    return span


def _stepped(name: str, said: str, parts: tuple[str, str, str]) -> Sequence[Any]:
    """Counted in decimals, so that 0..1..0.1 has 0.3 and ends at 1."""
    if not all(math.isfinite(float(part)) for part in parts):
        raise ParameterFault(f"{name}={said} goes beyond the largest number there is", hint=f"-p {name}=0..1..0.25")
    low, high, step = (Decimal(part) if float(part) else Decimal(0) for part in parts)
    _forward(name, said, (low, high, step))
    count = int((high - low) / step) + 1
    _few(name, said, count, MOST)
    return tuple(float(low + step * index) for index in range(count))


def _count(name: str, said: str, parts: tuple[int, int, int]) -> range:
    """Whole numbers, not counted out: a sample takes some of very many."""
    _forward(name, said, parts)
    low, high, step = parts
    _few(name, said, (high - low) // step + 1, sys.maxsize)
    return range(low, high + (1 if step > 0 else -1), step)


def _forward(name: str, said: str, parts: tuple[Any, Any, Any]) -> None:
    """Make sure that the steps lead from one end to the other."""
    low, high, step = parts
    if step == 0 or (low < high and step < 0) or (low > high and step > 0):
        raise ParameterFault(f"{name}={said} is empty", hint=f"-p {name}=0..1..0.25, or downwards 1..0..-0.25")


def _few(name: str, said: str, count: int, most: int) -> None:
    """Make sure that these are not too many values to list, or to number."""
    if count > most:
        many = f"{count:,}" if count < 10**24 else "far too many"
        raise ParameterFault(f"{name}={said} has {many} values", hint="a larger step, or fewer values")


def _whole(name: str, said: str) -> int:
    try:
        return int(said)
    except ValueError as error:  # Python reads a few thousand digits, no more
        text = f"{name}: a number of {len(said):,} digits is too long"
        raise ParameterFault(text, hint=f"-r {name}=… gives it as text") from error


def _indices(total: int, count: int, chance: random.Random) -> Sequence[int]:
    """``count`` different numbers below ``total``, which may be beyond what ``range`` can number."""
    if count >= total or total <= sys.maxsize:
        return chance.sample(range(total), min(count, total))
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[chance.randrange(total)] = None
    return list(drawn)


def _combination(found: Sequence[Axis], index: int) -> dict[str, Any]:
    """The grid's point of this number, without counting the others out."""
    made: dict[str, Any] = {}
    for axis in reversed(found):
        index, place = divmod(index, len(axis.choices))
        made[axis.name] = axis.choices[place]
    return {axis.name: made[axis.name] for axis in found}


def _seed(params: Mapping[str, Any]) -> int | None:
    seed = params.get(SEED)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) < 2**63 else None


def _split(said: str) -> list[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    parts, depth, quote, part = [], 0, "", ""
    for letter in said:
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


def _csv(text: str) -> list[dict[str, Any]]:
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)  # the comma where none is there
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    head = [name.strip() for name in next(reader, [])]
    if not head or not all(head) or len(set(head)) != len(head):
        raise ValueError("its first line is no list of different names")
    made = []
    for number, row in enumerate((row for row in reader if any(cell.strip() for cell in row)), start=1):
        if len(row) != len(head):
            raise ValueError(f"row {number} has {len(row)} cells, the head has {len(head)}")
        made.append({name: yamlvalue.value(cell) for name, cell in zip(head, row, strict=True) if cell.strip()})
    return made


def _lines(text: str) -> list[Any]:
    made = []
    for number, line in enumerate(text.split("\n"), start=1):  # a text in JSON may hold what else ends a line
        if line.strip():
            try:
                made.append(parameters.json_document(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {getattr(error, 'msg', error)}") from error
    return made


def _yaml(text: str) -> Any:
    return yamlvalue.document(text)
