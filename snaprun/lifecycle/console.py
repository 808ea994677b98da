"""Talk to the kernel of a run in progress, from beside it: nothing here can end the kernel or interrupt its cell.

Where the kernel has subshells (JEP 91; ipykernel 7) an answer comes while a cell is busy, else when that cell is done.
What is asked here is no part of the notebook; the run's record says only that a console was opened on its kernel.
"""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from snaprun.errors import RunFault, Unavailable
from snaprun.live.livefolder import Live
from snaprun.live.names import CONSOLES_FILE
from snaprun.live.supervision import host_of

GREETING_TIMEOUT = 10.0
"""Seconds in which a living kernel answers on its control channel, however busy it is."""

SUBSHELLS = "kernel subshells"
"""The feature's name in a kernel's info."""


@dataclass(frozen=True)
class AnswerPiece:
    """A piece of an answer: ``stdout``, ``stderr``, ``result`` or ``error``, as text (errors with colours)."""

    kind: str
    text: str


class Console:
    """An open connection to a run's kernel; a context manager."""

    def __init__(self, folder: Live, *, with_subshell: bool = True) -> None:
        """Connect. ``with_subshell``: use one where the kernel has them; a held kernel is idle and needs none.

        Raises:
            Unavailable: the run has no Jupyter kernel (now), it is on another machine, or it does not answer.
        """
        short = folder.id[:8]
        host = host_of(folder)
        if host is not None:
            raise Unavailable(f"run {short} runs on {host}", hint=f"call snaprun console {short} there")
        if not folder.kernel.exists():
            raise Unavailable(f"run {short} has no kernel to talk to", hint=f"snaprun attach {short}")
        self._client = BlockingKernelClient(connection_file=os.fspath(folder.kernel))
        try:
            self._client.load_connection_file()
        except (OSError, ValueError) as error:
            raise Unavailable(f"the kernel of run {short} is gone", hint=f"snaprun show {short}") from error
        self._client.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=True)
        self._subshell: str | None = None
        try:
            features = self._greet(short)
            if with_subshell and SUBSHELLS in features:
                self._subshell = self._control("create_subshell_request", {}).get("subshell_id")
        except BaseException:
            self._client.stop_channels()
            raise
        self.has_subshell = self._subshell is not None
        _note_console(folder)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        if self._subshell is not None:
            self._send("control", "delete_subshell_request", {"subshell_id": self._subshell})
        self._client.stop_channels()

    def ask(self, code: str) -> Iterator[AnswerPiece]:
        """Run code in the kernel and give what it says as it comes; leaving the loop leaves the code running.

        Raises:
            RunFault: the kernel ended meanwhile.
        """
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        request_id = self._send("shell", "execute_request", content)
        while True:
            message = self._next(request_id)
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                yield AnswerPiece(content["name"], content["text"])
            elif kind in ("execute_result", "display_data"):
                yield AnswerPiece("result", content["data"].get("text/plain", "") + "\n")
            elif kind == "error":
                yield AnswerPiece("error", "\n".join(content["traceback"]) + "\n")
            elif kind == "status" and content["execution_state"] == "idle":
                return

    def is_complete(self, code: str) -> bool:
        """Whether the kernel would take this as a whole statement."""
        request_id = self._send("shell", "is_complete_request", {"code": code})
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                reply = self._client.get_shell_msg(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                break
            if reply["parent_header"].get("msg_id") == request_id:
                return bool(reply["content"].get("status") != "incomplete")
        return not code.rstrip().endswith((":", "\\")) and (code.endswith("\n") or "\n" not in code)

    def _greet(self, short: str) -> list[str]:
        """Wait until we hear what the kernel says, and learn what it can."""
        deadline = time.monotonic() + GREETING_TIMEOUT
        while time.monotonic() < deadline:
            request_id = self._send("control", "kernel_info_request", {})
            try:
                message = self._client.get_iopub_msg(timeout=0.2)
                info = self._reply(request_id, timeout=1.0)
            except queue.Empty:
                continue
            if message is not None:
                return list(info.get("supported_features") or ())
        raise Unavailable(f"the kernel of run {short} does not answer", hint=f"snaprun ps; snaprun stop {short}")

    def _control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._reply(self._send("control", kind, content), timeout=GREETING_TIMEOUT)
        except queue.Empty as error:
            raise Unavailable(f"the kernel does not answer {kind}", hint="snaprun ps") from error

    def _reply(self, request_id: str, *, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            message = self._client.get_control_msg(timeout=max(0.01, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") == request_id:
                return dict(message["content"])

    def _send(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        message = self._client.session.msg(kind, content)
        if self._subshell is not None and channel == "shell":
            message["header"]["subshell_id"] = self._subshell
        getattr(self._client, f"{channel}_channel").send(message)
        return str(message["header"]["msg_id"])

    def _next(self, request_id: str) -> dict[str, Any]:
        """The next message that answers what was asked."""
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=1.0)
            except queue.Empty as error:
                if not os.path.exists(self._client.connection_file):
                    raise RunFault("the run's kernel has ended", hint="snaprun show @") from error
                continue
            if message["parent_header"].get("msg_id") == request_id:
                return dict(message)


def _note_console(folder: Live) -> None:
    """Note in the live folder that a console was opened on the kernel."""
    line = json.dumps({"t": time.time(), "pid": os.getpid()}) + "\n"
    try:
        handle = os.open(folder.path / CONSOLES_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the run has just ended
        return
    with os.fdopen(handle, "w") as file:
        file.write(line)
