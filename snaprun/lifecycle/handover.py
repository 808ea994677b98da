"""From a frozen run to one that goes on by itself, through whichever launcher is asked for; and the way to stop it."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from snaprun import launchers
from snaprun.context import Door
from snaprun.errors import Unavailable, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex
from snaprun.launchers import Launcher, Lineup, Site, Submission, local
from snaprun.launchers.local import Handle
from snaprun.launchers.slurmcall import pairs
from snaprun.live import lock, stoprequest
from snaprun.live.livefolder import Live
from snaprun.live.stoprequest import Request, ask_stop
from snaprun.live.supervision import host_of
from snaprun.model import Run, Status
from snaprun.nearest import nearest

LOCAL = "local"

GIT_URL = "git-url"
"""The option for Slurm by which its nodes need the repository's URL only."""

WISHES = "launcher"
"""Among the options of an order: what its launcher was asked for."""


def launcher_of(wanted: str | None, *, on: str | None, slurm: str | None) -> str | None:
    """Which launcher takes a run: the one that is named, or that its other options belong to; None for the usual one.

    Raises:
        UsageFault: they do not fit together.
    """
    if on and slurm is not None:
        raise UsageFault("--on and --slurm are two launchers", hint="leave one of them out")
    own = "ssh" if on else "slurm" if slurm is not None else None
    if own and wanted and wanted != own:
        raise UsageFault(f"--launcher {wanted} has no --{'on' if on else 'slurm'}", hint=f"--launcher {own}")
    if GIT_URL in pairs(slurm or ""):
        return "slurm-git"
    return own or wanted


def wishes(
    door: Door,
    *,
    on: str | None,
    slurm: str | None,
    data: Sequence[str] = (),
    kernel: str | None = None,
    python: str | None = None,
) -> dict[str, str]:
    """What a launcher is asked for, from ``--on``, ``--slurm`` and ``--data`` as typed; kernel and interpreter are
    names of the machine where the run will be.

    Raises:
        UsageFault: they make no sense.
    """
    asked = pairs(slurm or "")
    if data and not on and GIT_URL not in asked:
        raise UsageFault("--data is for runs on another machine", hint="--on ssh://host/path --data NAME=/folder/there")
    found = {"on": _address(door, on)} if on else {}
    if on:
        found.update({name: value for name, value in (("kernel", kernel), ("python", python)) if value})
    for item in data:
        name, _, path = item.partition("=")
        name = os.path.normpath(name.strip())
        if not path.startswith(("/", "~/")) or name.startswith(("/", "..")) or name == ".":
            raise UsageFault(f"--data {item}: want NAME=/folder/there", hint="--data data=/scratch/me/data")
        found[f"data:{name}"] = path
    if GIT_URL in asked:
        found.update({f"run-{name}": value for name, value in (("kernel", kernel), ("python", python)) if value})
    return {**found, **asked}


def begin(
    door: Door,
    name: str,
    *,
    engine: str = "kernel",
    wishes: Mapping[str, str] | None = None,
    lineup: Lineup | None = None,
) -> tuple[Handle | None, tuple[str, ...]]:
    """Prepare a launch before there is anything to launch: here, a supervisor whose worker imports meanwhile.

    It, where there is one, and what the user should know before the start. ``lineup`` is that of a sweep.

    Raises:
        UsageFault: no such launcher, or not for such a sweep. Unavailable: it cannot start runs.
    """
    if name == LOCAL:
        return local.start(door.env, engine=engine), ()
    found = launchers.launcher(name)
    for option in launchers.unheeded(found, lineup or Lineup()):
        raise UsageFault(f"the launcher {name} knows no --{option}", hint=f"leave --{option} out")
    where = site(door, wishes, lineup)
    far = launchers.distant(found)
    if far is not None:
        return None, tuple(far.notes(where))
    found.check(where)
    return None, ()


def abandon(handle: Handle | None) -> None:
    """Forget the preparation."""
    if handle is not None:
        handle.abandon()


def hand_over(door: Door, name: str, handle: Handle | None, folder: Live) -> None:
    """Give a run to its launcher; on return it goes on, or is queued, whatever happens to this process.

    Raises:
        SnaprunError: it could not be started; the live folder is still the caller's.
    """
    if handle is not None:
        handle.launch(folder.path)
    else:
        submit(door, name, [folder])


def submit(door: Door, name: str, folders: Sequence[Live], *, lineup: Lineup | None = None) -> None:
    """Give runs to a launcher, all in one go. What it was asked for is in the order of the first; ``lineup`` says how
    the runs of a sweep take turns.

    Raises:
        SnaprunError: as its ``submit``; the live folders are still the caller's.
    """
    found = launchers.launcher(name)
    where = site(door, folders[0].order().get("options", {}).get(WISHES), lineup)
    far = launchers.distant(found)
    with ExitStack() as held:
        _room_for(len(folders))
        for folder in folders:
            mine = lock.take(folder.path) if far is not None else None
            if mine is not None:  # nobody here will look after it, and a push that takes its time must not be judged
                held.callback(os.close, mine)
            launchers.note(folder.path, name, launchers.early(found, where, folder.id))
        runs = [Submission(folder.id, folder.path) for folder in folders]
        at_once = name in launchers.AT_ONCE or (far is not None and lineup is None)
        given = found.submit(where, runs) if at_once else _queue(door, found, where, folders)
    for folder, one in zip(folders, given, strict=True):
        if launchers.early(found, where, folder.id) == one:
            continue
        with suppress(FileNotFoundError):  # it has ended already
            launchers.note(folder.path, name, one)


def stop(door: Door, folder: Live, number: int, *, grace: float | None = None, kill: bool = False) -> bool:
    """Ask that a run in progress ends, wherever it is; False where nobody is there any more.

    Raises:
        Unavailable: its machine cannot be reached. Denied: it belongs to another user.
    """
    told = launchers.noted(folder.path)
    if told is None or not told.asked:
        return stoprequest.request(folder, number, grace=grace, kill=kill)
    request = Request(signal=number, kill=kill, grace=grace, time=time.time())
    with suppress(FileNotFoundError):  # it has just ended
        if told.host is None:  # whoever ends it finds the wish there
            ask_stop(folder.path, request)
        try:
            return launchers.launcher(told.launcher).cancel(site(door), told.handle, request)
        except Unavailable:
            here = told.host is None and host_of(folder) is None
            if here and stoprequest.request(folder, number, grace=grace, kill=kill):
                return True  # its supervisor is on this machine, and needs no launcher to hear
            raise
    return False


def stop_all(
    door: Door, folders: Sequence[Live], number: int, *, grace: float | None = None, kill: bool = False
) -> list[Live]:
    """Ask that many runs end, those of a launcher that can do it in one go in one go; those that were there to ask.

    Raises:
        Unavailable, Denied: as :func:`stop`.
    """
    request = Request(signal=number, kill=kill, grace=grace, time=time.time())
    together: dict[str, dict[str, Live]] = {}
    asked = []
    for folder in folders:
        told = launchers.noted(folder.path)
        if told is None or not told.asked or launchers.canceller(told.launcher) is None:
            asked += [folder] if stop(door, folder, number, grace=grace, kill=kill) else []
            continue
        together.setdefault(told.launcher, {})[told.handle] = folder
        with suppress(FileNotFoundError):  # it has just ended
            if told.host is None:
                ask_stop(folder.path, request)
    for name, handles in together.items():
        cancel = launchers.canceller(name)
        asked += [handles[handle] for handle in (cancel(site(door), list(handles), request) if cancel else ())]
    return asked


def require_here(folder: Live, verb: str) -> None:
    """Refuse what works only on the machine where a run is.

    Raises:
        UsageFault: it is on another one; the hint is what to type.
    """
    told = launchers.noted(folder.path)
    far = launchers.distant(launchers.launcher(told.launcher)) if told is not None and told.host else None
    if told is not None and far is not None:
        text = f"run {folder.id[:8]} is on {told.host}: {verb} works there only"
        raise UsageFault(text, hint=far.command(told.handle, verb))


def taken(folder: Live) -> bool:
    """Whether somebody looks after the run already, so that it is not the caller's to throw away."""
    held = lock.take(folder.path)
    if held is None:
        return True
    os.close(held)
    return False


def site(door: Door, wishes: Mapping[str, str] | None = None, lineup: Lineup | None = None) -> Site:
    """The caller's repository, as a launcher sees it."""
    return Site(door.place, door.env, dict(wishes or {}), lineup)


def _address(door: Door, on: str) -> str:
    """The address of a machine, which may be a name of the settings."""
    hosts = dict(door.settings.hosts)
    if on in hosts:
        return hosts[on]
    if "://" in on:
        return on
    near = nearest(on, hosts)
    known = f"did you mean {near}?" if near else 'hosts = { NAME = "ssh://host/path" } in the settings'
    raise UsageFault(f"there is no host {on!r} in the settings", hint=known)


def _room_for(count: int) -> None:
    """Let this process open a file more for each run of a large sweep, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _queue(door: Door, found: Launcher, where: Site, folders: Sequence[Live]) -> list[str]:
    """Submit runs that may have to wait: in the index they are queued from before on; they say themselves when they
    start."""
    runs = [
        Run.of(folder.id, folder.spec(), folder.params(), commit=folder.id, status=Status.QUEUED) for folder in folders
    ]
    reindex.index(GitRepo(door.place), door.settings.index_url, *runs)
    try:
        return found.submit(where, [Submission(folder.id, folder.path) for folder in folders])
    except BaseException:
        reindex.open_index(door).forget([folder.id for folder in folders])
        raise
