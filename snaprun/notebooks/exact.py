"""Turn parameters into JSON and back, without losing what JSON cannot say: NaN, dates, keys that are no strings.

Standard library only: the notebook's own interpreter reads ``.snaprun/params.json`` with it.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Any

SCALAR = "$yaml"
"""``{"$yaml": ".nan"}``: a value as YAML writes it: ``.nan``, ``.inf``, ``-.inf``, a date, a date with a time."""

PAIRS = "$pairs"
"""``{"$pairs": [[1, "a"], …]}``: a mapping that no JSON object can be: ``{1: "a"}``."""

_FLOATS = {".nan": math.nan, ".inf": math.inf, "-.inf": -math.inf}


def to_json(value: Any) -> Any:
    """``value`` in terms of JSON.

    Raises:
        TypeError: it is none of None, bool, int, float, str, date, datetime, list, tuple and dict of these.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {SCALAR: _float_text(value)}
    if isinstance(value, (datetime, date)):
        return {SCALAR: value.isoformat()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and SCALAR not in value and PAIRS not in value:
            return {key: to_json(item) for key, item in value.items()}
        return {PAIRS: [[to_json(key), to_json(item)] for key, item in value.items()]}
    raise TypeError(f"a {type(value).__name__} cannot be kept as JSON")


def from_json(value: Any) -> Any:
    """The value that :func:`to_json` was given."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {SCALAR}:
        return _scalar(value[SCALAR])
    if set(value) == {PAIRS}:
        return {from_json(key): from_json(item) for key, item in value[PAIRS]}
    return {key: from_json(item) for key, item in value.items()}


def text(value: Any) -> str:
    """A value on one line as a person would give it to ``-p``: for tables and commit subjects."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else _float_text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(text(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text(key)}: {text(item)}' for key, item in value.items())}}}"
    return str(value)


def _float_text(value: float) -> str:
    return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")


def _scalar(literal: str) -> Any:
    if literal in _FLOATS:
        return _FLOATS[literal]
    return datetime.fromisoformat(literal) if "T" in literal else date.fromisoformat(literal)
