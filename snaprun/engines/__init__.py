"""Say how code runs: the protocol of an engine, and the table of engines."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from snaprun.engines.job import Job, Stop
from snaprun.errors import Unavailable, UsageFault
from snaprun.live.journal import Journal
from snaprun.machine.process import read_entry
from snaprun.model import Outcome
from snaprun.notebooks.cells import Node


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

SHUTDOWN_PATIENCE = 5.0
"""Seconds that a kernel or an interpreter has to end in its own way, as Jupyter gives a kernel."""

TERM_PATIENCE = 3.0
"""Seconds between TERM and KILL."""

TAIL = 4000
"""Bytes of a process's own output that are kept to explain a start that failed."""


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
