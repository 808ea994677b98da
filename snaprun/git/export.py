"""Write files of a commit to a folder, as git would check them out: modes, links and line ends included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snaprun.git.gitrepo import GitRepo, PathEntry, join_paths
from snaprun.git.scratch import scratch


def write(repo: GitRepo, commit: str, entries: Sequence[PathEntry], folder: Path) -> list[Path]:
    """Write these entries of a commit below ``folder``, over what is there; the paths written. Submodules are not."""
    files = [entry for entry in entries if entry.kind == "blob"]
    folder.mkdir(parents=True, exist_ok=True)
    names = join_paths(entry.path for entry in files)
    with scratch(repo.place) as scratch_folder:
        index = scratch_folder / "index"
        repo.run("read-tree", commit, index=index, options=("-c", "core.sparseCheckout=false"))
        repo.run("checkout-index", "--force", "-z", "--stdin", index=index, work_tree=folder, stdin=names)
    return [folder / entry.path for entry in files]
