"""Read what a run has left in its live folder as one frozen value, from which it is judged and recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun import records
from snaprun.checkouts.links import Fingerprints
from snaprun.errors import DataFault
from snaprun.files import read_json_or_empty
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle.rundocument import load_document
from snaprun.live.livefolder import Live
from snaprun.live.names import CONSOLES_FILE, ENDING_FILE, ENVIRONMENT_FILE, INPUTS_FILE, MESSAGES_FILE
from snaprun.live.order import LOST_BYTES, Order
from snaprun.live.replay import Replay, replay_live
from snaprun.live.stoprequest import StopRequest, read_stop_request
from snaprun.model import Outcome, RunSpec

MESSAGES_LIMIT = 20_000
"""Bytes of snaprun's own messages that are kept: the last ones."""


@dataclass(frozen=True)
class Leftovers:
    """Everything that the live folder of one attempt says. A part that is missing or damaged is None or empty.

    Only ``spec``, ``params`` and the notebook that ``replay`` fills come from the snapshot then. ``stop_request`` is
    what somebody asked for, ``ending`` how the run was seen to end, should its journal not say; ``lost_bytes`` is what
    a full disk took from its output; ``inputs`` says how its linked data was before it; ``console_count`` how often a
    console was opened on its kernel; ``artifacts`` are the files that the notebook asked to keep, each once;
    ``messages`` what snaprun itself had to say; ``last_write`` is when its log or metrics were written to last, in
    seconds since the epoch.

    The log may be larger than the memory, and stays a path. ``fault`` is the first error in reading a file that the
    record takes as it is: how the run ended can be told nevertheless, its record cannot be made.
    """

    order: Order
    spec: RunSpec
    params: Mapping[str, Any]
    replay: Replay
    log: Path
    stop_request: StopRequest | None = None
    ending: Outcome | None = None
    lost_bytes: int = 0
    inputs: Fingerprints = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    console_count: int = 0
    artifacts: tuple[str, ...] = ()
    log_times: bytes = b""
    metrics: bytes = b""
    messages: bytes = b""
    last_write: float | None = None
    fault: OSError | None = None


def read_leftovers(repo: GitRepo, folder: Live, order: Order) -> Leftovers:
    """Read the live folder of a run that is over; nobody writes to it any more.

    Raises:
        SnaprunError: the folder has lost spec, parameters or notebook, and the snapshot does not have them either.
        OSError: the journal cannot be read.
    """
    spec = _read_spec(repo, folder)
    replay = replay_live(folder, load_document(repo, folder, spec))
    consoles, messages = folder.path / CONSOLES_FILE, folder.path / MESSAGES_FILE
    files, fault = _read_files([consoles, messages, folder.log_times, folder.metrics, folder.artifacts])
    ending = read_json_or_empty(folder.path / ENDING_FILE)
    return Leftovers(
        order=order,
        spec=spec,
        params=_read_params(repo, folder),
        replay=replace(replay, attempts=order.attempt),  # it may have been killed before a word
        log=folder.log,
        stop_request=read_stop_request(folder.path),
        ending=_parse_ending(ending),
        lost_bytes=_parse_lost_bytes(ending),
        inputs=_parse_inputs(read_json_or_empty(folder.path / INPUTS_FILE)),
        environment=read_json_or_empty(folder.path / ENVIRONMENT_FILE),
        console_count=len(files[consoles].splitlines()),
        artifacts=_parse_artifacts(files[folder.artifacts]),
        log_times=files[folder.log_times],
        metrics=files[folder.metrics],
        messages=files[messages][-MESSAGES_LIMIT:],
        last_write=_last_write(folder),
        fault=fault,
    )


def _read_spec(repo: GitRepo, folder: Live) -> RunSpec:
    """What was asked for; from the snapshot where the live folder lost it."""
    try:
        return folder.spec()
    except DataFault:
        return records.read_spec(repo, folder.id)


def _read_params(repo: GitRepo, folder: Live) -> dict[str, Any]:
    """The run's parameters; from the snapshot where the live folder lost them."""
    try:
        return folder.params()
    except DataFault:
        return records.read_params(repo, folder.id)


def _read_files(paths: Iterable[Path]) -> tuple[dict[Path, bytes], OSError | None]:
    """Files as they are, empty where there is none or it cannot be read, and the first error."""
    contents: dict[Path, bytes] = {}
    fault: OSError | None = None
    for path in paths:
        try:
            contents[path] = path.read_bytes()
        except OSError as error:
            contents[path] = b""
            fault = fault or (None if isinstance(error, FileNotFoundError) else error)
    return contents, fault


def _parse_ending(data: Mapping[str, Any]) -> Outcome | None:
    try:
        return Outcome.from_json(data)
    except (ValueError, KeyError, TypeError):
        return None


def _parse_lost_bytes(ending: Mapping[str, Any]) -> int:
    try:
        return int(ending[LOST_BYTES])
    except (ValueError, KeyError, TypeError):
        return 0


def _parse_inputs(data: Mapping[str, Any]) -> Fingerprints:
    try:
        return {name: (size, time) for name, (size, time) in data["inputs"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _parse_artifacts(data: bytes) -> tuple[str, ...]:
    """The files that the notebook asked to keep, each once; a damaged line is passed over."""
    paths: dict[str, None] = {}
    for line in data.splitlines():
        try:
            paths[str(json.loads(line)["path"])] = None
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(paths)


def _last_write(folder: Live) -> float | None:
    """When something was written into log or metrics last."""
    times = []
    for path in (folder.log, folder.metrics):
        try:
            attributes = path.stat()
        except OSError:
            continue
        if attributes.st_size:
            times.append(attributes.st_mtime)
    return max(times, default=None)
