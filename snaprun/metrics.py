"""Read the lines of ``metrics.jsonl``: what a run has logged, summed up, as points of a curve, or as it grows."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from snaprun.live.names import METRICS_FILE
from snaprun.model import SNAP_DIR, Metric

if TYPE_CHECKING:
    from snaprun.git.gitrepo import GitRepo  # GitPython: ps and history read values without it

BLOCK = 1 << 16
"""Bytes that are parsed in one go: larger blocks are slower, and a log may have gigabytes."""

TAIL = 4096
"""Bytes at the end of a log in which its last line is looked for."""

_DECODER = json.JSONDecoder(parse_int=float)  # an integer of any size is a number: inf beyond the range of a float


class LoggedValue(NamedTuple):
    """One value as it was logged; ``step`` is None where the notebook gave none, ``time`` seconds since the epoch."""

    name: str
    value: float
    step: float | None
    time: float


def read(source: bytes | BinaryIO) -> Iterator[LoggedValue]:
    """The values in a log, in their order.

    A torn or foreign line is passed over. Only a number is a value: NaN and the infinities are, true and ``"1"`` are
    not. A step or a time that is no finite number is as good as none.
    """
    for block in _blocks(source):
        yield from _parse(block)


def summarise(source: bytes | BinaryIO) -> dict[str, Metric]:
    """The last, smallest and largest value and the number of values of each name, in order of first appearance.

    NaN is a possible last value; it is the smallest or largest only where there is nothing else.
    """
    summary: dict[str, Metric] = {}
    for block in _blocks(source):
        values: dict[str, list[float]] = {}
        for name, value, _, _ in _parse(block):
            values.setdefault(name, []).append(value)
        for name, series in values.items():
            summary[name] = _extend(summary.get(name), series)
    return summary


def _extend(metric: Metric | None, values: Sequence[float]) -> Metric:
    """``metric`` with further values."""
    numbers = [value for value in values if not isnan(value)]
    if metric is not None:
        numbers += [value for value in (metric.min, metric.max) if not isnan(value)]
    numbers = numbers or [nan]
    steps = len(values) + (metric.steps if metric is not None else 0)
    return Metric(last=values[-1], min=min(numbers), max=max(numbers), steps=steps)


def _blocks(source: bytes | BinaryIO) -> Iterator[bytes]:
    """A log in blocks of whole lines; the last line may be torn."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    while block := file.read(BLOCK):
        yield block + file.readline()


def _parse(block: bytes) -> Iterator[LoggedValue]:
    """The values in some lines."""
    for entry in _documents(block.decode("utf-8", "replace")):
        if type(entry) is not dict:
            continue
        name, value, step, time = entry.get("name"), entry.get("value"), entry.get("step"), entry.get("time")
        if type(name) is str and type(value) is float:
            yield LoggedValue(
                name,
                value,
                step if type(step) is float and isfinite(step) else None,
                time if type(time) is float and isfinite(time) else 0.0,
            )


def _documents(text: str) -> list[Any]:
    """The JSON documents of all lines, parsed in one go where they are whole: ten times faster than one by one."""
    lines = [line for line in text.split("\n") if line.strip()]
    documents = _decode(f"[{','.join(lines)}]")
    if documents is not None and len(documents) == len(lines):
        return list(documents)
    return [_decode(line) for line in lines]


def _decode(text: str) -> Any:
    """A JSON document; None where ``text`` is none."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):  # RecursionError: a line of a thousand brackets
        return None


@dataclass(frozen=True)
class CurvePoint:
    """One logged value; ``step`` counts from 0 where the notebook gave none; ``time`` is seconds since the epoch."""

    step: float
    time: float
    value: float


def points(source: bytes | BinaryIO) -> dict[str, list[CurvePoint]]:
    """The values of each metric in a log as points of its curve."""
    points_by_metric: dict[str, list[CurvePoint]] = {}
    for name, value, step, time in read(source):
        curve = points_by_metric.setdefault(name, [])
        curve.append(CurvePoint(float(len(curve)) if step is None else step, time, value))
    return points_by_metric


def points_of_run(repo: GitRepo, run_id: str, commit: str) -> dict[str, list[CurvePoint]]:
    """The values that a run logged: from its result, or from its live folder while it is running."""
    data = repo.blob(commit, f"{SNAP_DIR}/metrics.jsonl")
    if data is not None:
        return points(data)
    try:
        with (repo.place.live / run_id / METRICS_FILE).open("rb") as file:
            return points(file)
    except OSError:  # it has logged nothing yet
        return {}


def read_last(path: Path) -> LoggedValue | None:
    """The value that was logged last; the end of the file is enough."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            if size > TAIL:
                file.readline()  # from its middle
            entries = list(read(file))
    except OSError:
        return None
    return entries[-1] if entries else None


DENSE_STEPS = 1000
"""Up to this step all count, up to ten times it every tenth, and so on: a pruner needs no more, and it costs memory."""


class Series:
    """The values of a metric by step, as far as they were read; what was logged without a whole step does not count."""

    def __init__(self, metric: str, values: Mapping[int, float]) -> None:
        self.metric = metric
        self._offset = 0
        self._values = dict(values)

    def read(self, path: Path) -> dict[int, float]:
        """What a growing ``metrics.jsonl`` has new; a shorter file than before is another attempt's."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                self._offset = self._offset if size >= self._offset else 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:  # the run has just ended
            return {}
        whole = data.rfind(b"\n") + 1
        self._offset += whole
        return self.read_all(data[:whole])

    def read_all(self, lines: bytes) -> dict[int, float]:
        """What these lines have that was not read before, in their order."""
        new_values = {}
        for entry in read(lines):
            if entry.name != self.metric or entry.step is None or entry.step < 0 or not entry.step.is_integer():
                continue
            step = int(entry.step)
            if _is_sampled(step) and self._values.get(step) != entry.value:
                new_values[step] = entry.value
        self._values.update(new_values)
        return new_values


def _is_sampled(step: int) -> bool:
    spacing = 1
    while step > DENSE_STEPS * spacing:
        spacing *= 10
    return step % spacing == 0
