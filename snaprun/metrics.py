"""Sum up the lines of ``metrics.jsonl``: what the index and the lists keep of each logged series."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaprun.git.gitrepo import GitRepo
from snaprun.model import SNAP_DIR, Metric


def summarise(lines: bytes | Iterable[bytes]) -> dict[str, Metric]:
    """The last, smallest and largest value and the number of values of each name, in order of first appearance.

    Only numbers count. NaN is a possible last value; it is the smallest or largest only where there is nothing else.
    A torn or foreign line is passed over.
    """
    series: dict[str, list[float]] = {}
    for name, value in _numbers(lines if isinstance(lines, bytes) else b"\n".join(lines)):
        series.setdefault(name, []).append(value)
    summary = {}
    for name, values in series.items():
        numbers = [value for value in values if not math.isnan(value)] or values
        summary[name] = Metric(last=values[-1], min=min(numbers), max=max(numbers), steps=len(values))
    return summary


def _numbers(lines: bytes) -> Iterator[tuple[str, float]]:
    for entry in _entries(lines.decode("utf-8", "replace")):
        if not isinstance(entry, dict):
            continue
        name, value = entry.get("name"), entry.get("value")
        if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        try:
            yield name, float(value)
        except OverflowError:  # an integer beyond the range of a float
            yield name, math.inf if value > 0 else -math.inf


def _entries(text: str) -> list[Any]:
    """The JSON documents of all lines, parsed in one go where they are whole: ten times faster than one by one."""
    lines = [line for line in text.split("\n") if line.strip()]
    try:
        entries = json.loads(f"[{','.join(lines)}]")
        if len(entries) == len(lines):
            return list(entries)
    except ValueError:
        pass
    documents = []
    for line in lines:
        try:
            documents.append(json.loads(line))
        except ValueError:
            continue
    return documents


@dataclass(frozen=True)
class CurvePoint:
    """One logged value; ``step`` counts from 0 where the notebook gave none; ``time`` is seconds since the epoch."""

    step: float
    time: float
    value: float


def read(lines: bytes) -> dict[str, list[CurvePoint]]:
    """The values of each metric in the lines of ``metrics.jsonl``; a torn or foreign line is passed over."""
    points_by_metric: dict[str, list[CurvePoint]] = {}
    for line in lines.splitlines():
        try:
            entry = json.loads(line)
            name, value, step, time = entry["name"], float(entry["value"]), entry.get("step"), entry.get("time")
        except (ValueError, KeyError, TypeError, OverflowError):
            continue
        points = points_by_metric.setdefault(str(name), [])
        has_step = isinstance(step, (int, float)) and not isinstance(step, bool)
        points.append(CurvePoint(float(step) if has_step else float(len(points)), float(time or 0), value))
    return points_by_metric


def of_run(repo: GitRepo, run_id: str, commit: str) -> dict[str, list[CurvePoint]]:
    """The values that a run logged: from its result, or from its live folder while it is running."""
    data = repo.blob(commit, f"{SNAP_DIR}/metrics.jsonl")
    return read(data if data is not None else _live(repo.place.live / run_id / "metrics.jsonl"))


def _live(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


DENSE_STEPS = 1000
"""Up to this step all count, up to ten times it every tenth, and so on: a pruner needs no more, and it costs memory."""


class Series:
    """The values of a metric by step, as far as they were read."""

    def __init__(self, metric: str, values: Mapping[int, float]) -> None:
        self.metric = metric
        self._offset = 0
        self._values = dict(values)

    def read(self, path: Path) -> dict[int, float]:
        """What a growing ``metrics.jsonl`` has new; a shorter file than before is another attempt's."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                self._offset = self._offset if size >= self._offset else 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:  # the run has just ended
            return {}
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return self._take(data[:whole])

    def read_all(self, lines: bytes) -> dict[int, float]:
        """What the whole of a ``metrics.jsonl`` has that was not read before."""
        return self._take(lines)

    def _take(self, lines: bytes) -> dict[int, float]:
        """What is new in these lines, in their order."""
        new_values = {}
        for line in lines.splitlines():
            entry = _entry(line)
            if entry is None or entry[0] != self.metric or not _is_sampled(entry[1]):
                continue
            if self._values.get(entry[1]) != entry[2]:
                new_values[entry[1]] = entry[2]
        self._values.update(new_values)
        return new_values


def _entry(line: bytes) -> tuple[str, int, float] | None:
    """Name, step and value of a line; None where it is torn, foreign, or logged without a whole step."""
    try:
        data = json.loads(line)
        step = float(data["step"])
        if step != int(step) or step < 0:
            return None
        return str(data["name"]), int(step), float(data["value"])
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _is_sampled(step: int) -> bool:
    spacing = 1
    while step > DENSE_STEPS * spacing:
        spacing *= 10
    return step % spacing == 0
