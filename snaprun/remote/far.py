"""Answer what a launcher on another machine asks, as ``python -m snaprun.remote.far VERB``.

A question is one JSON object on standard input; the answer is a line of JSON behind a mark, because a shell's start-up
files may print as well, and after it the bytes that it announces. No code travels: a run is an id in a repository.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from snaprun import __version__
from snaprun.errors import SnaprunError, Unavailable, os_fault

MARK = "@snaprun "
"""What the line of the answer begins with."""

PROTOCOL = 1
"""Changes when questions or answers do: both sides must agree."""

VERBS = {
    "ready": "farstart",
    "start": "farstart",
    "queue": "farqueue",
    "news": "farlook",
    "stop": "farlook",
    "artifact": "farlook",
}
"""What can be asked, and the module with a function of that name: looking must not wait for what starting imports."""

Answer = tuple[dict[str, Any], list[bytes]]


def main(argv: list[str]) -> int:
    """Answer one question; 0 even when the answer is an error of ours."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what was begun is finished, even if the connection is cut
    document, pieces = answer(argv[0], json.loads(sys.stdin.buffer.read() or b"{}"))
    output = sys.stdout.buffer
    output.write(b"\n" + MARK.encode() + json.dumps(document).encode() + b"\n")
    for piece in pieces:
        output.write(piece)
    output.flush()
    return 0


def answer(verb: str, question: Mapping[str, Any]) -> Answer:
    """The answer to a question, which may be an error."""
    try:
        if question.get("protocol") != PROTOCOL:
            text = f"{socket.gethostname()} has snaprun {__version__}, which speaks another protocol"
            raise Unavailable(text, hint="install the same version of snaprun there")
        result: Answer = getattr(import_module(f"snaprun.remote.{VERBS[verb]}"), verb)(question)
        return result
    except (SnaprunError, OSError) as error:
        fault = os_fault(error) if isinstance(error, OSError) else error
        return {"error": fault.message, "hint": fault.hint, "code": fault.code}, []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
