"""Write and read the order of a run: what a command decides beyond what the snapshot says. Standard library only.

It lies as ``order.json`` in the live folder; the wire carries only the folder's path and the lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from snaprun.files import read_json, write_json
from snaprun.git.locate import Place, read_place
from snaprun.live.names import ORDER_FILE

LOST_BYTES = "lost"
"""In the file of how a run was seen to end: bytes of its journal that the disk refused to the last."""

JOB = "job"
"""Among the options of an order: which job of Slurm the run is, and how often that was started again."""

LIMIT_REASON = "limit"
"""Among the options of an order: why the run may not take longer, where its timeout is not the user's own."""

RUN = "run"
FINALISE = "finalise"
"""What a worker can be asked to do with a live folder."""

PORTABLE_FIELDS = ("grace", "timeout", "hold", "max_file_size", "link", "outputs")
PORTABLE_OPTIONS = ("commented_magics", "variables")
"""Fields and options of an order that mean the same on another machine."""


@dataclass(frozen=True)
class Order:
    """One attempt at a run. Durations in seconds, sizes in bytes; None is "without a limit" or "as the default".

    ``kernel`` is ``kernels.Kernel.to_json()`` where a kernel runs the code; ``python`` the interpreter of the other
    engines; ``after`` the result commit of the attempt before; ``options`` what an engine or launcher needs beyond.
    """

    run: str
    place: Place
    attempt: int = 1
    after: str | None = None
    grace: float = 10.0
    timeout: float | None = None
    hold: float | None = None
    max_file_size: int = 50_000_000
    link: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    index_url: str | None = None
    notify_command: str | None = None
    kernel: Mapping[str, Any] | None = None
    python: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of ``order.json``."""
        return {**asdict(self), "place": self.place.to_json()}

    def portable_part(self) -> dict[str, Any]:
        """What of it means the same on another machine, which makes an order of its own from it."""
        return {
            "order": {name: getattr(self, name) for name in PORTABLE_FIELDS},
            "options": {name: self.options[name] for name in PORTABLE_OPTIONS if name in self.options},
        }


def write_order(path: Path, order: Order) -> None:
    """Put an order into the live folder at ``path``, in the place of the one there. Raises OSError."""
    write_json(path / ORDER_FILE, order.to_json())


def read_order(path: Path) -> Order:
    """The order in a live folder.

    Raises:
        OSError, ValueError: there is none, or it cannot be read.
    """
    data = read_json(path / ORDER_FILE)
    names = {item.name for item in fields(Order)}
    data = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in names}
    data["place"] = read_place(data["place"])
    return Order(**data)
