"""Write the ``--help`` of every command into its page: ``python docs/refresh.py``. A test checks that it was done."""

from __future__ import annotations

import re
from pathlib import Path

import click

from snaprun.cli import SECTIONS, group

PAGES = Path(__file__).parent / "commands"
BLOCK = re.compile(r"(?<=<!-- help -->\n```text\n).*?(?=```\n<!-- /help -->)", re.DOTALL)


def help_text(names: list[str]) -> str:
    """What ``snaprun <names> --help`` prints at 100 columns."""
    command: click.Command = group
    context = click.Context(group, info_name="snaprun", terminal_width=100, **group.context_settings)
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
        context = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100)
    text = command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            text += f"\n\n$ snaprun {' '.join([*names, name])} --help\n" + help_text([*names, name]).rstrip()
    return text + "\n"


def refreshed(name: str, page: str) -> str:
    """The page with today's help in its block."""
    if not BLOCK.search(page):
        page += "\n## Options\n\n<!-- help -->\n```text\n```\n<!-- /help -->\n"
    return BLOCK.sub(lambda _: help_text([name]), page)


def main() -> None:
    """Refresh every page; a page that is missing is begun with its one line."""
    for section in SECTIONS.values():
        for name, line in section.items():
            path = PAGES / f"{name}.md"
            page = path.read_text() if path.exists() else f"# snaprun {name}\n\n{line}\n"
            path.write_text(refreshed(name, page))


if __name__ == "__main__":
    main()
