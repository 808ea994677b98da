"""``snaprun config``: every setting, its value, and where that comes from."""

from __future__ import annotations

import click

from snaprun.commands.options import json_option


@click.command("config", short_help="Show every setting and where its value comes from.")
@json_option
def command(as_json: bool) -> int:
    """Show every setting with its value and where that comes from.

    \b
      snaprun config

    From lowest to highest: built in, your own config.toml, [tool.snaprun] in pyproject.toml or snaprun.toml at the top
    of the repository, SNAPRUN_* variables, options of a command.
    """
    from snaprun import show
    from snaprun.commands.terminal import here, stdout

    listed = here().settings.listed()
    if as_json:
        found = [{"name": name, "value": value, "origin": origin} for name, value, origin in listed]
        click.echo(show.as_json({"schema": 1, "settings": found}))
    else:
        click.echo(show.settings(listed, stdout()))
    return 0
