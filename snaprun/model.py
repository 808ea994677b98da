"""Define the nouns of snaprun: frozen data that does nothing but read and write itself as JSON.

Times are ISO 8601 in UTC with microseconds and a final ``Z``; durations are seconds; sizes are bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from typing import Any, Literal

from snaprun.errors import RunFault, Unavailable
from snaprun.statuses import Status

SCHEMA = 1
"""Version of every JSON document that snaprun writes."""

RUN_REF = "refs/snaprun/runs/"
"""One ref a run lives below here: ``refs/snaprun/runs/<id>``."""

NO_LAUNCHER = "none"
"""In the place of a launcher where a snapshot is taken without a run."""

SNAP_DIR = ".snaprun"
"""The folder inside a snapshot's tree that holds what snaprun adds."""

SOURCE_FILE = "source.ipynb"
"""In that folder: the notebook's bytes where git stores others at its own path."""

ID_LENGTH = 8
"""Hex digits of an id that people are shown; any unique prefix of 4 or more is taken back."""


def short_id(run_id: str) -> str:
    """An id as people are shown it."""
    return run_id[:ID_LENGTH]


@dataclass(frozen=True)
class LeftOut:
    """A path that the snapshot could not take as it is, and why."""

    path: str
    why: str
    size: int | None = None
    mtime: float | None = None


@dataclass(frozen=True)
class Metric:
    """What the index keeps of one logged series."""

    last: float
    min: float
    max: float
    steps: int


@dataclass(frozen=True)
class Cell:
    """How one code cell of a run went. ``number`` counts code cells from 1; 0 is the injected parameters cell."""

    number: int
    label: str
    state: str  # "ok", "failed", "stopped", "skipped" (by tag or after sys.exit) or "not-run"
    seconds: float | None = None
    id: str | None = None


@dataclass(frozen=True)
class CellError:
    """The error that ended a run: the cell with its source, and the traceback without terminal colours."""

    number: int
    ename: str
    evalue: str
    traceback: str
    source: str


@dataclass(frozen=True)
class Artifact:
    """A file that a run made. ``stored`` is ``git`` (in the result tree) or ``store`` (by sha256 beside the index)."""

    path: str
    size: int
    sha256: str
    stored: str = "git"


@dataclass(frozen=True)
class RunSpec:
    """Everything known about a run before it starts: the content of ``.snaprun/run.json``."""

    notebook: str
    created: str
    engine: str = "kernel"
    launcher: str = "local"
    argv: tuple[str, ...] = ()
    name: str | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    seed: int | None = None
    host: str = ""
    user: str = ""
    parent: str | None = None
    branch: str | None = None
    dirty: bool = False
    in_place: bool = False
    kernel: str | None = None
    python: str | None = None
    language: str = "python"
    script: str = f"{SNAP_DIR}/notebook.py"
    code_hash: str = ""
    cells: int = 0
    timeout: float | None = None
    cell_timeout: float | None = None
    gpus: int | None = None
    max_memory: int | None = None
    given: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document as written into the snapshot."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        """Read the document back; unknown keys of a later minor version are passed over."""
        values = _select_fields(cls, data)
        values["left_out"] = tuple(LeftOut(**_select_fields(LeftOut, item)) for item in data.get("left_out", ()))
        return cls(**values)


@dataclass(frozen=True)
class Snapshot:
    """A frozen work tree: ``id`` is its commit, which is the id of the run."""

    id: str
    tree: str
    spec: RunSpec
    params: Mapping[str, Any]
    changed_count: int = 0
    untracked_count: int = 0
    seconds: float = 0.0


FAULT_CODE = RunFault.code
"""Exit code of a run that is lost, or in which snaprun itself failed."""

START_FAILURE_CODE = Unavailable.code
"""Exit code of a run whose kernel or interpreter never got ready."""

TIMEOUT_CODE = 124
"""Exit code of a run that took too long, as coreutils' ``timeout`` has it."""

KILL_CODE = 137
"""Exit code of a run whose kernel or interpreter died."""

TERM_CODE = 143
"""Exit code of a run that was stopped by TERM, as a shell gives it."""


@dataclass(frozen=True)
class Outcome:
    """How a run came to its end, in a nutshell; the cells and the error are in the journal.

    As JSON it is the content of ``ending.json``, where whoever saw the end leaves word for whoever makes the record.
    """

    status: Status
    exit_code: int
    reason: str | None = None
    signal: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The document as written into a live folder."""
        return {**asdict(self), "status": self.status.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Read the document back. Raises KeyError, TypeError, ValueError: it is none."""
        return cls(Status(data["status"]), int(data["exit_code"]), data.get("reason"), data.get("signal"))


@dataclass(frozen=True)
class Result:
    """How a run ended: the content of ``.snaprun/result.json``."""

    status: Status
    exit_code: int
    reason: str | None = None
    signal: int | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    attempts: int = 1
    cells: tuple[Cell, ...] = ()
    error: CellError | None = None
    peak_memory: int | None = None
    artifacts: tuple[Artifact, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document as written into the result commit."""
        return {"schema": SCHEMA, **asdict(self), "status": self.status.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Read the document back; unknown keys of a later minor version are passed over."""
        values = _select_fields(cls, data)
        values["status"] = Status(data["status"])
        values["cells"] = tuple(Cell(**_select_fields(Cell, item)) for item in data.get("cells", ()))
        values["artifacts"] = tuple(_artifact(item) for item in data.get("artifacts", ()))
        values["error"] = CellError(**_select_fields(CellError, data["error"])) if data.get("error") else None
        return cls(**values)


def _artifact(item: Mapping[str, Any]) -> Artifact:
    """Read an artifact back. Its digest is the name of a file: raises ValueError where it is none."""
    artifact = Artifact(**_select_fields(Artifact, item))
    if not re.fullmatch("[0-9a-f]{64}", artifact.sha256):
        raise ValueError(f"{artifact.sha256!r} is no sha256")
    return artifact


Kind = Literal[
    "text", "oid", "status", "time", "duration", "integer", "big integer", "flag", "params", "metrics", "tags", "cells"
]
"""What a field of a run is: how the index stores it, a filter compares it, and a list shows it."""

Origin = Literal["caller", "spec", "result"]
"""Where the value of a field comes from: the field of that name in the run's :class:`RunSpec` or :class:`Result`, or
whoever reads its commits."""

CHILD_KINDS = ("params", "metrics", "tags", "cells")
"""Kinds that are no column of a run but rows of a table of their own."""


@dataclass(frozen=True, eq=False, repr=False)  # each costs a quarter of a millisecond at every start
class RunField:
    """One field of a run. Its name is that of the attribute, of the column in the index and its view, of the key in
    JSON and CSV, and what ``--where`` and ``--sort`` call it.

    ``heading`` is that of its column in lists, if it has one; a ``sparse`` column is left out where all its cells are
    empty.
    """

    name: str
    kind: Kind
    origin: Origin
    optional: bool
    heading: str | None
    sparse: bool
    in_json: bool

    @property
    def is_column(self) -> bool:
        """Whether it is a column of the index."""
        return self.kind not in CHILD_KINDS


def _kind(
    kind: Kind, origin: Origin, *, heading: str | None = None, sparse: bool = False, in_json: bool = True
) -> Mapping[str, Any]:
    """What the class below says of a field besides its name, its type and its default."""
    return {"kind": kind, "origin": origin, "heading": heading, "sparse": sparse, "in_json": in_json}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as the index and ``history --json`` know it. ``commit`` is the tip of its ref.

    This is the table of the fields of a run, in the order of JSON and of the view ``run_list``: the columns of the
    index, filters, JSON, CSV and lists follow from it. A new field is a line here, a migration, and its origin.
    """

    id: str = field(metadata=_kind("oid", "caller", heading="run"))
    name: str | None = field(default=None, metadata=_kind("text", "spec", heading="name", sparse=True))
    notebook: str = field(metadata=_kind("text", "spec", heading="notebook"))
    status: Status = field(metadata=_kind("status", "result", heading="status"))
    reason: str | None = field(default=None, metadata=_kind("text", "result"))
    exit_code: int | None = field(default=None, metadata=_kind("integer", "result", heading="exit"))
    engine: str = field(default="kernel", metadata=_kind("text", "spec"))
    launcher: str = field(default="local", metadata=_kind("text", "spec"))
    group: str | None = field(default=None, metadata=_kind("text", "spec"))
    seed: int | None = field(default=None, metadata=_kind("big integer", "spec"))
    params: Mapping[str, Any] = field(default_factory=dict, metadata=_kind("params", "caller"))
    metrics: Mapping[str, Metric] = field(default_factory=dict, metadata=_kind("metrics", "caller"))
    tags: tuple[str, ...] = field(default=(), metadata=_kind("tags", "spec"))
    message: str | None = field(default=None, metadata=_kind("text", "spec"))
    created: str = field(metadata=_kind("time", "spec"))
    started: str | None = field(default=None, metadata=_kind("time", "result", heading="started"))
    ended: str | None = field(default=None, metadata=_kind("time", "result"))
    seconds: float | None = field(default=None, metadata=_kind("duration", "result", heading="time"))
    commit: str = field(metadata=_kind("oid", "caller"))
    parent: str | None = field(default=None, metadata=_kind("oid", "spec"))
    branch: str | None = field(default=None, metadata=_kind("text", "spec"))
    dirty: bool = field(default=False, metadata=_kind("flag", "spec"))
    host: str = field(default="", metadata=_kind("text", "spec"))
    user: str = field(default="", metadata=_kind("text", "spec"))
    attempts: int = field(default=1, metadata=_kind("integer", "result"))
    code_hash: str = field(default="", metadata=_kind("text", "spec"))
    cells: tuple[Cell, ...] = field(default=(), metadata=_kind("cells", "result", in_json=False))

    @classmethod
    def from_commits(
        cls,
        run_id: str,
        spec: RunSpec,
        params: Mapping[str, Any],
        *,
        commit: str,
        status: Status,
        result: Result | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> Run:
        """Put a run together from what its commits say. ``result`` overrides ``status`` where there is one."""
        run = cls(
            id=run_id,
            commit=commit,
            status=status,
            params=dict(params),
            metrics=dict(metrics or {}),
            **{item.name: getattr(spec, item.name) for item in RUN_FIELDS if item.origin == "spec"},
        )
        if result is None:
            return run
        return replace(run, **{item.name: getattr(result, item.name) for item in RUN_FIELDS if item.origin == "result"})

    def requeue(self, attempt: int) -> Run:
        """This run while it waits for a further attempt: nothing of how the last one ended is its own."""
        reason = f"attempt {attempt - 1}: {self.status}"
        new = replace(self, status=Status.QUEUED, attempts=attempt, reason=reason, exit_code=None)
        return replace(new, started=None, ended=None, seconds=None)

    def to_json(self) -> dict[str, Any]:
        """The object that ``history --json`` lists: the keys are a contract, see docs/json.md."""
        data = {key: getattr(self, key) for key in JSON_KEYS}  # asdict() takes ten times as long
        data["status"] = self.status.value
        data["params"] = dict(self.params)
        data["metrics"] = {name: dict(vars(metric)) for name, metric in self.metrics.items()}
        return data


RUN_FIELDS = tuple(RunField(name=item.name, optional=item.default is None, **item.metadata) for item in fields(Run))
"""The fields of a run, in their order."""

JSON_KEYS = tuple(item.name for item in RUN_FIELDS if item.in_json)
"""The keys of a run in JSON."""

INDEX_VERSION = 3
"""Number of the newest migration, which makes the columns of these fields; SQLite keeps it in ``PRAGMA user_version``,
alembic as ``0003``. A test holds it to ``migrations/``."""


@dataclass(frozen=True)
class Details:
    """Everything of one run: what ``show`` prints."""

    run: Run
    spec: RunSpec
    result: Result | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document of ``show --json``: the run's own keys, and what only its commits know."""
        result = self.result
        return {
            "schema": SCHEMA,
            **self.run.to_json(),
            "argv": list(self.spec.argv),
            "kernel": self.spec.kernel,
            "python": self.spec.python,
            "language": self.spec.language,
            "in_place": self.spec.in_place,
            "gpus": self.spec.gpus,
            "max_memory": self.spec.max_memory,
            "versions": dict(self.spec.versions),
            "cells": [asdict(cell) for cell in self.run.cells],
            "error": asdict(result.error) if result and result.error else None,
            "signal": result.signal if result else None,
            "peak_memory": result.peak_memory if result else None,
            "artifacts": [asdict(item) for item in result.artifacts] if result else [],
            "environment": dict(self.environment),
            "left_out": [asdict(item) for item in self.spec.left_out],
            "warnings": [*self.spec.warnings, *(result.warnings if result else ())],
        }


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: fine, or what is wrong and the command that mends it."""

    what: str
    fine: bool
    said: str = ""
    hint: str = ""


def parse_document(raw: bytes) -> Any:
    """A JSON document of ours, as git has it; names that are not UTF-8 come back as the file system decodes them.

    Raises:
        ValueError: it is no JSON.
    """
    return json.loads(raw.decode("utf-8", "surrogateescape"))


def seed_of(params: Mapping[str, Any]) -> int | None:
    """The seed under which a run is found: its parameter ``seed``, if it is a whole number that every index holds."""
    seed = params.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) < 2**63 else None


def utc(seconds: float) -> str:
    """A moment as snaprun writes it, from seconds since the epoch."""
    return format_utc(datetime.fromtimestamp(seconds, tz=timezone.utc))


def format_utc(moment: datetime) -> str:
    """A moment as snaprun writes it; without a zone, this machine's is meant."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def timestamp(moment: str) -> float:
    """Seconds since the epoch of a moment in ISO 8601; without a zone, this machine's is meant."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()  # Python 3.10 reads no Z


def _select_fields(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``data`` that ``kind`` has fields for, lists turned into tuples."""
    names = {item.name for item in fields(kind)}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key in names}
