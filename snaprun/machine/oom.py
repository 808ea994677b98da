"""Ask Linux whether it killed something of ours for want of memory."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def oom_kills(proc: Path = Path("/proc/self/cgroup"), cgroups: Path = CGROUPS) -> int | None:
    """How often the out-of-memory killer struck in our control group so far; None where that cannot be known.

    Version 2 counts in ``memory.events``, version 1 in ``memory.oom_control`` (kernel documentation, admin-guide/
    cgroup-v2 and cgroup-v1/memory). A counter that rose between two calls means one of our processes, or a neighbour
    in the same group.
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            count = _read_counter(cgroups / path.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            count = _read_counter(cgroups / "memory" / path.lstrip("/") / "memory.oom_control")
        else:
            continue
        if count is not None:
            return count
    return _read_counter(cgroups / "memory.events")


def _read_counter(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
