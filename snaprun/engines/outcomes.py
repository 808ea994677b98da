"""Say how a run ended, from what its code, its kernel or interpreter, or whoever stops it did."""

from __future__ import annotations

import re
import signal

from snaprun.errors import INTERRUPT_CODE
from snaprun.live.journal import strip_ansi
from snaprun.model import KILL_CODE, START_FAILURE_CODE, TERM_CODE, Outcome
from snaprun.statuses import Status

SIGNAL_CODES = {signal.SIGHUP: 129, signal.SIGINT: INTERRUPT_CODE, signal.SIGTERM: TERM_CODE}
"""Exit codes of a stopped run, as a shell gives them; any other signal counts as TERM."""

_NUMBER = re.compile(r"-?[0-9]{1,40}")


class EarlyEnd(Exception):
    """The run is over before its last cell."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def start_failure(reason: str, tail: bytes) -> Outcome:
    """The outcome of a run whose kernel or interpreter never got ready, with the last line of what it said."""
    output = strip_ansi(tail.decode("utf-8", "replace")).strip()
    text = f"{reason}: {output.splitlines()[-1][:500]}" if output else reason
    return Outcome(Status.FAILED, START_FAILURE_CODE, text)


def outcome_of_stop(signum: int, reason: str | None = None) -> Outcome:
    """The outcome of a run that ended because somebody asked for it, by this signal."""
    name = signal.Signals(signum).name.removeprefix("SIG")
    code = SIGNAL_CODES.get(signal.Signals(signum), TERM_CODE)
    return Outcome(Status.STOPPED, code, reason or f"stopped by {name}", int(signum))


def outcome_of_exit(evalue: str, code: int | None = None) -> Outcome:
    """What ``sys.exit(n)`` in a cell means for the run, as in Python itself.

    ``evalue`` is the text of its ``SystemExit``, ``code`` the status that it stands for, where that is known: the texts
    of ``sys.exit(3)`` and ``sys.exit("3")`` are the same.
    """
    text = evalue.strip()
    if code is None:
        code = 0 if text in ("", "None", "0", "False") else int(text) if _NUMBER.fullmatch(text) else 1
    if code == 0:
        return Outcome(Status.SUCCEEDED, 0, "sys.exit() ended the run")
    if text == str(code):
        return Outcome(Status.FAILED, code & 255 or 1, f"sys.exit({text})")
    reason = f"sys.exit({text!r})" if len(text) < 200 else "sys.exit() with a message"
    return Outcome(Status.FAILED, code & 255 or 1, reason)


def outcome_of_error(number: int, ename: str, evalue: str, exit_code: int | None = None) -> tuple[str, Outcome]:
    """The state of a cell that raised, and what it means for the run.

    ``exit_code``: what :func:`outcome_of_exit` calls ``code``, for ``SystemExit`` and the classes derived from it.
    """
    name, value = ename.strip(), strip_ansi(evalue).strip()
    if name == "SystemExit" or exit_code is not None:
        outcome = outcome_of_exit(value, exit_code)
        return ("ok" if outcome.exit_code == 0 else "failed"), outcome
    if name == "StdinNotImplementedError":
        value = "input() was called, and nobody is there to answer"
    message = value.splitlines()[0][:200] if value else ""
    if not name:  # a shell's kernel has no name for it, only the status
        name, message = (f"status {message}", "") if message.isdigit() else ("error", message)
    return "failed", Outcome(Status.FAILED, 1, f"cell {number}: {name}" + (f": {message}" if message else ""))


def outcome_of_death(process: str, returncode: int | None, *, oom: bool) -> Outcome:
    """The outcome of a run whose kernel or interpreter is gone; a negative return code is a signal."""
    signum = -returncode if returncode is not None and returncode < 0 else None
    if oom:
        reason = f"the {process} was killed because memory ran out"
    elif signum is not None:
        reason = f"the {process} was killed by {_signal_name(signum)}"
    elif returncode is not None:
        reason = f"the {process} exited by itself with status {returncode}"
    else:
        reason = f"the {process} died"
    return Outcome(Status.FAILED, KILL_CODE, reason, signum)


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
