"""Keep thousands of runs from slowing the user's own git down: refs packed in bulk, old runs folded into one ref.

Figures in docs/performance.md: with 10,000 loose refs ``git log --decorate`` takes twenty times as long as with packed
ones, and a push of anything compares every ref. A folded run is as safe as before: the archive's commits have the runs'
tips as parents, and their messages name them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

from snaprun.errors import SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.git.objects import algorithm, make_commit, make_tree
from snaprun.git.publish import publish
from snaprun.model import RUN_REF

ARCHIVE = "refs/snaprun/archive"
"""One ref over all folded runs: a chain of commits, each with up to :data:`WIDTH` runs' tips as further parents."""

LOOSE = 300
"""Loose run refs from which they are packed."""

WIDTH = 1000
"""Runs in one archive commit: git copes with far more parents, people's tools do not."""

KEEP = 10_000
"""Runs that keep a ref of their own."""

SUBJECT = "snaprun: archive of runs"


def tidy(repo: GitRepo, *, loose: int = LOOSE) -> bool:
    """Pack the run refs when many of them are loose files; whether it was done. Cheap when there is nothing to do."""
    folder = repo.place.common_dir / RUN_REF
    try:
        count = sum(1 for _ in os.scandir(folder))
    except FileNotFoundError:  # none yet, all packed, or a repository with reftable
        return False
    if count < loose:
        return False
    answer = repo.run("pack-refs", "--all", "--include", f"{RUN_REF}*", "--exclude", "refs/heads/*", ok=())
    if answer.code == 129:  # git before 2.43 knows no --include, and packs the user's refs as well, as gc does
        repo.run("pack-refs", "--all")
    return answer.code in (0, 129)


def fold(repo: GitRepo, *, keep: int = KEEP, is_over: Mapping[str, bool]) -> int:
    """Fold the oldest runs beyond ``keep`` into the archive ref; how many.

    ``is_over`` says of each run, oldest first, whether it has ended; the others keep their ref.
    """
    refs = {name.removeprefix(RUN_REF): oid for name, oid in repo.refs(RUN_REF).items()}
    runs = [run for run, has_ended in is_over.items() if has_ended and run in refs][: max(0, len(refs) - keep)]
    for start in range(0, len(runs), WIDTH):
        _fold(repo, {run: refs[run] for run in runs[start : start + WIDTH]})
    return len(runs)


def read_archive(repo: GitRepo) -> dict[str, str]:
    """The tip of every folded run by its id. A run that was folded, unfolded and folded again counts as last folded."""
    run_tips: dict[str, str] = {}
    for message in _messages(repo):
        for line in message.splitlines():
            run, _, tip = line.partition(" ")
            if len(run) in (40, 64) and len(tip) == len(run):
                run_tips.setdefault(run, tip)
    return run_tips


def tips(repo: GitRepo) -> dict[str, str]:
    """The tip of every run by its id, whether it has a ref of its own or is folded."""
    return {**read_archive(repo), **{name.removeprefix(RUN_REF): oid for name, oid in repo.refs(RUN_REF).items()}}


def unfold(repo: GitRepo, run: str) -> bool:
    """Give a folded run its own ref back; whether there was one."""
    tip = read_archive(repo).get(run)
    if tip is None:
        return False
    with suppress(SnaprunError):  # it has one
        repo.move_ref(RUN_REF + run, tip, None)
    return True


def _fold(repo: GitRepo, runs: Mapping[str, str]) -> None:
    """One more archive commit; the runs' refs go in the same moment in which they are certain to be reachable."""
    last = repo.resolve(ARCHIVE)
    tree = make_tree({}, algorithm(next(iter(runs))))
    parents = [*([last] if last else []), *dict.fromkeys(runs.values())]
    message = "\n".join([SUBJECT, "", *(f"{run} {tip}" for run, tip in runs.items()), ""])
    commit = make_commit(tree.oid, parents, message, moment=f"{int(time.time())} +0000")
    publish(repo, ARCHIVE, [tree, commit], [], store_again=lambda: True, old=last)
    orders = b"".join(f"delete {RUN_REF}{run}\0{tip}\0".encode() for run, tip in runs.items())
    repo.run("update-ref", "--stdin", "-z", stdin=orders)


def _messages(repo: GitRepo) -> Iterator[str]:
    """The messages of the archive's commits, newest first."""
    if repo.resolve(ARCHIVE) is None:
        return
    out = repo.text("log", "--first-parent", "--format=%B%x00", f"--grep=^{SUBJECT}$", ARCHIVE)
    yield from out.split("\0")
