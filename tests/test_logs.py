"""``snaprun logs`` as a real process: bytes, times, tails and cells, of runs in progress and of ended ones."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests import running
from tests.sandbox import Sandbox, wait_for

STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d)  (.*\n?)")
SLOW = """import os, time
print('first', flush=True)
while not os.path.exists(r'{}'): time.sleep(0.02)
print('second', end='', flush=True); print(' half')
print('10% 100%')"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that the notebook waits for."""
    return tmp_path / "gate"


@pytest.fixture
def going(repo: Sandbox, gate: Path) -> str:
    """The id of a run that has printed its first line and waits."""
    repo.notebook("slow.ipynb", SLOW.format(gate), "print('third')")
    run = repo.snaprun("exec", "slow.ipynb", "--detach", "--engine", "inline").stdout.strip()
    running.found(repo, run).until_logged("first\n")
    return run


def parted(text: str) -> tuple[list[datetime], list[str]]:
    """The times and the lines of a stamped log."""
    found = [STAMP.fullmatch(line + "\n") for line in text.split("\n")[:-1]]
    assert all(found), text
    return [datetime.fromisoformat(match[1]) for match in found if match], [match[2] for match in found if match]


def test_lines_have_their_times_during_a_run_and_after_it(repo: Sandbox, going: str, gate: Path) -> None:
    before, lines = parted(repo.snaprun("logs", "--timestamps").stdout)
    assert lines == ["first\n"]
    follower = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "logs", "-f", "--timestamps"],
        cwd=repo.path,
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline().endswith(b"first\n")
    resumed = datetime.now().astimezone()
    gate.touch()
    rest = follower.communicate()[0].decode()
    assert follower.returncode == 0
    times, lines = parted(rest)
    assert lines == ["second half\n", "10% 100%\n", "third\n"]
    assert repo.snaprun("wait", going).returncode == 0

    after, lines = parted(repo.snaprun("logs", "--timestamps").stdout)
    assert lines == ["first\n", "second half\n", "10% 100%\n", "third\n"]
    assert after[0] == before[0]
    assert after == sorted(after)
    assert (resumed - after[1]).total_seconds() < 0.2  # a tenth of a second is what a flush may join
    assert after[1:] == times
    assert parted(repo.snaprun("logs", "--timestamps", "--tail", "1").stdout) == ([after[-1]], ["third\n"])
    assert repo.snaprun("logs", "--tail", "1").stdout == "third\n"


def test_a_follower_that_starts_with_a_tail_misses_nothing(repo: Sandbox, going: str, gate: Path) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "logs", "-f", "--tail", "0"], cwd=repo.path, stdout=subprocess.PIPE
    )
    gate.touch()
    said = follower.communicate()[0].decode()
    assert said in ("second half\n10% 100%\nthird\n", "")  # nothing where all of it was there before
    assert repo.snaprun("logs").stdout == "first\nsecond half\n10% 100%\nthird\n"


@pytest.mark.parametrize("command", ["logs -f", "attach"])
def test_a_follower_whose_reader_leaves_ends_though_nothing_is_printed(
    repo: Sandbox, going: str, gate: Path, command: str
) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "snaprun", *command.split()],
        cwd=repo.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"first\n"
    follower.stdout.close()
    assert wait_for(lambda: follower.poll(), "the end of the follower") == 141
    assert repo.snaprun("ps", "-q").stdout.split() == [going]
    gate.touch()


def test_a_cell_that_is_not_there(repo: Sandbox, going: str, gate: Path) -> None:
    assert repo.snaprun("logs", "--cell", "2").returncode == 0
    during = repo.snaprun("logs", "--cell", "3")
    gate.touch()
    assert repo.snaprun("wait", going).returncode == 0
    after = repo.snaprun("logs", "--cell", "3")
    said = f"snaprun: error: the notebook of run {going[:8]} has no code cell 3"
    for done in (during, after):
        assert (done.returncode, done.stderr.splitlines()[0]) == (65, said)


def test_one_cell_and_its_last_lines(repo: Sandbox, going: str, gate: Path) -> None:
    gate.touch()
    repo.snaprun("wait", going)
    assert repo.snaprun("logs", "--cell", "2").stdout == "third\n"
    assert repo.snaprun("logs", "--cell", "1", "--tail", "1").stdout.strip() == "10% 100%"
    for option in ("-f", "--timestamps"):
        refused = repo.snaprun("logs", "--cell", "1", option)
        assert refused.returncode == 2
        assert "--cell goes with neither" in refused.stderr
    assert repo.snaprun("logs", "--cell", "9").returncode == 65


def test_a_run_that_printed_nothing_has_nothing_to_stamp(repo: Sandbox) -> None:
    repo.notebook("quiet.ipynb", "x = 1")
    assert repo.snaprun("exec", "quiet.ipynb", "--engine", "inline").returncode == 0
    done = repo.snaprun("logs", "--timestamps")
    assert (done.returncode, done.stdout) == (0, "")
