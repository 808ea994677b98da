"""Make, find and remove live folders: each holds all that is known about a run in progress, for anyone who may read.

Standard library only: the supervisor and every reading command start here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snaprun import files
from snaprun.errors import CannotCreate, DataFault, Denied, os_fault
from snaprun.git.locate import LIVE_BACKUP, Place
from snaprun.live.names import (
    ARRIVALS_FILE,
    ARTIFACTS_FILE,
    BLOBS_FOLDER,
    EVENTS_FILE,
    GROWING_FILES,
    IMPORT_FOLDER,
    KERNEL_FILE,
    LOCK_FILE,
    LOG_FILE,
    METRICS_FILE,
    NOTEBOOK_FILE,
    ORDER_FILE,
    PARAMS_FILE,
    RESUME_FILE,
    SPEC_FILE,
)
from snaprun.model import RunSpec, Snapshot

NAME_PATTERN = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""The name of a live folder: the id of its run, a SHA-1 or a SHA-256."""

SOCKET_PREFIX = "snaprun-"
"""How a kernel's socket folder is called; it lies elsewhere because a socket's path has 107 characters at most."""


@dataclass(frozen=True)
class Live:
    """The folder of one run in progress: the names in it, and reading them."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def log(self) -> Path:
        """Standard output and error, bytes as they came."""
        return self.path / LOG_FILE

    @property
    def log_times(self) -> Path:
        """When the bytes of the log came."""
        return self.path / ARRIVALS_FILE

    @property
    def events(self) -> Path:
        """The journal."""
        return self.path / EVENTS_FILE

    @property
    def blobs(self) -> Path:
        """Outputs too large for the journal, by sha256."""
        return self.path / BLOBS_FOLDER

    @property
    def metrics(self) -> Path:
        """What the notebook logged, a line a value."""
        return self.path / METRICS_FILE

    @property
    def artifacts(self) -> Path:
        """The files that the notebook wants kept, a line a path."""
        return self.path / ARTIFACTS_FILE

    @property
    def lock(self) -> Path:
        """Held (flock) while supervisor or worker live."""
        return self.path / LOCK_FILE

    @property
    def kernel(self) -> Path:
        """The Jupyter connection file of the run's kernel, while there is one."""
        return self.path / KERNEL_FILE

    @property
    def resume(self) -> Path:
        """Appears when a held run may go on: ``{"source": the failed cell's new text or null}``."""
        return self.path / RESUME_FILE

    @property
    def notebook(self) -> Path:
        """The document that runs, with the parameters injected and without outputs."""
        return self.path / NOTEBOOK_FILE

    @property
    def import_path(self) -> Path:
        """The folder that makes ``import snaprun`` work: last on the run's import path."""
        return self.path / IMPORT_FOLDER

    def spec(self) -> RunSpec:
        """What was asked for. Raises DataFault when the file is damaged."""
        data = self._read(SPEC_FILE)
        try:
            return RunSpec.from_json(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataFault(f"{SPEC_FILE} of run {self.id[:8]} is damaged: {error}", hint="snaprun doctor") from error

    def params(self) -> dict[str, Any]:
        """The run's parameters, as JSON has them. Raises DataFault when the file is damaged."""
        return self._read(PARAMS_FILE)

    def order(self) -> dict[str, Any]:
        """What the worker needs beyond the snapshot. Raises DataFault when the file is damaged."""
        return self._read(ORDER_FILE)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            data = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError) as error:
            raise DataFault(f"{name} of run {self.id[:8]} cannot be read: {error}", hint="snaprun doctor") from error
        if not isinstance(data, dict):
            raise DataFault(f"{name} of run {self.id[:8]} is damaged", hint="snaprun doctor")
        return data


def create(
    place: Place, snapshot: Snapshot, order: Mapping[str, Any], *, notebook: Mapping[str, Any] | None = None
) -> Live:
    """Make the live folder of a new run; it appears whole or not at all.

    ``notebook`` is the document that will run, parameters injected; without it the worker makes it from the snapshot.

    Raises:
        Denied: the state folder is not writable. CannotCreate: there is one already, or it cannot be made.
        WriteFault: the disk is full.
    """
    path = place.live / snapshot.id
    temporary = place.live / f".{snapshot.id}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    documents = {SPEC_FILE: snapshot.spec.to_json(), PARAMS_FILE: dict(snapshot.params), ORDER_FILE: dict(order)}
    if notebook is not None:
        documents[NOTEBOOK_FILE] = dict(notebook)
    try:
        for folder in (place.state, place.live):
            folder.mkdir(mode=0o700, exist_ok=True)
        temporary.mkdir(mode=0o700)
        for name, content in documents.items():
            data = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogateescape")
            files.write(temporary / name, data, durable=False)
        for name in (*GROWING_FILES, LOCK_FILE):
            files.write(temporary / name, b"", durable=False)
        lay_import_path(temporary)
        temporary.rename(path)
    except PermissionError as error:
        raise Denied(f"{place.state} is not writable", hint=f"chmod -R u+rwX '{place.state}'") from error
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():
            raise CannotCreate(f"run {snapshot.id[:8]} has a live folder already", hint="snaprun ps") from error
        raise os_fault(error, f"cannot write {path}", place.state) from error
    return Live(path)


def lay_import_path(folder: Path) -> None:
    """Put into a live folder what makes ``import snaprun`` work."""
    path = Live(folder).import_path
    path.mkdir(mode=0o700)
    (path / "snaprun").symlink_to(Path(__file__).resolve().parent.parent, target_is_directory=True)


def backup_folder(folder: Live) -> Path:
    """The folder with the second names of a live folder's files, see :mod:`snaprun.live.secondnames`.

    It lies beside the state folder (:attr:`snaprun.git.locate.Place.live_backup`): who deletes that one does not mean
    the runs in progress.
    """
    return folder.path.parents[1].with_name(LIVE_BACKUP) / folder.id


def scan(place: Place) -> list[Live]:
    """The live folders of a repository, oldest first. Empty where there is none or it may not be read."""
    folders = []
    try:
        with os.scandir(place.live) as entries:
            for entry in entries:
                if NAME_PATTERN.fullmatch(entry.name):
                    folders.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    except OSError:
        return []
    return [Live(place.live / name) for _, name in sorted(folders)]


def find(place: Place, run_id: str) -> Live | None:
    """The live folder of this run, or none."""
    path = place.live / run_id
    return Live(path) if NAME_PATTERN.fullmatch(run_id) and path.is_dir() else None


def remove(folder: Live) -> None:
    """Take the folder away, its kernel's socket folder first. Readers see it whole or not at all."""
    remove_sockets(folder)
    shutil.rmtree(backup_folder(folder), ignore_errors=True)
    with contextlib.suppress(OSError):  # another run's is still there
        backup_folder(folder).parent.rmdir()
    trash = folder.path.with_name(f".{folder.id}.gone.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        folder.path.rename(trash)
    except FileNotFoundError:
        return
    shutil.rmtree(trash, ignore_errors=True)


def tidy(place: Place, *, age: float, now: float) -> None:
    """Remove what killed processes left half made or half removed, once it is older than ``age`` in seconds."""
    try:
        with os.scandir(place.live) as entries:
            paths = [
                entry.path
                for entry in entries
                if entry.name.startswith(".") and now - entry.stat(follow_symlinks=False).st_mtime > age
            ]
    except OSError:
        return
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)


def remove_sockets(folder: Live) -> None:
    """Remove the kernel's socket folder and connection file, if a killed worker left them."""
    connection = files.read_json_or_empty(folder.kernel)
    if not connection:
        return
    if connection.get("transport") == "ipc":
        socket_folder = Path(str(connection.get("ip", ""))).parent
        if socket_folder.name.startswith(SOCKET_PREFIX) and _is_mine(socket_folder):
            shutil.rmtree(socket_folder, ignore_errors=True)
    folder.kernel.unlink(missing_ok=True)


def _is_mine(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        attributes = folder.lstat()
        return stat.S_ISDIR(attributes.st_mode) and attributes.st_uid == os.getuid()
    return False
