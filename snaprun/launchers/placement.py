"""Note in the live folder of a run who has it, and read that again: the launcher, and the run's handle there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from snaprun.files import read_json, write_json
from snaprun.launchers import LAUNCHERS, as_remote, launcher
from snaprun.live.names import PLACEMENT_FILE


@dataclass(frozen=True)
class Placement:
    """Who has a run: the launcher, its handle there, and the ``host`` where its files are on another machine."""

    launcher: str
    handle: str
    host: str | None = None

    @property
    def needs_poll(self) -> bool:
        """Whether the launcher is to be asked how the run stands: it is somewhere else, or waits for its turn."""
        own = LAUNCHERS.get(self.launcher)
        return bool(self.handle) and not (own is not None and own.at_once)


def write_placement(path: Path, name: str, handle: str) -> None:
    """Write down who has the run, and under which handle (empty: it is about to be submitted). Raises OSError."""
    remote = as_remote(launcher(name))
    host = remote.host(handle) if remote and handle else None
    write_json(path / PLACEMENT_FILE, asdict(Placement(name, handle, host)))


def read_placement(path: Path) -> Placement | None:
    """Who has a run in progress; None for one that was started here directly."""
    try:
        data = read_json(path / PLACEMENT_FILE)
        return Placement(**{name: data[name] for name in Placement.__dataclass_fields__ if name in data})
    except (OSError, ValueError, TypeError):
        return None
