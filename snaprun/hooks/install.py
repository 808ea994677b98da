"""Put snaprun's hook files into a repository and take them out again, without ever losing a hook that was there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from snaprun import files
from snaprun.errors import CannotCreate, UsageFault, os_fault
from snaprun.git.locate import Place
from snaprun.hooks import gitconfig, script
from snaprun.hooks.folder import HooksFolder, find_folder
from snaprun.hooks.managers import MANAGERS
from snaprun.hooks.script import ORIGINAL_SUFFIX, HookFile, Owner
from snaprun.hooks.step import Step

EDITED_SUFFIX = ".snaprun-edited"
"""What the name of an edited hook file of ours gets at its end when it is replaced by force."""


class ManagerConflict(UsageFault):
    """Another program manages this hook: ``block`` is what to paste into its configuration."""

    def __init__(self, message: str, *, hint: str, block: str) -> None:
        super().__init__(message, hint=hint)
        self.block = block


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
    hooks_folder = find_folder(place, env)
    _check_folder(place, hooks_folder, kinds, force=force)
    plans = [(kind, _plan(hooks_folder.path / kind, kind, python=python, fix=fix, force=force)) for kind in kinds]
    if not dry_run:
        try:
            hooks_folder.path.mkdir(parents=True, exist_ok=True)
            for kind, plan in plans:
                if plan != "up to date":
                    _write(hooks_folder.path / kind, script.text(kind, python=python, fix=fix), force=force)
        except OSError as error:
            path = hooks_folder.path
            fault = os_fault(error, f"{path} cannot be written", path, otherwise=CannotCreate)
            if isinstance(error, PermissionError):  # 73 all the same: scripts that install hooks know it
                fault = CannotCreate(fault.message, hint=fault.hint)
            raise fault from error
    return [Step(kind, str(hooks_folder.path / kind), outcome) for kind, outcome in plans]


def uninstall(
    place: Place, env: Mapping[str, str], kinds: Sequence[str], *, force: bool = False, dry_run: bool = False
) -> list[Step]:
    """Take our hook files away, as far as they are as we wrote them, and put back what they had replaced.

    A file of ours that pre-commit has moved to ``<hook>.legacy`` is found there.
    """
    hooks_folder = find_folder(place, env)
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
    return [*steps, *gitconfig.uninstall(place, env, kinds, dry_run=dry_run)]


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


def _check_folder(place: Place, hooks_folder: HooksFolder, kinds: Sequence[str], *, force: bool) -> None:
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
            block=MANAGERS[file.manager or ""].paste,
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
            raise os_fault(error, f"{path} cannot be removed", path.parent, otherwise=CannotCreate) from error
    return Step(kind, str(path), "removed, the hook that was there before is back" if has_original else "removed")
