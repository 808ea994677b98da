"""Name the filter drivers of git's configuration, and switch off those whose program does not work here."""

from __future__ import annotations

import os

from snaprun.git.gitrepo import GitRepo


def list_drivers(repo: GitRepo) -> list[str]:
    """The names of the filter drivers in git's configuration."""
    out = repo.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", ok=()).out
    return sorted({os.fsdecode(name).split(".", 1)[1].rsplit(".", 1)[0] for name in out.split(b"\0")[:-1]})


def bypass_options(driver: str) -> tuple[str, ...]:
    """Options that make git take files past this filter driver as they are, in both directions."""
    settings = ("clean=", "smudge=", "process=", "required=false")
    return tuple(part for setting in settings for part in ("-c", f"filter.{driver}.{setting}"))
