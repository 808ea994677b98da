"""Give each run graphics cards of its own: which there are, and a ledger of who has which.

The ledger is the user's on this machine, not a repository's: two projects share the cards. An entry names a live folder
and counts for as long as somebody holds that folder's lock, so that no crash leaves a card behind that nobody has.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snaprun import filelock
from snaprun.errors import Busy, Denied, Unavailable, os_fault
from snaprun.files import read_json_or_empty, write_json
from snaprun.git.locate import make_private
from snaprun.live import lock
from snaprun.machine import nvidia

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
DEVICE_ORDER = "CUDA_DEVICE_ORDER"
"""Variables of CUDA: https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables."""

VARIABLES = "gpus"
"""Among the options of an order: the variables that give a run its cards."""

PATIENCE = 20
"""Seconds that nvidia-smi may take: with a driver that is not kept loaded, it wakes every card first."""


@dataclass(frozen=True)
class Gpu:
    """A card: how ``CUDA_VISIBLE_DEVICES`` names it, and what the ledger calls it, its UUID where that is known."""

    name: str
    key: str


class NoGpus(Unavailable):
    """There are not so many cards."""


class GpusTaken(Busy):
    """There are enough cards, but other runs have them: those in the live folders ``holders``."""

    holders: tuple[Path, ...] = ()


def find_gpus(env: Mapping[str, str]) -> list[Gpu]:
    """The cards that a run with this environment may have: those that ``CUDA_VISIBLE_DEVICES`` leaves it, else all."""
    devices = _query_devices(env)
    visible = env.get(VISIBLE_DEVICES)
    if visible is None:
        return [Gpu(index, uuid) for index, uuid in devices]
    gpus: dict[str, Gpu] = {}
    for word in (part.strip() for part in visible.split(",")):
        gpu = _parse_name(word, devices)
        if gpu is None:  # as CUDA has it: what stands behind an invalid name is not visible either
            break
        gpus.setdefault(gpu.key, gpu)
    return list(gpus.values())


def require(env: Mapping[str, str], count: int) -> list[Gpu]:
    """As :func:`find_gpus`. Raises NoGpus where there are fewer than ``count``."""
    gpus = find_gpus(env)
    if len(gpus) < count:
        supply = (
            f"{VISIBLE_DEVICES}={env[VISIBLE_DEVICES]!r} names {len(gpus)}"
            if VISIBLE_DEVICES in env
            else _describe_count(gpus)
        )
        hint = f"--gpus {len(gpus)}" if gpus else f"leave --gpus out, or name the GPUs in {VISIBLE_DEVICES}"
        raise NoGpus(f"{count} GPU{'s' * (count > 1)} wanted, and {supply}", hint=hint)
    return gpus


def check_free(env: Mapping[str, str], count: int) -> None:
    """Say beforehand that a run would not get its cards. Raises as :func:`take`; nothing is taken."""
    with _ledger() as entries:
        _find_free(require(env, count), count, entries)


def take(env: Mapping[str, str], count: int, path: Path) -> dict[str, str]:
    """Give ``count`` cards to the run in a live folder whose lock the caller holds; the variables that say which.

    They are the run's until nobody holds that lock any more.

    Raises:
        NoGpus: there are not so many. GpusTaken: other runs have them. Denied: the ledger cannot be written.
    """
    with _ledger() as entries:
        folder = os.fspath(path)
        for key in [key for key, holder in entries.items() if holder == folder]:  # of the attempt before
            del entries[key]
        gpus = _find_free(require(env, count), count, entries)[:count]
        entries.update({gpu.key: folder for gpu in gpus})
    variables = {VISIBLE_DEVICES: ",".join(gpu.name for gpu in gpus)}
    # The numbers of nvidia-smi are in the order of the bus, and those of CUDA only if it is told so.
    return variables if VISIBLE_DEVICES in env else {DEVICE_ORDER: "PCI_BUS_ID", **variables}


def _find_free(gpus: Sequence[Gpu], count: int, entries: Mapping[str, str]) -> list[Gpu]:
    free = [gpu for gpu in gpus if gpu.key not in entries]
    if len(free) >= count:
        return free
    holders: dict[str, list[str]] = {}
    for gpu in gpus:
        if gpu.key in entries:
            holders.setdefault(entries[gpu.key], []).append(gpu.name)
    holdings = ", ".join(f"run {Path(live).name[:8]} has {' and '.join(names)}" for live, names in holders.items())
    supply = f"{len(free)} of {len(gpus)} free"
    text = f"{count} GPU{'s' * (count > 1)} wanted, and {supply}: {holdings}"
    error = GpusTaken(text, hint="snaprun queue add starts it when they are free")
    error.holders = tuple(map(Path, holders))
    raise error


@contextmanager
def _ledger() -> Iterator[dict[str, str]]:
    """Who has which card, for the caller to change: what it leaves is written down when it is done without an error."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "snaprun" / "gpus"
    path = folder / f"{socket.gethostname()}.json"
    try:
        make_private(folder)
        with filelock.hold(path.with_suffix(".lock")):
            old_entries = _read(path)
            entries = {key: live for key, live in old_entries.items() if _is_held(Path(live))}
            yield entries
            if entries != old_entries:
                write_json(path, entries)
    except OSError as error:
        raise os_fault(error, "the ledger of GPUs cannot be written", folder, otherwise=Denied) from error


def _read(path: Path) -> dict[str, str]:
    """The ledger as it is on disk. Of a damaged one only what runs now could be lost."""
    return {str(key): str(live) for key, live in read_json_or_empty(path).items()}


def _is_held(path: Path) -> bool:
    """Whether a run is there and looked after."""
    if not path.is_dir():
        return False
    handle = lock.take(path)
    if handle is not None:
        os.close(handle)
    return handle is None


def _parse_name(word: str, devices: Sequence[tuple[str, str]]) -> Gpu | None:
    """The card of this name: a number, a UUID or the beginning of one, a part of a card (MIG)."""
    if re.fullmatch(r"\d+", word):
        uuids = dict(devices)
        return Gpu(word, uuids.get(word, word)) if not devices or word in uuids else None
    if word.startswith("GPU-") and word != "GPU-":
        matches = [uuid for _, uuid in devices if uuid.startswith(word)]
        return Gpu(word, matches[0] if len(matches) == 1 else word) if not devices or len(matches) == 1 else None
    return Gpu(word, word) if word.startswith("MIG-") and word != "MIG-" else None


def _query_devices(env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Number and UUID of every card that nvidia-smi names."""
    lines = nvidia.query("index,uuid", env, patience=PATIENCE)
    return re.findall(r"^(\d+)\s*,\s*(GPU-\S+)$", "\n".join(lines), re.MULTILINE)


def _describe_count(gpus: Sequence[Gpu]) -> str:
    return f"this machine has {len(gpus)}" if gpus else "nvidia-smi names none on this machine"
