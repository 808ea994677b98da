"""How code runs: the protocol of an engine, what goes into it and comes out, and the table of engines."""

from __future__ import annotations

import importlib
import os
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from snaprun.errors import INTERRUPT_CODE, Unavailable, UsageFault
from snaprun.live.journal import Journal, strip_ansi
from snaprun.live.livefolder import Live
from snaprun.machine.process import read_entry
from snaprun.model import KILL_CODE, START_FAILURE_CODE, TERM_CODE, Outcome, Status
from snaprun.notebooks.cells import Node
from snaprun.notebooks.kernels import Kernel


@dataclass(frozen=True)
class EngineKind:
    """What an engine can, for whoever has to know it without importing its ``module``: that of kernels takes a third of
    a second.

    ``has_kernel``: a Jupyter kernel executes the cells, which can be named and talked to; else an interpreter does.
    ``can_hold``: what executes stays after an error, to be gone on with. ``languages`` that it runs; none: all that
    there is a kernel for. ``package``: what it needs in a Python environment. ``runs_magics``: magics and shell lines
    are not left out. ``is_choosy``: the module has a ``check`` of its own, see :class:`ChoosyEngine`.
    """

    module: str
    has_kernel: bool = False
    can_hold: bool = False
    languages: tuple[str, ...] = ("python",)
    package: str | None = None
    runs_magics: bool = True
    is_choosy: bool = False


ENGINES: Mapping[str, EngineKind] = {
    "kernel": EngineKind("snaprun.engines.kernel", has_kernel=True, can_hold=True, languages=(), package="ipykernel"),
    "inline": EngineKind("snaprun.engines.inline", package="IPython", is_choosy=True),
    "script": EngineKind("snaprun.engines.script", runs_magics=False, is_choosy=True),
}
"""Every engine: a new one is a module and a line here."""

GENERAL, LIGHT = "kernel", "inline"
"""The engine that runs every notebook, and the one that does the same for less where it can."""

AUTO = "auto"
"""In the place of an engine: one of these two, see :mod:`snaprun.engines.auto`. No run has it."""

BOOT = Path(__file__).resolve().parent.parent / "boot"
"""The files that run in the user's interpreter."""

SIGNAL_CODES = {signal.SIGHUP: 129, signal.SIGINT: INTERRUPT_CODE, signal.SIGTERM: TERM_CODE}
"""Exit codes of a stopped run, as a shell gives them; any other signal counts as TERM."""

SHUTDOWN_PATIENCE = 5.0
"""Seconds that a kernel or an interpreter has to end in its own way, as Jupyter gives a kernel."""

TERM_PATIENCE = 3.0
"""Seconds between TERM and KILL."""

TAIL = 4000
"""Bytes of a process's own output that are kept to explain a start that failed."""

_NUMBER = re.compile(r"-?[0-9]{1,40}")


@dataclass(frozen=True)
class Job:
    """All that an engine needs. Times are seconds; ``None`` means no limit.

    ``notebook`` is a version 4 document with the parameters injected. ``kernel`` is for the kernel engine, ``python``
    (an interpreter) for the others, ``script`` (the paired script) for the script engine. ``environment`` is complete:
    nothing is inherited beside it. ``hold`` keeps the kernel of a failed cell for so many seconds. ``commented_magics``
    lets a script run without what jupytext commented out. ``patience`` is how long a kernel may be silent between its
    reply and its last output before it is asked whether it is there.
    """

    live: Live
    notebook: Mapping[str, Any]
    folder: Path
    environment: Mapping[str, str]
    kernel: Kernel | None = None
    python: str | None = None
    labels: Mapping[int, str] = field(default_factory=dict)
    attempt: int = 1
    timeout: float | None = None
    cell_timeout: float | None = None
    start_timeout: float = 120.0
    grace: float = 10.0
    patience: float = 5.0
    hold: float | None = None
    script: Path | None = None
    commented_magics: bool = False


class EarlyEnd(Exception):
    """The run is over before its last cell."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Stop:
    """The wish that a run ends, set from a signal handler or a thread and waited for by an engine.

    The first request interrupts; after the grace period, or at a second request, the engine terminates and kills.
    ``grace`` is that period in seconds where the request gives one, in place of the job's; 0 does not interrupt first.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.count = 0
        self.grace: float | None = None
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else _pipe()

    def request(self, signum: int = signal.SIGTERM) -> None:
        """Ask. The first signal is the one that the exit code tells. Safe in a signal handler."""
        self.signal = self.signal or signum
        self.count += 1
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            return

    def fileno(self) -> int:
        """Readable once a request was made: for a selector or an event loop."""
        return self._reader

    def drain(self) -> None:
        """Empty the pipe, so that the next request makes it readable again."""
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            return

    def grace_period(self, job: Job) -> float:
        """How long the code may take to give in, in seconds."""
        return job.grace if self.grace is None else self.grace

    def outcome(self) -> Outcome:
        """What a run that obeyed reports."""
        return outcome_of_stop(self.signal)


def environment(job: Job) -> dict[str, str]:
    """The environment of the code: the job's, with ``import snaprun`` made possible in every Python that it starts."""
    paths = [job.environment.get("PYTHONPATH", ""), os.fspath(job.live.import_path)]
    return {**job.environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class Engine(Protocol):
    """An engine is a module with this function, and a line in :data:`ENGINES`."""

    def run(self, job: Job, journal: Journal, stop: Stop) -> Outcome:
        """Execute the notebook, journal all that happens, and say how it ended. Leaves no process of its own."""
        ...


class ChoosyEngine(Engine, Protocol):
    """What an engine has further that does not run every notebook of its languages."""

    def check(self, notebook: Node, language: str, *, commented_magics: bool) -> None:
        """Make sure that it can run this notebook. Raises UsageFault, before anything is frozen."""
        ...


def kind(name: str) -> EngineKind:
    """What the engine of this name can. Raises Unavailable when there is none."""
    if name not in ENGINES:
        raise Unavailable(f"there is no engine {name!r} here", hint=f"--engine {GENERAL}")
    return ENGINES[name]


def engine(name: str) -> Engine:
    """The engine of this name. Raises Unavailable when there is none."""
    return cast(Engine, importlib.import_module(kind(name).module))


def require_language(name: str, language: str) -> None:
    """Make sure that an engine runs this language. Raises UsageFault."""
    languages = kind(name).languages
    if languages and language not in languages:
        known = " and ".join(map(str.capitalize, languages))
        raise UsageFault(f"the {name} engine runs {known} only, not {language}", hint=f"--engine {GENERAL}")


def check(name: str, notebook: Node, language: str, *, commented_magics: bool) -> None:
    """Make sure that an engine can run this notebook. Raises UsageFault."""
    if kind(name).is_choosy:
        cast(ChoosyEngine, engine(name)).check(notebook, language, commented_magics=commented_magics)


def require_hold(name: str, *, hint: str) -> None:
    """Make sure that a run of this engine can be held on an error. Raises UsageFault."""
    if not kind(name).can_hold:
        raise UsageFault(f"the {name} engine cannot be held on an error: only a kernel can", hint=hint)


def is_running(pid: int) -> bool:
    """Whether a child of ours has not ended. It is not reaped by asking, so that its number and its group stay ours."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        process = read_entry(pid)
        return process is not None and not process.dead
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def skip_cells(job: Job, journal: Journal, numbers: Iterable[int]) -> None:
    """Journal cells that are not to run: code before them ended the run as a success."""
    for number in numbers:
        journal.cell(number, "skipped", label=job.labels.get(number, ""))


def start_failure(reason: str, tail: bytes) -> Outcome:
    """The outcome of a run whose kernel or interpreter never got ready, with the last line of what it said."""
    output = strip_ansi(tail.decode("utf-8", "replace")).strip()
    return Outcome(
        Status.FAILED, START_FAILURE_CODE, f"{reason}: {output.splitlines()[-1][:500]}" if output else reason
    )


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


def _pipe() -> tuple[int, int]:
    """macOS has no pipe2; Python's pipes are close-on-exec anyway."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
