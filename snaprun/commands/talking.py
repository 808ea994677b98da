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
from snaprun.commands.terminal import here, stderr
from snaprun.context import Door
from snaprun.errors import UsageFault
from snaprun.lifecycle import handover, resume
from snaprun.lifecycle.console import Console, Said
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.model import Run, Status
from snaprun.reader import find

LEAVE = re.compile(r"(exit|quit)\s*(\(\s*\w*\s*\))?\s*;?")
"""What people type to leave a Python prompt."""

with contextlib.suppress(ImportError):  # not everywhere; it gives input() a history and arrow keys
    import readline  # noqa: F401


def talk(selector: str, code: str | None) -> int:
    """``snaprun console``: 1 where an expression given by ``-c`` failed."""
    door = here()
    run = find(door, selector)
    folder = _in_progress(door, run)
    handover.require_here(folder, "console")
    with Console(folder, apart=not resume.held(folder)) as console:
        if code is not None:
            return _answer(console, code)
        _prompt(console, run, resume.held(folder))
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
    door = here()
    found = find(door, run)
    folder = livefolder.find(door.place, found.id)
    if folder is not None and (hold_on_error is not None or notify):
        text = f"run {found.id[:8]} is in progress, and goes on as it was started"
        raise UsageFault(text, hint="--hold-on-error and --notify are for a further attempt")
    if folder is not None:
        handover.require_here(folder, "resume")
        resume.go_on(folder, _new_source(door, folder, edit=edit, source=source))
    elif edit or source is not None:
        raise UsageFault(f"run {found.id[:8]} is not held", hint="--hold-on-error keeps a kernel after an error")
    else:
        resume.again(door, found, hold=hold_on_error, notify=notify)
    if detach:
        click.echo(show.as_json(details(door, found.id).to_json()) if as_json else found.id)
        return 0
    code = view(door, found.id, found.notebook, stops=True, to_stderr=as_json)
    if as_json:
        click.echo(show.as_json(details(door, found.id).to_json()))
    if not quiet:
        click.echo(show.ended(find(door, found.id), stderr()), err=True)
    if notify:
        ring(code)
    return code


def _in_progress(door: Door, run: Run) -> Live:
    folder = livefolder.find(door.place, run.id)
    if folder is None and run.status is Status.SAVED:
        raise UsageFault(f"run {run.id[:8]} is only a snapshot: nothing runs", hint=f"snaprun rerun {run.id[:8]}")
    if folder is None:
        raise UsageFault(f"run {run.id[:8]} has ended: it {run.status}", hint=f"snaprun open {run.id[:8]}")
    return folder


def _new_source(door: Door, folder: Live, *, edit: bool, source: Path | None) -> str | None:
    if source is not None:
        text = sys.stdin.buffer.read() if os.fspath(source) == "-" else source.read_bytes()
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageFault(f"{source} is no text in UTF-8: {error.reason}", hint=f"file {source}") from error
    if not edit:
        return None
    changed = click.edit(resume.failed_source(door, folder), extension=".py")
    if changed is None:
        text = f"nothing was saved: run {folder.id[:8]} is held as before"
        raise UsageFault(text, hint=f"snaprun resume {folder.id[:8]} tries the cell as it is")
    return changed


def _answer(console: Console, code: str) -> int:
    failed = False
    for piece in console.ask(code):
        failed = failed or piece.kind == "error"
        _print(piece)
    return int(failed)


def _prompt(console: Console, run: Run, held: bool) -> None:
    name = run.name or run.id[:8]
    state = "held after an error" if held else "running"
    click.echo(f"the kernel of {name}, {state}; Ctrl-D leaves it as it is", err=True)
    if not held and not console.apart:
        click.echo("this kernel answers only between two cells", err=True)
    asked = (f"{name}> ", "... ") if sys.stdin.isatty() else ("", "")
    while True:
        try:
            code = input(asked[0])
            while code.strip() and not console.is_complete(code):
                more = input(asked[1])
                code += "\n" + more
                if not more.strip():
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


def _print(piece: Said) -> None:
    """What the code printed as it is; the colours of a traceback where they are wanted."""
    colour = stderr().colour if piece.kind == "error" else True
    click.echo(piece.text, nl=False, err=piece.kind in ("stderr", "error"), color=colour)
