"""What ``console`` and ``resume`` do: the prompt, and going on."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

import click

from snaprun import show
from snaprun.api.look import details
from snaprun.commands.running import ring, view
from snaprun.commands.terminal import load_context, stderr
from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.launchers import handover
from snaprun.lifecycle import resume
from snaprun.lifecycle.console import AnswerPiece, Console
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.model import Run
from snaprun.reader import find, require_launched

LEAVE = re.compile(r"(exit|quit)\s*(\(\s*\w*\s*\))?\s*;?")
"""What people type to leave a Python prompt."""

with contextlib.suppress(ImportError):  # not everywhere; it gives input() a history and arrow keys
    import readline  # noqa: F401


def talk(selector: str, code: str | None) -> int:
    """``snaprun console``: 1 where an expression given by ``-c`` failed."""
    context = load_context()
    run = find(context, selector)
    folder = _in_progress(context, run)
    handover.require_here(folder, "console")
    with Console(folder, with_subshell=not resume.is_held(folder)) as console:
        if code is not None:
            return _answer(console, code)
        _prompt(console, run, resume.is_held(folder))
    return 0


def go_on(
    run: str,
    *,
    edit: bool,
    source: Path | None,
    hold_on_error: float | None,
    notify: bool,
    detach: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """``snaprun resume``: a held run goes on; any other that did not succeed gets a further attempt."""
    context = load_context()
    target_run = find(context, run)
    folder = livefolder.find(context.place, target_run.id)
    if folder is not None and (hold_on_error is not None or notify):
        text = f"run {target_run.id[:8]} is in progress, and goes on as it was started"
        raise UsageFault(text, hint="--hold-on-error and --notify are for a further attempt")
    if folder is not None:
        handover.require_here(folder, "resume")
        resume.continue_held(folder, _new_source(context, folder, edit=edit, source=source))
    elif edit or source is not None:
        raise UsageFault(f"run {target_run.id[:8]} is not held", hint="--hold-on-error keeps a kernel after an error")
    else:
        resume.start_attempt(context, target_run, hold=hold_on_error, notify=notify)
    if detach:
        click.echo(show.as_json(details(context, target_run.id).to_json()) if as_json else target_run.id)
        return 0
    code = view(context, target_run.id, target_run.notebook, stops=True, to_stderr=as_json)
    if as_json:
        click.echo(show.as_json(details(context, target_run.id).to_json()))
    if not quiet:
        click.echo(show.end_line(find(context, target_run.id), stderr()), err=True)
    if notify:
        ring(code)
    return code


def _in_progress(context: Context, run: Run) -> Live:
    folder = livefolder.find(context.place, run.id)
    if folder is None:
        require_launched(run)
        raise UsageFault(f"run {run.id[:8]} has ended: it {run.status}", hint=f"snaprun open {run.id[:8]}")
    return folder


def _new_source(context: Context, folder: Live, *, edit: bool, source: Path | None) -> str | None:
    if source is not None:
        text = sys.stdin.buffer.read() if os.fspath(source) == "-" else source.read_bytes()
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageFault(f"{source} is no text in UTF-8: {error.reason}", hint=f"file {source}") from error
    if not edit:
        return None
    new_text = click.edit(resume.read_failed_source(context, folder), extension=".py")
    if new_text is None:
        text = f"nothing was saved: run {folder.id[:8]} is held as before"
        raise UsageFault(text, hint=f"snaprun resume {folder.id[:8]} tries the cell as it is")
    return new_text


def _answer(console: Console, code: str) -> int:
    has_failed = False
    for piece in console.ask(code):
        has_failed = has_failed or piece.kind == "error"
        _print(piece)
    return int(has_failed)


def _prompt(console: Console, run: Run, is_held: bool) -> None:
    name = run.name or run.id[:8]
    state = "held after an error" if is_held else "running"
    click.echo(f"the kernel of {name}, {state}; Ctrl-D leaves it as it is", err=True)
    if not is_held and not console.has_subshell:
        click.echo("this kernel answers only between two cells", err=True)
    prompts = (f"{name}> ", "... ") if sys.stdin.isatty() else ("", "")
    while True:
        try:
            code = input(prompts[0])
            while code.strip() and not console.is_complete(code):
                next_line = input(prompts[1])
                code += "\n" + next_line
                if not next_line.strip():
                    break
        except EOFError:
            click.echo("", err=True)
            return
        except KeyboardInterrupt:
            click.echo("", err=True)
            continue
        if LEAVE.fullmatch(code.strip()):
            return
        if code.strip():
            _wait(console, code)


def _wait(console: Console, code: str) -> None:
    try:
        _answer(console, code)
    except KeyboardInterrupt:
        click.echo("not waiting any longer; it goes on in the kernel", err=True)


def _print(piece: AnswerPiece) -> None:
    """What the code printed as it is; the colours of a traceback where they are wanted."""
    colour = stderr().colour if piece.kind == "error" else True
    click.echo(piece.text, nl=False, err=piece.kind in ("stderr", "error"), color=colour)
