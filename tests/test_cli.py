"""The door: errors become two lines and a code, and what is not needed is not imported."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from snaprun import cli
from snaprun.errors import ParameterFault
from tests.sandbox import Sandbox

HEAVY = ["sqlalchemy", "alembic", "git", "jupytext", "nbformat", "nbclient", "IPython", "rich", "psutil", "yaml"]


def imported(*args: str, cwd: Path) -> set[str]:
    """The top-level modules that a call of snaprun imports."""
    code = (
        "import sys, json, atexit; from snaprun import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "finally: print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=cwd, capture_output=True, text=True, check=False)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["exec", "--help"], ["history", "--help"]])
def test_help_imports_nothing_heavy(repo: Sandbox, args: list[str]) -> None:
    assert not imported(*args, cwd=repo.path) & {*HEAVY, "sqlite3", "tabulate"}


def test_every_command_has_help_that_opens_with_examples() -> None:
    context = click.Context(cli.group)
    for names in cli.SECTIONS.values():
        for name, line in names.items():
            command = cli.group.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.get_short_help_str(200) == line, name
            assert f"snaprun {name}" in (command.help or ""), f"{name}: no example"
            for param in command.params:
                assert not isinstance(param, click.Option) or param.help, f"{name} {param.name}: no help"


def test_an_error_is_two_lines_and_a_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: object) -> int:
        raise ParameterFault("there is no parameter 'x'\nin nb.ipynb", hint="-p y=1")

    monkeypatch.setattr(cli.group, "main", fail)
    assert cli.call([]) == 64
    assert capsys.readouterr().err == "snaprun: error: there is no parameter 'x' in nb.ipynb\nhint: -p y=1\n"


def test_a_bug_leaves_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(**_: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(cli.group, "main", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.call(["exec"]) == 70
    error, hint = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: oops" in error
    report = Path(hint.rsplit(" ", 1)[1])
    assert "Traceback" in report.read_text()


def test_a_wrong_call_is_two_lines_too(repo: Sandbox) -> None:
    done = repo.snaprun("history", "--nonsense")
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error.startswith("snaprun: error: No such option")
    assert "--nonsense" in error
    assert hint == "hint: snaprun history --help"


def test_an_unknown_command(repo: Sandbox) -> None:
    done = repo.snaprun("hist")
    assert done.returncode == 2
    assert done.stderr.startswith("snaprun: error: No such command 'hist'")


def test_not_a_repository(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snaprun", "history"],
        cwd=tmp_path,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69
    assert done.stderr == f"snaprun: error: {tmp_path} is not in a git repository\nhint: git init\n"


def test_closed_standard_streams(repo: Sandbox) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m snaprun --version <&- 2>&-"],
        cwd=repo.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "snaprun 0.1.0\n")


@pytest.mark.parametrize("args", ["--help", "history", "ps --json"])
def test_a_reader_that_leaves(repo: Sandbox, args: str) -> None:
    repo.notebook("nb.ipynb", "1")
    repo.snaprun("exec", "nb.ipynb", "--engine", "inline", "-q")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "snaprun", *args.split()]
    done = subprocess.run(command, cwd=repo.path, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_what_cannot_be_said_changes_nothing(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "print('ran')", "exit(3)")
    for args, code in (("wait nosuch", 65), ("ps", 0), ("exec nb.ipynb --engine inline", 3)):
        with open("/dev/full", "wb") as full:
            command = [sys.executable, "-m", "snaprun", *args.split()]
            done = subprocess.run(command, cwd=repo.path, stdout=subprocess.PIPE, stderr=full, check=False)
        assert done.returncode == code, args
    assert done.stdout == b"ran\n"
    listed = repo.snaprun("history", "-q").stdout.split()
    assert len(listed) == 1
    assert repo.git("for-each-ref", "--format=%(refname)", "refs/snaprun/runs").split() == [
        f"refs/snaprun/runs/{listed[0]}"
    ]


@pytest.mark.parametrize("command", ["history", "ps"])
def test_a_listing_imports_only_what_it_needs(repo: Sandbox, command: str) -> None:
    repo.notebook("nb.ipynb", "1")
    assert repo.snaprun("snapshot", "nb.ipynb").returncode == 0
    found = imported(command, cwd=repo.path)
    assert {"sqlite3", "click", *(["tabulate"] if command == "history" else [])} <= found
    assert not found & set(HEAVY) - ({"psutil"} if command == "ps" else set())  # it says what processes use


def test_a_start_imports_no_index(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "1")
    found = imported("exec", "nb.ipynb", "--detach", cwd=repo.path)
    assert "jupytext" in found
    assert not found & {"sqlalchemy", "alembic", "nbclient", "IPython", "zmq", "rich", "psutil"}
    assert repo.snaprun("wait", "@").returncode == 0


def test_every_option_reaches_its_command() -> None:
    """What click hands over by name is what a command takes: alone, or as a field of the options that it gathers."""
    for path, command in _commands(cli.group, ()):
        names = {str(param.name) for param in command.params}
        function, count = command.callback, 0
        while hasattr(function, "__wrapped__"):
            load = inspect.getclosurevars(function).nonlocals.get("load")  # None: click.pass_context
            if load is not None:
                fields = {field.name for field in dataclasses.fields(load())}
                assert fields & names, f"{path}: no option for {load()}"
                names -= fields
            function, count = function.__wrapped__, count + 1
        assert function is not None
        parameters = list(inspect.signature(function).parameters.values())
        assert {parameter.name for parameter in parameters[count:]} == names, path
        assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters), path


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
