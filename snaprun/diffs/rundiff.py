"""The data of a comparison of two runs, and its JSON: schema ``snaprun.diff/1``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from snaprun.model import Metric, Result, Run
from snaprun.notebooks import exact

if TYPE_CHECKING:  # who asks for the names of the sections needs none of these
    from snaprun.diffs.outputs import OutputDiff
    from snaprun.diffs.textdiff import Hunk
    from snaprun.notebooks.cells import Node

SCHEMA = "snaprun.diff/1"


@dataclass(frozen=True)
class Section:
    """A part of a comparison, as ``--only`` and the terminal call it.

    ``title`` stands before its lines in a terminal. ``in_markdown``, ``in_page``: there too it is a list of the lines
    that a terminal shows, else it has a form of its own.
    """

    name: str
    title: str
    in_markdown: bool = False
    in_page: bool = False


SECTIONS = (
    Section("run", "Run"),
    Section("params", "Params"),
    Section("metrics", "Metrics"),
    Section("code", "Code"),
    Section("outputs", "Outputs", in_markdown=True),
    Section("timings", "Timings", in_page=True),
    Section("files", "Files", in_markdown=True, in_page=True),
    Section("environment", "Env", in_markdown=True, in_page=True),
    Section("artifacts", "Artifacts", in_markdown=True, in_page=True),
)
"""In the order in which they are shown: a new one is a line here, a field of :class:`Comparison`, what fills it in
:mod:`snaprun.diffs.builder`, and its lines in :mod:`snaprun.diffs.terminal`."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison, taken out of git. What is not there is None: a run that has no result yet, say.

    ``source`` is the notebook that was frozen, ``executed_node`` the one with the outputs; ``tree`` the commit or tree
    whose files count; ``own`` the paths in it that belong to the notebook itself; ``unrun`` the code cells that did not
    run.
    """

    name: str
    commit: str | None
    tree: str
    notebook: str
    run: Run | None = None
    result: Result | None = None
    source: Node | None = None
    executed_node: Node | None = None
    language: str = "python"
    params: Mapping[str, Any] | None = None
    metrics: Mapping[str, Metric] | None = None
    environment: Mapping[str, Any] | None = None
    own: frozenset[str] = frozenset()
    unrun: frozenset[int] = frozenset()
    left_out: Mapping[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``snaprun.diff/1`` says of a side."""
        run = self.run
        return {
            "name": self.name,
            "run": run.id if run else None,
            "commit": self.commit,
            "notebook": self.notebook,
            "status": run.status.value if run else None,
            "exit_code": run.exit_code if run else None,
            "reason": run.reason if run else None,
            "seconds": run.seconds if run else None,
            "started": run.started if run else None,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class ValueDiff:
    """A named value on both sides. ``state``: same, changed, added or removed."""

    name: str
    a: Any
    b: Any
    state: str


@dataclass(frozen=True)
class MetricDiff:
    """A metric's last value on both sides. ``better``: whether B is better, None where that is not known."""

    name: str
    a: float | None
    b: float | None
    delta: float | None = None
    rel: float | None = None
    better: bool | None = None

    @property
    def state(self) -> str:
        """same, changed, added or removed."""
        if self.a is None or self.b is None:
            return "added" if self.a is None else "removed"
        return "same" if self.a == self.b or (self.a != self.a and self.b != self.b) else "changed"


@dataclass(frozen=True)
class CellVersion:
    """A cell as one side has it. ``number`` counts the cells of its kind from 1, as runs and messages do for code."""

    number: int
    source: str
    seconds: float | None = None


@dataclass(frozen=True)
class CellDiff:
    """A cell on both sides, None where a side has no such cell.

    ``part_of``: for a cell on one side only, the number on the other side of the cell it was split from or merged into.
    ``outputs`` is None where there are none to compare.
    """

    kind: str
    label: str
    state: str
    cell_a: CellVersion | None
    cell_b: CellVersion | None
    match: str = ""
    similarity: float = 0.0
    part_of: int | None = None
    hunks: tuple[Hunk, ...] = ()
    outputs: tuple[OutputDiff, ...] | None = None

    @property
    def a(self) -> int | None:
        """The cell's number on side A."""
        return self.cell_a.number if self.cell_a else None

    @property
    def b(self) -> int | None:
        """The cell's number on side B."""
        return self.cell_b.number if self.cell_b else None

    @property
    def seconds(self) -> tuple[float | None, float | None]:
        """How long the cell took on each side, where that is known."""
        return self.cell_a.seconds if self.cell_a else None, self.cell_b.seconds if self.cell_b else None

    @property
    def outputs_differ(self) -> bool:
        """Whether what the cell put out differs in more than noise."""
        return any(output.state != "same" for output in self.outputs or ())

    def to_json(self) -> dict[str, Any]:
        """The object in ``snaprun.diff/1``."""
        return {
            "kind": self.kind,
            "a": self.a,
            "b": self.b,
            "label": self.label,
            "state": self.state,
            "match": self.match or None,
            "similarity": self.similarity,
            "part_of": self.part_of,
            "hunks": [hunk.to_json() for hunk in self.hunks],
            "outputs": None if self.outputs is None else [output.to_json() for output in self.outputs],
            "seconds": dict(zip("ab", self.seconds, strict=True)),
        }


@dataclass(frozen=True)
class FileDiff:
    """A file that is not the notebook. ``state`` is git's letter: A, D, M, R (renamed), T (type); L: not in git."""

    path: str
    state: str
    old_path: str | None = None
    a_oid: str | None = None
    b_oid: str | None = None
    a_mode: str | None = None
    b_mode: str | None = None
    add: int | None = None
    delete: int | None = None
    binary: bool = False

    def to_json(self) -> dict[str, Any]:
        """The object in ``snaprun.diff/1``, where ``delete`` is called ``del``."""
        data = asdict(self)
        data["del"] = data.pop("delete")
        return data


@dataclass(frozen=True)
class Comparison:
    """What two sides have in common and what not. A section that was not compared is None; ``notes`` say why."""

    a: Side
    b: Side
    run: tuple[ValueDiff, ...]
    params: tuple[ValueDiff, ...] | None
    metrics: tuple[MetricDiff, ...] | None
    cells: tuple[CellDiff, ...] | None
    files: tuple[FileDiff, ...]
    environment: tuple[ValueDiff, ...] | None
    artifacts: tuple[ValueDiff, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def code(self) -> tuple[CellDiff, ...]:
        """The cells whose source or place differs."""
        return tuple(cell for cell in self.cells or () if cell.state != "same")

    @property
    def outputs(self) -> tuple[CellDiff, ...]:
        """The cells whose outputs differ."""
        return tuple(cell for cell in self.cells or () if cell.outputs_differ)

    @property
    def first_divergence(self) -> CellDiff | None:
        """The first cell, in the order of B, that both sides have and whose outputs differ."""
        return next((cell for cell in self.outputs if cell.a is not None and cell.b is not None), None)

    @property
    def identical(self) -> dict[str, bool | None]:
        """By section: the same, not the same, or not known."""
        output_cells = [cell for cell in self.cells or () if cell.outputs is not None]
        return {
            "params": _all_same(self.params),
            "metrics": None if self.metrics is None else all(metric.state == "same" for metric in self.metrics),
            "code": None if self.cells is None else not any(cell.kind == "code" for cell in self.code),
            "text": None if self.cells is None else not any(cell.kind != "code" for cell in self.code),
            "outputs": None if not output_cells else not self.outputs,
            "files": not self.files,
            "env": _all_same(self.environment),
            "artifacts": _all_same(self.artifacts),
        }

    @property
    def differs(self) -> bool:
        """Whether anything differs that is not only about when and how long (``diff --exit-code``)."""
        status = any(value.name in ("status", "exit_code", "notebook") and value.state != "same" for value in self.run)
        return status or any(equal is False for equal in self.identical.values())

    def to_json(self) -> dict[str, Any]:
        """The document of ``diff --json``: schema ``snaprun.diff/1``."""
        first = self.first_divergence
        return {
            "schema": SCHEMA,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "identical": self.identical,
            "first_divergence": None if first is None else {"a": first.a, "b": first.b, "label": first.label},
            "run": [_value_json(value) for value in self.run],
            "params": None if self.params is None else [_value_json(value) for value in self.params],
            "metrics": None if self.metrics is None else [_metric_json(metric) for metric in self.metrics],
            "cells": None if self.cells is None else [cell.to_json() for cell in self.cells],
            "files": [file.to_json() for file in self.files],
            "env": None if self.environment is None else [_value_json(value) for value in self.environment],
            "artifacts": None if self.artifacts is None else [_value_json(value) for value in self.artifacts],
            "truncated": [
                f"cell {cell.b}" for cell in self.outputs if any(output.left_out for output in cell.outputs or ())
            ],
            "notes": list(self.notes),
        }


def _all_same(values: Sequence[ValueDiff] | None) -> bool | None:
    return None if values is None else all(value.state == "same" for value in values)


def _value_json(value: ValueDiff) -> dict[str, Any]:
    return {"name": value.name, "a": exact.to_json(value.a), "b": exact.to_json(value.b), "state": value.state}


def _metric_json(metric: MetricDiff) -> dict[str, Any]:
    data = {**asdict(metric), "state": metric.state}
    return {key: exact.to_json(value) for key, value in data.items()}
