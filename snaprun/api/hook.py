"""Install the git hook, and do what git calls it for.

Everything here starts from the folder and the environment that git calls a hook with, not from a ``Context``: they say
which index is about to be committed, and in which repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from snaprun import settings
from snaprun.git import locate
from snaprun.hooks import check, gitindex, indexview, policy, provenance, secrets, status, trailer
from snaprun.hooks.check import CheckRequest, Report
from snaprun.hooks.gitindex import Index
from snaprun.hooks.kinds import DEFAULT_KINDS, KINDS
from snaprun.hooks.policy import Policies
from snaprun.hooks.status import HookStatus
from snaprun.hooks.step import Step
from snaprun.hooks.trailer import Library, RunLink

__all__ = [
    "DEFAULT_KINDS",
    "KINDS",
    "CheckOptions",
    "HookStatus",
    "Report",
    "RunLink",
    "Step",
    "check_staged",
    "find_links",
    "install",
    "read_status",
    "uninstall",
    "write_trailers",
]


@dataclass(frozen=True)
class CheckOptions:
    """What to check of what is staged, and what may be mended.

    ``paths`` restrict the check to these files; without any it is of all that are staged. ``fix`` stages the other half
    of a pair that is stale. ``framework``: the pre-commit framework (or prek) calls, so that nothing is ever staged; it
    is noticed by itself, too. ``require_runs``: runs are missed also in a clone that has none at all. ``in_merge``: git
    calls before a merge is committed.
    """

    paths: Sequence[str] = ()
    fix: bool = False
    framework: bool = False
    require_runs: bool = False
    in_merge: bool = False


def install(
    cwd: Path,
    env: Mapping[str, str],
    kinds: Sequence[str] = DEFAULT_KINDS,
    *,
    fix: bool = False,
    force: bool = False,
    in_config: bool = False,
    dry_run: bool = False,
) -> list[Step]:
    """Install the hook into the repository around ``cwd``; what was done, or with ``dry_run`` would be, file by file.

    A hook that is there already is kept, and runs first. With ``fix`` the hook stages the other half of a stale pair.
    ``in_config`` names it in git's configuration (from git 2.54 on) in place of a file; ``force`` installs a file also
    where another program manages the hooks.

    Raises:
        UsageFault: another program manages the hooks (a ``ManagerConflict``, whose ``block`` is what to write into its
            configuration), or a hook was edited. CannotCreate: a file cannot be written.
        Unavailable: there is no repository, or its git is too old.
    """
    from snaprun.hooks import gitconfig, install, script  # a commit has no use for them

    place, clean_env, python = locate.find(cwd, env), locate.clean_env(env), script.current_python()
    if in_config:
        return gitconfig.install(place, clean_env, kinds, python=python, fix=fix, dry_run=dry_run)
    return install.install(place, clean_env, kinds, python=python, fix=fix, force=force, dry_run=dry_run)


def uninstall(
    cwd: Path, env: Mapping[str, str], kinds: Sequence[str] = KINDS, *, force: bool = False, dry_run: bool = False
) -> list[Step]:
    """Take the hook out again, and put back the one that was there before; what was done, file by file.

    A file that is not ours is left alone, and one that was edited unless ``force`` is set.

    Raises:
        UsageFault: a hook was edited. CannotCreate: a file cannot be changed. Unavailable: there is no repository.
    """
    from snaprun.hooks import install  # a commit has no use for it

    return install.uninstall(locate.find(cwd, env), locate.clean_env(env), kinds, force=force, dry_run=dry_run)


def read_status(cwd: Path, env: Mapping[str, str]) -> HookStatus:
    """How every kind of hook stands in the repository around ``cwd``, and how the last check went.

    Raises:
        Unavailable: there is no repository.
    """
    return status.status(locate.find(cwd, env), locate.clean_env(env), KINDS)


def check_staged(cwd: Path, env: Mapping[str, str], options: CheckOptions, *, now: float) -> Report:
    """Check the notebooks that are about to be committed, as the settings demand; ``now`` is in seconds since 1970.

    Raises:
        SettingsFault: what is demanded is wrong. UsageFault: a path is outside the repository.
    """
    index = gitindex.open_staged_index(cwd, env)
    policies, library = _read_policies(index, env), _open_library(index, env)
    request = CheckRequest(
        index=index,
        policies=policies,
        load=library.load,
        runs=library.runs,
        secrets=secrets.from_environment(locate.clean_env(env)),
        files=gitindex.relative_paths(index, options.paths) if options.paths else None,
        framework=options.framework or bool(env.get("PRE_COMMIT")),  # pre-commit and prek set it for every hook
        fix=options.fix,
        require_runs=options.require_runs,
        special="merge" if options.in_merge else None,  # MERGE_HEAD is only written after this hook
    )
    report = check.check(request)
    status.note_check(index.place, report, now=now)
    return report


def write_trailers(cwd: Path, env: Mapping[str, str], message: Path) -> None:
    """Name the runs that the staged notebooks are from in the file with a commit's message, where the settings want it.

    Raises:
        SettingsFault: what is demanded is wrong.
    """
    index = gitindex.open_staged_index(cwd, env)
    if _read_policies(index, env).trailer:
        trailer.write(index, message, indexview.read_view(index), _open_library(index, env))


def find_links(cwd: Path, env: Mapping[str, str]) -> Iterator[RunLink]:
    """The notebooks of the latest commit that are from a run, each with its run.

    Raises:
        SettingsFault: a setting is wrong. Going through it: DataFault, Busy, Denied: the runs cannot be read.
    """
    index = gitindex.open_staged_index(cwd, env)
    _read_policies(index, env)
    return _find_links(index, _open_library(index, env))


def _find_links(index: Index, library: Library) -> Iterator[RunLink]:
    yield from trailer.of_commit(index, "HEAD", library, changed_only=True)


def _read_policies(index: Index, env: Mapping[str, str]) -> Policies:
    configuration = settings.load(index.place, env)
    return policy.read(configuration.hook, skip=env.get("SNAPRUN_SKIP", ""))


def _open_library(index: Index, env: Mapping[str, str]) -> Library:
    """Runs and jupytext, each loaded when it is first asked for."""

    @lru_cache(maxsize=1)
    def runs() -> provenance.Runs:
        return provenance.open_runs(index, settings.load(index.place, env).index_url)

    def load() -> ModuleType:
        from snaprun.notebooks import halves  # jupytext: only where a notebook is paired

        return halves

    return Library(runs=runs, load=load)
