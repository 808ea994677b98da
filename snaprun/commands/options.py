"""Options that several commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from snaprun.quantities import parse_size

Command = TypeVar("Command", bound=Callable[..., Any])


def duration(text: str) -> float:
    """The type of a length of time: seconds, or numbers with units (``90``, ``1.5h``, ``1h30m``, ``1w``)."""
    from snaprun.settings import read_limit

    try:
        length = read_limit(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no length of time: write 90, 30m, 1h30m or 2d") from error
    if length is None:
        raise click.BadParameter("leave the option away for no limit")
    return length


def hold(text: str) -> float:
    """The type of ``--hold-on-error``, whose value may be left away: then the next word must not be taken for it."""
    try:
        return duration(text)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message}; or put the option behind the notebook") from error


def size(text: str) -> int:
    """The type of a size: bytes, or a number with a unit (``500M``, ``4G``, ``1.5GiB``)."""
    count = parse_size(text)
    if count is None:
        raise click.BadParameter(f"{text!r} is no size: write 500M, 4G or 1.5GiB")
    return count


def how_many(options: Mapping[str, Any]) -> int | None:
    """How many runs a table or a chart is of: all of a sweep unless the user says otherwise, since the mean over some
    of its seeds says nothing."""
    is_default = click.get_current_context().get_parameter_source("count") is ParameterSource.DEFAULT
    return None if is_default and options.get("group") else options["count"]


COUNT_MOST = 1_000_000
"""More runs at a time, or attempts of one, than anybody means; the index could not hold any number."""


def stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, listed in ``--help`` in the order given."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


params_options = stack(
    click.option(
        "-p", "--param", "params", multiple=True, metavar="NAME=VALUE", help="Parameter; the value is read as YAML."
    ),
    click.option(
        "-r", "--raw", "raw", multiple=True, metavar="NAME=TEXT", help="Parameter; the value is this very text."
    ),
    click.option(
        "-f",
        "--params-file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Parameters from a .yaml, .json or .toml file; -p and -r go before.",
    ),
)

snapshot_options = stack(
    click.option("--name", metavar="NAME", help="A name to find the run by."),
    click.option("-m", "--message", metavar="TEXT", help="What this run is about."),
    click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A tag; may be given again."),
    click.option(
        "--include", multiple=True, metavar="PATH", help="Freeze this file even if it is large or looks like a secret."
    ),
    click.option("--allow-conflicts", is_flag=True, help="Freeze a work tree with unresolved merge conflicts."),
)

code_options = stack(
    click.option("--kernel", metavar="NAME", help="Jupyter kernel to run with, instead of the notebook's own."),
    click.option(
        "--python", metavar="PATH", help="Python interpreter to run with, instead of the active environment's."
    ),
    click.option("--engine", metavar="NAME", help="How code runs: kernel (the default), inline, script or auto."),
    click.option(
        "--allow-commented-magics", is_flag=True, help="Let the script engine leave magics and shell lines out."
    ),
)


def where_options(run: str, jobs: str) -> Callable[[Command], Command]:
    """How and where code runs, and for how long; ``run`` is what a limit ends, ``jobs`` what Slurm makes of it."""
    return stack(
        code_options,
        click.option(
            "--launcher", metavar="NAME", help="Where it runs: local (the default), tmux, ssh, slurm or a plug-in."
        ),
        click.option(
            "--on", metavar="HOST", help="Run on another machine: ssh://host/path, or a name from the settings."
        ),
        click.option("--data", multiple=True, metavar="NAME=FOLDER", help="Where ignored data lies on that machine."),
        click.option("--slurm", metavar="OPTIONS", help=f"Run as {jobs}: partition=gpu,time=4:00:00,gres=gpu:1"),
        click.option(
            "--timeout", type=duration, metavar="TIME", help=f"Stop {run} after this long (90, 30m, 2h): exit 124."
        ),
        click.option(
            "--cell-timeout", type=duration, metavar="TIME", help=f"Stop {run} when one cell takes longer: exit 124."
        ),
    )


limit_options = stack(
    click.option(
        "--gpus", type=click.IntRange(0), metavar="N", help="Give the run N GPUs of its own, by CUDA_VISIBLE_DEVICES."
    ),
    click.option(
        "--max-memory", type=size, metavar="SIZE", help="End a run that uses more (500M, 4G): exit 137. Measured."
    ),
)

hold_option = click.option(
    "--hold-on-error",
    type=hold,
    is_flag=False,
    flag_value="30m",
    metavar="[TIME]",
    help="Keep the kernel after an error, 30m by default, for console and resume.",
)

notify_option = click.option("--notify", is_flag=True, help="Ring the terminal and the desktop when the run ends.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
