"""Tell which hooks of a repository are ours, whose the others are, and whether ours can work."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from snaprun.files import read_json_or_empty, write_json
from snaprun.git.command import call
from snaprun.git.locate import Place, make_private
from snaprun.hooks import gitconfig, install
from snaprun.hooks.check import Report
from snaprun.hooks.folder import HooksFolder, find_folder
from snaprun.hooks.script import ORIGINAL_SUFFIX, VERSION, Owner
from snaprun.model import SCHEMA, utc

NOTE = "hook.json"
"""In the state folder: when the hook last checked something, and what came of it."""

PATIENCE = 30.0
"""Seconds that an interpreter gets to say whether it has snaprun."""

_OUR_ID = re.compile(rb"^\s*-?\s*(?:id\s*:\s*[\"']?snaprun|entry\s*:\s*[\"']?snaprun hook run)", re.MULTILINE)


@dataclass(frozen=True)
class Hook:
    """One kind of hook.

    ``state``: none, ours, ours-edited, manager or foreign; ``via``: file, legacy, config or framework.
    """

    kind: str
    path: str
    state: str
    via: str | None = None
    version: int | None = None
    mode: str | None = None
    manager: str | None = None
    chained: str | None = None
    executable: bool | None = None
    interpreter: str | None = None
    works: bool | None = None
    problem: str | None = None


@dataclass(frozen=True)
class HookStatus:
    """The hooks of a repository. ``framework``: the file that names ours to pre-commit or prek; ``last``: what the last
    check noted."""

    folder: HooksFolder
    hooks: tuple[Hook, ...]
    framework: str | None
    is_required: bool
    last: Mapping[str, Any] | None = None

    @property
    def ok(self) -> bool:
        """Whether a commit is checked."""
        return not self.is_broken and any(hook.works for hook in self.hooks if hook.kind == "pre-commit")

    @property
    def is_broken(self) -> bool:
        """Whether a hook of ours is there and cannot do its work."""
        return any(hook.problem for hook in self.hooks)

    @property
    def exit_code(self) -> int:
        """0: checked; 1: not installed; 2: broken."""
        return 2 if self.is_broken else 0 if self.ok else 1

    def to_json(self) -> dict[str, Any]:
        """The object that ``hook status --json`` prints; docs/hook.md describes it."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "hooks_path": str(self.folder.path),
            "hooks_path_origin": self.folder.origin,
            "hooks_path_scope": self.folder.scope,
            "framework": self.framework,
            "required": self.is_required,
            "last": self.last,
            "hooks": [asdict(hook) for hook in self.hooks],
        }


def status(place: Place, env: Mapping[str, str], kinds: Sequence[str]) -> HookStatus:
    """Look at every kind of hook."""
    hooks_folder = find_folder(place, env)
    framework = _framework(place)
    code, out, _ = call(["config", "--type=bool", "--get", "snaprun.hookRequired"], cwd=place.top, env=env)
    faults: dict[str, str | None] = {}
    hooks = tuple(_hook(place, env, hooks_folder, kind, framework, faults) for kind in kinds)
    return HookStatus(
        hooks_folder, hooks, framework, is_required=code != 0 or out.strip() != b"false", last=_last(place)
    )


def note_check(place: Place, report: Report, *, now: float) -> None:
    """Note that the hook has checked notebooks, for ``hook status``; no commit fails because this cannot be written."""
    document = {"time": utc(now), "notebooks": report.notebooks, "refused": report.refused}
    with suppress(OSError):
        make_private(place.state)
        write_json(place.state / NOTE, document, durable=False)


def _last(place: Place) -> Mapping[str, Any] | None:
    return read_json_or_empty(place.state / NOTE) or None


def _hook(
    place: Place,
    env: Mapping[str, str],
    hooks_folder: HooksFolder,
    kind: str,
    framework: str | None,
    faults: dict[str, str | None],
) -> Hook:
    path = hooks_folder.path / kind
    file = install.read(path)
    via = "file"
    manager = file.manager
    if file.owner not in (Owner.OURS, Owner.OURS_EDITED):
        legacy = hooks_folder.path / f"{kind}.legacy"
        legacy_file = install.read(legacy)
        script = gitconfig.script_path(place, kind)
        if file.owner is Owner.MANAGER and legacy_file.owner in (Owner.OURS, Owner.OURS_EDITED):
            path, file, via = legacy, legacy_file, "legacy"
        elif gitconfig.is_installed(place, env, kind):
            path, file, via = script, install.read(script), "config"
            if file.owner is Owner.ABSENT:
                return Hook(kind, str(path), "none", via="config", problem=f"{path} is gone: snaprun hook install")
        elif file.owner is Owner.MANAGER and kind == "pre-commit" and framework:
            return Hook(kind, str(path), "manager", via="framework", manager=manager, works=True)
        else:
            state = {Owner.ABSENT: "none", Owner.MANAGER: "manager"}.get(file.owner, "foreign")
            return Hook(kind, str(path), state, manager=manager)
    original = hooks_folder.path / (kind + ORIGINAL_SUFFIX)
    interpreter = env.get("SNAPRUN_PYTHON") or file.python
    executable = os.access(path, os.X_OK)
    if interpreter not in faults:
        faults[interpreter or ""] = _fault(interpreter or "", env)
    problem = "git does not run it: it is not executable" if not executable else faults[interpreter or ""]
    if problem is None and hooks_folder.location == "off" and via == "file":
        problem = "core.hooksPath turns hooks off"
    return Hook(
        kind=kind,
        path=str(path),
        state="ours" if file.owner is Owner.OURS else "ours-edited",
        via=via,
        version=file.version,
        mode="fix" if file.options else "check",
        manager=manager,
        chained=str(original) if os.path.lexists(original) else None,
        executable=executable,
        interpreter=interpreter,
        works=problem is None,
        problem=problem,
    )


def is_outdated(hook: Hook) -> bool:
    """Whether `hook install` would write a newer text."""
    return hook.version is not None and hook.version < VERSION


def _fault(interpreter: str, env: Mapping[str, str]) -> str | None:
    """Why an interpreter cannot run snaprun, or None where it can."""
    command = [interpreter, "-c", "import sys; sys.path[:1] == [''] and sys.path.pop(0); import snaprun.hooks.gate"]
    try:
        process = subprocess.run(command, env=dict(env), capture_output=True, timeout=PATIENCE, check=False)
    except OSError as error:
        return f"{interpreter or 'the interpreter'} does not start: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"{interpreter} does not answer"
    return None if process.returncode == 0 else f"{interpreter} has no snaprun"


def _framework(place: Place) -> str | None:
    """The configuration of the pre-commit framework, if it names our hook."""
    for name in (".pre-commit-config.yaml", ".pre-commit-config.yml", "prek.toml"):
        try:
            content = (place.top / name).read_bytes()
        except OSError:
            continue
        if _OUR_ID.search(content):
            return name
    return None
