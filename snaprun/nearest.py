"""Find the known name that a mistyped one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.65
"""How alike two names must be: ``epoch`` and ``epochs`` are, ``when`` and ``hidden`` (0.6) are not."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``: upper and lower case aside, then by letters, then by what contains it."""
    names = list(known)
    lower = {one.lower(): one for one in reversed(names)}
    if name.lower() in lower:
        return lower[name.lower()]
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=ALIKE)
    if close:
        return lower[close[0]]
    return next((one for one in names if len(name) > 1 and name.lower() in one.lower()), None)
