"""Hand a frozen run over to the launcher that was asked for, and ask that a run ends, wherever it is."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress

from snaprun import launchers
from snaprun.context import Context
from snaprun.errors import Unavailable, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex
from snaprun.launchers import LAUNCHERS, Launcher, Lineup, Site, Submission, local
from snaprun.launchers.local import Handle
from snaprun.launchers.placement import read_placement, write_placement
from snaprun.launchers.slurmcall import parse_options
from snaprun.live import livefolder, lock, stoprequest
from snaprun.live.livefolder import Live
from snaprun.live.stoprequest import StopRequest, write_stop_request
from snaprun.live.supervision import host_of, read_identities
from snaprun.model import Run
from snaprun.nearest import nearest
from snaprun.statuses import Status

LAUNCHER_OPTIONS = "launcher"
"""Among the options of an order: what its launcher was asked for."""

TAKING_TIME = 10.0
"""Seconds that a supervisor which has a run's lock may take to say so in the live folder, or to let go: it may not have
read its order yet."""

INTERVAL = 0.01
"""Seconds between two looks whether it has."""


class TakenRun(Exception):  # no fault of the run's: it goes on
    """A launch was broken off, or its answer did not come, and the run was taken all the same: nothing may be undone.

    ``cause`` is what broke it off, which whoever does not follow the run raises again.
    """

    def __init__(self, folder: Live, cause: BaseException) -> None:
        super().__init__(f"run {folder.id[:8]} was taken")
        self.folder = folder
        self.cause = cause


def launcher_of(name: str | None, *, on: str | None, slurm: str | None) -> str | None:
    """Which launcher takes a run: the one that is named, or that its other options belong to; None for the usual one.

    Raises:
        UsageFault: they do not fit together.
    """
    if on and slurm is not None:
        raise UsageFault("--on and --slurm are two launchers", hint="leave one of them out")
    option = "on" if on else "slurm" if slurm is not None else None
    if option is None:
        return name
    owners = {kind.key: owner for owner, kind in LAUNCHERS.items() if kind.option == option}
    if name and name != owners[None]:
        raise UsageFault(f"--launcher {name} has no --{option}", hint=f"--launcher {owners[None]}")
    return next((owners[key] for key in parse_options(slurm or "") if key in owners), owners[None])


def read_options(
    context: Context,
    launcher: str,
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
    kind = launchers.kind(launcher)
    if data and kind.abilities.shared_files:
        raise UsageFault("--data is for runs on another machine", hint="--on ssh://host/path --data NAME=/folder/there")
    options = {"on": _address(context, on)} if on else {}
    if not kind.abilities.shared_files:
        options.update({name: value for name, value in zip(kind.names, (kernel, python), strict=True) if value})
    for item in data:
        name, _, path = item.partition("=")
        name = os.path.normpath(name.strip())
        if not path.startswith(("/", "~/")) or name.startswith(("/", "..")) or name == ".":
            raise UsageFault(f"--data {item}: want NAME=/folder/there", hint="--data data=/scratch/me/data")
        options[f"data:{name}"] = path
    return {**options, **parse_options(slurm or "")}


def begin(
    context: Context,
    name: str,
    *,
    engine: str = "kernel",
    options: Mapping[str, str] | None = None,
    lineup: Lineup | None = None,
) -> tuple[Handle | None, tuple[str, ...]]:
    """Prepare a launch before there is anything to launch: here, a supervisor whose worker imports meanwhile.

    It, where there is one, and what the user should know before the start. ``lineup`` is that of a sweep.

    Raises:
        UsageFault: no such launcher, or not for such a sweep. Unavailable: it cannot start runs.
    """
    if launchers.kind(name).starts_early:
        return local.start(context.env, engine=engine), ()
    launcher = launchers.launcher(name)
    for option in launchers.unsupported_options(name, lineup or Lineup()):
        raise UsageFault(f"the launcher {name} knows no --{option}", hint=f"leave --{option} out")
    launch_site = site(context, options, lineup)
    remote = launchers.as_remote(launcher)
    if remote is not None:
        return None, tuple(remote.notes(launch_site))
    launcher.check(launch_site)
    return None, ()


def abandon(handle: Handle | None) -> None:
    """Forget the preparation."""
    if handle is not None:
        handle.abandon()


def launch_new(handle: Handle | None, create: Callable[[], Live], give: Callable[[Live], None]) -> Live:
    """Make the live folder of a run and give it to whoever runs it; ``handle`` is the supervisor that waits, if any.

    An error of ``create`` or ``give``, Ctrl-C among them, comes out as it is where nobody has taken the run: then there
    is neither a supervisor nor a live folder any more, and all else is the caller's to undo.

    Raises:
        TakenRun: there was such an error, and somebody has taken the run.
    """
    folder = None
    try:
        folder = create()
        give(folder)
    except BaseException as error:
        with suppress(KeyboardInterrupt):  # once more: nobody has looked, and what may be taken is left alone
            abandon(handle)
            if folder is not None and not _stays_taken(folder):
                livefolder.remove(folder)
                folder = None
        if folder is not None:
            raise TakenRun(folder, error) from error
        raise
    return folder


def hand_over(context: Context, name: str, handle: Handle | None, folder: Live) -> None:
    """Give a run to its launcher; on return it goes on, or is queued, whatever happens to this process.

    Raises:
        SnaprunError: it could not be started; the live folder is still the caller's.
    """
    if handle is not None:
        handle.launch(folder.path)
    else:
        submit(context, name, [folder])


def submit(context: Context, name: str, folders: Sequence[Live], *, lineup: Lineup | None = None) -> None:
    """Give runs to a launcher, all in one go. What it was asked for is in the order of the first; ``lineup`` says how
    the runs of a sweep take turns.

    Raises:
        SnaprunError: as its ``submit``; the live folders are still the caller's.
    """
    launcher = launchers.launcher(name)
    launch_site = site(context, folders[0].order().get("options", {}).get(LAUNCHER_OPTIONS), lineup)
    remote = launchers.as_remote(launcher)
    with ExitStack() as stack:
        _raise_file_limit(len(folders))
        for folder in folders:
            lock_handle = lock.take(folder.path) if remote is not None else None
            if lock_handle is not None:  # nobody here looks after it, and a push that takes its time must not be judged
                stack.callback(os.close, lock_handle)
            write_placement(folder.path, name, launchers.provisional_handle(launcher, launch_site, folder.id))
        runs = [Submission(folder.id, folder.path) for folder in folders]
        at_once = launchers.kind(name).at_once or (remote is not None and lineup is None)
        handles = launcher.submit(launch_site, runs) if at_once else _queue(context, launcher, launch_site, folders)
    for folder, handle in zip(folders, handles, strict=True):
        if launchers.provisional_handle(launcher, launch_site, folder.id) == handle:
            continue
        with suppress(FileNotFoundError):  # it has ended already
            write_placement(folder.path, name, handle)


def stop(context: Context, folder: Live, number: int, *, grace: float | None = None, kill: bool = False) -> bool:
    """Ask that a run in progress ends, wherever it is; False where nobody is there any more.

    Raises:
        Unavailable: its machine cannot be reached. Denied: it belongs to another user.
    """
    placement = read_placement(folder.path)
    if placement is None or not placement.needs_poll:
        return stoprequest.request(folder, number, grace=grace, kill=kill)
    request = StopRequest(signal=number, kill=kill, grace=grace, time=time.time())
    with suppress(FileNotFoundError):  # it has just ended
        if placement.host is None:  # whoever ends it finds the request there
            write_stop_request(folder.path, request)
        try:
            return launchers.launcher(placement.launcher).cancel(site(context), placement.handle, request)
        except Unavailable:
            is_local = placement.host is None and host_of(folder) is None
            if is_local and stoprequest.request(folder, number, grace=grace, kill=kill):
                return True  # its supervisor is on this machine, and needs no launcher to hear
            raise
    return False


def stop_all(
    context: Context, folders: Sequence[Live], number: int, *, grace: float | None = None, kill: bool = False
) -> list[Live]:
    """Ask that many runs end, those of a launcher that can do it in one go in one go; those that were there to ask.

    Raises:
        Unavailable, Denied: as :func:`stop`.
    """
    request = StopRequest(signal=number, kill=kill, grace=grace, time=time.time())
    handles_by_launcher: dict[str, dict[str, Live]] = {}
    recipients = []
    for folder in folders:
        placement = read_placement(folder.path)
        if placement is None or not placement.needs_poll or launchers.canceller(placement.launcher) is None:
            recipients += [folder] if stop(context, folder, number, grace=grace, kill=kill) else []
            continue
        handles_by_launcher.setdefault(placement.launcher, {})[placement.handle] = folder
        with suppress(FileNotFoundError):  # it has just ended
            if placement.host is None:
                write_stop_request(folder.path, request)
    for name, handles in handles_by_launcher.items():
        cancel = launchers.canceller(name)
        recipients += [handles[handle] for handle in (cancel(site(context), list(handles), request) if cancel else ())]
    return recipients


def require_here(folder: Live, verb: str) -> None:
    """Refuse what works only on the machine where a run is.

    Raises:
        UsageFault: it is on another one; the hint is what to type.
    """
    placement = read_placement(folder.path)
    remote = (
        launchers.as_remote(launchers.launcher(placement.launcher))
        if placement is not None and placement.host
        else None
    )
    if placement is not None and remote is not None:
        text = f"run {folder.id[:8]} is on {placement.host}: {verb} works there only"
        raise UsageFault(text, hint=remote.command(placement.handle, verb))


def is_taken(folder: Live) -> bool:
    """Whether somebody looks after the run already, so that it is not the caller's to throw away."""
    lock_handle = lock.take(folder.path)
    if lock_handle is None:
        return True
    os.close(lock_handle)
    return False


def _stays_taken(folder: Live) -> bool:
    """Whether a run is taken for good: a supervisor that has only the lock may be about to go."""
    deadline = time.monotonic() + TAKING_TIME
    while is_taken(folder):
        is_certain = read_identities(folder) is not None or not folder.path.exists()
        if is_certain or time.monotonic() > deadline:
            return True
        time.sleep(INTERVAL)
    return False


def site(context: Context, options: Mapping[str, str] | None = None, lineup: Lineup | None = None) -> Site:
    """The caller's repository, as a launcher sees it."""
    return Site(context.place, context.env, dict(options or {}), lineup)


def _address(context: Context, on: str) -> str:
    """The address of a machine, which may be a name of the settings."""
    hosts = dict(context.settings.hosts)
    if on in hosts:
        return hosts[on]
    if "://" in on:
        return on
    suggestion = nearest(on, hosts)
    hint = f"did you mean {suggestion}?" if suggestion else 'hosts = { NAME = "ssh://host/path" } in the settings'
    raise UsageFault(f"there is no host {on!r} in the settings", hint=hint)


def _raise_file_limit(count: int) -> None:
    """Let this process open a file more for each run of a large sweep, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = count + 256
    if soft != resource.RLIM_INFINITY and soft < need:
        limit = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _queue(context: Context, launcher: Launcher, launch_site: Site, folders: Sequence[Live]) -> list[str]:
    """Submit runs that may have to wait: in the index they are queued from before on; they say themselves when they
    start."""
    runs = [
        Run.from_commits(folder.id, folder.spec(), folder.params(), commit=folder.id, status=Status.QUEUED)
        for folder in folders
    ]
    reindex.record(GitRepo(context.place), context.settings.index_url, *runs)
    try:
        return launcher.submit(launch_site, [Submission(folder.id, folder.path) for folder in folders])
    except BaseException:
        reindex.open_index(context).forget([folder.id for folder in folders])
        raise
