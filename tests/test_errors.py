"""What the operating system refuses, as kinds of error with their exit codes: by the table, and in earnest."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys

import pytest

from snaprun import cli
from snaprun.errors import CannotCreate, Denied, SnaprunError, WriteFault, os_fault
from snaprun.remote import far

from .sandbox import Sandbox


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.EACCES, Denied, "ls -ld /there"),
        (errno.EPERM, Denied, "ls -ld /there"),
        (errno.EROFS, CannotCreate, "read-only"),
        (errno.ENOENT, CannotCreate, "mkdir -p /there"),
        (errno.ENOTDIR, CannotCreate, "ls -ld /there"),
        (errno.EISDIR, CannotCreate, "ls -ld /there"),
        (errno.ENOSPC, WriteFault, "df -h /there"),
        (errno.EDQUOT, WriteFault, "quota -s"),
        (errno.EFBIG, WriteFault, "ulimit -f"),
        (errno.EIO, WriteFault, "df -h /there"),
    ],
)
def test_what_is_known_has_one_kind_whoever_asks(number: int, kind: type[SnaprunError], hint: str) -> None:
    for otherwise in (WriteFault, CannotCreate, Denied):
        fault = os_fault(OSError(number, os.strerror(number)), "cannot write /there/x", "/there", otherwise=otherwise)
        assert type(fault) is kind
        assert fault.message == f"cannot write /there/x: {os.strerror(number)}"
        assert hint in fault.hint


@pytest.mark.parametrize("number", [errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EMFILE])
@pytest.mark.parametrize("kind", [WriteFault, CannotCreate, Denied])
def test_what_is_open_has_the_kind_of_the_place(number: int, kind: type[SnaprunError]) -> None:
    assert type(os_fault(OSError(number, os.strerror(number)), "x", "/there", otherwise=kind)) is kind


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "Permission denied: /a/b", "ls -ld /a"),
        (PermissionError(errno.EACCES, "Permission denied", b"/a/b"), "Permission denied: /a/b", "ls -ld /a"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device", "df -h"),
        (OSError(errno.EBADF, "Bad file descriptor", 7), "Bad file descriptor", "snaprun doctor"),
        (OSError("no number"), "no number", "snaprun doctor"),
    ],
)
def test_what_nobody_could_say_better(error: OSError, message: str, hint: str) -> None:
    fault = os_fault(error)
    assert (fault.message, fault.hint) == (message, hint)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 74),
        (PermissionError(errno.EACCES, "Permission denied"), 77),
        (OSError(errno.EROFS, "Read-only file system"), 73),
    ],
)
def test_the_command_line_and_the_far_side_say_the_same(
    error: OSError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(cli.group, "main", fail)
    assert cli.call([]) == code
    fault = os_fault(error)
    assert capsys.readouterr().err == f"snaprun: error: {fault.message}\nhint: {fault.hint}\n"
    monkeypatch.setattr("snaprun.remote.farlook.news", fail)
    answer, pieces = far.answer("news", {"protocol": far.PROTOCOL})
    assert (answer, pieces) == ({"error": fault.message, "hint": fault.hint, "code": code}, [])


def test_a_page_for_a_folder_that_is_not_there(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "1")
    repo.snaprun("snapshot", "nb.ipynb")
    done = repo.snaprun("diff", "@", "@", "--html", "no/such/page.html")
    assert done.returncode == CannotCreate.code
    assert done.stderr.splitlines()[-1] == "hint: mkdir -p no/such"


def limit_file_size() -> None:
    """What an ordinary user can have instead of a full disk: no file grows beyond 32 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32768, 32768))


def test_a_notebook_that_does_not_fit_is_a_write_fault_and_leaves_nothing(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", f"x = {'1' * 100_000!r}")
    repo.snaprun("exec", "nb.ipynb", "-q")
    target = repo.write("out/nb.ipynb", "precious")
    done = subprocess.run(
        [sys.executable, "-m", "snaprun", "open", "@", "-o", target, "--force"],
        cwd=repo.path,
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == WriteFault.code, done.stderr
    assert done.stderr.startswith(f"snaprun: error: cannot write {target}: ")
    assert [path.read_text() for path in target.parent.iterdir()] == ["precious"]
