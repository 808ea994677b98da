"""Where runs run: the protocol of a launcher, what goes into it and comes out, and the table of launchers.

What travels is the id of a run and where its snapshot is, never code. The result commit alone says how a run ended; a
launcher only explains why there is none yet. A plug-in is a module with the functions of :class:`Launcher`, named by an
entry point of the group ``snaprun.launchers``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from snaprun import programs
from snaprun.errors import Unavailable, UsageFault
from snaprun.git.locate import Place
from snaprun.live.livefolder import Live
from snaprun.live.stoprequest import StopRequest
from snaprun.statuses import Status


@dataclass(frozen=True)
class Abilities:
    """What a launcher can. A plug-in says it as ``ABILITIES`` in its module; of one that does not, the defaults hold.

    ``gpus``: it sees to it that no two runs have the same GPU. ``shared_files``: a run has the files, interpreters and
    kernels of this machine, else those of another one, where they are chosen. ``lineup``: the fields of a
    :class:`Lineup` that it heeds.
    """

    gpus: bool = False
    shared_files: bool = True
    lineup: tuple[str, ...] = ()


@dataclass(frozen=True)
class LauncherKind:
    """A launcher as the rest of snaprun sees it, without importing its ``module``: that of ssh takes git along.

    ``has_queue``: its runs may wait for their turn in the queue of this machine. ``starts_early``: a run's supervisor
    is started while its snapshot is taken. ``at_once``: a run that is submitted starts on this machine, and its
    processes alone say how it stands. ``option`` of the command line that is its own, of several launchers of one
    option that which has ``key`` in its value. ``names``: under which of its options the names of a kernel and an
    interpreter go to the other machine. ``in_place``, ``can_hold``: a run may execute in the user's own tree, and be
    held on an error.
    """

    module: str
    abilities: Abilities = field(default_factory=Abilities)
    has_queue: bool = False
    starts_early: bool = False
    at_once: bool = False
    option: str | None = None
    key: str | None = None
    names: tuple[str, str] = ("kernel", "python")
    in_place: bool = True
    can_hold: bool = True


_ALL_TURNS = ("jobs", "retries", "after")

LAUNCHERS: Mapping[str, LauncherKind] = {
    "local": LauncherKind(
        "snaprun.launchers.local", Abilities(gpus=True), has_queue=True, starts_early=True, at_once=True
    ),
    "tmux": LauncherKind("snaprun.launchers.tmux", Abilities(gpus=True), at_once=True),
    "ssh": LauncherKind(
        "snaprun.launchers.ssh", Abilities(gpus=True, shared_files=False, lineup=_ALL_TURNS), option="on"
    ),
    "slurm": LauncherKind("snaprun.launchers.slurm", Abilities(gpus=True, lineup=_ALL_TURNS), option="slurm"),
    "slurm-git": LauncherKind(
        "snaprun.launchers.slurmgit",
        Abilities(gpus=True, shared_files=False, lineup=_ALL_TURNS),
        option="slurm",
        key="git-url",
        names=("run-kernel", "run-python"),
        in_place=False,
        can_hold=False,
    ),
}
"""Every launcher of the package: a new one is a module and an entry here."""

GROUP = "snaprun.launchers"
"""The group of entry points in which other packages name theirs."""

PENDING_PREFIX = "?"
"""What the handle of a run begins with that its launcher is about to take, where the run's id follows."""

STATES: Mapping[str, Status | None] = {
    "queued": Status.QUEUED,
    "running": Status.RUNNING,
    "ended": None,
    "dropped": Status.SAVED,
    "unknown": None,
}
"""How a run may stand, see :class:`State`, and its status in the index then; None where only a result says that."""


@dataclass(frozen=True)
class Lineup:
    """How the runs of a sweep take turns: at most ``jobs`` at a time, each tried again up to ``retries`` times when it
    did not succeed, all of them after the run ``after`` has."""

    jobs: int | None = None
    retries: int = 0
    after: str | None = None

    @property
    def set_fields(self) -> tuple[str, ...]:
        """The names of what differs from doing nothing about it."""
        return tuple(name for name in ("jobs", "retries", "after") if getattr(self, name))


@dataclass(frozen=True)
class Site:
    """Where runs are started from, and how: ``options`` are the launcher's own (``partition`` for Slurm, say);
    ``lineup`` is there for the runs of a sweep."""

    place: Place
    env: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    lineup: Lineup | None = None


@dataclass(frozen=True)
class Submission:
    """One run to start: its id and its live folder, which holds all that the run needs."""

    run: str
    live: Path

    @property
    def command(self) -> list[str]:
        """What executes the run to its end on a machine that shares this file system; its exit code says nothing."""
        return [sys.executable, "-m", programs.SUPERVISOR, os.fspath(self.live)]

    @property
    def gpus(self) -> int:
        """How many GPUs of its own the run is to have. Raises DataFault: the live folder is damaged."""
        return Live(self.live).spec().gpus or 0


@dataclass(frozen=True)
class State:
    """How a launcher sees a run, and why: ``queued``, ``running``, ``ended``, ``dropped`` (it was taken out of a queue
    before it started), or ``unknown`` (it knows of none).

    ``status`` and ``exit_code`` are what it makes of an end that left no result, where it knows.
    """

    state: str
    reason: str | None = None
    status: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class News:
    """What is new of a run on another machine: how it stands, bytes to append to the files of its live folder, and,
    once it has ended, the result commit and the git URL to fetch it from.

    ``attempt`` says which one is in progress: the bytes of another than the known one are all of them. ``has_more``:
    there is more than came.
    """

    state: State
    files: Mapping[str, bytes] = field(default_factory=dict)
    tip: str | None = None
    url: str = ""
    attempt: int | None = None
    has_more: bool = False


class Launcher(Protocol):
    """A launcher is a module with these functions. Handles are strings: any later process takes a run up again.

    A function ``handle(site, run)`` gives a handle that ``poll`` and ``cancel`` take for a run that is about to be
    submitted. A function ``limit_options(options, *, gpu_count, max_memory)`` gives the options for a run with these
    limits.
    """

    def check(self, site: Site) -> None:
        """Make sure that runs can be started. Raises Unavailable with the command that helps."""
        ...

    def submit(self, site: Site, runs: Sequence[Submission]) -> list[str]:
        """Start these runs, or queue them, and return their handles at once. Raises Unavailable."""
        ...

    def poll(self, site: Site, handles: Sequence[str]) -> list[State]:
        """How these runs stand."""
        ...

    def cancel(self, site: Site, handle: str, request: StopRequest) -> bool:
        """Ask that a run ends; False where there is nothing to end any more."""
        ...


class RemoteLauncher(Launcher, Protocol):
    """What a launcher needs further where runs have their files on another machine: reading commands then keep a copy
    of a run's live folder here, and fetch its result when there is one."""

    def handle(self, site: Site, run: str) -> str:
        """The handle that a run will have, known before it is submitted: a command may be killed in between."""
        ...

    def notes(self, site: Site) -> list[str]:
        """As ``check``, and what the user should know before a start: data that the machine has not, say."""
        ...

    def host(self, handle: str) -> str:
        """The machine's name."""
        ...

    def command(self, handle: str, verb: str) -> str:
        """What to type here so that ``snaprun <verb>`` is called where the run is, for what works only there."""
        ...

    def news(self, site: Site, offsets: Mapping[str, Mapping[str, int]]) -> dict[str, News]:
        """What is new of the runs with these handles; ``offsets`` says how many bytes of each file are here already,
        and as ``attempt`` of which attempt they are.

        Raises Unavailable where the machine cannot be reached: that says nothing about a run.
        """
        ...

    def artifact(self, site: Site, handle: str, sha256: str, path: Path) -> bool:
        """Copy a file of the artifact store there, from the byte on that ``path`` ends at; False where it is gone."""
        ...

    def git_env(self, site: Site) -> dict[str, str]:
        """What git needs in its environment to fetch from there."""
        ...


def kind(name: str) -> LauncherKind:
    """What the launcher of this name can. Raises as :func:`launcher` where it is a plug-in."""
    if name in LAUNCHERS:
        return LAUNCHERS[name]
    return LauncherKind("", getattr(launcher(name), "ABILITIES", Abilities()))


def unsupported_options(name: str, lineup: Lineup) -> list[str]:
    """What a sweep asks for and this launcher does not heed."""
    return [option for option in lineup.set_fields if option not in kind(name).abilities.lineup]


def limit_options(
    name: str, options: Mapping[str, str], *, gpu_count: int | None, max_memory: int | None
) -> dict[str, str]:
    """What a launcher is asked for, with what these limits mean to it, unless the user has said so in its own words."""
    function = getattr(launcher(name), "limit_options", None)
    return dict(options if function is None else function(options, gpu_count=gpu_count, max_memory=max_memory))


def as_remote(launcher: Launcher) -> RemoteLauncher | None:
    """The launcher as one for other machines, if it is one."""
    return cast(RemoteLauncher, launcher) if hasattr(launcher, "news") else None


def canceller(name: str) -> Callable[[Site, Sequence[str], StopRequest], list[str]] | None:
    """What cancels many runs of this launcher in one go, where it has a ``cancel_all``; those that it could cancel."""
    return getattr(launcher(name), "cancel_all", None)


def launcher(name: str) -> Launcher:
    """The launcher of this name, from this package or a plug-in.

    Raises:
        UsageFault: there is none, or more than one. Unavailable: a plug-in cannot be imported, or is none; the others
            still work.
    """
    if name in LAUNCHERS:
        return cast(Launcher, importlib.import_module(LAUNCHERS[name].module))
    points = _entry_points()
    values = sorted({point.value for point in points if point.name == name})
    if not values:
        names = ", ".join(dict.fromkeys([*LAUNCHERS, *(point.name for point in points)]))
        raise UsageFault(f"there is no launcher {name!r}", hint=f"--launcher takes one of: {names}")
    if len(values) > 1:
        text = f"more than one package brings a launcher {name!r}: {', '.join(values)}"
        raise UsageFault(text, hint="remove all but one of these packages")
    try:
        module = next(point for point in points if point.name == name).load()
    except (Exception, SystemExit) as error:  # the edge to foreign code: whatever it raises, say whose it is
        message = f"launcher {name!r} ({values[0]}) cannot be imported: {error}"
        raise Unavailable(message, hint="mend or remove that package, or use another --launcher") from error
    from snaprun.launchers.plugin import PlugIn  # few have a plug-in

    return cast(Launcher, PlugIn(name, values[0], module))


def _entry_points() -> list[Any]:
    """The plug-ins' entry points; their module takes longer to import than most commands run."""
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def provisional_handle(launcher: Launcher, site: Site, run: str) -> str:
    """By what a run can be found again whose command is killed while it is submitted; empty where nothing can."""
    function = getattr(launcher, "handle", None)
    return str(function(site, run)) if function is not None else ""
