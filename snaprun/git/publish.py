"""Give new objects a ref, for good: on the disk before the ref, and safe from a prune at the same time.

``git prune --expire=now`` (and ``gc --prune=now``) deletes what no ref reached when it began, also when the ref is made
a moment later: git itself loses commits this way. New objects therefore keep a second name below the state folder for
an hour, from which :func:`restore` gives them back.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from snaprun.errors import DataFault, Denied, SnaprunError, WriteFault
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place, make_private
from snaprun.git.objects import GitObject
from snaprun.git.scratch import announce, scratch, unlock

TRIES = 20
"""How often objects are written again when a prune takes them, or their folders, away."""

FRESH = "fresh"
"""Below the state folder: ``<hour>/<name of the ref>/<object id>``, second names (hard links) of new objects."""

HOUR = 3600.0
"""Seconds after which no prune that began before the ref can still be running."""


class PruneFault(DataFault):
    """An object went away between its writing and its ref, and its content is not at hand any more."""


def publish(
    repo: GitRepo,
    ref: str,
    objects: Sequence[GitObject],
    blobs: Sequence[str],
    *,
    store_again: Callable[[], bool],
    old: str | None = None,
) -> None:
    """Store ``objects``, the last of which is the commit, and make ``ref`` point at it.

    ``blobs`` are stored already; ``store_again`` does so anew, and says whether that gave the same ones. ``old`` is
    where the ref must stand before; None means that there is none yet.

    Raises:
        PruneFault: ``git prune --expire=now`` ran at the same time, and the files have changed since.
        SnaprunError: git could not write, or the ref is somewhere else.
    """
    commit = objects[-1].oid
    oids = [*blobs, *(item.oid for item in objects)]
    failure: SnaprunError = PruneFault("objects were pruned during the snapshot", hint="try again when git gc is over")
    ref_exists = False
    with scratch(repo.place) as folder:
        announce(folder, ref, shared=old is not None)
        for turn in range(TRIES):
            if turn and repo.find_missing(blobs) and not store_again():
                break
            try:
                with repo.start_ref_update() as mover:  # its process starts while the objects are written
                    repo.ingest(objects)
                    repo.flush(oids)
                    _link(repo.place, ref, oids)
                    if not ref_exists:
                        repo.move_ref(ref, commit, old, mover=mover)
                ref_exists = True
            except (Denied, WriteFault):
                raise
            except SnaprunError as error:
                if old is not None and repo.refs(ref).get(ref) != old:
                    raise
                failure = error
                unlock(repo.place, ref, shared=old is not None)
                continue
            if not repo.find_missing(oids):
                return
    if ref_exists:
        with suppress(SnaprunError):
            repo.delete_ref(ref, commit) if old is None else repo.move_ref(ref, old, commit)
    raise failure


def restore(place: Place, ref: str | None = None) -> int:
    """Give fresh objects back that a prune has taken since they were published, of one ref or of all; how many."""
    count = 0
    for folder in (place.state / FRESH).glob(f"*/{ref.rpartition('/')[2] if ref else '*'}"):
        with suppress(FileNotFoundError):
            for entry in os.scandir(folder):
                target = _loose(place, entry.name)
                if not os.path.exists(target):  # packed ones come back as well: git tidies that up
                    with suppress(FileNotFoundError, FileExistsError):
                        os.makedirs(os.path.dirname(target), exist_ok=True)
                        os.link(entry.path, target)
                        count += 1
    return count


def forget(place: Place, *, now: float) -> None:
    """Let second names go that are older than an hour."""
    with suppress(FileNotFoundError):
        for folder in os.scandir(place.state / FRESH):
            if folder.name.isdigit() and int(folder.name) < now // HOUR - 1:
                shutil.rmtree(folder.path, ignore_errors=True)


def _link(place: Place, ref: str, oids: Iterable[str]) -> None:
    """Give new loose objects their second name. A file system without hard links does without."""
    now = time.time()
    folder = place.state / FRESH / str(int(now // HOUR)) / ref.rpartition("/")[2]
    with suppress(OSError):
        make_private(folder)
    for oid in oids:
        with suppress(OSError):
            os.link(_loose(place, oid), folder / oid)
    forget(place, now=now)


def _loose(place: Place, oid: str) -> str:
    """Where the loose file of an object lies."""
    return os.path.join(place.common_dir, "objects", oid[:2], oid[2:])
