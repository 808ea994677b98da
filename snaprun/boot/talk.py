"""Speak with the worker from an interpreter that an engine started. Standard library only, Python 3.8 and later.

Not imported as part of snaprun: the other files of this folder execute it in the user's interpreter.
"""

from __future__ import annotations

import _thread
import base64
import builtins
import contextlib
import faulthandler
import fcntl
import getpass
import io
import json
import math
import numbers
import os
import runpy
import signal
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

BOOT_FOLDER = os.path.dirname(os.path.abspath(__file__))
MAIN = os.getpid(), _thread.get_ident()
errors = types.SimpleNamespace(**runpy.run_path(os.path.join(BOOT_FOLDER, "errors.py"), run_name="snaprun_errors"))
_MESSAGE_PIPE, _ORDER_PIPE, _ACK_PIPE, _LOCK_FILE = (
    int(number) for number in os.environ.pop("SNAPRUN_TALK").split(",")
)
_buffer = b""
_ack_count = 0
_lock = _thread.RLock()


class StdinNotImplementedError(NotImplementedError):
    """``input()`` was called, and nobody is there to answer; the name is ipykernel's."""


def prepare() -> None:
    """Make the interpreter look as if it had been started for the user's code alone."""
    for number in (_MESSAGE_PIPE, _ORDER_PIPE, _ACK_PIPE, _LOCK_FILE):
        os.set_inheritable(number, False)
    os.register_at_fork(after_in_child=_renew_lock)
    redirect = os.path.join(BOOT_FOLDER, "redirect.py")
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
    builtins.input = getpass.getpass = _refuse_input


def _refuse_input(*_: object, **__: object) -> str:
    raise StdinNotImplementedError("input() was called, and nobody is there to answer")


def send(kind: str, **content: Any) -> None:
    """Tell the worker, after all that was printed until now, and wait until it has heard.

    Any thread may, and forked children too: one message at a time, so that none is written into another one. An
    interrupt waits until the message is complete. It starts with the end of a line, in case the last one was cut off.
    """
    global _ack_count
    _flush()
    data = _encode({"e": kind, "ack": os.getpid() == MAIN[0], **content})
    with _delay_interrupt(), _lock:
        try:
            with _hold_lock():
                for part in (b"\n", data, b"\n"):
                    remainder = memoryview(part)
                    while remainder:
                        remainder = remainder[os.write(_MESSAGE_PIPE, remainder) :]
            if os.getpid() != MAIN[0]:
                return  # a forked child cannot wait: the answers go to its parent
            _ack_count += 1
            while _ack_count:
                _ack_count -= len(os.read(_ACK_PIPE, _ack_count)) or _ack_count
        except BrokenPipeError:  # the worker is gone, and we shall be soon
            return


def receive() -> Any:
    """The next order; None when there will be no more."""
    global _buffer
    while b"\n" not in _buffer:
        data = os.read(_ORDER_PIPE, 65536)
        if not data:
            return None
        _buffer += data
    line, _buffer = _buffer.split(b"\n", 1)
    return json.loads(line)


def describe_error(error: BaseException) -> dict[str, Any]:
    """What the worker has to know of an exception; ``exit`` is the status with which plain Python would end."""
    fields: dict[str, Any] = {"ename": type(error).__name__, "evalue": errors.format_message(error)}
    status = errors.find_exit_status(error)
    return fields if status is None else {**fields, "exit": status}


def _flush() -> None:
    """Pass on what was printed. What stands in the place of a stream is the user's, and may be unable to."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    for stream in streams:
        with contextlib.suppress(Exception):
            stream.flush()


def _renew_lock() -> None:
    """A forked child has none of the threads that may have held the lock."""
    global _lock
    _lock = _thread.RLock()


@contextlib.contextmanager
def _hold_lock() -> Iterator[None]:
    """Keep other processes from writing meanwhile; the lock of one that dies is free again."""
    with contextlib.suppress(OSError):  # not where the temporary folder cannot lock
        fcntl.lockf(_LOCK_FILE, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.lockf(_LOCK_FILE, fcntl.LOCK_UN)


@contextlib.contextmanager
def _delay_interrupt() -> Iterator[None]:
    """Put an interrupt off. Blocking the signal is not enough: another thread may get it, and the main one raises."""
    handler = signal.getsignal(signal.SIGINT) if (os.getpid(), _thread.get_ident()) == MAIN else None
    if handler is None:
        yield
        return
    signals: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: signals.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if signals:
            signal.raise_signal(signal.SIGINT)


def _encode(content: Any) -> bytes:
    """JSON as everybody can read it; where values do not fit they are changed as Jupyter changes them."""
    try:
        text = json.dumps(content, default=_simplify, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(_clean(content), default=_simplify)
    return text.encode("ascii")


def _clean(value: Any) -> Any:
    """A value whose keys are texts and whose numbers are finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(float(value))
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return _clean(_simplify(value))


def _simplify(value: Any) -> Any:
    """What JSON does not know: bytes as base64 (images), numbers of other libraries, rows of things, else as text."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if hasattr(value, "item") and not getattr(value, "shape", ()):
        return value.item()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    try:
        return list(value)
    except TypeError:
        return str(value)
