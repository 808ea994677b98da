"""Parse and print lengths of time and sizes, the same at every door: options, settings, variables, filters.

A length of time is seconds, or numbers with units (``90``, ``1.5h``, ``1h30m``, ``1 h``, ``1w``; in any case, so that
``1M`` is a minute). A size is bytes, or a number with a unit (``500M``, ``1.5 GiB``).
"""

from __future__ import annotations

import math
import re
from typing import Any, TypeGuard

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""Seconds of each unit of time."""

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_PART = rf"({_NUMBER})\s*({'|'.join(UNITS)})\s*"
_SIZE = rf"({_NUMBER})\s*(?:([kmgt])(i?)b?|b)?"
"""Patterns that are compiled where something is parsed: every command imports this, and most only print."""


def parse_duration(text: str, *, bare: float | None = 1.0) -> float | None:
    """Seconds of a length of time; None where ``text`` is none.

    ``bare`` is the unit of a number without one, in seconds; with None such a number is no length of time.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text):
        seconds = float(text) * bare if bare is not None else math.nan
    elif re.fullmatch(rf"(?:{_PART})+", text):
        seconds = sum(float(number) * UNITS[unit] for number, unit in re.findall(_PART, text))
    else:
        return None
    return seconds if math.isfinite(seconds) else None


def parse_size(text: str) -> int | None:
    """Bytes of a size; None where ``text`` is none. ``K``, ``M``, ``G``, ``T`` are powers of 1000, ``Ki`` of 1024."""
    parts = re.fullmatch(_SIZE, text.strip().lower())
    if parts is None:
        return None
    number, prefix, binary = parts.groups()
    factor = (1024 if binary else 1000) ** (" kmgt".index(prefix) if prefix else 0)
    count = float(number) * factor
    return round(count) if math.isfinite(count) else None


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether ``value`` is a number that compares with others: not true or false, and not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Whether ``value`` is a number within the range of a float."""
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # an integer beyond it
        return False


def format_duration(seconds: float | None) -> str:
    """Seconds as a person says them: ``0.08 s``, ``12.3 s``, ``3 m 12 s``, ``2 h 05 m``, ``3 d 04 h``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def format_clock(seconds: float) -> str:
    """Seconds as a clock that runs: ``02:14``, ``1:02:14``."""
    hours, remainder = divmod(int(seconds), 3600)
    text = f"{remainder // 60:02d}:{remainder % 60:02d}"
    return f"{hours}:{text}" if hours else text


def format_size(count: int | None) -> str:
    """Bytes for a column of a table, in powers of 1000 as file managers and ``df -H`` do: ``512 B``, ``1.5 kB``."""
    if count is None:
        return ""
    amount, unit = _scale(count, 1000)
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def round_size(count: int) -> str:
    """Bytes in a sentence, with three digits at most: ``512 B``, ``4 GB``, ``4.21 GB``."""
    amount, unit = _scale(count, 999.5)  # which .3g would print as 1e+03
    return f"{amount:.3g} {unit}"


def _scale(count: int, limit: float) -> tuple[float, str]:
    """Bytes as an amount below ``limit`` of the first unit that allows it."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < limit:
            return amount, unit
        amount /= 1000
    return amount, "TB"
