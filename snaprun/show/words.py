"""Say ids, times, values and statuses in words, in colour where that is wanted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from snaprun.model import timestamp
from snaprun.statuses import Status


@dataclass(frozen=True)
class Look:
    """How to show: with colour or without, and how many columns there are (None: as wide as it gets)."""

    colour: bool = False
    width: int | None = None

    def style(self, text: str, colour: str | None = None, *, bold: bool = False) -> str:
        """``text`` in a colour, where colour is wanted."""
        return click.style(text, fg=colour, bold=bold) if self.colour else text


def choose_look(*, terminal: bool, env: Mapping[str, str]) -> Look:
    """The way to show on this stream: colour on a terminal without NO_COLOR, full width when piped."""
    if not terminal:
        return Look()
    return Look(colour=not env.get("NO_COLOR") and env.get("TERM") != "dumb", width=shutil.get_terminal_size().columns)


def moment(text: str | None) -> str:
    """A time in UTC as local time to the second."""
    if not text:
        return ""
    return datetime.fromtimestamp(timestamp(text)).strftime("%Y-%m-%d %H:%M:%S")


def age(text: str, now: float) -> str:
    """How long ago a moment was: ``12 s``, ``5 m``, ``3 h``, ``2 d``; older than 30 days: the date."""
    start = timestamp(text)
    seconds = max(0.0, now - start)
    for limit, unit, span in ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"), (30 * 86400, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // unit)} {span} ago"
    return datetime.fromtimestamp(start).strftime("%Y-%m-%d")


def value(thing: Any) -> str:
    """A parameter or metric as short as it can be said exactly; strings without quotes where that is clear."""
    if isinstance(thing, float):
        return f"{thing:.6g}"
    if isinstance(thing, str):
        return (
            thing if thing and thing == thing.strip() and not any(mark in thing for mark in "\n\t,=") else repr(thing)
        )
    if isinstance(thing, Mapping) and set(thing) == {"$yaml"}:
        return str(thing["$yaml"])
    if thing is None or isinstance(thing, bool):
        return str(thing).lower() if thing is not None else "null"
    if isinstance(thing, (list, dict)):
        return json.dumps(thing, ensure_ascii=False, separators=(",", ":"))
    return str(thing)


def pairs(params: Mapping[str, Any]) -> str:
    """Parameters on one line."""
    return " ".join(f"{name}={value(thing)}" for name, thing in params.items())


def status(run_status: Status, look: Look) -> str:
    """A status in its colour."""
    return look.style(run_status.value, run_status.colour)


def as_json(document: Mapping[str, Any]) -> str:
    """A document as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False)
