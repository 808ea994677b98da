"""Read which processes supervise a run, and make the environment of a supervisor. Standard library only."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from snaprun.files import read_json, read_json_or_empty, write_json
from snaprun.git.locate import clean_env
from snaprun.live.livefolder import Live
from snaprun.live.names import PLACEMENT_FILE, SUPERVISOR_FILE
from snaprun.machine import process

RUN_VARIABLES = (
    process.MARK,
    "SNAPRUN_ARTIFACTS_FILE",
    "SNAPRUN_CHECKPOINT_DIR",
    "SNAPRUN_METRICS_FILE",
    "SNAPRUN_PARAMS_FILE",
    "SNAPRUN_PATH",
    "SNAPRUN_PIPES",
    "SNAPRUN_REDIRECT",
    "SNAPRUN_SEED",
    "SNAPRUN_TALK",
    "SNAPRUN_WORKER",
)
"""What a run finds in its environment: a run that it starts is another."""

LIVE_PATH = re.compile(r"/snaprun/live/[0-9a-f]+/path/?$")
SITE = "/snaprun/boot/site"


def write_identities(path: Path, supervisor: process.Identity, worker: process.Identity) -> None:
    """Write down who supervises and executes the run in the live folder at ``path``. Raises OSError."""
    record = {"host": socket.gethostname(), "boot": supervisor.boot, "pid": supervisor.pid, "start": supervisor.start}
    write_json(path / SUPERVISOR_FILE, {**record, "worker": {"pid": worker.pid, "start": worker.start}})


def read_identities(folder: Live) -> tuple[process.Identity, process.Identity] | None:
    """Supervisor and worker of a run in progress; None before they are written down."""
    try:
        record = read_json(folder.path / SUPERVISOR_FILE)
        worker = record["worker"]
        boot = str(record["boot"])
        return (
            process.Identity(boot, int(record["pid"]), str(record["start"])),
            process.Identity(boot, int(worker["pid"]), str(worker["start"])),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def host_of(folder: Live) -> str | None:
    """The machine that a run in progress belongs to, where it is not this one."""
    host = read_json_or_empty(folder.path / PLACEMENT_FILE).get("host")
    if host:
        return str(host)
    record = read_json_or_empty(folder.path / SUPERVISOR_FILE)
    if not record:
        return None
    if record.get("boot") == process.boot_id() or record.get("host") == socket.gethostname():
        return None
    return str(record.get("host"))


def supervisor_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a supervisor, and so of the run: no trace of a calling git hook or of an outer run."""
    variables = {name: value for name, value in clean_env(env).items() if name not in RUN_VARIABLES}
    paths = [path for path in variables.pop("PYTHONPATH", "").split(os.pathsep) if path and not _is_of_run(path)]
    if paths:  # the supervisor lives in another folder than its caller
        variables["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths)
    variables[process.SUPERVISOR] = "1"
    return variables


def _is_of_run(path: str) -> bool:
    """Whether an entry of the import path was put there for an outer run, with which it goes away."""
    return bool(LIVE_PATH.search(path)) or path.endswith(SITE)
