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
    from snaprun.commands.terminal import load_context, stdout

    settings = load_context().settings.rows()
    if as_json:
        entries = [{"name": name, "value": value, "origin": origin} for name, value, origin in settings]
        click.echo(show.as_json({"schema": 1, "settings": entries}))
    else:
        click.echo(show.settings(settings, stdout()))
    return 0
