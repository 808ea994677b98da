"""Locks between real processes: who waits, who is turned away, and what a kill frees."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import snaprun
from snaprun import filelock
from snaprun.live import lock
from snaprun.live.names import LOCK_FILE

from .sandbox import wait_for

HOLDER = """
import sys
from pathlib import Path
from snaprun import filelock
with filelock.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input is closed."""
    command = [sys.executable, "-c", HOLDER, os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder


def let_go(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_the_file_is_made_for_its_owner_alone_and_stays(path: Path) -> None:
    with filelock.hold(path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert path.exists()
    assert filelock.is_free(path)


def test_whoever_holds_it_turns_others_away(path: Path) -> None:
    with held(path):
        assert filelock.take(path) is None
        assert not filelock.is_free(path)
        with filelock.hold_within(path, 0) as is_held:
            assert not is_held
        start = time.monotonic()
        with filelock.hold_within(path, 0.2) as is_held:
            assert not is_held
        assert time.monotonic() - start >= 0.2
    assert filelock.is_free(path)


@pytest.mark.parametrize("patience", [60.0, math.inf])
def test_whoever_waits_has_it_afterwards(path: Path, patience: float) -> None:
    with held(path) as holder:
        threading.Timer(0.2, let_go, [holder]).start()
        with filelock.hold_within(path, patience) as is_held:
            assert is_held
            assert holder.wait() == 0
            assert filelock.take(path) is None
    assert filelock.is_free(path)


def test_a_kill_frees_it_for_whoever_waits(path: Path) -> None:
    with (
        held(path) as first,
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, os.fspath(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as second,
    ):
        assert second.stdout is not None
        first.send_signal(signal.SIGKILL)
        assert second.stdout.readline() == "held\n"
        assert filelock.take(path) is None
        second.send_signal(signal.SIGKILL)
        wait_for(lambda: filelock.is_free(path), "the lock")


COUNTER = """
import sys
from pathlib import Path
from snaprun import filelock
folder = Path(sys.argv[1])
for _ in range(200):
    with filelock.hold(folder / "lock"):
        count = int((folder / "count").read_text())
        (folder / "count").write_text(str(count + 1))
"""


def test_no_two_are_inside_at_once(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0")
    counters = [subprocess.Popen([sys.executable, "-c", COUNTER, tmp_path]) for _ in range(4)]
    assert [counter.wait() for counter in counters] == [0] * 4
    assert (tmp_path / "count").read_text() == "800"


def test_an_error_inside_frees_it(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), filelock.hold(path):
        raise KeyboardInterrupt
    assert filelock.is_free(path)


def test_a_child_has_it_only_where_it_is_given_it(path: Path) -> None:
    handle = filelock.take(path)
    assert handle is not None
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False) as child:
        os.close(handle)
        wait_for(lambda: filelock.is_free(path), "the lock")  # the kernel lets go a little after exec has begun
        child.communicate()
    handle = filelock.take(path)
    assert handle is not None
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[handle]) as child:
        os.close(handle)
        assert not filelock.is_free(path)
        child.communicate()
    assert filelock.is_free(path)


def test_a_folder_can_be_locked_too(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY) for _ in range(2))
    filelock.acquire(first)
    assert not filelock.try_acquire(second)
    os.close(first)
    assert filelock.try_acquire(second)
    os.close(second)


def test_a_lock_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    for action in (filelock.take, filelock.is_free, lambda path: filelock.hold(path).__enter__()):
        with pytest.raises(FileNotFoundError):
            action(tmp_path / "no" / "folder")


def test_the_end_of_a_live_folder_is_waited_for(tmp_path: Path) -> None:
    lock.wait_until_free(tmp_path / "gone")
    lock.make(tmp_path)
    with held(tmp_path / LOCK_FILE) as holder:
        threading.Timer(0.2, holder.kill).start()
        lock.wait_until_free(tmp_path)
        assert holder.wait() == -signal.SIGKILL
    handle = lock.take(tmp_path)
    assert handle is not None
    os.close(handle)


def test_flock_is_called_in_one_place() -> None:
    package = Path(snaprun.__file__).parent
    callers = [path for path in package.rglob("*.py") if "flock(" in path.read_text("utf-8")]
    assert callers == [package / "filelock.py"]
