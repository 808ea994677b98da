"""Read runs back from git, one or all of them; the index is rebuilt from this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from snaprun import metrics
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.model import NO_LAUNCHER, RUN_REF, SNAP_DIR, Result, Run, RunSpec, parse_document, short_id
from snaprun.statuses import Status

BATCH = 500
"""Runs read by one child process: enough to make its start cheap, few enough to hold their metrics in memory."""

UNKNOWN = "it has no result, and nothing says whether it ever began"
"""Why a run is lost of which git has the snapshot alone: the queue it may have waited in is not in git."""

PARTS = ("run.json", "params.json", "result.json", "metrics.jsonl")


@dataclass(frozen=True)
class DamagedRun:
    """A ref below ``refs/snaprun/runs/`` that is no readable run, and why."""

    id: str
    commit: str
    reason: str


def read_run(repo: GitRepo, run_id: str, *, commit: str | None = None) -> Run:
    """One run as git has it. ``commit`` is the tip to read, by default where its ref stands.

    Raises:
        DataFault: there is no such run, or what is stored of it is damaged.
    """
    tip = commit or repo.refs(RUN_REF + run_id).get(RUN_REF + run_id)
    if tip is None:
        raise DataFault(f"there is no run {short_id(run_id)}", hint="snaprun history")
    run = next(read_runs(repo, {run_id: tip}))
    if isinstance(run, DamagedRun):
        raise DataFault(f"run {short_id(run_id)} is damaged: {run.reason}", hint="git fsck")
    return run


def read_runs(repo: GitRepo, tips: Mapping[str, str] | None = None) -> Iterator[Run | DamagedRun]:
    """Every run as git has it, in the order of their refs; a damaged one does not hide the others.

    ``tips`` names the runs and the commits to read, by default all refs below ``refs/snaprun/runs/``.
    """
    if tips is None:
        tips = {name.removeprefix(RUN_REF): oid for name, oid in repo.refs(RUN_REF).items()}
    folders = (repo.place.live, repo.place.live_backup)
    alive = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    pairs = iter(tips.items())
    while batch := list(islice(pairs, BATCH)):
        names = [f"{tip}:{SNAP_DIR}/{part}" for _, tip in batch for part in PARTS]
        contents = repo.blobs(names)
        for run_id, tip in batch:
            parts = dict(zip(PARTS, islice(contents, len(PARTS)), strict=True))
            try:
                yield _run(run_id, tip, parts, alive=run_id in alive)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                yield DamagedRun(run_id, tip, str(error) or type(error).__name__)


def read_spec(repo: GitRepo, run_id: str) -> RunSpec:
    """What was known about a run before it started.

    Raises:
        DataFault: there is no such run, or its ``run.json`` is damaged.
    """
    return RunSpec.from_json(_document(repo, run_id, "run.json"))


def read_params(repo: GitRepo, run_id: str) -> dict[str, Any]:
    """The parameters of a run, as its ``params.json`` has them.

    Raises:
        DataFault: there is no such run, or the file is damaged.
    """
    return _document(repo, run_id, "params.json")


def read_result(repo: GitRepo, run_id: str) -> Result | None:
    """How a run ended, or None where its ref stands at the snapshot still.

    Raises:
        DataFault: there is no such run, or its ``result.json`` is damaged.
    """
    tip = repo.refs(RUN_REF + run_id).get(RUN_REF + run_id)
    if tip == run_id:
        return None
    return Result.from_json(_document(repo, tip or run_id, "result.json"))


def read_results(repo: GitRepo, tips: Iterable[str]) -> Iterator[Result]:
    """How the runs ended whose result commits these are, in their order.

    Raises:
        DataFault: a ``result.json`` is missing or damaged.
    """
    commits = list(tips)
    for tip, data in zip(commits, repo.blobs(f"{tip}:{SNAP_DIR}/result.json" for tip in commits), strict=True):
        yield Result.from_json(_parse(data, tip, "result.json"))


def read_plans(repo: GitRepo, ids: Iterable[str]) -> Iterator[tuple[RunSpec, dict[str, Any]]]:
    """What was known about runs before they started, and their parameters, in the order of ``ids``.

    Raises:
        DataFault: one of them is no run, or is damaged.
    """
    run_ids = list(ids)
    names = ("run.json", "params.json")
    contents = repo.blobs(f"{run}:{SNAP_DIR}/{name}" for run in run_ids for name in names)
    for run in run_ids:
        spec, params = (_parse(next(contents), run, name) for name in names)
        yield RunSpec.from_json(spec), params


def _document(repo: GitRepo, commit: str, name: str) -> dict[str, Any]:
    return _parse(repo.blob(commit, f"{SNAP_DIR}/{name}"), commit, name)


def _parse(data: bytes | None, commit: str, name: str) -> dict[str, Any]:
    if data is None:
        raise DataFault(f"run {short_id(commit)} has no {SNAP_DIR}/{name}", hint="snaprun history; git fsck")
    try:
        return dict(parse_document(data))
    except (ValueError, TypeError) as error:
        raise DataFault(f"run {short_id(commit)}: {SNAP_DIR}/{name} is damaged: {error}", hint="git fsck") from error


def _run(run_id: str, tip: str, parts: Mapping[str, bytes | None], *, alive: bool) -> Run:
    spec_json, params_json, result_json, lines = (parts[name] for name in PARTS)
    if spec_json is None:
        raise ValueError(f"there is no {SNAP_DIR}/run.json")
    spec = RunSpec.from_json(parse_document(spec_json))
    params = parse_document(params_json) if params_json else {}
    result = Result.from_json(parse_document(result_json)) if result_json and tip != run_id else None
    run = Run.from_commits(
        run_id,
        spec,
        params,
        commit=tip,
        status=_status(spec, alive=alive),
        result=result,
        metrics=metrics.summarise(lines) if lines and result else {},
    )
    return run if result or run.status is not Status.LOST else replace(run, reason=UNKNOWN)


def _status(spec: RunSpec, *, alive: bool) -> Status:
    """Where a run without a result stands: a snapshot that nothing was to run, a run in progress, or a lost one."""
    if spec.launcher == NO_LAUNCHER:
        return Status.SAVED
    return Status.RUNNING if alive else Status.LOST
