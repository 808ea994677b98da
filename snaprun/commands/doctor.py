"""``snaprun doctor``: look for what is wrong."""

from __future__ import annotations

import click

from snaprun.commands.options import json_option


@click.command("doctor", short_help="Look for what is wrong here, and say how to mend it.")
@json_option
def command(as_json: bool) -> int:
    """Look at git, the state folder, the index, locks and unfinished runs; say what is wrong and how to mend it.

    \b
      snaprun doctor

    Exit code 65 when something is wrong.
    """
    from dataclasses import asdict

    from snaprun import show
    from snaprun.api.keep import examine
    from snaprun.commands.terminal import load_context, stdout

    findings = list(examine(load_context()))
    if as_json:
        click.echo(show.as_json({"schema": 1, "findings": [asdict(finding) for finding in findings]}))
    else:
        click.echo(show.findings(findings, stdout()))
    return 0 if all(finding.fine for finding in findings) else 65
