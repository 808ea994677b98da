"""Where runs run: the protocol of a launcher, what goes into it and comes out, and the table of launchers.

What travels is the id of a run and where its snapshot is, never code. The result commit alone says how a run ended; a
launcher only explains why there is none yet. A plug-in is a module with the functions of :class:`Launcher`, named by an
entry point of the group ``snaprun.launchers``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from snaprun.errors import Unavailable, UsageFault
from snaprun.locate import Place
from snaprun.order import Request, read_json, write_json

LAUNCHERS: Mapping[str, str] = {
    "local": "snaprun.launchers.local",
    "tmux": "snaprun.launchers.tmux",
    "slurm": "snaprun.launchers.slurm",
}
"""Name and module of every launcher of the package."""

GROUP = "snaprun.launchers"
"""The group of entry points in which other packages name theirs."""

SUBMITTED = "submitted.json"
"""In the live folder: which launcher has the run, and its handle there."""


@dataclass(frozen=True)
class Site:
    """From where, and with what wishes: ``options`` are the launcher's own (``partition`` for Slurm, say)."""

    place: Place
    env: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """One run to start: its id and its live folder, which holds all that the run needs."""

    run: str
    live: Path

    @property
    def command(self) -> list[str]:
        """What executes the run to its end on a machine that shares this file system; its exit code says nothing."""
        return [sys.executable, "-m", "snaprun.supervisor", os.fspath(self.live)]


@dataclass(frozen=True)
class State:
    """How a launcher sees a run: ``queued``, ``running``, ``ended``, or ``unknown`` (it knows of none), and why."""

    state: str
    reason: str | None = None


class Launcher(Protocol):
    """A launcher is a module with these functions. Handles are strings: any later process takes a run up again."""

    def check(self, site: Site) -> None:
        """Make sure that runs can be started. Raises Unavailable with the command that helps."""
        ...

    def submit(self, site: Site, runs: Sequence[Submission]) -> list[str]:
        """Start these runs, or queue them, and return their handles at once. Raises Unavailable."""
        ...

    def poll(self, site: Site, handles: Sequence[str]) -> list[State]:
        """How these runs stand."""
        ...

    def cancel(self, site: Site, handle: str, request: Request) -> bool:
        """Ask that a run ends; False where there is nothing to end any more."""
        ...

    def logs(self, site: Site, handle: str, offset: int) -> bytes:
        """What the launcher itself has to show of a run, from a byte on: the words of a scheduler, say."""
        ...


def launcher(name: str) -> Launcher:
    """The launcher of this name, from this package or a plug-in.

    Raises:
        UsageFault: there is none. Unavailable: a plug-in cannot be imported; the others still work.
    """
    if name in LAUNCHERS:
        return cast(Launcher, importlib.import_module(LAUNCHERS[name]))
    found = {point.name: point for point in _entry_points()}
    if name not in found:
        known = ", ".join([*LAUNCHERS, *found])
        raise UsageFault(f"there is no launcher {name!r}", hint=f"--launcher takes one of: {known}")
    try:
        return cast(Launcher, found[name].load())
    except Exception as error:  # the edge to foreign code: whatever it raises, say whose it is
        why = f"launcher {name!r} ({found[name].value}) cannot be imported: {error}"
        raise Unavailable(why, hint="mend or remove that package, or use another --launcher") from error


def _entry_points() -> list[Any]:
    """The plug-ins' entry points; their module takes longer to import than most commands run."""
    return list(importlib.import_module("importlib.metadata").entry_points(group=GROUP))


def note(live: Path, name: str, handle: str) -> None:
    """Write down who has the run. Raises OSError."""
    write_json(live / SUBMITTED, {"launcher": name, "handle": handle})


def noted(live: Path) -> tuple[str, str] | None:
    """Launcher and handle of a run in progress; None for one that was started here directly."""
    try:
        data = read_json(live / SUBMITTED)
        return str(data["launcher"]), str(data["handle"])
    except (OSError, ValueError, KeyError):
        return None
