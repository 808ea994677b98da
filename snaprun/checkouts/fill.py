"""Write the files of a commit into a checkout, and give way where the repository cannot give a file as it should be."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Denied, SnaprunError, WriteFault
from snaprun.git import filters, lfs
from snaprun.git.gitrepo import GitRepo, join_paths

PARTIAL = "snaprun.partial"
"""In a checkout's git directory: some files are left out, because a partial clone does not have them."""

CHECKOUT_OPTIONS = [
    "-c",
    "core.sparseCheckout=false",
    "-c",
    "index.sparse=false",
    "-c",
    "core.trustctime=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.logAllRefUpdates=false",
    "-c",
    "checkout.workers=4",
]
"""Options of a checkout: whole even where the user's is sparse, and no shortcut in telling whether a file changed.

``checkout.workers`` (git 2.32) makes the first layout of 10,000 files take 1.2 s instead of up to 6 s.
"""


@dataclass(frozen=True)
class CheckoutContent:
    """What the checkout holds now, as ``ls-tree -r -z`` lists it, and notes for the user."""

    listing: bytes
    notes: tuple[str, ...] = ()


def fill(repo: GitRepo, inner: GitRepo, index: Path, commit: str) -> CheckoutContent:
    """Write the files that differ from ``commit`` in the checkout of ``inner``; ``repo`` is the user's side.

    Every file is compared with what ``index`` says was written; one that a run changed is written anew.

    Raises:
        SnaprunError: git cannot write.
    """
    args = ("read-tree", "--reset", "-u", commit)
    absent = _find_absent(inner, commit)
    if absent:
        return _fill_partly(inner, index, commit, absent)
    smudge_options = lfs.prepare(repo, inner.place.top)
    writer = inner.start(
        *args, index=index, env=smudge_options.env, options=[*CHECKOUT_OPTIONS, *smudge_options.options]
    )
    answer = inner.run("ls-tree", "-r", "-z", "--full-tree", commit, ok=())  # meanwhile
    try:
        writer.finish()
    except (WriteFault, Denied):
        raise
    except SnaprunError as error:
        drivers = _broken_filters(inner, error.message)
        if not drivers:
            raise
        index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
        bypass_options = (option for driver in drivers for option in filters.bypass_options(driver))
        inner.run(*args, index=index, options=[*CHECKOUT_OPTIONS, *bypass_options])
        return CheckoutContent(
            answer.out, (f"a filter failed ({', '.join(drivers)}): its files are as git stores them",)
        )
    return CheckoutContent(answer.out)


def _find_absent(inner: GitRepo, commit: str) -> list[str]:
    """The files of a commit whose content is not here: what lies outside a sparse cone of a partial clone.

    They are not in the user's tree either, and are not fetched. ``rev-list`` is the command that tells without fetching
    (``GIT_NO_LAZY_FETCH`` came with git 2.44).
    """
    packs = inner.place.common_dir / "objects" / "pack"
    if not packs.is_dir() or not any(name.endswith(".promisor") for name in os.listdir(packs)):
        return []
    output = inner.run("rev-list", "--objects", "--missing=print", "--max-count=1", commit).out.decode(
        "ascii", "replace"
    )
    missing_oids = {line[1:] for line in output.splitlines() if line.startswith("?")}
    return [entry.path for entry in inner.tree(commit) if entry.oid in missing_oids]


def _fill_partly(inner: GitRepo, index: Path, commit: str, absent: list[str]) -> CheckoutContent:
    """Write the files that the repository has. The next user of the checkout begins afresh."""
    (inner.place.git_dir / PARTIAL).touch()
    index.unlink(missing_ok=True)
    inner.run("read-tree", commit, index=index, options=CHECKOUT_OPTIONS)
    paths = join_paths(absent)
    inner.run("update-index", "--skip-worktree", "-z", "--stdin", stdin=paths, index=index, options=CHECKOUT_OPTIONS)
    inner.run("checkout-index", "--all", "--force", "--index", "--quiet", index=index, options=CHECKOUT_OPTIONS)
    listing = inner.run("ls-tree", "-r", "-z", "--full-tree", commit).out
    return CheckoutContent(
        listing, (f"{len(absent)} files are not in this partial clone, nor in the run: {absent[0]}, …",)
    )


def _broken_filters(inner: GitRepo, message: str) -> list[str]:
    """The filter drivers that fail: those whose program is not there, else those that git named, else any.

    A filter process that does not start can end git by a broken pipe, with no word about a filter.
    """
    output = inner.run("config", "-z", "--get-regexp", r"^filter\..*\.(smudge|process)$", ok=()).out
    commands: dict[str, list[str]] = {}
    for line in output.split(b"\0")[:-1]:
        key, _, command = os.fsdecode(line).partition("\n")
        if command:
            commands.setdefault(key.removeprefix("filter.").rsplit(".", 1)[0], []).append(command)
    absent_drivers = [
        name for name, programs in commands.items() if any(not shutil.which(program.split()[0]) for program in programs)
    ]
    named_drivers = [
        name
        for name, command_lines in commands.items()
        if name in message or any(command_line in message for command_line in command_lines)
    ]
    return sorted(absent_drivers or named_drivers or commands)
