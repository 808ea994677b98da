"""Turn a run into rows of the index, the same for every database."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from snaprun.model import RUN_FIELDS, Run
from snaprun.quantities import is_number

INT64 = 2**63


def of_run(repo: str, run: Run) -> dict[str, Any]:
    """The row of ``runs``."""
    return {"repo": repo, **{name: encode(getattr(run, name)) for name, encode in _COLUMNS}}


def of_children(table: str, key: int, run: Run) -> Iterator[dict[str, Any]]:
    """The rows of one of :data:`CHILDREN` that belong to the run with this key."""
    return CHILDREN[table](key, run)


def _params(key: int, run: Run) -> Iterator[dict[str, Any]]:
    for position, (name, value) in enumerate(_plain_names(run.params).items()):
        json_text = as_json(value)
        yield {
            "run": key,
            "name": name,
            "position": position,
            "value": json_text,
            "number": _number(value),
            "text": plain(value) if isinstance(value, str) else json_text,
        }


def _metrics(key: int, run: Run) -> Iterator[dict[str, Any]]:
    for position, (name, metric) in enumerate(_plain_names(run.metrics).items()):
        ends = {"last": _number(metric.last), "min": _number(metric.min), "max": _number(metric.max)}
        yield {"run": key, "name": name, "position": position, **ends, "steps": metric.steps}


def _tags(key: int, run: Run) -> Iterator[dict[str, Any]]:
    for position, tag in enumerate(dict.fromkeys(plain(tag) for tag in run.tags)):
        yield {"run": key, "tag": tag, "position": position}


def _cells(key: int, run: Run) -> Iterator[dict[str, Any]]:
    for cell in {cell.number: cell for cell in run.cells}.values():
        yield {
            "run": key,
            "number": cell.number,
            "label": plain(cell.label),
            "state": cell.state,
            "seconds": _finite_or_none(cell.seconds),
            "cell_id": _plain_or_none(cell.id),
        }


CHILDREN = {"params": _params, "metrics": _metrics, "tags": _tags, "cells": _cells}
"""The tables whose rows belong to one run and are replaced with it."""


def as_json(value: Any) -> str:
    """``value`` as JSON that every database reads: ASCII; what JSON cannot say stands as ``{"$yaml": …}``."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return json.dumps(_json_value(value), allow_nan=False)


def _json_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$yaml": ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_json_value(item) for item in value]
    return {"$yaml": str(value)}


def plain(text: str) -> str:
    """``text`` as every database can hold it: no NUL, and undecodable bytes of a file name written out."""
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode("utf-8")


def like(text: str) -> str:
    """``text`` with LIKE's own marks made plain, for ``ESCAPE '!'``."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _plain_names(items: Mapping[str, Any]) -> dict[str, Any]:
    return {plain(str(name)): value for name, value in items.items()}


def _number(value: Any) -> float | None:
    """A number as the database compares it; None for NaN and for anything else."""
    if not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _plain_or_none(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _finite_or_none(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def _int64_or_none(value: int | None) -> int | None:
    return value if value is None or -INT64 <= value < INT64 else None


def _as_it_is(value: Any) -> Any:
    return value


_ENCODERS: Mapping[str, Callable[[Any], Any]] = {
    "text": _plain_or_none,
    "oid": _as_it_is,
    "status": str,
    "time": _as_it_is,
    "duration": _finite_or_none,
    "integer": _as_it_is,
    "big integer": _int64_or_none,
    "flag": bool,
}
"""How each kind of field of a run becomes a value that every database can hold."""

_COLUMNS = tuple((item.name, _ENCODERS[item.kind]) for item in RUN_FIELDS if item.is_column)
