"""The language of ``--where``: parsed by hand, compiled to SQL whose every value is bound, never evaluated."""

from __future__ import annotations

from typing import Any

from snaprun.errors import UsageFault


def compile(text: str) -> tuple[str, dict[str, Any]]:
    """Placeholder."""
    raise UsageFault(f"cannot read {text!r}")


def sort_keys(name: str) -> tuple[list[str], dict[str, Any]]:
    """Placeholder."""
    return [f'r."{name}"'], {}


def like(text: str) -> str:
    """``text`` with LIKE's own marks made plain, for ``ESCAPE '!'``."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
