"""Talk with a Jupyter kernel: its sockets inside an asyncio loop, every message as soon as it is there.

``jupyter_client``'s own asynchronous client costs three times as much a message and can sleep over messages that come
while it sends (ZeroMQ's file descriptors are edge-triggered: after each send or receive one has to look again).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

DELIMITER = b"<IDS|MSG>"
ONLINE = zmq.EVENT_CONNECTED | zmq.EVENT_ACCEPTED

BATCH = 200
"""Messages handled before the loop may do something else."""


@dataclass(frozen=True)
class Message:
    """A message from the kernel, already verified. ``parent`` is the header of the request that it belongs to.

    ``exact`` is the text of a stream as it was printed, where that is no UTF-8; the text itself has U+FFFD there.
    """

    channel: str
    kind: str
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]
    buffers: list[bytes]
    exact: bytes | None = None

    def as_dict(self) -> dict[str, Any]:
        """The message in jupyter_client's words."""
        return {
            "header": self.header,
            "msg_id": self.header.get("msg_id"),
            "msg_type": self.kind,
            "parent_header": self.parent,
            "metadata": self.metadata,
            "content": self.content,
            "buffers": self.buffers,
        }


class Channels:
    """The sockets of a kernel: shell, control, and the one by which it publishes (``iopub``).

    ``handler`` is called with every message, ``iopub`` is the socket with what is published.
    """

    def __init__(self, client: Any, handler: Callable[[Message], None], *, iopub: Any) -> None:
        self.session = client.session
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._drains: set[str] = set()
        self._online = False
        self.message_count = 0
        identity = self.session.bsession
        self._sockets: dict[str, Any] = {
            "iopub": iopub,
            "shell": client.connect_shell(identity=identity),
            "control": client.connect_control(identity=identity),
        }
        self._monitor = self._sockets["iopub"].get_monitor_socket(ONLINE | zmq.EVENT_DISCONNECTED)
        for name, socket in self._sockets.items():
            self._loop.add_reader(socket.FD, self._drain, name)

    def send(self, channel: str, kind: str, content: dict[str, Any], **options: Any) -> str:
        """Send a request; its message id."""
        message = self.session.msg(kind, content, **options)
        self.session.send(self._sockets[channel], message)
        self._schedule_drain(channel)
        return str(message["header"]["msg_id"])

    def send_raw(self, channel: str, message: Any) -> None:
        """Send a message that was built already."""
        self.session.send(self._sockets[channel], message)
        self._schedule_drain(channel)

    def close(self) -> None:
        """Let go of the sockets, what is unsent included."""
        self._sockets["iopub"].disable_monitor()
        self._monitor.close(linger=0)
        for socket in self._sockets.values():
            self._loop.remove_reader(socket.FD)
            socket.close(linger=0)
        self._sockets.clear()

    async def drain_until_closed(self, seconds: float) -> None:
        """Handle all that a kernel which has ended still sent: until the end of its connection, or for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._is_connected():
            await asyncio.sleep(0.002)
        self._drain("iopub")
        while self._drains:
            await asyncio.sleep(0)

    def _is_connected(self) -> bool:
        while self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            self._online = bool(event & ONLINE)
        return self._online

    def _schedule_drain(self, name: str) -> None:
        if name not in self._drains:
            self._drains.add(name)
            self._loop.call_soon(self._drain, name)

    def _drain(self, name: str) -> None:
        self._drains.discard(name)
        socket = self._sockets.get(name)
        if socket is None:
            return
        for _ in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.message_count += 1
            message = self._decode(name, frames)
            if message is not None:
                self._handler(message)
        self._schedule_drain(name)

    def _decode(self, channel: str, frames: list[bytes]) -> Message | None:
        """The message in these frames, which are used up; None when it is not signed with this run's key."""
        try:
            start = frames.index(DELIMITER)
        except ValueError:
            return None
        signature, *parts = frames[start + 1 : start + 6]
        if len(parts) != 4 or not hmac.compare_digest(self.session.sign(parts), signature):
            return None
        buffers, body = frames[start + 6 :], parts.pop()
        frames.clear()  # an output may be hundreds of megabytes: no more of it is kept than has to be
        header, parent, metadata = (json.loads(part.decode("utf-8", "replace")) for part in parts)
        kind, text = header["msg_type"], body.decode("utf-8", "replace")
        if kind != "stream":
            body = b""
        content = json.loads(text)
        exact = _exact(body) if body and "\ufffd" in content["text"] else None
        return Message(channel, kind, header, parent or {}, metadata, content, buffers, exact)


def _exact(content: bytes) -> bytes | None:
    """The bytes that a stream's message carries; Jupyter sends what is no UTF-8 as it is, within its JSON."""
    try:
        return str(json.loads(content.decode("utf-8", "surrogateescape"))["text"]).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character of UTF-16, which has no bytes
        return None
