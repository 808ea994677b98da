"""End a run in git: one commit on top of its snapshot with what it left, and the ref moved to it for good."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun import artifacts, changes, checkout, slots
from snaprun.errors import DataFault, SnaprunError, WriteFault
from snaprun.gitrepo import GitRepo
from snaprun.model import RUN_REF, SCHEMA, SNAP_DIR, Artifact, Result
from snaprun.scratch import scratch
from snaprun.slots import Slot

SHOWN = 1 << 20
"""Bytes of its head and of its tail that stay in git of a log too large for it."""


@dataclass(frozen=True)
class Ending:
    """What is known of a run at its end. ``artifacts`` are files to keep by request, as absolute paths.

    ``previous`` is the result commit of the attempt before, where a run was resumed.
    """

    result: Result
    executed: bytes
    log: Path | bytes
    metrics: bytes = b""
    environment: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    previous: str | None = None


def commit_result(repo: GitRepo, run_id: str, ending: Ending, *, slot: Slot | None, max_file_size: int) -> str:
    """Make the result commit of a run and move its ref there; the commit's id.

    Its tree is the snapshot's, plus what the run changed in ``slot`` (None: nothing, or the slot is gone), plus the
    files of ``.snaprun/``. May be called again, also by another process: the first result stands and is returned.

    Raises:
        DataFault: the run's ref is gone, or stands somewhere unexpected.
        WriteFault: the objects are not all there after writing.
    """
    before = finished(repo, run_id)
    if before is not None and before != ending.previous:
        return before
    store = repo.place.state / "artifacts"
    notes: list[str] = []
    inner = None if slot is None else checkout.opened(repo, slot.path)
    if inner is not None and slot is not None and slots.laid_out(slot) != run_id:
        inner = None
    try:
        with scratch(repo.place) as folder:
            index = folder / "index"
            made: list[Artifact] = []
            if inner is None or slot is None:
                repo.run("read-tree", run_id, index=index)
                _, made, notes = changes.sort_out(
                    repo.place.top, (), map(Path, ending.artifacts), store=store, max_file_size=max_file_size
                )
            else:
                made, notes = _take_changes(repo, inner, slot, index, ending, store=store, max_file_size=max_file_size)
            log, whole = _log(ending.log, folder, store=store, max_file_size=max_file_size)
            result = replace(
                ending.result,
                artifacts=(*made, *whole),
                warnings=(*ending.result.warnings, *notes),
            )
            parts = _parts(ending, result)
            _add_parts(repo, index, folder, {**parts, "log.txt": log})
            tree = repo.text("write-tree", index=index)
    except OSError as error:
        raise WriteFault(f"cannot keep what run {run_id[:8]} made: {error}", hint="df -h; snaprun doctor") from error
    parents = [run_id, *_own_commits(inner, run_id), *([ending.previous] if ending.previous else [])]
    spec = json.loads(repo.blob(run_id, f"{SNAP_DIR}/run.json") or b"{}")
    date = f"{int(time.time())} +0000"
    tip = repo.commit(tree, _message(spec, result), parents=parents, author=repo.author(), date=date)
    return _publish(repo, run_id, tip, previous=ending.previous)


def finished(repo: GitRepo, run_id: str) -> str | None:
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


def _publish(repo: GitRepo, run_id: str, tip: str, *, previous: str | None) -> str:
    """Check that every new object is there, then move the ref, unless another finaliser was first."""
    check = repo.run("rev-list", "--objects", "--quiet", tip, "--not", run_id, ok=())
    if check.code != 0:
        raise WriteFault(f"the result of run {run_id[:8]} is not whole: {check.err.strip()}", hint="git fsck")
    try:
        repo.move_ref(RUN_REF + run_id, tip, previous or run_id)
    except SnaprunError:
        other = finished(repo, run_id)
        if other is None or other == previous:
            raise
        return other
    return tip


def _take_changes(
    repo: GitRepo, inner: GitRepo, slot: Slot, index: Path, ending: Ending, *, store: Path, max_file_size: int
) -> tuple[list[Artifact], list[str]]:
    """Bring what changed in the slot into ``index``, a copy of what was laid out."""
    index.write_bytes((inner.place.git_dir / checkout.INDEX).read_bytes())
    record = slots.links(slot)
    present, deleted = changes.changed(inner, links=record.links)
    extra = [*map(Path, ending.artifacts), *(slot.path / name for name in record.outputs)]
    for module in checkout.submodules(repo, inner):  # their files are no part of the snapshot's tree
        extra += [module.place.top / path for path in changes.changed(module, links=())[0]]
    for_git, made, notes = changes.sort_out(slot.path, present, extra, store=store, max_file_size=max_file_size)
    notes += changes.add(inner, index, for_git, deleted)
    own = _own_commits(inner, slots.laid_out(slot))
    if own:
        notes.append(f"the run committed in its checkout: {own[0]} (kept as second parent of the result)")
    return made, notes


def _own_commits(inner: GitRepo | None, run_id: str) -> list[str]:
    """The commit that the run's HEAD stands at, where the run made it: nothing else in the repository reaches it."""
    if inner is None:
        return []
    head = inner.head()
    if head is None or head == run_id:
        return []
    new = inner.run("rev-list", "--max-count=1", head, "--not", run_id, "--glob=refs/", ok=()).out
    return [head] if new.strip() else []


def _log(source: Path | bytes, folder: Path, *, store: Path, max_file_size: int) -> tuple[Path, tuple[Artifact, ...]]:
    """The log as a file for git; of one above the size limit, its head and tail, and the whole as an artifact."""
    path = source if isinstance(source, Path) else folder / "log.txt"
    if isinstance(source, bytes):
        path.write_bytes(source)
    elif not path.exists():
        path = folder / "log.txt"
        path.write_bytes(b"")
    size = path.stat().st_size
    if size <= max(max_file_size, 2 * SHOWN):
        return path, ()
    sha, size = artifacts.keep(store, path)
    short = folder / "log.short"
    with path.open("rb") as whole, short.open("wb") as out:
        out.write(whole.read(SHOWN))
        out.write(f"\n[snaprun: {size - 2 * SHOWN} bytes are left out here; the whole log is {sha}]\n".encode())
        whole.seek(size - SHOWN)
        out.write(whole.read(SHOWN))
    return short, (Artifact(f"{SNAP_DIR}/log.txt", size, sha, "store"),)


def _parts(ending: Ending, result: Result) -> dict[str, bytes]:
    """The files of ``.snaprun/`` that the result adds, the log excepted."""
    return {
        "result.json": _json(result.to_json()),
        "executed.ipynb": ending.executed,
        "metrics.jsonl": ending.metrics,
        "environment.json": _json({"schema": SCHEMA, **ending.environment}),
    }


def _json(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=True) + "\n").encode()


def _add_parts(repo: GitRepo, index: Path, folder: Path, parts: Mapping[str, bytes | Path]) -> None:
    """Store the files of ``.snaprun/`` exactly as they are, through one child process, and add them to ``index``."""
    paths = []
    for name, content in parts.items():
        path = content if isinstance(content, Path) else folder / f"part-{name}"
        if isinstance(content, bytes):
            path.write_bytes(content)
        paths.append(path)
    stdin = "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    oids = repo.text("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=stdin).split("\n")
    lines = "".join(f"100644 {oid}\t{SNAP_DIR}/{name}\0" for oid, name in zip(oids, parts, strict=True))
    repo.run("update-index", "-z", "--index-info", stdin=lines.encode(), index=index)


def _message(spec: Mapping[str, Any], result: Result) -> str:
    """The result commit's message: a subject for ``git log``, trailers for tools."""
    notebook = " ".join(str(spec.get("notebook") or "notebook").split())
    trailers = {"Schema": SCHEMA, "Status": result.status.value, "Exit-Code": result.exit_code}
    lines = "".join(f"Snaprun-{key}: {value}\n" for key, value in trailers.items())
    return f"snaprun: {result.status.value} {notebook}\n\n{lines}"
