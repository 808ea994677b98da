"""A small Jupyter kernel of a language of its own, with the bad manners that real ones have: ``odd_kernel.py FILE``.

A cell prints what it says. ``drop``: its idle message gets lost, as ZeroMQ does under load. ``mute``: nothing comes
after it, ever. ``noise``: writes to the process's own standard error. ``die``: exits. ``late``: output after the reply.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import zmq
from jupyter_client.session import Session


def main(path: str) -> None:
    with open(path) as file:
        about = json.load(file)
    session = Session(key=about["key"].encode(), signature_scheme=about["signature_scheme"])
    context = zmq.Context()
    sockets = {}
    for name, kind in [("shell", zmq.ROUTER), ("control", zmq.ROUTER), ("iopub", zmq.PUB)]:
        sockets[name] = context.socket(kind)
        sockets[name].bind(f"{about['transport']}://{about['ip']}-{about[name + '_port']}")
    poller = zmq.Poller()
    for name in ("shell", "control"):
        poller.register(sockets[name], zmq.POLLIN)
    mute = False
    while True:
        for socket, _ in poller.poll():
            identities, message = session.recv(socket, 0)
            mute = answer(session, sockets["iopub"], socket, identities, message, mute)


def answer(session: Session, iopub: Any, socket: Any, identities: Any, message: Any, mute: bool) -> bool:
    kind, code = message["msg_type"], message["content"].get("code", "")

    def publish(what: str, **content: Any) -> None:
        if not mute:
            session.send(iopub, what, content, parent=message)

    publish("status", execution_state="busy")
    reply: dict[str, Any] = {"status": "ok"}
    if kind == "kernel_info_request":
        reply |= {"protocol_version": "5.3", "language_info": {"name": "odd", "version": "1", "file_extension": ".odd"}}
    elif kind == "execute_request":
        reply |= {"execution_count": 1}
        publish("stream", name="stdout", text=f"{code}\n")
        if code == "noise":
            os.write(2, b"a warning of the process itself\n")
        if code == "die":
            time.sleep(0.3)  # ZeroMQ sends in a thread of its own
            os._exit(5)
    session.send(socket, kind.replace("request", "reply"), reply, parent=message, ident=identities)
    if kind == "shutdown_request":
        os._exit(0)
    if code == "late":
        publish("stream", name="stdout", text="after the reply\n")
    if code != "drop":
        publish("status", execution_state="idle")
    return mute or code == "mute"


if __name__ == "__main__":
    main(sys.argv[1])
