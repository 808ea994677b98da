"""Find the folder where git looks for the hooks of a repository, and whose folder that is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snaprun.git.command import ask, call
from snaprun.git.locate import Place


@dataclass(frozen=True)
class HooksFolder:
    """Where git looks for hooks here: ``origin`` and ``scope`` say which configuration names it, if one does."""

    path: Path
    origin: str | None = None
    scope: str | None = None
    location: str = "git"  # "git": the repository's own; "tree": below the work tree; "outside"; "off": no folder
    is_tracked: bool = False


def find_folder(place: Place, env: Mapping[str, str]) -> HooksFolder:
    """The folder of hooks that git uses in this repository, whatever names it (``core.hooksPath``, a worktree)."""
    raw_path = ask(["rev-parse", "--path-format=absolute", "--git-path", "hooks"], cwd=place.top, env=env)
    path = Path(os.fsdecode(raw_path.removesuffix(b"\n")))
    code, out, _ = call(
        ["config", "--show-scope", "--show-origin", "-z", "--get", "core.hooksPath"], cwd=place.top, env=env
    )
    scope, origin = (os.fsdecode(part) for part in out.split(b"\0")[:2]) if code == 0 else (None, None)
    if path.exists() and not path.is_dir():
        return HooksFolder(path, origin, scope, "off")
    real = Path(os.path.realpath(path))
    if any(_below(real, Path(os.path.realpath(home))) for home in (place.common_dir, place.git_dir)):
        return HooksFolder(path, origin, scope, "git")
    if _below(real, Path(os.path.realpath(place.top))):
        return HooksFolder(path, origin, scope, "tree", is_tracked=_is_shared(place, env, real))
    return HooksFolder(path, origin, scope, "outside")


def _below(path: Path, home: Path) -> bool:
    return path == home or home in path.parents


def _is_shared(place: Place, env: Mapping[str, str], path: Path) -> bool:
    """Whether files in this folder of the work tree are, or would become, part of the project's history.

    Husky's ``.husky/_`` is ignored, but the folder above is not: the hooks that count are there.
    """
    home = path.parent if path.name == "_" else path
    tracked_files = ask(["--literal-pathspecs", "ls-files", "-z", "--", str(home)], cwd=place.top, env=env, ok=())
    code, _, _ = call(["check-ignore", "-q", "--", str(path / "pre-commit")], cwd=place.top, env=env)
    return bool(tracked_files) or code != 0
