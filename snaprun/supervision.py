"""Who looks after a run in progress, as its live folder says. Standard library only."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from snaprun import process
from snaprun.live import Live
from snaprun.locate import clean_env
from snaprun.order import SUBMITTED, SUPERVISOR, read_json


def supervised_by(folder: Live) -> tuple[process.Identity, process.Identity] | None:
    """Supervisor and worker of a run in progress, as they introduced themselves; None before they did."""
    try:
        about = read_json(folder.path / SUPERVISOR)
        worker = about["worker"]
        boot = str(about["boot"])
        return (
            process.Identity(boot, int(about["pid"]), str(about["start"])),
            process.Identity(boot, int(worker["pid"]), str(worker["start"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def host_of(folder: Live) -> str | None:
    """The machine that a run in progress belongs to, where it is not this one."""
    try:
        host = read_json(folder.path / SUBMITTED).get("host")
    except (OSError, ValueError):
        host = None
    if host:
        return str(host)
    try:
        about = read_json(folder.path / SUPERVISOR)
    except (OSError, ValueError):
        return None
    if about.get("boot") == process.boot_id() or about.get("host") == socket.gethostname():
        return None
    return str(about.get("host"))


def supervisor_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a supervisor, and so of the run: no trace of a calling git hook or of an outer run."""
    made = {name: value for name, value in clean_env(env).items() if name != process.MARK}
    paths = made.get("PYTHONPATH", "")
    if paths:  # the supervisor lives in another folder than its caller
        made["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep) if path)
    made[process.SUPERVISOR] = "1"
    return made
