"""Call git as a plain child process, for the hook: stdlib only, with the caller's own index and repository.

Everything else of snaprun goes through gitrepo.py. A hook must read exactly what git handed over (``GIT_INDEX_FILE``,
``GIT_DIR``), and cannot wait for GitPython to be imported.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from snaprun.errors import SnaprunError, Unavailable

OUTPUT_VARIABLES = (
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_PREFIX",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
)
"""What a caller may have set that changes what a plumbing command prints."""


class GitFault(Unavailable):
    """Git answered with an exit code that was not expected."""

    def __init__(self, message: str, *, hint: str, exit_code: int, stderr: str) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.stderr = stderr


def hook_env(env: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """``env`` for git calls inside a hook: the repository and index that git handed over, as absolute paths.

    ``commit -a`` and ``commit -- path`` hand over a temporary index by ``GIT_INDEX_FILE``; relative names are relative
    to ``cwd``, the folder that the hook was started in.
    """
    variables = {name: value for name, value in env.items() if name not in OUTPUT_VARIABLES}
    for name in ("GIT_INDEX_FILE", "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        if variables.get(name):
            variables[name] = os.path.join(cwd, variables[name])
    variables.update(GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0", GIT_NO_LAZY_FETCH="1", LC_ALL="C")
    return variables


def ask(
    args: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    ok: Sequence[int] = (0,),
) -> bytes:
    """The raw output of ``git <args>``, run in ``cwd`` with exactly the environment ``env``.

    Raises:
        GitFault: the exit code is not in ``ok`` (an empty ``ok`` accepts any).
        Unavailable: there is no git on the PATH.
    """
    code, out, stderr = call(args, cwd=cwd, env=env, stdin=stdin)
    if ok and code not in ok:
        last = stderr.strip().splitlines()[-1] if stderr.strip() else f"exit code {code}"
        raise GitFault(f"git {args[0]} failed: {last}", hint="git status, git fsck", exit_code=code, stderr=stderr)
    return out


def call(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes | None = None
) -> tuple[int, bytes, str]:
    """The exit code, raw output and error text of ``git <args>``.

    Raises:
        Unavailable: there is no git on the PATH.
    """
    try:
        child = subprocess.Popen(
            ["git", "-c", "core.quotePath=false", *args],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise Unavailable("git is not on the PATH", hint="install git 2.31 or newer, then try again") from error
    with child:
        out, stderr = child.communicate(stdin)
    return child.returncode, out, stderr.decode("utf-8", "replace")


def git_version(*, cwd: Path, env: Mapping[str, str]) -> tuple[int, int]:
    """The major and minor number of the git on the PATH.

    Raises:
        SnaprunError: git does not say a version.
    """
    words = ask(["version"], cwd=cwd, env=env).decode("utf-8", "replace").split()
    numbers = words[2].split(".") if len(words) > 2 else []
    if len(numbers) < 2 or not (numbers[0].isdigit() and numbers[1].isdigit()):
        raise SnaprunError(f"git version says {' '.join(words)!r}", hint="git version")
    return int(numbers[0]), int(numbers[1])
