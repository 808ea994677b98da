"""End a run in git: one commit on top of its snapshot with what it left, and the ref moved to it for good."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun.checkouts import keep, slots, worktree
from snaprun.checkouts.artifacts import ArtifactStore
from snaprun.checkouts.keep import RunFiles, RunOutputs
from snaprun.checkouts.slots import Slot
from snaprun.errors import DataFault, SnaprunError
from snaprun.git.gitrepo import GitRepo, parse_author
from snaprun.git.objects import FILE_MODE, GitObject, TreeEntry, algorithm, graft, make, make_commit
from snaprun.git.publish import publish
from snaprun.git.scratch import scratch
from snaprun.live.names import ARRIVALS_FILE
from snaprun.model import RUN_REF, SCHEMA, SNAP_DIR, Result, parse_document


@dataclass(frozen=True)
class ResultParts:
    """What is known of a run at its end. ``artifacts`` are files to keep by request, as absolute paths.

    ``previous`` is the result commit of the attempt before, where a run was resumed.
    """

    result: Result
    notebook: bytes
    log: Path | bytes
    log_times: bytes = b""
    metrics: bytes = b""
    environment: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    previous: str | None = None


def commit_result(
    repo: GitRepo, run_id: str, result_parts: ResultParts, *, slot: Slot | None, max_file_size: int
) -> str:
    """Make the result commit of a run and move its ref there; the commit's id.

    Its tree is the snapshot's, plus what the run changed in ``slot`` (None: nothing, or the slot is gone), plus the
    files of ``.snaprun/``. May be called again, also by another process: the first result stands and is returned.

    Raises:
        DataFault: the run's ref is gone, or stands somewhere unexpected.
        WriteFault: the disk is full, or the objects are not all there after writing.
    """
    inner = None if slot is None or slots.read_snapshot_id(slot) != run_id else worktree.open_worktree(repo, slot.path)
    try:
        with scratch(repo.place) as folder:
            store = ArtifactStore(repo.place.state / "artifacts", folder, max_file_size)
            run_files = RunFiles(repo, inner, slot, folder, store)
            return _commit(run_files, run_id, result_parts)
    except SnaprunError:  # the ref is not where it was: another finaliser was first, or something is wrong
        tip = find_result(repo, run_id)
        if tip is None or tip == result_parts.previous:
            raise
        return tip


def _commit(run_files: RunFiles, run_id: str, result_parts: ResultParts) -> str:
    """Store everything and move the ref; the result commit's id."""
    repo = run_files.repo
    author_query = repo.start("var", "GIT_AUTHOR_IDENT")
    run_commits = _find_own_commits(run_files.inner, run_id)
    outputs = keep.keep_outputs(run_files, result_parts.artifacts)
    log, log_artifacts = keep.keep_log(run_files, result_parts.log)
    notes = [
        f"the run committed {commit[:8]} in its checkout: kept as a parent of its result" for commit in run_commits
    ]
    result = replace(
        result_parts.result,
        artifacts=(*outputs.artifacts, *log_artifacts),
        warnings=(*result_parts.result.warnings, *outputs.notes, *notes),
    )
    parts = {
        "result.json": _json(result.to_json()),
        "executed.ipynb": result_parts.notebook,
        "metrics.jsonl": result_parts.metrics,
        "environment.json": _json({"schema": SCHEMA, **result_parts.environment}),
        "log.txt": log,
        **({ARRIVALS_FILE: result_parts.log_times} if result_parts.log_times else {}),
    }
    parents = [run_id, *run_commits, *([result_parts.previous] if result_parts.previous else [])]
    objects, large = _make_objects(repo, parts, outputs, result, parents, parse_author(author_query.finish(ok=())))
    oids = [entry.oid for entry in outputs.entries.values() if entry]

    def store_again() -> bool:
        return (
            keep.keep_outputs(run_files, result_parts.artifacts).entries == outputs.entries
            and _store_large(repo, parts) == large
        )

    publish(
        repo,
        RUN_REF + run_id,
        objects,
        [*oids, *large.values()],
        store_again=store_again,
        old=result_parts.previous or run_id,
    )
    return objects[-1].oid


def _make_objects(
    repo: GitRepo,
    parts: Mapping[str, bytes | Path],
    outputs: RunOutputs,
    result: Result,
    parents: Sequence[str],
    author: str,
) -> tuple[list[GitObject], dict[str, str]]:
    """All new objects of a result, its commit last, and the ids of the parts that are stored already."""
    run_id = parents[0]
    hash_name = algorithm(run_id)
    large = _store_large(repo, parts)
    blobs = {name: make("blob", data, hash_name) for name, data in parts.items() if isinstance(data, bytes)}
    oids = {**{name: blob.oid for name, blob in blobs.items()}, **large}
    entries = {
        **outputs.entries,
        **{f"{SNAP_DIR}/{name}".encode(): TreeEntry(FILE_MODE, oid) for name, oid in oids.items()},
    }
    with repo.object_reader() as read_object:

        def read(name: str) -> bytes:
            git_object = read_object(name)
            if git_object is None:
                raise DataFault(f"run {run_id[:8]} is damaged: {name} is missing", hint="git fsck")
            return git_object.data

        tree = read(run_id)[5 : 5 + len(run_id)].decode()
        top, trees, _ = graft(tree, entries, read, hash_name)
        spec = parse_document(read(f"{run_id}:{SNAP_DIR}/run.json"))
    moment = f"{int(time.time())} +0000"
    commit = make_commit(top.oid, parents, _message(spec, result), moment=moment, author=author)
    return [*blobs.values(), *trees, top, commit], large


def _store_large(repo: GitRepo, parts: Mapping[str, bytes | Path]) -> dict[str, str]:
    """Store the parts that lie in files, without reading them into memory; their ids."""
    files = {name: os.fspath(part) for name, part in parts.items() if isinstance(part, Path)}
    return {name: repo.text("hash-object", "-w", "--no-filters", "--", path) for name, path in files.items()}


def find_result(repo: GitRepo, run_id: str) -> str | None:
    """The result commit of a run, or None while its ref stands at the snapshot.

    Raises:
        DataFault: there is no such ref, or it stands at neither.
    """
    tip = repo.refs(RUN_REF + run_id).get(RUN_REF + run_id)
    if tip is None:
        raise DataFault(f"there is no run {run_id[:8]}", hint="snaprun history")
    if tip == run_id:
        return None
    if repo.resolve(f"{tip}^1") == run_id:
        return tip
    raise DataFault(f"run {run_id[:8]} stands at {tip[:8]}, which is no result of it", hint=f"git log {tip[:8]}")


def _find_own_commits(inner: GitRepo | None, run_id: str) -> list[str]:
    """The commit that the run's HEAD stands at, where the run made it: nothing else in the repository reaches it."""
    if inner is None or (inner.place.git_dir / "HEAD").read_bytes().strip() == run_id.encode():
        return []
    head = inner.head()
    if head is None or head == run_id:
        return []
    new = inner.run("rev-list", "--max-count=1", head, "--not", run_id, "--glob=refs/", ok=()).out
    return [head] if new.strip() else []


def _json(data: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: a name that is no UTF-8 is an escape in it, and not the raw bytes as in a snapshot's documents."""
    return (json.dumps(data, indent=1, ensure_ascii=True) + "\n").encode()


def _message(spec: Mapping[str, Any], result: Result) -> str:
    """The result commit's message: a subject for ``git log``, trailers for tools."""
    notebook = " ".join(str(spec.get("notebook") or "notebook").split())
    trailers = {"Schema": SCHEMA, "Status": result.status.value, "Exit-Code": result.exit_code}
    lines = "".join(f"Snaprun-{key}: {value}\n" for key, value in trailers.items())
    return f"snaprun: {result.status.value} {notebook}\n\n{lines}"
