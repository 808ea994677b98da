"""Following a run: every byte of its log once, in order, whatever happens to the files meanwhile."""

from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.checkouts import keep
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle import watch
from snaprun.live.progress import PIECE
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

WAITING = "import pathlib, time\nprint('on', flush=True)\nwhile not pathlib.Path(r'{}').exists(): time.sleep(0.01)"
LONG = "import os\nfor n in range({}): os.write(1, b'%07d\\n' % n * 100)"


def test_a_run_is_followed_to_its_end(repo: Sandbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = running.start(repo, repo.notebook("a.ipynb", WAITING.format(gate), "print('off')"))
    seen: list[watch.Update] = []
    for update in watch.follow(GitRepo(run.place), run.id):
        seen.append(update)
        if update.log == b"on\n":
            gate.touch()
    assert b"".join(update.log for update in seen) == b"on\noff\n"
    assert [update.end is not None for update in seen].count(True) == 1
    end = seen[-1].end
    assert end is not None
    assert (end.status, end.exit_code) == (Status.SUCCEEDED, 0)
    assert max(update.progress.done for update in seen) == 2


def test_an_ended_run_is_followed_from_any_byte(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "print('one')\nprint('two')"))
    run.end()
    git = GitRepo(run.place)
    for offset in (0, 4, 8, 99):
        assert b"".join(update.log for update in watch.follow(git, run.id, offset=offset)) == b"one\ntwo\n"[offset:]


def test_a_long_log_comes_in_pieces_from_the_artifact_store(repo: Sandbox) -> None:
    count = 3 * keep.EXCERPT_SIZE // 800
    repo.write("snaprun.toml", 'max-file-size = "1 MB"\n')
    repo.notebook("a.ipynb", LONG.format(count))
    assert repo.snaprun("exec", "a.ipynb", "--engine", "inline", "-q").returncode == 0
    place = running.context(repo).place
    run_id = repo.snaprun("history", "-q").stdout.strip()
    pieces = [update.log for update in watch.follow(GitRepo(place), run_id)]
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= PIECE
    numbers = itertools.chain.from_iterable(itertools.repeat(n, 100) for n in range(count))
    assert b"".join(pieces) == b"".join(b"%07d\n" % n for n in numbers)


def test_ctrl_c_stops_a_run_whose_terminal_stands_still(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "for i in range(20_000): print('row' * 20, i)", WAITING.format(repo.path / "never"))
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "snaprun", "exec", "a.ipynb", "--json"]  # the run's output goes to the terminal
    viewer = subprocess.Popen(command, cwd=repo.path, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True)
    run = running.found(repo, wait_for(lambda: repo.snaprun("ps", "-q").stdout.strip(), "the start"))
    run.until_logged("on\n")
    wait_for(lambda: not select.select([], [theirs], [], 0)[1], "a terminal that takes no more")
    os.close(theirs)
    viewer.send_signal(signal.SIGINT)
    result = run.end()
    assert (result.status, result.exit_code) == (Status.STOPPED, 130)
    while True:  # the terminal goes on
        try:
            os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert viewer.communicate()[0].startswith(b"{")
    assert viewer.returncode == 130


@pytest.mark.parametrize("args", ["wait", "attach", "console -c 1"])
def test_nothing_runs_in_a_snapshot(repo: Sandbox, args: str) -> None:
    repo.notebook("a.ipynb", "1")
    made = repo.snaprun("snapshot", "a.ipynb", "-q").stdout.strip()
    verb, *more = args.split()
    done = repo.snaprun(verb, made, *more)
    said = [f"snaprun: error: run {made[:8]} is only a snapshot: nothing runs", f"hint: snaprun rerun {made[:8]}"]
    assert (done.returncode, done.stderr.splitlines()) == (2, said)


def test_waiting_runs_out(repo: Sandbox, tmp_path: Path) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", WAITING.format(tmp_path / "gate")))
    running.listed(run)
    done = repo.snaprun("wait", run.id, "--timeout", "0.1")
    assert (done.returncode, done.stderr) == (75, "snaprun: error: 1 run has not ended\nhint: snaprun ps\n")
    (tmp_path / "gate").touch()
    run.end()


def test_a_snapshot_is_not_followed(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "1")
    run_id = repo.snaprun("snapshot", "a.ipynb").stdout.strip()
    with pytest.raises(DataFault, match="has not ended, and is not in progress"):
        list(watch.follow(GitRepo(running.context(repo).place), run_id))
