"""Name snaprun's hooks in git's configuration, which then runs them without a hook file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from snaprun import files
from snaprun.errors import Unavailable
from snaprun.git.command import ask, call, git_version
from snaprun.git.locate import Place
from snaprun.hooks import script, shell
from snaprun.hooks.step import Step

CONFIG_GIT = (2, 54)
"""Git that runs hooks named in its configuration (git-scm.com/docs/git-hook/2.54.0)."""


def install(
    place: Place, env: Mapping[str, str], kinds: Sequence[str], *, python: str, fix: bool = False, dry_run: bool = False
) -> list[Step]:
    """Let git's configuration name our hooks (git 2.54 and later): no file of the user's can be in the way.

    The scripts lie in snaprun's state folder, ``hook.snaprun-<kind>.command`` points at them.

    Raises:
        Unavailable: this git knows no such hooks.
    """
    version = git_version(cwd=place.top, env=env)
    if version < CONFIG_GIT:
        version_text = ".".join(map(str, version))
        raise Unavailable(
            f"git {version_text} runs no hooks from its configuration, 2.54 does", hint="snaprun hook install"
        )
    steps = []
    for kind in kinds:
        path = script_path(place, kind)
        steps.append(Step(kind, str(path), "named in the configuration"))
        if dry_run:
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(path, script.text(kind, python=python, fix=fix), mode=0o755)
        command = shell.single_quote(str(path))
        for key, value in (("command", command), ("event", kind)):
            ask(["config", "--local", f"hook.snaprun-{kind}.{key}", value], cwd=place.top, env=env)
    return steps


def is_installed(place: Place, env: Mapping[str, str], kind: str) -> bool:
    """Whether the configuration names our hook of this kind."""
    code, _, _ = call(["config", "--local", "--get", f"hook.snaprun-{kind}.command"], cwd=place.top, env=env)
    return code == 0


def uninstall(place: Place, env: Mapping[str, str], kinds: Sequence[str], *, dry_run: bool = False) -> list[Step]:
    """Take our hooks of these kinds out of the configuration, where they are in it."""
    steps = []
    for kind in kinds:
        if not is_installed(place, env, kind):
            continue
        path = script_path(place, kind)
        steps.append(Step(kind, str(path), "removed from the configuration"))
        if not dry_run:
            ask(["config", "--local", "--remove-section", f"hook.snaprun-{kind}"], cwd=place.top, env=env)
            path.unlink(missing_ok=True)
    return steps


def script_path(place: Place, kind: str) -> Path:
    """Where the script of a hook lies that the configuration names."""
    return place.state / "hooks" / kind
