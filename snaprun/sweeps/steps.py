"""What a run logs of one metric, step by step, read while it grows: all that a pruner goes by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

EVERY = 1000
"""Up to this step all count, up to ten times it every tenth, and so on: a pruner needs no more, and it costs memory."""


class Series:
    """The values of a metric by step, as far as they were read."""

    def __init__(self, metric: str, known: Mapping[int, float]) -> None:
        self.metric = metric
        self._offset = 0
        self._known = dict(known)

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

    def rest(self, lines: bytes) -> dict[int, float]:
        """What the whole of a ``metrics.jsonl`` has that was not read before."""
        return self._take(lines)

    def _take(self, lines: bytes) -> dict[int, float]:
        """What is new in these lines, in their order."""
        found = {}
        for line in lines.splitlines():
            entry = _entry(line)
            if entry is None or entry[0] != self.metric or not _counts(entry[1]):
                continue
            if self._known.get(entry[1]) != entry[2]:
                found[entry[1]] = entry[2]
        self._known.update(found)
        return found


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


def _counts(step: int) -> bool:
    spacing = 1
    while step > EVERY * spacing:
        spacing *= 10
    return step % spacing == 0
