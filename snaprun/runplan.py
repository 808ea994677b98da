"""From what a caller asks for to what a run is: the notebook, its parameters, its kernel, and the request to freeze."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun import __version__, records
from snaprun.context import Door
from snaprun.engines import AUTO, ENGINES
from snaprun.errors import DataFault, InputMissing, ParameterFault, UsageFault
from snaprun.freeze.capture import SOURCE, Frozen, Request
from snaprun.freeze.refreeze import refreeze
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle import handover, limits
from snaprun.live.order import Order
from snaprun.model import SNAP_DIR, RunSpec, Snapshot, utc
from snaprun.nearest import nearest
from snaprun.notebooks import cells, interpreter, kernels, notebook, parameters
from snaprun.notebooks.cells import Node
from snaprun.notebooks.interpreter import Chosen
from snaprun.notebooks.kernels import Kernel
from snaprun.notebooks.notebook import Notebook
from snaprun.notebooks.parameters import Resolved


@dataclass(frozen=True)
class Wanted:
    """What a caller asks for; None means: as the settings say. Times are seconds, sizes bytes; no ``gpus`` are 0.

    ``params``, ``raw`` and ``files`` are as typed on the command line. ``wishes`` are for the launcher; ``notes`` are
    known already, and go into the run's warnings.
    """

    notebook: Path | None = None
    params: Sequence[str] = ()
    raw: Sequence[str] = ()
    files: Sequence[Path] = ()
    name: str | None = None
    message: str | None = None
    tags: Sequence[str] = ()
    include: Sequence[str] = ()
    allow_conflicts: bool = False
    allow_commented_magics: bool = False
    kernel: str | None = None
    python: str | None = None
    engine: str | None = None
    launcher: str | None = None
    timeout: float | None = None
    cell_timeout: float | None = None
    hold_on_error: float | None = None
    gpus: int | None = None
    max_memory: int | None = None
    in_place: bool = False
    notify: bool = False
    group: str | None = None
    argv: Sequence[str] = ()
    wishes: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Intake:
    """A run that is ready to be frozen and started. ``document`` is the notebook that runs, parameters set."""

    request: Request
    document: Node
    kernel: Kernel | None = None
    python: str | None = None


@dataclass(frozen=True)
class _Ground:
    """What was decided about how the code runs, with the notes to tell."""

    engine: str
    launcher: str
    kernel: Kernel | None = None
    python: str | None = None
    notes: tuple[str, ...] = ()


def run(door: Door, wanted: Wanted) -> Intake:
    """Make a notebook ready to be frozen and run.

    Raises:
        InputMissing: no such notebook, or it is outside the repository. ParameterFault: a parameter is wrong.
        Unavailable: no kernel or interpreter for it. UsageFault: no such engine, or it cannot run this notebook.
    """
    found, path = _notebook(door, wanted.notebook)
    return _intake(door, wanted, found, path, {})


def again(door: Door, wanted: Wanted, repo: GitRepo, run_id: str) -> tuple[Intake, Frozen]:
    """Make the snapshot of an earlier run ready to be run once more, with its parameters and the given ones on top.

    ``wanted`` is what :func:`inherited` made of it.

    Raises:
        DataFault: it holds no notebook. Else as :func:`run`.
    """
    spec = records.read_spec(repo, run_id)
    raw = repo.blob(run_id, f"{SNAP_DIR}/{SOURCE}") or (repo.blob(run_id, spec.notebook) if spec.notebook else None)
    if raw is None:
        raise DataFault(f"run {run_id[:8]} froze no notebook", hint="snaprun exec NOTEBOOK")
    values = parameters.from_json(records.read_params(repo, run_id))
    given = {name: values[name] for name in spec.given if name in values}
    found = notebook.parse(raw, door.place.top / spec.notebook)
    return _intake(door, wanted, found, spec.notebook, given), refreeze(repo, run_id, spec)


def inherited(wanted: Wanted, spec: RunSpec) -> Wanted:
    """What is wanted of a run that repeats an earlier one: what it does not say is as it was."""
    as_before = {
        name: getattr(spec, name)
        for name in ("engine", "cell_timeout", "timeout", "gpus", "max_memory", "tags")
        if getattr(wanted, name) in (None, ())
    }
    return replace(wanted, **as_before)


def _intake(door: Door, wanted: Wanted, found: Notebook, path: str, base: Mapping[str, Any]) -> Intake:
    engine, notes = _engine(door, found, wanted)
    wanted = replace(wanted, notes=(*wanted.notes, *notes))
    given = {**base, **parameters.parse(wanted.params, wanted.raw, wanted.files)}
    resolved = parameters.resolve(found.node, found.language, given)
    ground = _ground(door, found, wanted, engine)
    limits.check(door.env, ground.launcher, gpu_count=wanted.gpus, max_memory=wanted.max_memory)
    return Intake(
        request=_request(door, wanted, path, found, resolved, ground),
        document=cells.without_outputs(parameters.inject(found.node, resolved.given, found.language)),
        kernel=ground.kernel,
        python=ground.python,
    )


def _engine(door: Door, found: Notebook, wanted: Wanted) -> tuple[str, tuple[str, ...]]:
    """The engine, and why it is not the one that was hoped for. Raises UsageFault where there is none of that name."""
    asked = wanted.engine or door.settings.engine
    if asked in ENGINES:
        return asked, ()
    if asked != AUTO:
        near = nearest(asked, [*ENGINES, AUTO])
        raise UsageFault(f"there is no engine {asked!r}", hint=f"--engine {near or ' or '.join([*ENGINES, AUTO])}")
    if wanted.kernel or door.settings.kernel:
        why: str | None = "a kernel is asked for by name"
    elif wanted.hold_on_error is not None:
        why = "only a kernel can be held on an error"
    else:
        from snaprun.engines import auto  # a start with a named engine need not pay for it

        why = auto.needs_kernel(found.node, language=found.language)
    return ("kernel", (f"run by a kernel, not inline: {why}",)) if why else ("inline", ())


def save(door: Door, wanted: Wanted) -> Request:
    """Make ready to freeze without running, with a notebook or without one. Raises as :func:`run` does."""
    asked = wanted.engine or door.settings.engine
    ground = _Ground("kernel" if asked == AUTO else asked, launcher="none")
    if wanted.notebook is not None:
        found, path = _notebook(door, wanted.notebook)
        ground = replace(ground, engine=_engine(door, found, wanted)[0])
        given = parameters.parse(wanted.params, wanted.raw, wanted.files)
        resolved = parameters.resolve(found.node, found.language, given)
        return _request(door, wanted, path, found, resolved, ground)
    if wanted.params or wanted.raw or wanted.files:
        raise ParameterFault("parameters belong to a notebook", hint="snaprun snapshot NOTEBOOK -p NAME=VALUE")
    return Request(spec=_spec(door, wanted, "", ground), **_limits(door, wanted))


def _notebook(door: Door, given: Path | None) -> tuple[Notebook, str]:
    """The notebook and its path from the top of the repository."""
    if given is None:
        raise UsageFault("no notebook is named", hint="snaprun exec NOTEBOOK")
    path = Path(os.path.abspath(door.cwd / given))
    found = notebook.read(path)
    for candidate in (path, Path(os.path.realpath(path.parent), path.name)):
        for top in (door.place.top, Path(os.path.realpath(door.place.top))):
            if candidate.is_relative_to(top):
                return found, candidate.relative_to(top).as_posix()
    raise InputMissing(f"{given} is outside the repository {door.place.top}", hint=f"cd {path.parent}")


def _ground(door: Door, found: Notebook, wanted: Wanted, engine: str) -> _Ground:
    """How the code will run; a kernel is chosen for the kernel engine only."""
    launcher = wanted.launcher or door.settings.launcher
    asked = wanted.kernel or door.settings.kernel
    if wanted.wishes.get("on") or wanted.wishes.get("git-url"):  # chosen there: what this machine has says nothing
        if engine != "kernel":
            _refuse(found, engine, wanted)
        return _Ground(engine, launcher, python=wanted.python)
    chosen, available = _python(door, found, wanted)
    if engine != "kernel":
        _refuse(found, engine, wanted)
        if engine == "inline" and chosen is not None:
            interpreter.require(chosen, "IPython", env=door.env)
        return _Ground(engine, launcher, python=chosen.python if chosen else None)
    kernel, notes = kernels.choose(
        available,
        asked=asked,
        named=found.kernel,
        language=found.language,
        python=chosen.python if chosen else None,
    )
    if kernel.python is not None:
        same = chosen is not None and chosen.python == kernel.python
        interpreter.require(chosen if same and chosen else Chosen(kernel.python, kernel.name), env=door.env)
    return _Ground(engine, launcher, kernel, kernel.python or (chosen.python if chosen else None), notes)


def _python(door: Door, found: Notebook, wanted: Wanted) -> tuple[Chosen | None, Mapping[str, Kernel]]:
    """The interpreter of a Python notebook, and the kernels there are; another language has none unless asked for."""
    asked = wanted.python or door.settings.python
    available = kernels.specs(door.env)
    if found.language != "python" and asked is None:
        return None, available
    named = available.get((found.kernel or "").lower())
    chosen = interpreter.choose_python(
        asked, env=door.env, top=door.place.top, folder=found.path.parent, kernel=named.python if named else None
    )
    return chosen, kernels.specs(door.env, [os.fspath(Path(chosen.python).parent.parent)])


def _refuse(found: Notebook, engine: str, wanted: Wanted) -> None:
    """Refuse what an engine without a kernel cannot do, before anything is frozen."""
    if found.language != "python":
        raise UsageFault(f"the {engine} engine runs Python only, not {found.language}", hint="--engine kernel")
    if wanted.kernel is not None:
        hint = "--engine kernel, or --python for an interpreter"
        raise UsageFault(f"the {engine} engine runs without a kernel, and --kernel names one", hint=hint)
    if wanted.hold_on_error is not None:
        raise UsageFault(f"the {engine} engine cannot be held on an error: only a kernel can", hint="--engine kernel")
    if engine == "inline":
        from snaprun.engines import inline  # a start with another engine need not pay for it

        why = inline.refusal(found.node)
        if why:
            raise UsageFault(why, hint="--engine kernel")
    if engine == "script" and not wanted.allow_commented_magics:
        numbers = [str(cell.number) for cell in notebook.commented(found.node, found.language)]
        if numbers:
            where = ("cell " if len(numbers) == 1 else "cells ") + ", ".join(numbers)
            text = f"as a script, the magics and shell lines of {where} would silently not run"
            raise UsageFault(text, hint="--engine kernel, or --allow-commented-magics to leave them out")


def _request(door: Door, wanted: Wanted, path: str, found: Notebook, resolved: Resolved, ground: _Ground) -> Request:
    runs = parameters.inject(found.node, resolved.given, found.language)
    extension, text = notebook.script(runs, found.language)
    spec = _spec(
        door,
        wanted,
        path,
        ground,
        kernel=ground.kernel.name if ground.kernel else found.kernel,
        python=ground.python,
        language=found.language,
        script=f"{SNAP_DIR}/notebook{extension}",
        code_hash=found.code_hash,
        cells=len(found.cells),
        given=tuple(resolved.given),
        seed=_seed(resolved.merged),
        warnings=(*found.notes, *resolved.notes, *ground.notes, *wanted.notes),
    )
    return Request(
        spec=spec,
        params=parameters.to_json(resolved.merged),
        files={f"notebook{extension}": text.encode("utf-8", "surrogateescape")},
        source=found.raw,
        **_limits(door, wanted),
    )


def _seed(params: Mapping[str, Any]) -> int | None:
    seed = params.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) < 2**63 else None


def _limits(door: Door, wanted: Wanted) -> dict[str, Any]:
    return {
        "max_file_size": door.settings.max_file_size,
        "include": (*door.settings.include, *wanted.include),
        "allow_conflicts": wanted.allow_conflicts,
    }


def _spec(door: Door, wanted: Wanted, path: str, ground: _Ground, **facts: Any) -> RunSpec:
    settings = door.settings
    return RunSpec(
        notebook=path,
        created=utc(time.time()),
        engine=ground.engine,
        launcher=ground.launcher,
        argv=tuple(wanted.argv),
        name=wanted.name,
        message=wanted.message,
        tags=tuple(dict.fromkeys(wanted.tags)),
        group=wanted.group,
        host=socket.gethostname(),
        user=_user(door.env),
        in_place=wanted.in_place,
        timeout=wanted.timeout if wanted.timeout is not None else settings.timeout,
        cell_timeout=wanted.cell_timeout if wanted.cell_timeout is not None else settings.cell_timeout,
        gpus=wanted.gpus or None,
        max_memory=wanted.max_memory or None,
        versions={"snaprun": __version__},
        **facts,
    )


def _user(env: Mapping[str, str]) -> str:
    """Who runs it; a numeric user id where the system has no name for it, as in a bare container."""
    try:
        return env.get("LOGNAME") or env.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def order_of(door: Door, wanted: Wanted, ready: Intake, made: Snapshot) -> Order:
    """What the supervisor of a run has to know beyond its snapshot."""
    settings = door.settings
    return Order(
        run=made.id,
        place=door.place,
        grace=settings.grace,
        timeout=made.spec.timeout,
        hold=wanted.hold_on_error,
        max_file_size=settings.max_file_size,
        link=tuple(settings.link),
        outputs=tuple(settings.outputs),
        index_url=settings.index_url,
        notify_command=settings.notify_command,
        kernel=ready.kernel.to_json() if ready.kernel else None,
        python=ready.python,
        options={
            "notify": wanted.notify,
            "commented_magics": wanted.allow_commented_magics,
            "variables": list(settings.environment),
            handover.WISHES: dict(wanted.wishes),
        },
    )
