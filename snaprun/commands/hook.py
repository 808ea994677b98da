"""``snaprun hook``: the git hook that checks notebooks when they are committed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snaprun.commands.options import json_option
from snaprun.errors import UsageFault
from snaprun.hooks.kinds import DEFAULT_KINDS, KINDS

if TYPE_CHECKING:
    from snaprun.api.hook import Report


class Kinds(click.ParamType):  # type: ignore[type-arg]
    """Kinds of hooks, separated by commas."""

    name = "kinds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        if not str(value).strip(", "):
            self.fail("name a hook", param, ctx)
        kinds = tuple(dict.fromkeys(word.strip() for word in str(value).split(",") if word.strip()))
        for word in kinds:
            if word not in KINDS:
                self.fail(f"{word!r} is none of {', '.join(KINDS)}", param, ctx)
        return kinds


kinds_option = click.option(
    "--type",
    "kinds",
    type=Kinds(),
    default=",".join(DEFAULT_KINDS),
    show_default=True,
    help="Which hooks, comma-separated.",
)
dry_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.group("hook", short_help="Check notebooks when they are committed.")
def command() -> None:
    """Check notebooks when they are committed: in sync with their script, run as they are, free of secrets.

    \b
      snaprun hook install                    check every commit in this repository
      snaprun hook status                     is it there, and does it work?
      snaprun hook run pre-commit             check what is staged now
      SNAPRUN_SKIP=run git commit             leave one check out, this once

    Everything is read from the index that git is about to commit, never from the files on disk. The settings' table
    hook says what is demanded: off, warn or require, by check and by path.
    """


@command.command("install", short_help="Install the hook into this repository.")
@kinds_option
@click.option(
    "--mode",
    type=click.Choice(["check", "fix"]),
    default="check",
    show_default=True,
    help="fix: also stage the other half of a pair that is stale.",
)
@click.option(
    "--via",
    type=click.Choice(["file", "config"]),
    default="file",
    show_default=True,
    help="config: name the hook in git's configuration, from git 2.54 on; no hook file is touched.",
)
@click.option(
    "--force", is_flag=True, help="Install also where another program manages the hooks, and run its hook first."
)
@dry_option
def install(kinds: tuple[str, ...], mode: str, via: str, force: bool, dry_run: bool) -> None:
    """Install the hook into this repository, for it alone; a hook that is there already is kept, and runs first.

    \b
      snaprun hook install
      snaprun hook install --mode fix
      snaprun hook install --type pre-commit,commit-msg,post-commit
      snaprun hook install --dry-run

    Installing again is harmless and brings an older hook up to date.
    """
    import os

    from snaprun.api import hook
    from snaprun.hooks.install import ManagerConflict

    try:
        steps = hook.install(
            Path.cwd(),
            os.environ,
            kinds,
            fix=mode == "fix",
            force=force,
            in_config=via == "config",
            dry_run=dry_run,
        )
    except ManagerConflict as error:
        click.echo(error.block, nl=False)
        raise
    for step in steps:
        click.echo(f"{step.hook}: {step.outcome}  {step.path}")


@command.command("uninstall", short_help="Take the hook out again.")
@click.option("--type", "kinds", type=Kinds(), default=",".join(KINDS), help="Which hooks, comma-separated; else all.")
@click.option("--force", is_flag=True, help="Remove it also if it was edited.")
@dry_option
def uninstall(kinds: tuple[str, ...], force: bool, dry_run: bool) -> None:
    """Take the hook out again, and put back the one that was there before.

    \b
      snaprun hook uninstall
      snaprun hook uninstall --dry-run

    A file that is not ours, or that was edited, is left alone.
    """
    import os

    from snaprun.api import hook

    steps = hook.uninstall(Path.cwd(), os.environ, kinds, force=force, dry_run=dry_run)
    for step in steps:
        click.echo(f"{step.hook}: {step.outcome}  {step.path}")
    if not steps:
        click.echo("there is no hook of ours", err=True)


@command.command("status", short_help="Say whether the hook is installed and works.")
@json_option
def status(as_json: bool) -> int:
    """Say whether the hook is installed and works.

    \b
      snaprun hook status
      snaprun hook status --json

    Exit code 0: commits are checked; 1: the hook is not installed; 2: it is, and cannot work.
    """
    import json
    import os

    from snaprun.api.hook import read_status
    from snaprun.hooks import report

    hook_status = read_status(Path.cwd(), os.environ)
    if as_json:
        click.echo(json.dumps(hook_status.to_json(), indent=2))
    else:
        click.echo("\n".join(report.status_lines(hook_status)))
    return hook_status.exit_code


@command.command("run", short_help="Do what git calls the hook for.")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("args", nargs=-1, type=click.Path())
@click.option("--fix", is_flag=True, help="Stage the other half of a pair that is stale.")
@click.option("--framework", is_flag=True, help="Called by a framework (pre-commit, prek): stage nothing.")
@click.option("--require", "require_runs", is_flag=True, help="Miss runs also in a clone that has none at all.")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Only what is wrong.")
def run(
    kind: str, args: tuple[str, ...], fix: bool, framework: bool, require_runs: bool, as_json: bool, quiet: bool
) -> int:
    """Do what git calls the hook for: check what is staged (pre-commit), or write the trailer (commit-msg FILE).

    \b
      snaprun hook run pre-commit                    check what is staged now
      snaprun hook run --fix pre-commit              and stage the stale half of pairs
      snaprun hook run pre-commit train.ipynb        only this notebook
      SNAPRUN_SKIP=pair,run git commit               leave checks out; all leaves out every one

    Exit code 1 refuses the commit.
    """
    import os
    import time

    from snaprun.api.hook import CheckOptions, check_staged, write_trailers

    if kind == "commit-msg":
        if len(args) != 1:
            raise UsageFault("commit-msg takes the file with the message", hint="snaprun hook run commit-msg FILE")
        write_trailers(Path.cwd(), os.environ, Path(args[0]))
        return 0
    if kind in ("post-commit", "post-rewrite"):
        return _print_links()
    options = CheckOptions(args, fix, framework, require_runs, in_merge=kind == "pre-merge-commit")
    report = check_staged(Path.cwd(), os.environ, options, now=time.time())
    return _print_report(report, as_json=as_json, quiet=quiet)


def _print_report(outcome: Report, *, as_json: bool, quiet: bool) -> int:
    """Print what the hook found; the exit code refuses the commit where it must."""
    import json
    import sys

    from snaprun.hooks import report

    if as_json:
        click.echo(json.dumps(report.to_json(outcome), indent=2))
    else:
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        for line in report.lines(outcome, quiet=quiet):
            click.echo(line if utf8 else line.replace("…", "..."))
    if not outcome.refused:
        return 0
    count = f"{outcome.refused} problem{'s' if outcome.refused > 1 else ''}"
    click.echo(f"snaprun: error: {count} in the notebooks that are staged", err=True)
    click.echo("hint: mend them, or leave checks out: SNAPRUN_SKIP=pair,run,outputs,secrets,size git commit", err=True)
    return 1


def _print_links() -> int:
    """The post-commit hook: which run the commit is from. Runs that cannot be read are no error: the commit is made."""
    import os

    from snaprun.api.hook import find_links
    from snaprun.errors import SnaprunError
    from snaprun.hooks.messages import describe_run
    from snaprun.printable import one_line

    links = find_links(Path.cwd(), os.environ)
    try:
        for link in links:
            click.echo(f"snaprun: {one_line(link.path)} is from run {describe_run(link.run)}", err=True)
    except SnaprunError as error:
        click.echo(f"snaprun: warning: {error.message}", err=True)
    return 0
