"""How an interpreter started by an engine speaks with the worker. Standard library only, Python 3.8 and later.

Not imported as part of snaprun: the other files of this folder execute it in the user's interpreter.
"""

from __future__ import annotations

import base64
import builtins
import faulthandler
import getpass
import io
import json
import os
import runpy
import signal
import sys
import types
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
MAIN = os.getpid()
errors = types.SimpleNamespace(**runpy.run_path(os.path.join(HERE, "errors.py"), run_name="snaprun_errors"))
_NOW, _ORDERS = (int(number) for number in os.environ.pop("SNAPRUN_TALK").split(","))
_rest = b""


class StdinNotImplementedError(NotImplementedError):
    """``input()`` was called, and nobody is there to answer; the name is ipykernel's."""


def prepare() -> None:
    """Make the interpreter look as if it had been started for the user's code alone."""
    for number in (_NOW, _ORDERS):
        os.set_inheritable(number, False)
    redirect = os.path.join(HERE, "redirect.py")
    if os.environ.get("SNAPRUN_REDIRECT") and os.path.exists(redirect):
        runpy.run_path(redirect, run_name="snaprun_redirect")  # editable installs then mean the frozen copy
    extra = os.environ.pop("SNAPRUN_PATH", "")
    if extra and extra not in sys.path:
        sys.path.append(extra)  # makes ``import snaprun`` work where it is not installed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False)
    faulthandler.enable(2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until user code runs; and it may be inherited as ignored
    builtins.input = getpass.getpass = _refuse


def _refuse(*_: object, **__: object) -> str:
    raise StdinNotImplementedError("input() was called, and nobody is there to answer")


def send(kind: str, **content: Any) -> None:
    """Tell the worker, after all that was printed until now, and wait until it has heard."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    alone = os.getpid() == MAIN  # a forked child cannot wait: the answers go to its parent
    data = json.dumps({"e": kind, "ack": alone, **content}, default=_plain).encode("ascii") + b"\n"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if alone else None
    try:
        while data:
            data = data[os.write(_NOW, data) :]
        if alone:
            _line()
    except BrokenPipeError:  # the worker is gone, and we shall be soon
        return
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def receive() -> Any:
    """The next order; None when there will be no more."""
    line = _line()
    return json.loads(line) if line else None


def about(error: BaseException) -> dict[str, Any]:
    """What the worker has to know of an exception; ``exit`` is the status with which plain Python would end."""
    made: dict[str, Any] = {"ename": type(error).__name__, "evalue": errors.text(error)}
    status = errors.status(error)
    return made if status is None else {**made, "exit": status}


def _line() -> bytes:
    global _rest
    while b"\n" not in _rest:
        data = os.read(_ORDERS, 65536)
        if not data:
            return b""
        _rest += data
    line, _rest = _rest.split(b"\n", 1)
    return line


def _plain(value: Any) -> Any:
    """What JSON does not know: bytes as base64 (images), numbers of other libraries, anything else as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, (set, tuple, frozenset)):
        return list(value)
    return str(value)
