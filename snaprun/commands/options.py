"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


class Duration(click.ParamType):
    """A length of time: seconds, or a number with a unit (``90``, ``1.5h``, ``1h30m``)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", str(value))
        if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([smhdw]?)|\s", "", str(value)):
            self.fail(f"{value!r} is no length of time: write 90, 30m, 1h30m or 2d", param, ctx)
        seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
        if seconds <= 0:
            self.fail(f"{value!r} is no time at all", param, ctx)
        return seconds


duration = Duration()


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

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
