"""Keep what a search is to try, and how far it may go, in a document that outlives every process."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from snaprun.errors import DataFault
from snaprun.files import read_json, write_json
from snaprun.git.locate import Place
from snaprun.live import searches
from snaprun.model import SCHEMA, Run, RunSpec
from snaprun.notebooks import parameters
from snaprun.statuses import Status
from snaprun.sweeps import points, space
from snaprun.sweeps.space import Dimension

NAME = "search.json"

STATE_OPEN = "open"
STATE_DONE = "done"
STATE_EXHAUSTED = "exhausted"
STATE_STOPPED = "stopped"
STATE_FAILED = "failed"
"""Where a search stands: it goes on, all trials were made, every point was tried, somebody ended it, or it cannot go
on."""

PRUNE_REASON = "pruned by optuna"
"""How the reason of a run begins that was given up."""

GROUP = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class Search:
    """A search: ``axes`` as typed, ``fixed`` what all runs are given, ``trials`` how many it may make in all.

    ``room`` is how many runs it has going or waiting at a time, ``jobs`` what the queue was asked for. ``first`` is the
    run whose tree all others are frozen on, ``spec`` what they have in common; ``env`` names the environment that they
    run in.
    """

    group: str
    axes: tuple[str, ...]
    fixed: Mapping[str, Any]
    metric: str
    highest: bool
    trials: int
    seed: int
    prune: bool
    room: int
    jobs: int | None
    retries: int
    after: str | None
    spec: Mapping[str, Any]
    env: str
    index_url: str | None
    first: str = ""
    state: str = STATE_OPEN
    why: str | None = None

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What varies."""
        return space.dimensions(points.axes(self.axes))

    @property
    def common_params(self) -> dict[str, Any]:
        """What all runs are given, with its exact values."""
        return {**parameters.from_json(self.fixed), **space.constants(points.axes(self.axes))}

    @property
    def base(self) -> RunSpec:
        """What is known of every run before it starts."""
        return RunSpec.from_json(self.spec)

    def with_state(self, state: str, reason: str | None = None) -> Search:
        """The same search, over."""
        return replace(self, state=state, why=reason)


def read(path: Path) -> Search:
    """The search in a folder.

    Raises:
        DataFault: there is none, or it is damaged.
    """
    try:
        data = read_json(path / NAME)
        values = {item.name: data[item.name] for item in fields(Search) if item.name in data}
        return Search(**{**values, "axes": tuple(values["axes"])})
    except FileNotFoundError as error:
        raise DataFault(f"there is no search {path.name}", hint="snaprun history shows the sweeps' ids") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault(f"search {path.name} cannot be read: {error}", hint=f"ls -l {path}") from error


def write(path: Path, search: Search) -> None:
    """Keep a search for good. Raises OSError where the folder cannot be written."""
    write_json(path / NAME, {"schema": SCHEMA, **asdict(search)})


def find(place: Place, group: str) -> Path | None:
    """The folder of the search with this id, or None."""
    if not GROUP.fullmatch(group):
        return None
    path = searches.folder(place, group)
    return path if (path / NAME).exists() else None


def is_pruned(run: Run) -> bool:
    """Whether a run was given up by a search."""
    return run.status is Status.STOPPED and (run.reason or "").startswith(PRUNE_REASON)
