"""Talking to the kernel of a run in progress, and going on with a held one."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from snaprun.errors import Unavailable, UsageFault
from snaprun.lifecycle import resume, settle
from snaprun.lifecycle.console import Console
from snaprun.lifecycle.supervisor import SLACK
from snaprun.live import progress
from snaprun.live.journal import Journal
from snaprun.live.livefolder import Live
from snaprun.live.names import SUPERVISOR_FILE
from snaprun.model import Outcome
from snaprun.statuses import Status
from tests import running
from tests.running import Started
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

BUSY = "import time\nhistory = [1, 2, 3]\nprint('on', flush=True)\nfor i in range(6000): time.sleep(0.02)"


def said(console: Console, code: str) -> str:
    return "".join(piece.text for piece in console.ask(code))


def go(run: Started) -> None:
    os.kill(run.pids()[0].pid, signal.SIGTERM)


def test_a_busy_kernel_answers_and_is_not_disturbed(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", BUSY, "1"))
    run.until_logged("on")
    with Console(run.live) as console:
        assert console.has_subshell
        assert said(console, "len(history)") == "3\n"
        assert said(console, "print('hello'); history.append(4)") == "hello\n"
        assert "ZeroDivisionError" in said(console, "1/0")
        assert console.is_complete("x = 1")
        assert not console.is_complete("for x in y:")
        kinds = [piece.kind for piece in console.ask("import sys\nprint(1)\nprint(2, file=sys.stderr)\n3")]
        assert sorted(kinds) == ["result", "stderr", "stdout"]
    with Console(run.live) as console:
        assert said(console, "len(history)") == "4\n"
    assert progress.read_progress(run.live).state == "running"
    go(run)
    result = run.end()
    assert (result.status, result.exit_code) == (Status.STOPPED, 143)
    assert "hello" not in run.outputs()
    assert "a console was opened on the run's kernel 2 times" in result.warnings


def test_a_held_kernel_is_mended_and_goes_on(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "x = 1", "print('got', y)", "print('last')"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    with Console(run.live, with_subshell=False) as console:
        assert said(console, "y = x + 41") == ""
    resume.continue_held(run.live, None)
    result = run.end()
    assert result.status is Status.SUCCEEDED
    assert "got 42" in run.outputs()
    assert "last" in run.outputs()


LEAVING = ("exit", "quit()", "exit(0)", "exit;", "get_ipython().ask_exit()", "import sys; sys.exit(3)")


def test_no_way_of_leaving_ends_a_held_run(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "x = 1", "print('got', y)", "print('last')"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    with Console(run.live, with_subshell=False) as console:
        for code in LEAVING:
            said(console, code)
        assert said(console, "y = x + 41") == ""
    resume.continue_held(run.live, None)
    result = run.end()
    assert (result.status, result.exit_code) == (Status.SUCCEEDED, 0)
    assert "got 42" in run.outputs() and "last" in run.outputs()


def test_no_way_of_leaving_ends_a_busy_run(repo: Sandbox, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waiting = f"import os, time\nprint('on', flush=True)\nwhile not os.path.exists(r'{gate}'): time.sleep(0.02)"
    longer = "time.sleep(0.3)"  # the kernel ends 0.1 s after it was asked to, once it is idle
    run = running.start(repo, repo.notebook("a.ipynb", waiting, longer, "print('last')"))
    run.until_logged("on")
    with Console(run.live) as console:
        for code in LEAVING:
            said(console, code)
    gate.touch()
    result = run.end()
    assert (result.status, result.exit_code, result.reason) == (Status.SUCCEEDED, 0, None)
    assert "last" in run.outputs()


def test_a_held_cell_may_be_edited(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "x = 1", "print('got', y)"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    resume.continue_held(run.live, "print('instead', x)")
    result = run.end()
    assert result.status is Status.SUCCEEDED
    assert "cell 2 was edited while the run was held: its code is not the frozen one" in result.warnings
    assert "instead 1" in run.outputs()
    assert "instead" in run.file("executed.ipynb").decode()


def test_an_edit_that_is_not_saved_goes_on_with_nothing(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "x = 1", "print('got', y)"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    done = repo.snaprun("resume", run.id, "--edit", EDITOR="true")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"snaprun: error: nothing was saved: run {run.id[:8]} is held as before",
    )
    assert resume.is_held(run.live)
    done = repo.snaprun("resume", run.id, "--edit", "-q", EDITOR="sed -i s/y/x/")
    assert (done.returncode, run.end().status) == (0, Status.SUCCEEDED), done.stderr


@pytest.mark.slow
def test_the_time_limit_waits_while_a_run_is_held(repo: Sandbox) -> None:
    book = repo.notebook("a.ipynb", "x = 1", "print('got', y)", "print('last')")
    run = running.start(repo, book, hold=600.0, timeout=15.0, grace=0.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    late = time.monotonic() + 15.0 + SLACK + 1.0  # when the supervisor takes a worker for hung
    wait_for(lambda: time.monotonic() > late or not run.alive, "more than the time limit", patience=120)
    assert resume.is_held(run.live)
    resume.continue_held(run.live, "print('instead', x)")
    assert run.end().status is Status.SUCCEEDED


def test_how_long_a_run_was_held(tmp_path: Path) -> None:
    now = [100.0]
    with Journal(tmp_path, clock=lambda: now[0]) as journal:
        journal.start(attempt=1, cells=2, kernel=None)
        for moment, kind in ((110.0, "hold"), (115.0, "resume"), (120.0, "hold")):
            now[0] = moment
            journal.event(kind, n=1)
    found = progress.read_progress(Live(tmp_path))
    assert (found.state, found.hold_until(127.0)) == ("held", 12.0)
    assert progress.read_hold(tmp_path, 127.0) == 12.0


def test_a_held_run_fails_again(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "x = 1", "print('got', y)", "print('last')"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    resume.continue_held(run.live, "1/0")
    wait_for(lambda: [event["e"] for event in run.events()].count("hold") == 2, "the second hold")
    assert progress.read_progress(run.live).done == 2
    resume.continue_held(run.live, "print('third time')")
    assert [event["e"] for event in run.events()].count("resume") == 2
    assert run.end().status is Status.SUCCEEDED


def test_a_hold_that_runs_out_is_no_run_to_go_on_with(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1/0"), hold=0.5)
    wait_for(lambda: "end" in [event["e"] for event in run.events()] or not run.alive, "the end of the hold")
    with pytest.raises(UsageFault, match=r"is running already|not held any more"):
        resume.continue_held(run.live, None)
    assert run.end().status is Status.FAILED


def test_going_on_says_what_is_wrong_with_a_source(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1/0"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    repo.write("latin.py", "print('\xe9')".encode("latin-1"))
    done = repo.snaprun("resume", run.id, "--source", "latin.py")
    assert (done.returncode, done.stderr.splitlines()[1:]) == (2, ["hint: file latin.py"])
    done = repo.snaprun("resume", run.id, "--source", "-", stdin="print('mended')")
    assert (done.returncode, "held after an error" in done.stderr) == (0, False)
    assert done.stdout.endswith("mended\n")


def test_a_kernel_on_another_machine(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1/0"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    record = run.live.path / SUPERVISOR_FILE
    about = record.read_text()
    record.write_text(json.dumps({**json.loads(about), "host": "elsewhere", "boot": "another"}))
    with pytest.raises(Unavailable, match="runs on elsewhere"):
        Console(run.live)
    record.write_text(about)
    go(run)
    run.end()


def test_questions_from_a_pipe_get_the_answers_alone(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", BUSY))
    run.until_logged("on")
    done = repo.snaprun("console", run.id, stdin="len(history)\nprint('\\x1b[31mred')\n1/0\nexit(0)\nprint('never')\n")
    assert (done.returncode, done.stdout) == (0, "3\n\x1b[31mred\n")
    assert "ZeroDivisionError" in done.stderr and "\x1b" not in done.stderr
    go(run)
    run.end()


def test_a_held_run_is_ended_by_stop(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1/0"), hold=600.0)
    wait_for(lambda: resume.is_held(run.live), "the hold")
    go(run)
    result = run.end()
    assert result.status in (Status.STOPPED, Status.FAILED)
    assert result.error is not None


def test_nothing_to_talk_to(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1"))
    run.end()
    with pytest.raises(Unavailable):
        Console(run.live)


COUNTING = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["SNAPRUN_CHECKPOINT_DIR"])
done = int((folder / "step").read_text()) if (folder / "step").exists() else 0
print("starting at", done, flush=True)
(folder / "step").write_text(str(done + 5))
"""


def test_a_further_attempt_is_run_as_the_first(repo: Sandbox) -> None:
    repo.write("snaprun.toml", 'environment = ["TOLD"]\n')
    repo.notebook("a.ipynb", "%matplotlib inline", "import sys; sys.exit(3)")
    how = ("--engine", "script", "--allow-commented-magics", "-q")
    assert repo.snaprun("exec", "a.ipynb", *how, TOLD="yes").returncode == 3
    assert repo.snaprun("resume", "@", "-q", TOLD="again").returncode == 3
    shown = json.loads(repo.snaprun("show", "@", "--json").stdout)
    assert (shown["attempts"], shown["environment"]["variables"]["TOLD"]) == (2, "again")


def test_a_further_attempt_may_be_held(repo: Sandbox) -> None:
    repo.notebook("a.ipynb", "print('got', y)")
    assert repo.snaprun("exec", "a.ipynb", "-q").returncode == 1
    done = repo.snaprun("resume", "@", "--detach", "--hold-on-error", "2m")
    assert done.returncode == 0, done.stderr
    run = running.found(repo, done.stdout.strip())
    wait_for(lambda: resume.is_held(run.live), "the hold")
    refused = repo.snaprun("resume", "@", "--hold-on-error")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 2)
    assert "goes on as it was started" in refused.stderr
    assert repo.snaprun("resume", "@", "--source", "-", "-q", stdin="print('mended')").returncode == 0
    assert repo.snaprun("exec", "a.ipynb", "-q", "--engine", "inline").returncode == 1
    refused = repo.snaprun("resume", "@", "--hold-on-error")
    assert refused.returncode == 2
    assert "only a kernel can" in refused.stderr
    assert "hint: snaprun exec a.ipynb --engine kernel --hold-on-error" in refused.stderr


def test_an_attempt_that_was_killed_before_a_word_counts(repo: Sandbox) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "1/0"))
    run.end()
    again = resume.create_attempt(running.context(repo), running.listed(run))
    settle.end(again, os.environ, Outcome(Status.LOST, 125, "killed"))
    assert run.end().attempts == 2
    second = running.listed(run)
    assert (second.status, second.attempts) == (Status.LOST, 2)
    resume.start_attempt(running.context(repo), second)
    assert run.end().attempts == 3


def test_a_further_attempt_has_the_checkpoints(repo: Sandbox) -> None:
    book = repo.notebook("a.ipynb", COUNTING, "while done == 0: time.sleep(0.05)\nprint('end')")
    run = running.start(repo, book)
    run.until_logged("starting at 0")
    with pytest.raises(UsageFault, match="running"):
        resume.start_attempt(running.context(repo), running.listed(run))
    for who in run.pids():
        os.kill(who.pid, signal.SIGKILL)
    running.settled(run)
    first = running.listed(run)
    assert (first.status, first.attempts) == (Status.LOST, 1)
    repo.write("a.ipynb", "changed meanwhile")
    resume.start_attempt(running.context(repo), first)
    wait_for(lambda: running.listed(run).status is Status.RUNNING or not run.alive, "the second attempt")
    result = run.end()
    assert (result.status, result.attempts) == (Status.SUCCEEDED, 2)
    assert "starting at 5" in run.outputs()
    second = running.listed(run)
    assert (second.status, second.attempts, second.commit) == (Status.SUCCEEDED, 2, run.git_tip())
    parents = repo.git("rev-list", "--parents", "-1", second.commit).split()[1:]
    assert parents == [run.id, first.commit]
    assert Path(run.place.state, "checkpoints", run.id, "step").exists()
    with pytest.raises(UsageFault, match="succeeded"):
        resume.start_attempt(running.context(repo), second)
