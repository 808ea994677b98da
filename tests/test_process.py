"""Processes are known for certain, and exactly those that are ours are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from snaprun.machine import process
from tests.sandbox import wait_for


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "600"])
    yield child
    child.kill()
    child.wait()


def shell(script: str) -> str:
    """A Python program that runs ``script`` with the module at hand."""
    return f"import os, subprocess, sys, time, signal\nfrom snaprun.machine import process\n{script}"


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", shell(script)], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_process_is_known_by_boot_pid_and_start(sleeper: subprocess.Popen[bytes]) -> None:
    who = process.identify(sleeper.pid)
    assert who is not None
    assert process.alive(who)
    assert not process.alive(replace(who, start=str(int(who.start) + 1)))
    assert not process.alive(replace(who, boot="another"))
    assert not process.alive(replace(who, pid=2**22 + 1))


def test_a_name_with_brackets_does_not_confuse() -> None:
    line = b"42 (a) R 1 ) (b) S 7 " + b" ".join(str(number).encode() for number in range(5, 53))
    found = process._parse_stat(line)
    assert (found.pid, found.parent, found.state) == (42, 7, "S")


def test_a_signal_reaches_the_process_and_no_other(sleeper: subprocess.Popen[bytes]) -> None:
    who = process.identify(sleeper.pid)
    assert who is not None
    assert not process.send(replace(who, start="1"), signal.SIGKILL)
    assert sleeper.poll() is None
    assert process.send(who, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not process.send(who, signal.SIGTERM)


def test_a_suspended_process_is_alive_and_a_zombie_is_not(sleeper: subprocess.Popen[bytes]) -> None:
    who = process.identify(sleeper.pid)
    assert who is not None
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_for(
        lambda: (process.read_entry(sleeper.pid) or who) and process.read_entry(sleeper.pid).state == "T", "the stop"
    )  # type: ignore[union-attr]
    assert process.alive(who)
    os.kill(sleeper.pid, signal.SIGKILL)
    wait_for(lambda: process.read_entry(sleeper.pid).dead, "the zombie")  # type: ignore[union-attr]
    assert not process.alive(who)


def test_everything_below_is_ended_even_what_ran_away() -> None:
    out = run(
        """
process.become_subreaper()
stubborn = "trap '' TERM INT HUP; while :; do sleep 0.05; done"
lost = "import os, time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\ntime.sleep(600)"
subprocess.Popen(["sh", "-c", stubborn])
subprocess.Popen(["sleep", "600"], start_new_session=True)
subprocess.Popen([sys.executable, "-c", lost]).wait()
stopped = subprocess.Popen(["sleep", "600"]); os.kill(stopped.pid, signal.SIGSTOP)
while len(process.descendants(os.getpid())) < 4: time.sleep(0.01)
ended, left = process.end_all(lambda: process.descendants(os.getpid()), grace=0.2)
print(len(ended) >= 4, left, process.descendants(os.getpid()))
"""
    )
    assert out == "True [] []\n"


def test_the_mark_finds_what_escaped() -> None:
    run_id = "a" * 40
    child = subprocess.Popen(["sleep", "600"], env={**os.environ, process.MARK: run_id}, start_new_session=True)
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, process.MARK: run_id, process.SUPERVISOR: "1"})
    try:
        found = wait_for(lambda: process.find_marked(run_id), "the marked process")
        assert [who.pid for who in found] == [child.pid]
        assert process.is_supervisor(other.pid)
        assert process.find_marked("b" * 40) == []
        assert {who.pid for who in process.find_by_run(run_id, os.getpid())} == {child.pid}
        assert child.pid in {who.pid for who in process.find_by_run("b" * 40, os.getpid())}
    finally:
        for one in (child, other):
            one.kill()
            one.wait()


def test_the_subtree_of_another_supervisor_is_spared() -> None:
    out = run(
        """
env = {**os.environ, process.SUPERVISOR: "1"}
outer = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], env=env)
while len(process.descendants(os.getpid())) < 2: time.sleep(0.01)
print(process.descendants(os.getpid(), is_exempt=process.is_supervisor))
for who in process.descendants(os.getpid()): process.send(who, signal.SIGKILL)
"""
    )
    assert out == "[]\n"


def test_ps_answers_as_proc_does(sleeper: subprocess.Popen[bytes]) -> None:
    by_ps = {line.pid: line for line in process._call_ps("-A")}
    found = process.read_entry(sleeper.pid)
    assert found is not None
    assert (by_ps[sleeper.pid].parent, by_ps[sleeper.pid].state) == (found.parent, "S")
    assert by_ps[sleeper.pid].start
    assert not by_ps[sleeper.pid].dead
