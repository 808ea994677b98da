"""Hand a live folder and its lock from one process to another. Standard library only."""

from __future__ import annotations

import array
import json
import os
import socket
from pathlib import Path


def send_task(connection: socket.socket, path: Path, action: str, lock: int) -> None:
    """Hand a live folder and its lock to the process at the other end.

    Raises:
        OSError: there is nobody any more.
    """
    line = json.dumps({"live": os.fspath(path), "do": action}).encode() + b"\n"
    connection.sendmsg([line], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lock]))])


def receive_task(connection: socket.socket) -> tuple[Path, str, int] | None:
    """Wait for a task: the live folder, what to do, and the lock; None where the other end went away without one."""
    data = b""
    lock = -1
    while not data.endswith(b"\n"):
        part, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                lock = array.array("i", payload[:4])[0]
                os.set_inheritable(lock, False)  # a kernel that held it would keep a dead run alive
        if not part:
            return None
        data += part
    task = json.loads(data)
    return Path(task["live"]), str(task["do"]), lock
