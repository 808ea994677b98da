"""Hold reusable checkouts, each for one run at a time by a lock that the system frees when its holder dies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from snaprun import filelock, files
from snaprun.checkouts import checkout, worktree
from snaprun.errors import Busy, CannotCreate, SnaprunError, os_fault
from snaprun.files import write_json
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import make_private
from snaprun.machine.process import boot_id

MAX_SLOTS = 1000
"""More slots than this are never made: something is wrong long before."""

CHANGE_MARK = "changing"
"""Stands in a slot's ``laid`` file, in place of the commit, while its files are being changed."""


@dataclass(frozen=True)
class Slot:
    """A checkout held for one run. ``lock`` is the descriptor whose lock keeps others out; no child inherits it."""

    number: int
    path: Path
    is_reused: bool
    lock: int = field(repr=False, compare=False)

    def state_file(self, kind: str) -> Path:
        """A file of ours about this slot: ``lock``, ``owner``, ``laid`` or ``links``."""
        return self.path.with_name(f"{self.number}.{kind}")


def claim(repo: GitRepo, run_id: str, *, live: Path) -> Slot:
    """Hold a slot for a run: the one that it has already, else the first that is free, else a new one.

    A slot is free when nobody holds its lock and its last owner is finalised, that is, has no folder in ``live`` (the
    folder of all runs in progress) any more: what a crashed run left stays until its result commit is made from it.

    Raises:
        SnaprunError: the state folder cannot be written, or a thousand slots are in use.
    """
    folder = repo.place.state / "slots"
    try:
        make_private(folder)
        own_slot = reclaim(repo, run_id)
        if own_slot is not None:
            return own_slot
        for number in range(MAX_SLOTS):
            slot = _hold(folder, number)
            if slot is None:
                continue
            if _is_free(slot, live):
                files.write(slot.state_file("owner"), run_id.encode(), durable=False)
                return slot
            os.close(slot.lock)
    except OSError as error:
        raise _fault(error, folder) from error
    raise Busy(f"all {MAX_SLOTS} slots are in use", hint="snaprun ps, then stop what is not needed")


def reclaim(repo: GitRepo, run_id: str) -> Slot | None:
    """The slot that a run owns, held for the caller; None where it owns none or another process holds it."""
    folder = repo.place.state / "slots"
    for owner in sorted(folder.glob("*.owner")):
        if _read(owner) != run_id or not owner.stem.isdigit():
            continue
        slot = _hold(folder, int(owner.stem))
        if slot is not None and _read(owner) == run_id:
            return slot
        if slot is not None:
            os.close(slot.lock)
    return None


def lay_out(repo: GitRepo, slot: Slot, snapshot_id: str) -> tuple[str, ...]:
    """Make the slot hold exactly the snapshot; notes for the user where that took a compromise.

    A slot whose last change was interrupted, or that was last laid out before a reboot, is checked and, if that shows
    a difference, laid out afresh.

    Raises:
        SnaprunError: the files cannot be written; the slot is given back then, and a new one is gone again.
    """
    laid_file = slot.state_file("laid")
    old_boot, _, old_commit = _read(laid_file).partition(" ")
    current_boot = boot_id()
    try:
        files.write(laid_file, f"{current_boot} {CHANGE_MARK}".encode(), durable=False)  # after a reboot all is checked
        unlink(slot)
        notes = checkout.check_out(repo, slot.path, snapshot_id, from_scratch=old_boot != current_boot, lock=slot.lock)
        if old_commit == CHANGE_MARK and checkout.is_dirty(repo, slot.path):
            worktree.remove(repo, slot.path)
            notes = checkout.check_out(repo, slot.path, snapshot_id, lock=slot.lock)
        files.write(laid_file, f"{current_boot} {snapshot_id}".encode(), durable=False)
    except OSError as error:
        _give_up(repo, slot)
        raise _fault(error, slot.path) from error
    except SnaprunError:
        _give_up(repo, slot)
        raise
    return notes


def _give_up(repo: GitRepo, slot: Slot) -> None:
    """Give back a slot that could not be laid out: what is there is mended by its next user; a new one frees its room.

    What cannot be removed now stays, marked as being changed.
    """
    if not slot.is_reused:
        with suppress(OSError):
            worktree.remove(repo, slot.path)
            slot.state_file("laid").unlink(missing_ok=True)
    with suppress(OSError):
        release(slot)


def release(slot: Slot) -> None:
    """Give the slot back: the links into the user's tree go at once, the rest when the next run needs the slot."""
    try:
        if _is_own(slot):
            unlink(slot)
            slot.state_file("owner").unlink(missing_ok=True)
    finally:
        os.close(slot.lock)


def has_checkout(slot: Slot) -> bool:
    """Whether the slot has its checkout still: somebody may have deleted it."""
    return slot.path.is_dir() and _is_own(slot)


def _is_own(slot: Slot) -> bool:
    """Whether what lies at the slot's place is its own: where somebody deleted all slots, another run may have made one
    of the same number since."""
    try:
        return os.path.samestat(os.fstat(slot.lock), os.stat(slot.state_file("lock")))
    except OSError:
        return False


@dataclass(frozen=True)
class SlotLinks:
    """What stands in a slot beside the snapshot, as paths relative to its top: links, and folders kept afterwards."""

    links: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def read_links(slot: Slot) -> SlotLinks:
    """What was recorded about the slot's links."""
    text = _read(slot.state_file("links"))
    if not text:
        return SlotLinks()
    data = json.loads(text)
    return SlotLinks(tuple(data["links"]), tuple(data["outputs"]))


def record_links(slot: Slot, slot_links: SlotLinks) -> None:
    """Remember what will be linked, before it is: whoever cleans up after a crash reads it."""
    write_json(slot.state_file("links"), asdict(slot_links), durable=False)


def unlink(slot: Slot) -> None:
    """Remove the links to the user's data; what the run put in a link's place stays."""
    for path in read_links(slot).links:
        link = slot.path / path
        with suppress(FileNotFoundError, NotADirectoryError):
            if link.is_symlink():
                link.unlink()
    slot.state_file("links").unlink(missing_ok=True)


def read_snapshot_id(slot: Slot) -> str:
    """The snapshot that the slot holds, or an empty text."""
    commit = _read(slot.state_file("laid")).partition(" ")[2]
    return "" if commit == CHANGE_MARK else commit


def prune(repo: GitRepo, *, live: Path, keep: int = 0) -> list[Path]:
    """Remove the free slots but the first ``keep``; the paths that are gone."""
    folder = repo.place.state / "slots"
    paths = []
    for slot in _hold_free(folder, live):
        if keep > 0:
            keep -= 1
        else:
            unlink(slot)
            worktree.remove(repo, slot.path)
            for kind in ("laid", "owner"):
                slot.state_file(kind).unlink(missing_ok=True)
            paths.append(slot.path)
        os.close(slot.lock)
    return paths


def _hold_free(folder: Path, live: Path) -> Iterator[Slot]:
    numbers = sorted(int(path.stem) for path in folder.glob("*.lock") if path.stem.isdigit())
    for number in numbers:
        slot = _hold(folder, number)
        if slot is None:
            continue
        if slot.is_reused and _is_free(slot, live):
            yield slot
        else:
            os.close(slot.lock)


def _hold(folder: Path, number: int) -> Slot | None:
    """Slot ``number`` if its lock is to be had at once. Lock files are never removed, so a lock is never on a ghost."""
    lock = filelock.take(folder / f"{number}.lock")
    if lock is None:
        return None
    path = folder / str(number)
    return Slot(number, path, os.path.lexists(path), lock)


def _is_free(slot: Slot, live: Path) -> bool:
    owner = _read(slot.state_file("owner"))
    return not owner or not (live / owner).exists()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _fault(error: OSError, path: Path) -> SnaprunError:
    return os_fault(error, f"cannot write the checkout {path}", path.parent, otherwise=CannotCreate)
