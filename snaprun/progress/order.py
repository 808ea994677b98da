"""What a command decides about a run beyond what its snapshot says, handed to the supervisor: standard library only.

It lies as ``order.json`` in the live folder; the wire carries only the folder's path and the lock.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from snaprun.git.locate import Place, standing

ORDER = "order.json"
SUPERVISOR = "supervisor.json"
STOP = "stop.json"
ENDING = "ending.json"
TALK = "snaprun.log"
SUBMITTED = "submitted.json"
"""Names in the live folder: the order, who supervises, who asked for an end, how it was seen to end, own messages, and
which launcher has the run."""

LOST = "lost"
"""In the file of how a run was seen to end: bytes of its journal that the disk refused to the last."""

JOB = "job"
"""Among the options of an order: which job of Slurm the run is, and how often that was started again."""

LIMIT = "limit"
"""Among the options of an order: why the run may not take longer, where its timeout is not the user's own."""

RUN = "run"
FINALISE = "finalise"
"""What a worker can be asked to do with a live folder."""

ELSEWHERE = ("grace", "timeout", "hold", "max_file_size", "link", "outputs")
OPTIONS_ELSEWHERE = ("commented_magics", "variables")
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
        data = asdict(self)
        data["place"] = {key: os.fspath(value) for key, value in data["place"].items()}
        return data

    def elsewhere(self) -> dict[str, Any]:
        """What of it means the same on another machine, which makes an order of its own from it."""
        return {
            "order": {name: getattr(self, name) for name in ELSEWHERE},
            "options": {name: self.options[name] for name in OPTIONS_ELSEWHERE if name in self.options},
        }


def read_order(live: Path) -> Order:
    """The order in a live folder.

    Raises:
        OSError, ValueError: there is none, or it cannot be read.
    """
    data = read_json(live / ORDER)
    known = {item.name for item in fields(Order)}
    data = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in known}
    data["place"] = standing(Place(**{key: Path(value) for key, value in data["place"].items()}))
    return Order(**data)


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a file.

    Raises:
        OSError, ValueError: there is none, or it is no JSON object.
    """
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no JSON object")
    return data


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a small JSON object so that a reader sees all of it or nothing."""
    other = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(data).encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(other, path)
    except OSError:
        other.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Request:
    """Somebody's wish that the run ends: by which signal, without waiting (``kill``), with which grace in seconds.

    ``reason`` stands in the record then; without one, the record names the signal.
    """

    signal: int
    kill: bool = False
    grace: float | None = None
    time: float = 0.0
    reason: str | None = None


def ask_stop(live: Path, request: Request) -> None:
    """Write the wish down, so that whoever finalises the run knows of it.

    Raises:
        OSError: the live folder is gone, or cannot be written.
    """
    write_json(live / STOP, asdict(request))


def asked_stop(live: Path) -> Request | None:
    """The wish that lies in a live folder, if there is one."""
    try:
        data = read_json(live / STOP)
        return Request(**{key: value for key, value in data.items() if key in Request.__dataclass_fields__})
    except (OSError, ValueError, TypeError):
        return None


def note_stop(live: Path, number: int, now: float) -> Request:
    """The wish that a signal brings: the one written down, else this signal, which is written down if possible."""
    found = asked_stop(live)
    if found is not None:
        return found
    request = Request(signal=number, time=now)
    try:
        ask_stop(live, request)
    except OSError:
        return request  # the folder was deleted, or the disk is full: the signal counts all the same
    return request


def send_task(door: socket.socket, live: Path, what: str, lock: int) -> None:
    """Hand a live folder and its lock to the process at the other end.

    Raises:
        OSError: there is nobody any more.
    """
    line = json.dumps({"live": os.fspath(live), "do": what}).encode() + b"\n"
    door.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lock]))])


def receive_task(door: socket.socket) -> tuple[Path, str, int] | None:
    """Wait for a task: the live folder, what to do, and the lock; None where the other end went away without one."""
    data = b""
    lock = -1
    while not data.endswith(b"\n"):
        part, extra, _, _ = door.recvmsg(65536, socket.CMSG_SPACE(4))
        for level, kind, payload in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                lock = array.array("i", payload[:4])[0]
                os.set_inheritable(lock, False)  # a kernel that held it would keep a dead run alive
        if not part:
            return None
        data += part
    task = json.loads(data)
    return Path(task["live"]), str(task["do"]), lock
