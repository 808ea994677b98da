"""From a frozen run to one that goes on by itself, through whichever launcher is asked for."""

from __future__ import annotations

import os

from snaprun import launchers, lock
from snaprun.door import Door
from snaprun.launchers import Site, Submission, local
from snaprun.launchers.local import Handle
from snaprun.live import Live

LOCAL = "local"


def begin(door: Door, name: str, *, engine: str = "kernel") -> Handle | None:
    """Prepare a launch before there is anything to launch: here, a supervisor whose worker imports meanwhile.

    Raises:
        UsageFault: no such launcher. Unavailable: it cannot start runs.
    """
    if name == LOCAL:
        return local.start(door.env, engine=engine)
    launchers.launcher(name).check(site(door))
    return None


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
        return
    launchers.note(folder.path, name, "")
    given = launchers.launcher(name).submit(site(door), [Submission(folder.id, folder.path)])
    try:
        launchers.note(folder.path, name, given[0])
    except FileNotFoundError:  # it has ended already
        return


def taken(folder: Live) -> bool:
    """Whether somebody looks after the run already, so that it is not the caller's to throw away."""
    held = lock.take(folder.path)
    if held is None:
        return True
    os.close(held)
    return False


def site(door: Door) -> Site:
    """The caller's repository, as a launcher sees it."""
    return Site(door.place, door.env)
