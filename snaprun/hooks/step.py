"""A step of installing or uninstalling: what was done to one hook."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing done (or, in a dry run, to be done) to one hook."""

    hook: str
    path: str
    outcome: str
