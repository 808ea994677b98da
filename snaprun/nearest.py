"""Find the known name that a mistyped one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MIN_RATIO = 0.65
"""How alike two names must be: ``epoch`` and ``epochs`` are, ``when`` and ``hidden`` (0.6) are not."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The known name most like ``name``: upper and lower case aside, then by letters, then by what contains it."""
    names = list(candidates)
    lower = {candidate.lower(): candidate for candidate in reversed(names)}
    if name.lower() in lower:
        return lower[name.lower()]
    matches = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=MIN_RATIO)
    if matches:
        return lower[matches[0]]
    return next((choice for choice in names if len(name) > 1 and name.lower() in choice.lower()), None)
