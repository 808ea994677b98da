"""Put snaprun's hook files into a repository and take them out again, without ever losing a hook that was there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from snaprun import files
from snaprun.errors import CannotCreate, Unavailable, UsageFault
from snaprun.git.command import ask, call, git_version
from snaprun.git.locate import Place
from snaprun.hooks import script, shell
from snaprun.hooks.script import ORIGINAL_SUFFIX, HookFile, Owner

EDITED_SUFFIX = ".snaprun-edited"
"""What the name of an edited hook file of ours gets at its end when it is replaced by force."""

CONFIG_GIT = (2, 54)
"""Git that runs hooks named in its configuration (git-scm.com/docs/git-hook/2.54.0)."""

PASTE = {
    "pre-commit": """\
# add to .pre-commit-config.yaml
repos:
  - repo: local
    hooks:
      - id: snaprun
        name: snaprun notebook check
        entry: snaprun hook run --framework pre-commit
        language: system
        types_or: [jupyter, python, markdown]
        require_serial: true
""",
    "lefthook": """\
# add to lefthook.yml
pre-commit:
  commands:
    snaprun:
      run: snaprun hook run pre-commit
""",
    "husky": """\
# add to .husky/pre-commit
snaprun hook run pre-commit "$@"
""",
    "overcommit": """\
# add to .overcommit.yml
PreCommit:
  CustomScript:
    enabled: true
    required_executable: 'snaprun'
    command: ['snaprun', 'hook', 'run', 'pre-commit']
""",
}
PASTE["prek"] = PASTE["pre-commit"]
"""What to paste into the configuration of each program that manages hooks."""


class ManagerConflict(UsageFault):
    """Another program manages this hook: ``block`` is what to paste into its configuration."""

    def __init__(self, message: str, *, hint: str, block: str) -> None:
        super().__init__(message, hint=hint)
        self.block = block


@dataclass(frozen=True)
class Folder:
    """Where git looks for hooks here: ``origin`` and ``scope`` say which configuration names it, if one does."""

    path: Path
    origin: str | None = None
    scope: str | None = None
    location: str = "git"  # "git": the repository's own; "tree": below the work tree; "outside"; "off": no folder
    is_tracked: bool = False


@dataclass(frozen=True)
class Step:
    """One thing done (or, in a dry run, to be done) to one hook."""

    hook: str
    path: str
    outcome: str


def folder(place: Place, env: Mapping[str, str]) -> Folder:
    """The folder of hooks that git uses in this repository, whatever names it (``core.hooksPath``, a worktree)."""
    raw_path = ask(["rev-parse", "--path-format=absolute", "--git-path", "hooks"], cwd=place.top, env=env)
    path = Path(os.fsdecode(raw_path.removesuffix(b"\n")))
    code, out, _ = call(
        ["config", "--show-scope", "--show-origin", "-z", "--get", "core.hooksPath"], cwd=place.top, env=env
    )
    scope, origin = (os.fsdecode(part) for part in out.split(b"\0")[:2]) if code == 0 else (None, None)
    if path.exists() and not path.is_dir():
        return Folder(path, origin, scope, "off")
    real = Path(os.path.realpath(path))
    if any(_below(real, Path(os.path.realpath(home))) for home in (place.common_dir, place.git_dir)):
        return Folder(path, origin, scope, "git")
    if _below(real, Path(os.path.realpath(place.top))):
        return Folder(path, origin, scope, "tree", is_tracked=_is_shared(place, env, real))
    return Folder(path, origin, scope, "outside")


def install(
    place: Place,
    env: Mapping[str, str],
    kinds: Sequence[str],
    *,
    python: str,
    fix: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> list[Step]:
    """Write the hook files of these kinds; one that is there already is kept and run first.

    Installing again is harmless, and brings files of an older version up to date.

    Raises:
        UsageFault: the folder is not this repository's own, or a hook is another program's or an edited one of ours;
            ``force`` installs all the same, chained before or behind. The hint says what to do instead.
        CannotCreate: the folder or a file cannot be written.
    """
    hooks_folder = folder(place, env)
    _check_folder(place, hooks_folder, kinds, force=force)
    plans = [(kind, _plan(hooks_folder.path / kind, kind, python=python, fix=fix, force=force)) for kind in kinds]
    if not dry_run:
        try:
            hooks_folder.path.mkdir(parents=True, exist_ok=True)
            for kind, plan in plans:
                if plan != "up to date":
                    _write(hooks_folder.path / kind, script.text(kind, python=python, fix=fix), force=force)
        except OSError as error:
            raise CannotCreate(
                f"{error.filename or hooks_folder.path} cannot be written: {error.strerror}",
                hint=f"ls -ld {hooks_folder.path}",
            ) from error
    return [Step(kind, str(hooks_folder.path / kind), outcome) for kind, outcome in plans]


def uninstall(
    place: Place, env: Mapping[str, str], kinds: Sequence[str], *, force: bool = False, dry_run: bool = False
) -> list[Step]:
    """Take our hook files away, as far as they are as we wrote them, and put back what they had replaced.

    A file of ours that pre-commit has moved to ``<hook>.legacy`` is found there.
    """
    hooks_folder = folder(place, env)
    steps = []
    for kind in kinds:
        for name in (kind, f"{kind}.legacy"):
            step = _remove(
                hooks_folder.path / name,
                hooks_folder.path / (kind + ORIGINAL_SUFFIX),
                kind,
                force=force,
                dry_run=dry_run,
            )
            if step is not None:
                steps.append(step)
    return [*steps, *_unconfigure(place, env, kinds, dry_run=dry_run)]


def read(path: Path) -> HookFile:
    """Whose the hook file at ``path`` is."""
    if not os.path.lexists(path):
        return HookFile(Owner.ABSENT)
    if path.is_dir():
        return HookFile(Owner.FOREIGN)
    try:
        return script.identify(path.read_bytes())
    except OSError:  # a symbolic link to nowhere, or unreadable: not ours
        return HookFile(Owner.FOREIGN)


def configure(
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
        path = place.state / "hooks" / kind
        steps.append(Step(kind, str(path), "named in the configuration"))
        if dry_run:
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(path, script.text(kind, python=python, fix=fix), mode=0o755)
        command = shell.single_quote(str(path))
        for key, value in (("command", command), ("event", kind)):
            ask(["config", "--local", f"hook.snaprun-{kind}.{key}", value], cwd=place.top, env=env)
    return steps


def is_configured(place: Place, env: Mapping[str, str], kind: str) -> bool:
    """Whether the configuration names our hook of this kind."""
    code, _, _ = call(["config", "--local", "--get", f"hook.snaprun-{kind}.command"], cwd=place.top, env=env)
    return code == 0


def _unconfigure(place: Place, env: Mapping[str, str], kinds: Sequence[str], *, dry_run: bool) -> list[Step]:
    steps = []
    for kind in kinds:
        if not is_configured(place, env, kind):
            continue
        script = place.state / "hooks" / kind
        steps.append(Step(kind, str(script), "removed from the configuration"))
        if not dry_run:
            ask(["config", "--local", "--remove-section", f"hook.snaprun-{kind}"], cwd=place.top, env=env)
            script.unlink(missing_ok=True)
    return steps


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


def _check_folder(place: Place, hooks_folder: Folder, kinds: Sequence[str], *, force: bool) -> None:
    """Refuse a folder that is not this repository's own affair."""
    setting = f"core.hooksPath, set in {hooks_folder.origin}," if hooks_folder.origin else "core.hooksPath"
    if hooks_folder.location == "off":
        raise UsageFault(
            f"{setting} turns hooks off: {hooks_folder.path} is no folder",
            hint="git config --local core.hooksPath .git/hooks",
        )
    if force or hooks_folder.location == "git":
        return
    if hooks_folder.location == "outside":
        raise UsageFault(
            f"{setting} is {hooks_folder.path}, outside this repository: a hook there would run in every repository",
            hint=f"git config --local core.hooksPath {_own(place)} for hooks of this repository only, or --force",
        )
    if hooks_folder.is_tracked:
        home = hooks_folder.path.parent if hooks_folder.path.name == "_" else hooks_folder.path
        raise ManagerConflict(
            f"{setting} is {hooks_folder.path}, which belongs to the project",
            hint="add the lines above to its files, or --force to install there",
            block="".join(f'# add to {home / kind}\nsnaprun hook run {kind} "$@"\n' for kind in kinds),
        )


def _own(place: Place) -> Path:
    return place.common_dir / "hooks"


def _plan(path: Path, kind: str, *, python: str, fix: bool, force: bool) -> str:
    """What installing at ``path`` will do."""
    file = read(path)
    original = path.with_name(path.name + ORIGINAL_SUFFIX)
    if file.owner is Owner.ABSENT:
        return "installed"
    if file.owner is Owner.OURS:
        if path.read_bytes() == script.text(kind, python=python, fix=fix) and os.access(path, os.X_OK):
            return "up to date"
        return "brought up to date"
    if file.owner is Owner.OURS_EDITED:
        if not force:
            raise UsageFault(
                f"{path} is ours, but was edited",
                hint=f"snaprun hook install --force keeps it as {path.name}{EDITED_SUFFIX}",
            )
        return f"replaced, the edited one kept as {path.name}{EDITED_SUFFIX}"
    if path.is_dir():
        raise UsageFault(f"{path} is a folder", hint="move it away, then install again")
    if file.owner is Owner.MANAGER and not force:
        raise ManagerConflict(
            f"{path} belongs to {file.manager}",
            hint="add the lines above to its configuration, or --force to run it from our hook",
            block=PASTE[file.manager or ""],
        )
    if os.path.lexists(original):
        raise UsageFault(
            f"{path} is another hook, and {original.name} is there already",
            hint=f"move one of them away: ls -l {path} {original}",
        )
    return f"installed, the hook that was there runs first (as {original.name})"


def _write(path: Path, text: bytes, *, force: bool) -> None:
    """Put our file at ``path``; at no moment is there no hook, and what was there stays under another name."""
    file = read(path)
    if file.owner is Owner.OURS_EDITED and force:
        _keep(path, path.with_name(path.name + EDITED_SUFFIX), overwrite=True)
    elif file.owner in (Owner.FOREIGN, Owner.MANAGER):
        _keep(path, path.with_name(path.name + ORIGINAL_SUFFIX), overwrite=False)
    files.write(path, text, mode=0o755)


def _keep(path: Path, copy: Path, *, overwrite: bool) -> None:
    """Give the file at ``path`` a second name; a symbolic link stays one."""
    if overwrite:
        copy.unlink(missing_ok=True)
    if path.is_symlink():
        os.symlink(os.readlink(path), copy)
        return
    try:
        os.link(path, copy)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.rename(path, copy)


def _remove(path: Path, original: Path, kind: str, *, force: bool, dry_run: bool) -> Step | None:
    file = read(path)
    if file.owner is Owner.OURS_EDITED and not force:
        return Step(kind, str(path), "left: it was edited (--force removes it)")
    if file.owner not in (Owner.OURS, Owner.OURS_EDITED):
        return None
    has_original = os.path.lexists(original)
    if not dry_run:
        try:
            if has_original:
                os.replace(original, path)
            else:
                path.unlink()
        except OSError as error:
            raise CannotCreate(f"{path} cannot be removed: {error.strerror}", hint=f"ls -ld {path.parent}") from error
    return Step(kind, str(path), "removed, the hook that was there before is back" if has_original else "removed")
