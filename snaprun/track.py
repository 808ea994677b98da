"""What a notebook says to its run: metrics, parameters, artifacts. Standard library only; outside a run, silent.

Nothing here raises, blocks or uses the network: a tracker must never end a training.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

METRICS = "SNAPRUN_METRICS_FILE"
PARAMS = "SNAPRUN_PARAMS_FILE"
ARTIFACTS = "SNAPRUN_ARTIFACTS_FILE"


class _Params(Mapping[str, Any]):
    """The parameters of this run, read when first asked for; empty outside a run."""

    def __init__(self) -> None:
        self._read: dict[str, Any] | None = None

    def _values(self) -> dict[str, Any]:
        if self._read is None:
            try:
                with open(os.environ[PARAMS], encoding="utf-8") as file:
                    self._read = dict(json.load(file))
            except (KeyError, OSError, ValueError, TypeError):
                self._read = {}
        return self._read

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"params({self._values()!r})"


params: Mapping[str, Any] = _Params()


def log(values: Mapping[str, Any] | None = None, /, *, step: float | None = None, **named: Any) -> None:
    """Log numbers: ``log(loss=0.3, step=10)`` or ``log({"val/loss": 0.3}, step=10)``; what is none is passed over."""
    path = os.environ.get(METRICS)
    if not path:
        return
    now = time.time()
    lines = []
    for name, value in {**dict(values or {}), **named}.items():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        lines.append(json.dumps({"name": str(name), "value": number, "step": step, "time": now}))
    _append(path, lines)


def artifact(path: str | os.PathLike[str]) -> None:
    """Keep a file with the run, wherever it lies and even if git ignores it."""
    target = os.environ.get(ARTIFACTS)
    if target:
        _append(target, [json.dumps({"path": os.path.abspath(os.fspath(path)), "time": time.time()})])


def _append(path: str, lines: list[str]) -> None:
    if not lines:
        return
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        os.write(file, data)  # one write of less than a pipe buffer: lines of several processes never mix
    except OSError:
        return
    finally:
        os.close(file)
