"""Options that several commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from snaprun.quantities import parse_size

if TYPE_CHECKING:  # commands import the library when they are called, so that --help is there at once
    from _typeshed import DataclassInstance

    from snaprun.api.compare import CompareOptions, PlotOptions
    from snaprun.api.history import HistoryOptions
    from snaprun.api.run import RunOptions
    from snaprun.api.sweep import SweepOptions
    from snaprun.commands.view import ViewOptions

    Options = TypeVar("Options", bound=DataclassInstance)

Command = TypeVar("Command", bound=Callable[..., Any])
Rest = ParamSpec("Rest")
"""The parameters of a command beside the options that it takes as one."""


def gather(
    load: Callable[[], type[Options]],
) -> Callable[[Callable[Concatenate[Options, Rest], int]], Callable[Rest, int]]:
    """Give a command one dataclass in place of those options of it that the dataclass has a field for.

    It is the command's first parameter; of two such decorators the lower one's comes first. ``load`` imports the
    dataclass when the command is called.
    """

    def decorate(command: Callable[Concatenate[Options, Rest], int]) -> Callable[Rest, int]:
        @wraps(command)
        def call(*args: Rest.args, **values: Rest.kwargs) -> int:
            kind = load()
            fields: dict[str, Any] = {name: values.pop(name) for name in kind.__dataclass_fields__ if name in values}
            return command(kind(**fields), *args, **values)

        return call

    return decorate


def run_options() -> type[RunOptions]:
    """What to run, how and where."""
    from snaprun.api.run import RunOptions

    return RunOptions


def sweep_options() -> type[SweepOptions]:
    """What varies, and how the runs take turns."""
    from snaprun.api.sweep import SweepOptions

    return SweepOptions


def view_options() -> type[ViewOptions]:
    """How to hear of what was started."""
    from snaprun.commands.view import ViewOptions

    return ViewOptions


def history_options() -> type[HistoryOptions]:
    """Which runs to list."""
    from snaprun.api.history import HistoryOptions

    return HistoryOptions


def compare_options() -> type[CompareOptions]:
    """Which runs to compare, and how."""
    from snaprun.api.compare import CompareOptions

    return CompareOptions


def plot_options() -> type[PlotOptions]:
    """Which runs to draw, and how."""
    from snaprun.api.compare import PlotOptions

    return PlotOptions


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


def choose_count(filters: HistoryOptions, *, everything: bool) -> HistoryOptions:
    """What a table or a chart is of: all runs of a sweep unless the user says how many, since the mean over some of its
    seeds says nothing."""
    from dataclasses import replace

    is_default = click.get_current_context().get_parameter_source("count") is ParameterSource.DEFAULT
    return replace(filters, count=None) if everything or (is_default and filters.group) else filters


COUNT_MOST = 1_000_000
"""More runs at a time, or attempts of one, than anybody means; the index could not hold any number."""


def stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, listed in ``--help`` in the order given."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


filters = stack(
    click.option("--status", multiple=True, metavar="STATUS", help="Only runs of this status; may be given again."),
    click.option("--notebook", metavar="PATH", help="Only runs of this notebook (a path, a name, or a glob)."),
    click.option("--since", metavar="WHEN", help="Only runs since then: 2h, 3d, 1w, or a date."),
    click.option("--name", metavar="NAME", help="Only runs with this name."),
    click.option("--tag", metavar="TAG", help="Only runs with this tag."),
    click.option("--group", metavar="ID", help="Only runs of this sweep."),
    click.option("--commit", metavar="REV", help="Only runs that belong to this commit of yours, or run of that id."),
    click.option(
        "--where", metavar="EXPR", help="""Only runs for which this holds: 'lr < 0.1 and status == "failed"'."""
    ),
)

group_options = stack(
    click.option(
        "--mean/--no-mean",
        default=None,
        help="Put runs together that differ in nothing but their seed; so it is for a sweep (--group) with seeds.",
    ),
    click.option(
        "--by", multiple=True, metavar="NAME", help="Put runs together by this parameter; may be given again."
    ),
)

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
