"""From the options that say where a run runs to the launcher, and what it is asked for."""

from __future__ import annotations

from typing import Any

from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.launchers import handover


def resolve_launcher(context: Context, options: dict[str, Any]) -> dict[str, Any]:
    """The options of :func:`snaprun.commands.options.where_options`, ``--on``, ``--slurm`` and ``--data`` turned into
    the launcher and its options.

    Raises:
        UsageFault: they do not fit together, or make no sense.
    """
    run_options = {name: value for name, value in options.items() if name not in ("on", "slurm", "data")}
    on, slurm, data = options["on"], options["slurm"], options["data"]
    launcher = handover.launcher_of(options["launcher"], on=on, slurm=slurm)
    launcher_options = handover.read_options(
        context, on=on, slurm=slurm, data=data, kernel=options["kernel"], python=options["python"]
    )
    if handover.GIT_URL in launcher_options:
        for name in ("in_place", "hold_on_error"):
            if options.get(name):
                option = f"--{name.replace('_', '-')}"
                raise UsageFault(f"{option} needs this very file system on the node", hint=f"leave {option} out")
    return {**run_options, "launcher": launcher, "launcher_options": launcher_options}
