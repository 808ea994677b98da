"""Give many runs of one frozen tree their snapshots at once: one pack, one ref transaction, few waits for the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from snaprun.freeze.capture import FrozenTree, SnapshotRequest, commit_run, compose
from snaprun.git.gitrepo import GitRepo, sync_together
from snaprun.git.objects import GitObject, pack
from snaprun.model import RUN_REF, Snapshot


def commit_runs(repo: GitRepo, frozen_tree: FrozenTree, requests: Sequence[SnapshotRequest]) -> list[Snapshot]:
    """The snapshots of these runs, in their order, each behind its ref; all of them or, but for the first, none.

    The first is made as any other (:func:`snaprun.freeze.capture.commit_run`) and keeps the frozen tree alive for the
    rest, whose own objects go into a pack that nobody may prune until the refs are there.

    Raises:
        SnaprunError: as :func:`snaprun.freeze.capture.commit_run`.
    """
    if not requests:
        return []
    first = commit_run(repo, frozen_tree, requests[0])
    snapshots: list[Snapshot] = []
    objects: dict[str, GitObject] = {}
    for request in requests[1:]:
        snapshot, run_objects = compose(frozen_tree, request)
        snapshots.append(snapshot)
        objects.update({item.oid: item for item in run_objects})
    if snapshots:
        try:
            with _kept_pack(repo, list(objects.values()), frozen_tree.tree.algorithm):
                _create_refs(repo, [snapshot.id for snapshot in snapshots])
        except BaseException:
            repo.delete_ref(RUN_REF + first.id, first.id)
            raise
    return [first, *snapshots]


def delete_runs(repo: GitRepo, ids: Sequence[str]) -> None:
    """Take back the refs of runs that were never started."""
    lines = "".join(f"delete {RUN_REF}{run}\0{run}\0" for run in ids)
    repo.run("update-ref", "--stdin", "-z", stdin=lines.encode())


@contextmanager
def _kept_pack(repo: GitRepo, objects: Sequence[GitObject], algorithm: str) -> Iterator[None]:
    """Store objects as one pack, which no prune touches inside the block (``git-index-pack(1)``, ``--keep``)."""
    options = ("-c", "core.fsync=committed")
    answer = repo.run("index-pack", "--stdin", "--keep=snaprun", stdin=pack(objects, algorithm), options=options)
    name = answer.out.decode().split("\t")[-1].strip()
    try:
        yield
    finally:
        with suppress(OSError):
            (repo.place.common_dir / "objects" / "pack" / f"pack-{name}.keep").unlink(missing_ok=True)


def _create_refs(repo: GitRepo, ids: Sequence[str]) -> None:
    """Make a ref for each, in one transaction, and wait for the disk once for all of them.

    Git itself would wait for each ref in turn; here the disk is told of all before the first is awaited.
    """
    lines = "".join(f"create {RUN_REF}{run}\0{run}\0" for run in ids)
    repo.run("update-ref", "--stdin", "-z", stdin=lines.encode(), options=("-c", "core.fsync=none"))
    folder = repo.place.common_dir / RUN_REF
    sync_together([handle for handle in (_open_file(folder / run) for run in ids) if handle is not None])
    repo.fsync_refs(f"{RUN_REF}any")


def _open_file(path: Path) -> int | None:
    """The file, or None where git keeps its refs elsewhere (packed meanwhile, or a reftable)."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
