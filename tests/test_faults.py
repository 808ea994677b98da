"""Faults from outside: a full disk, a machine that was restarted, no memory left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.lifecycle import settle
from snaprun.machine import process
from snaprun.statuses import Status
from tests import running
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

ROOT = Path(__file__).parent.parent


def inside(prepare: str, script: str, *args: str) -> str:
    """Run a Python script in a mount namespace of its own, after shell commands that prepare it."""
    if not _may_mount():
        pytest.skip("this system lets nobody make a mount namespace")
    shell = f'set -e\n{prepare}\nexec "$0" -c "$SCRIPT" "$@"'
    env = {**os.environ, "SCRIPT": textwrap.dedent(script), "PYTHONPATH": str(ROOT)}
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, sys.executable, *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _may_mount() -> bool:
    try:
        done = subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


MUCH = "import os, time\nfor _ in range(800): print(os.urandom(1000).hex())\ntime.sleep(2)"
"""More than a live folder's reserve has room for, even compressed; the journal has it on the disk two seconds later."""

FILL = """
f = open('big', 'wb')
try:
    while True: f.write(b'x' * 65536); f.flush()
except OSError as error: print(error, flush=True)
print('after', flush=True)
"""


def test_a_full_disk_delays_the_record_and_loses_nothing(tmp_path: Path) -> None:
    said = inside(
        'mkdir "$1"; mount -t tmpfs -o size=12m tmpfs "$1"',
        f"""
        import os, sys
        from pathlib import Path
        from snaprun.lifecycle import settle; from snaprun.machine import process
        from tests import running
        from tests.sandbox import Sandbox, wait_for
        box = Sandbox(Path(sys.argv[1]) / "repo")
        box.write("README", "x")
        box.commit()
        run = running.start(box, box.notebook("a.ipynb", {MUCH!r}, {FILL!r}))
        pids = run.pids()
        wait_for(lambda: not any(process.alive(who) for who in pids), "the end of both")
        print(run.alive, settle.settle(run.place, os.environ), process.find_marked(run.id))
        slot = next(event["path"] for event in run.events() if event["e"] == "slot")
        os.unlink(slot + "/big")
        print(settle.settle(run.place, os.environ) == [run.id])
        result = run.end()
        print(result.status, result.exit_code, running.listed(run).status)
        log = run.log()
        tmp = os.listdir(run.place.state / "tmp")
        print(log[-40:], len(log), run.outputs() == log, os.listdir(run.place.live), tmp)
        """,
        str(tmp_path / "small"),
    )
    lines = said.splitlines()
    assert lines[:3] == ["True [] []", "True", "succeeded 0 succeeded"]
    assert lines[-3:-1] == [lines[-3], "after"]
    assert os.strerror(28) in lines[-3]
    assert int(lines[-1].split()[0]) > 1_500_000
    assert lines[-1].split(maxsplit=1)[1] == "True [] []"


def test_output_that_a_full_disk_refused_to_the_end_is_told(tmp_path: Path) -> None:
    said = inside(
        'mkdir "$1"; mount -t tmpfs -o size=12m tmpfs "$1"',
        f"""
        import os, sys
        from pathlib import Path
        from snaprun.lifecycle import settle; from snaprun.machine import process
        from tests import running
        from tests.sandbox import Sandbox, wait_for
        box = Sandbox(Path(sys.argv[1]) / "repo")
        box.write("README", "x")
        box.commit()
        run = running.start(box, box.notebook("a.ipynb", {FILL!r}, {MUCH!r}))
        pids = run.pids()
        wait_for(lambda: not any(process.alive(who) for who in pids), "the end of both")
        slot = next(event["path"] for event in run.events() if event["e"] == "slot")
        os.unlink(slot + "/big")
        settle.settle(run.place, os.environ)
        result = run.end()
        print(result.status, result.exit_code, len(run.log()) < 1_000_000)
        print(*result.warnings, sep="\\n")
        """,
        str(tmp_path / "small"),
    )
    lines = said.splitlines()
    assert lines[0] == "succeeded 0 True"
    [told] = [line for line in lines[1:] if "could not be written" in line]
    assert re.fullmatch(r"[\d,]+ bytes of what it printed could not be written: the disk was full", told)


def test_a_restarted_machine_is_named(repo: Sandbox, tmp_path: Path) -> None:
    run = running.start(repo, repo.notebook("a.ipynb", "import time\nprint('on', flush=True)\ntime.sleep(600)"))
    run.until_logged("on")
    for who in (*run.pids(), process.identify(run.kernel())):
        assert who is not None
        process.send(who, 9)
    wait_for(lambda: not any(process.alive(who) for who in run.pids()), "the end of both")
    boot = tmp_path / "boot_id"
    boot.write_text("00000000-0000-4000-8000-000000000000\n")
    said = inside(
        'mount --bind "$1" /proc/sys/kernel/random/boot_id',
        """
        import os, sys
        from pathlib import Path
        from snaprun.git import locate; from snaprun.lifecycle import settle
        print(settle.settle(locate.find(Path(sys.argv[2]), os.environ), os.environ))
        """,
        str(boot),
        str(repo.path),
    )
    assert said == f"['{run.id}']\n"
    result = run.end()
    assert (result.status, result.exit_code) == (Status.LOST, 125)
    assert result.reason == "the machine was restarted while it ran"
    assert "on" in run.outputs()


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group with 400 MB, for the processes that are put into it."""
    group = _group()
    if group is None:
        pytest.skip("this user may not make a control group")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "an empty group")
    group.rmdir()


def _group() -> Path | None:
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(parent, f"snaprun-test-{os.getpid()}")
        if not Path(parent, "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
            (group / limit).write_text(str(400 << 20))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        return group
    return None


def test_an_out_of_memory_kill_is_named(repo: Sandbox, little_memory: Path) -> None:
    cell = "print('on', flush=True)\nhoard = [bytearray(b'x' * (1 << 20)) for _ in range(4000)]"
    book = repo.notebook("a.ipynb", cell, "print('too', 'late')")
    script = f"""
import os, sys
from pathlib import Path
Path({str(little_memory)!r}, "cgroup.procs").write_text(str(os.getpid()))
from tests import running
from tests.sandbox import Sandbox
box = Sandbox.__new__(Sandbox); box.path = Path({str(repo.path)!r})
print(running.start(box, Path({str(book)!r})).id)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    run = running.found(repo, done.stdout.strip())
    result = run.end()
    assert (result.status, result.exit_code) == (Status.FAILED, 137), result
    assert "memory" in (result.reason or "")
    assert "on" in run.outputs()
    assert settle.settle(run.place, os.environ) == []
