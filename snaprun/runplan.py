"""Plan a run: read its notebook, check its parameters, choose engine and interpreter, and say what to freeze."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun import __version__, engines, launchers, records
from snaprun.context import Context
from snaprun.engines import AUTO, ENGINES, GENERAL, LIGHT
from snaprun.errors import DataFault, InputMissing, ParameterFault, UsageFault
from snaprun.freeze.capture import FrozenTree, SnapshotRequest
from snaprun.freeze.refreeze import refreeze
from snaprun.git.gitrepo import GitRepo
from snaprun.launchers import handover, limits
from snaprun.live.order import Order
from snaprun.model import NO_LAUNCHER, SNAP_DIR, SOURCE_FILE, RunSpec, Snapshot, seed_of, utc
from snaprun.nearest import nearest
from snaprun.notebooks import cells, interpreter, kernels, notebook, parameters
from snaprun.notebooks.cells import Node
from snaprun.notebooks.interpreter import Interpreter
from snaprun.notebooks.kernels import Kernel
from snaprun.notebooks.notebook import Notebook
from snaprun.notebooks.parameters import RunParameters


@dataclass(frozen=True)
class RunOptions:
    """What a caller asks for; None means: as the settings say. Times are seconds, sizes bytes; no ``gpus`` are 0.

    ``params``, ``raw`` and ``files`` are as typed on the command line: ``NAME=VALUE`` with the value read as YAML,
    ``NAME=TEXT``, and files of parameters. ``on`` is the address of another machine or its name in the settings, and
    ``data`` says where ignored data lies there (``NAME=/folder/there``); ``slurm`` are options for Slurm
    (``partition=gpu,time=4:00:00``). :func:`resolve_launcher` turns these three into ``launcher`` and
    ``launcher_options``. ``argv`` is the command line to remember; ``notes`` go into the run's warnings.
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
    on: str | None = None
    slurm: str | None = None
    data: Sequence[str] = ()
    timeout: float | None = None
    cell_timeout: float | None = None
    hold_on_error: float | None = None
    gpus: int | None = None
    max_memory: int | None = None
    in_place: bool = False
    notify: bool = False
    group: str | None = None
    argv: Sequence[str] = ()
    launcher_options: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class RunPlan:
    """A run that is ready to be frozen and started. ``document`` is the notebook that runs, parameters set."""

    request: SnapshotRequest
    document: Node
    kernel: Kernel | None = None
    python: str | None = None


@dataclass(frozen=True)
class _Runtime:
    """What was decided about how the code runs, with the notes to tell."""

    engine: str
    launcher: str
    kernel: Kernel | None = None
    python: str | None = None
    notes: tuple[str, ...] = ()


def resolve_launcher(context: Context, options: RunOptions) -> RunOptions:
    """The options with their launcher and what it is asked for, in place of ``on``, ``slurm`` and ``data``.

    Raises:
        UsageFault: they do not fit together, or make no sense.
    """
    launcher = handover.launcher_of(options.launcher, on=options.on, slurm=options.slurm)
    name = launcher or context.settings.launcher
    launcher_options = handover.read_options(
        context,
        name,
        on=options.on,
        slurm=options.slurm,
        data=options.data,
        kernel=options.kernel,
        python=options.python,
    )
    kind = launchers.kind(name)
    for option, value, can in (
        ("--in-place", options.in_place, kind.in_place),
        ("--hold-on-error", options.hold_on_error, kind.can_hold),
    ):
        if value and not can:
            raise UsageFault(f"{option} needs this very file system on the node", hint=f"leave {option} out")
    return replace(
        options,
        launcher=launcher,
        launcher_options={**options.launcher_options, **launcher_options},
        on=None,
        slurm=None,
        data=(),
    )


def plan_run(context: Context, options: RunOptions) -> RunPlan:
    """Make a notebook ready to be frozen and run.

    Raises:
        InputMissing: no such notebook, or it is outside the repository. ParameterFault: a parameter is wrong.
        Unavailable: no kernel or interpreter for it. UsageFault: no such engine, or it cannot run this notebook.
    """
    source, path = _read_notebook(context, options.notebook)
    return _plan(context, options, source, path, {})


def plan_rerun(context: Context, options: RunOptions, repo: GitRepo, run_id: str) -> tuple[RunPlan, FrozenTree]:
    """Make the snapshot of an earlier run ready to be run once more, with its parameters and the given ones on top.

    ``options`` are what :func:`inherit` made of them.

    Raises:
        DataFault: it holds no notebook. Else as :func:`plan_run`.
    """
    spec = records.read_spec(repo, run_id)
    raw = repo.blob(run_id, f"{SNAP_DIR}/{SOURCE_FILE}") or (
        repo.blob(run_id, spec.notebook) if spec.notebook else None
    )
    if raw is None:
        raise DataFault(f"run {run_id[:8]} froze no notebook", hint="snaprun exec NOTEBOOK")
    values = parameters.from_json(records.read_params(repo, run_id))
    base_params = {name: values[name] for name in spec.given if name in values}
    source = notebook.parse(raw, context.place.top / spec.notebook)
    return _plan(context, options, source, spec.notebook, base_params), refreeze(repo, run_id, spec)


def inherit(options: RunOptions, spec: RunSpec) -> RunOptions:
    """The options of a run that repeats an earlier one: what they leave open is as it was."""
    defaults = {
        name: getattr(spec, name)
        for name in ("engine", "cell_timeout", "timeout", "gpus", "max_memory", "tags")
        if getattr(options, name) in (None, ())
    }
    return replace(options, **defaults)


def _plan(context: Context, options: RunOptions, source: Notebook, path: str, base: Mapping[str, Any]) -> RunPlan:
    engine, notes = _choose_engine(context, source, options)
    options = replace(options, notes=(*options.notes, *notes))
    values = {**base, **parameters.parse(options.params, options.raw, options.files)}
    resolution = parameters.resolve(source.node, source.language, values)
    runtime = _choose_runtime(context, source, options, engine)
    limits.check(context.env, runtime.launcher, gpu_count=options.gpus, max_memory=options.max_memory)
    return RunPlan(
        request=_notebook_request(context, options, path, source, resolution, runtime),
        document=cells.without_outputs(parameters.inject(source.node, resolution.overrides, source.language)),
        kernel=runtime.kernel,
        python=runtime.python,
    )


def _choose_engine(context: Context, source: Notebook, options: RunOptions) -> tuple[str, tuple[str, ...]]:
    """The engine, and why it is not the one that was hoped for. Raises UsageFault where there is none of that name."""
    engine = options.engine or context.settings.engine
    if engine in ENGINES:
        return engine, ()
    if engine != AUTO:
        suggestion = nearest(engine, [*ENGINES, AUTO])
        raise UsageFault(
            f"there is no engine {engine!r}", hint=f"--engine {suggestion or ' or '.join([*ENGINES, AUTO])}"
        )
    if options.kernel or context.settings.kernel:
        reason: str | None = "a kernel is asked for by name"
    elif options.hold_on_error is not None and not engines.kind(LIGHT).can_hold:
        reason = "only a kernel can be held on an error"
    else:
        from snaprun.engines import auto  # a start with a named engine need not pay for it

        reason = auto.needs_kernel(source.node, language=source.language)
    return (GENERAL, (f"run by a {GENERAL}, not {LIGHT}: {reason}",)) if reason else (LIGHT, ())


def plan_snapshot(context: Context, options: RunOptions) -> SnapshotRequest:
    """Make ready to freeze without running, with a notebook or without one. Raises as :func:`plan_run` does."""
    engine = options.engine or context.settings.engine
    runtime = _Runtime(GENERAL if engine == AUTO else engine, launcher=NO_LAUNCHER)
    if options.notebook is not None:
        source, path = _read_notebook(context, options.notebook)
        runtime = replace(runtime, engine=_choose_engine(context, source, options)[0])
        values = parameters.parse(options.params, options.raw, options.files)
        resolution = parameters.resolve(source.node, source.language, values)
        return _notebook_request(context, options, path, source, resolution, runtime)
    if options.params or options.raw or options.files:
        raise ParameterFault("parameters belong to a notebook", hint="snaprun snapshot NOTEBOOK -p NAME=VALUE")
    return _request(context, options, _spec(context, options, "", runtime))


def _read_notebook(context: Context, notebook_path: Path | None) -> tuple[Notebook, str]:
    """The notebook and its path from the top of the repository."""
    if notebook_path is None:
        raise UsageFault("no notebook is named", hint="snaprun exec NOTEBOOK")
    path = Path(os.path.abspath(context.cwd / notebook_path))
    source = notebook.read(path)
    for candidate in (path, Path(os.path.realpath(path.parent), path.name)):
        for top in (context.place.top, Path(os.path.realpath(context.place.top))):
            if candidate.is_relative_to(top):
                return source, candidate.relative_to(top).as_posix()
    raise InputMissing(f"{notebook_path} is outside the repository {context.place.top}", hint=f"cd {path.parent}")


def _choose_runtime(context: Context, source: Notebook, options: RunOptions, engine: str) -> _Runtime:
    """How the code will run; a kernel is chosen for the kernel engine only."""
    launcher = options.launcher or context.settings.launcher
    kernel_name = options.kernel or context.settings.kernel
    if not launchers.kind(launcher).abilities.shared_files:  # chosen there: what this machine has says nothing
        _refuse(source, engine, options)
        return _Runtime(engine, launcher, python=options.python)
    choice, available = _choose_python(context, source, options)
    _refuse(source, engine, options)
    kind = engines.kind(engine)
    if not kind.has_kernel:
        if kind.package is not None and choice is not None:
            interpreter.require(choice, kind.package, env=context.env)
        return _Runtime(engine, launcher, python=choice.python if choice else None)
    kernel, notes = kernels.choose(
        available,
        name=kernel_name,
        notebook_kernel=source.kernel,
        language=source.language,
        python=choice.python if choice else None,
    )
    if kernel.python is not None:
        is_same = choice is not None and choice.python == kernel.python
        interpreter.require(choice if is_same and choice else Interpreter(kernel.python, kernel.name), env=context.env)
    return _Runtime(engine, launcher, kernel, kernel.python or (choice.python if choice else None), notes)


def _choose_python(
    context: Context, source: Notebook, options: RunOptions
) -> tuple[Interpreter | None, Mapping[str, Kernel]]:
    """The interpreter of a Python notebook, and the kernels there are; another language has none unless asked for."""
    python = options.python or context.settings.python
    available = kernels.read_specs(context.env)
    if source.language != "python" and python is None:
        return None, available
    kernel = available.get((source.kernel or "").lower())
    choice = interpreter.choose_python(
        python,
        env=context.env,
        top=context.place.top,
        folder=source.path.parent,
        kernel=kernel.python if kernel else None,
    )
    return choice, kernels.read_specs(context.env, [os.fspath(Path(choice.python).parent.parent)])


def _refuse(source: Notebook, engine: str, options: RunOptions) -> None:
    """Refuse what an engine cannot do, before anything is frozen. Raises UsageFault."""
    engines.require_language(engine, source.language)
    if options.kernel is not None and not engines.kind(engine).has_kernel:
        hint = f"--engine {GENERAL}, or --python for an interpreter"
        raise UsageFault(f"the {engine} engine runs without a kernel, and --kernel names one", hint=hint)
    if options.hold_on_error is not None:
        engines.require_hold(engine, hint=f"--engine {GENERAL}")
    engines.check(engine, source.node, source.language, commented_magics=options.allow_commented_magics)


def _notebook_request(
    context: Context, options: RunOptions, path: str, source: Notebook, resolution: RunParameters, runtime: _Runtime
) -> SnapshotRequest:
    """What to freeze of a run of this notebook: its paired script holds the parameters."""
    node = parameters.inject(source.node, resolution.overrides, source.language)
    extension, text = notebook.script(node, source.language)
    spec = replace(
        _spec(context, options, path, runtime),
        kernel=runtime.kernel.name if runtime.kernel else source.kernel,
        python=runtime.python,
        language=source.language,
        script=f"{SNAP_DIR}/notebook{extension}",
        code_hash=source.code_hash,
        cells=len(source.cells),
        given=tuple(resolution.overrides),
        seed=seed_of(resolution.values),
        warnings=(*source.notes, *resolution.notes, *runtime.notes, *options.notes),
    )
    return replace(
        _request(context, options, spec),
        params=parameters.to_json(resolution.values),
        files={f"notebook{extension}": text.encode("utf-8", "surrogateescape")},
        source=source.raw,
    )


def _request(context: Context, options: RunOptions, spec: RunSpec) -> SnapshotRequest:
    """What to freeze, as far as the settings and the options say."""
    return SnapshotRequest(
        spec=spec,
        max_file_size=context.settings.max_file_size,
        include=(*context.settings.include, *options.include),
        allow_conflicts=options.allow_conflicts,
    )


def _spec(context: Context, options: RunOptions, path: str, runtime: _Runtime) -> RunSpec:
    """What is known of a run before its notebook is read."""
    settings = context.settings
    return RunSpec(
        notebook=path,
        created=utc(time.time()),
        engine=runtime.engine,
        launcher=runtime.launcher,
        argv=tuple(options.argv),
        name=options.name,
        message=options.message,
        tags=tuple(dict.fromkeys(options.tags)),
        group=options.group,
        host=socket.gethostname(),
        user=_user(context.env),
        in_place=options.in_place,
        timeout=options.timeout if options.timeout is not None else settings.timeout,
        cell_timeout=options.cell_timeout if options.cell_timeout is not None else settings.cell_timeout,
        gpus=options.gpus or None,
        max_memory=options.max_memory or None,
        versions={"snaprun": __version__},
    )


def _user(env: Mapping[str, str]) -> str:
    """Who runs it; a numeric user id where the system has no name for it, as in a bare container."""
    try:
        return env.get("LOGNAME") or env.get("USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def make_order(context: Context, options: RunOptions, plan: RunPlan, snapshot: Snapshot) -> Order:
    """What the supervisor of a run has to know beyond its snapshot."""
    settings = context.settings
    return Order(
        run=snapshot.id,
        place=context.place,
        grace=settings.grace,
        timeout=snapshot.spec.timeout,
        hold=options.hold_on_error,
        max_file_size=settings.max_file_size,
        link=tuple(settings.link),
        outputs=tuple(settings.outputs),
        index_url=settings.index_url,
        notify_command=settings.notify_command,
        kernel=plan.kernel.to_json() if plan.kernel else None,
        python=plan.python,
        options={
            "notify": options.notify,
            "commented_magics": options.allow_commented_magics,
            "variables": list(settings.environment),
            handover.LAUNCHER_OPTIONS: dict(options.launcher_options),
        },
    )
