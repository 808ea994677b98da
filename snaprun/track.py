"""Take what a notebook says to its run: metrics, parameters, artifacts. Stdlib only; outside a run, silent.

Nothing here raises, blocks or uses the network: a tracker must never end a training. So whatever goes wrong here, in
the objects that are passed included, is passed over.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from snaprun.notebooks.exact import from_json

METRICS = "SNAPRUN_METRICS_FILE"
PARAMS = "SNAPRUN_PARAMS_FILE"
ARTIFACTS = "SNAPRUN_ARTIFACTS_FILE"

DEPTH = 5
"""How deep mappings in mappings are followed: ``log({"val": {"loss": 0.3}})`` logs ``val/loss``."""


class _Params(Mapping[str, Any]):
    """The parameters of this run with their exact values, read when first asked for; empty outside a run."""

    def __init__(self) -> None:
        self._content: dict[str, Any] | None = None

    def _values(self) -> dict[str, Any]:
        if self._content is None:
            try:
                with open(os.environ[PARAMS], encoding="utf-8") as file:
                    self._content = {name: _exact(value) for name, value in json.load(file).items()}
            except (KeyError, OSError, ValueError, AttributeError):
                self._content = {}
        return self._content

    def __getitem__(self, name: str) -> Any:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"params({self._values()!r})"


params: Mapping[str, Any] = _Params()


def log(*values: Any, step: Any = None, **metrics: Any) -> None:
    """Log numbers: ``log(loss=0.3, step=10)``, ``log({"val/loss": 0.3}, step=10)`` or ``log("loss", 0.3)``.

    A number is whatever turns into one: also a NumPy scalar, or a tensor of one element. What does not is passed over.
    """
    path = os.environ.get(METRICS)
    if not path:
        return
    try:
        numbers: dict[str, Any] = {}
        for mapping in values:
            if isinstance(mapping, Mapping):
                _flatten(mapping, "", numbers, DEPTH)
        if len(values) == 2 and isinstance(values[0], str):
            numbers[values[0]] = _number(values[1])
        _flatten(metrics, "", numbers, DEPTH)
        stamp = {"step": _number(step), "time": time.time()}
        lines = [{"name": name, "value": value, **stamp} for name, value in numbers.items() if value is not None]
        _append(path, lines)
    except Exception:  # noqa: BLE001, S110  # see the module: the user's training goes on whatever happens here
        pass


def artifact(path: str | os.PathLike[str]) -> None:
    """Keep a file or folder with the run, wherever it lies and even if git ignores it."""
    target = os.environ.get(ARTIFACTS)
    if not target:
        return
    try:
        _append(target, [{"path": os.path.abspath(os.fsdecode(path)), "time": time.time()}])
    except Exception:  # noqa: BLE001, S110  # see the module
        pass


def _flatten(values: Mapping[Any, Any], prefix: str, numbers: dict[str, Any], depth: int) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            if depth > 1:
                _flatten(value, f"{prefix}{name}/", numbers, depth - 1)
        else:
            numbers[f"{prefix}{name}"] = _number(value)


def _number(value: Any) -> float | int | None:
    """``value`` as a number; None where it is none."""
    kind = type(value)
    if kind is float or kind is int:
        return value if kind is float or value.bit_length() < 1024 else None  # a longer one fits no float
    if value is None or isinstance(value, (str, bytes, bytearray)):
        return None
    try:
        single = value.item() if callable(getattr(value, "item", None)) else value
        return _number(single) if type(single) is int else float(single)
    except Exception:  # noqa: BLE001  # a tensor of two elements, a broken __float__: anything
        return None


def _exact(value: Any) -> Any:
    try:
        return from_json(value)
    except (ValueError, TypeError):  # written by a later snaprun
        return value


def _append(path: str, entries: list[dict[str, Any]]) -> None:
    """Add lines by one write, so that those of several threads and processes never mix. Opened anew each time: a fork,
    a changed folder or a closed descriptor does no harm, and it takes 10 µs.
    """
    if not entries:
        return
    data = "".join(f"{json.dumps(entry)}\n" for entry in entries).encode("ascii")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, data)
    finally:
        os.close(file)
