"""Another machine at its worst: cut off in the middle of a push or a fetch, away for a while, without git, full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snaprun.errors import Unavailable, UsageFault, WriteFault
from snaprun.live import livefolder
from tests import far, running
from tests.far import Machine
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.service

GATED = "import pathlib, time\nprint('on', flush=True)\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.02)"


@pytest.fixture
def cut(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, int], Path]:
    """Have connections of a kind broken: ``cut(word, how, times)``; the file has a line for each that was."""

    def make(word: str, how: str, times: int) -> Path:
        done = tmp_path / "cuts"
        done.touch()
        path = tmp_path / "ssh-that-breaks"
        path.write_text(
            f"""#!/bin/sh
case "$*" in *{word}*)
    if [ $(wc -l <{done}) -lt {times} ]; then echo cut >>{done}; {how.format(real=machine.command())}; exit 255; fi;;
esac
exec {machine.command()} "$@"
"""
        )
        path.chmod(0o755)
        monkeypatch.setenv("GIT_SSH_COMMAND", str(path))
        return done

    return make


def refs(machine: Machine) -> str:
    """All of ours there."""
    command = ["git", "for-each-ref", "refs/snaprun"]
    return subprocess.run(command, cwd=machine.folder, capture_output=True, text=True, check=True).stdout


def test_a_push_that_is_cut_is_made_again(repo: Sandbox, machine: Machine, cut: Callable[..., Path]) -> None:
    done = cut("receive-pack", 'head -c 200000 | {real} "$@"', 1)
    repo.write("big.bin", os.urandom(3_000_000))
    repo.notebook("a.ipynb", "import os\nprint(os.path.getsize('big.bin'))")
    ended = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert (ended.returncode, ended.stdout) == (0, "3000000\n"), ended.stderr
    assert done.read_text() == "cut\n"


def test_a_push_that_is_cut_for_good_leaves_nothing(repo: Sandbox, machine: Machine, cut: Callable[..., Path]) -> None:
    cut("receive-pack", 'head -c 200000 | {real} "$@"', 99)
    repo.write("big.bin", os.urandom(3_000_000))
    repo.notebook("a.ipynb", "print(x)", parameters="x = 0")
    for args in (["exec", "a.ipynb"], ["sweep", "a.ipynb", "-p", "x=1,2"]):
        with repo.untouched():
            ended = repo.snaprun(*args, "--on", machine.address)
        assert ended.returncode == Unavailable.code
        error, hint = ended.stderr.splitlines()[-2:]
        assert error.startswith("snaprun: error: far cannot be reached: ")
        assert hint == "hint: ssh far"
        assert repo.git("for-each-ref", "refs/snaprun") == refs(machine) == ""
        assert livefolder.scan(running.place(repo)) == livefolder.scan(machine.place) == []


def test_a_fetch_that_is_cut_is_made_again(repo: Sandbox, machine: Machine, cut: Callable[..., Path]) -> None:
    done = cut("git-upload-pack", '{real} "$@" | (dd bs=1 count=3000 2>/dev/null; kill $$)', 2)
    repo.notebook("a.ipynb", "import os\nprint(os.urandom(500000).hex())")
    ended = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout) == 1_000_001
    assert done.read_text() == "cut\ncut\n"
    assert repo.git("for-each-ref", "refs/snaprun/fetched") == ""


def test_a_log_that_is_followed_goes_on_when_the_machine_is_back(
    repo: Sandbox, machine: Machine, tmp_path: Path
) -> None:
    gate = tmp_path / "GO"
    lines = "for i in range(20000): print('line', i, flush=i % 500 == 0)"
    repo.notebook("a.ipynb", GATED.format(str(gate)), lines)
    run = far.started(repo, machine, "a.ipynb", "--engine", "inline")
    command = [sys.executable, "-m", "snaprun", "logs", "-f", run.id]
    wait_for(lambda: repo.snaprun("logs", run.id).stdout == "on\n", "the log")
    with subprocess.Popen(command, cwd=repo.path, stdout=subprocess.PIPE, text=True) as viewer:
        assert viewer.stdout is not None
        assert viewer.stdout.readline() == "on\n"
        machine.call("down")
        gate.touch()
        wait_for(lambda: machine.live(run.id) is None, "the end over there")
        machine.call("up")
        assert viewer.stdout.read() == "".join(f"line {number}\n" for number in range(20000))
    assert viewer.returncode == 0


def test_a_machine_without_git_says_so(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    python = tmp_path / "python-without-git"
    python.write_text(f'#!/bin/sh\nPATH=/nonexistent exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    repo.notebook("a.ipynb", "1")
    ended = repo.snaprun("exec", "a.ipynb", "--on", f"ssh://far/~/{machine.name}?python={python}")
    assert ended.returncode == Unavailable.code
    assert ended.stderr == "snaprun: error: far: git is not installed there\nhint: install git 2.31 or newer there\n"


def test_what_only_works_there_says_what_to_type(repo: Sandbox, machine: Machine) -> None:
    repo.notebook("a.ipynb", "x = 1 / 0")
    run = far.started(repo, machine, "a.ipynb", "--hold-on-error")
    wait_for(lambda: "held" in repo.snaprun("ps").stdout, "the error")
    for verb in ("console", "resume"):
        refused = repo.snaprun(verb, run.id)
        assert refused.returncode == UsageFault.code
        error, hint = refused.stderr.splitlines()
        assert error == f"snaprun: error: run {run.id[:8]} is on far: {verb} works there only"
        program = f"{sys.executable} -m snaprun {verb} {run.id[:8]}"
        assert hint == f"hint: ssh -t far 'cd ~/{machine.name} && {program}'"
    typed = f"cd ~/{machine.name} && {sys.executable} -m snaprun console {run.id[:8]} -c 1+1"
    answer = subprocess.run([*machine.command().split(), "far", typed], capture_output=True, text=True, check=False)
    assert answer.stdout == "2\n", answer.stderr
    assert repo.snaprun("stop", run.id).returncode == 0


def test_what_git_lfs_keeps_here_only_is_told_before_the_start(repo: Sandbox, machine: Machine) -> None:
    oids = {name: f"{number:064x}" for number, name in enumerate(("a.bin", "b.bin"), start=10)}
    repo.write(".gitattributes", "*.bin filter=lfs -text\n")
    for name, oid in oids.items():
        repo.write(name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n")
    repo.notebook("a.ipynb", "print(open('a.bin').read()[:7])")
    repo.commit()
    ended = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert ended.returncode == 0, ended.stderr
    assert "has not what Git LFS keeps of a.bin, b.bin: the run finds pointers there (git lfs pull" in ended.stderr
    oid = oids["a.bin"]
    there = machine.place.common_dir / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    there.parent.mkdir(parents=True)
    there.write_text("large")
    assert "keeps of b.bin:" in repo.snaprun("exec", "a.ipynb", "--on", machine.address).stderr


def test_submodules_that_stay_here_are_told_before_the_start(repo: Sandbox, machine: Machine, tmp_path: Path) -> None:
    other = Sandbox(tmp_path / "other")
    other.write("a", "1")
    other.commit()
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "lib")
    repo.notebook("a.ipynb", "import os; print(os.listdir('lib'))")
    repo.commit()
    ended = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
    assert "submodules are not sent along: lib will be empty on " in ended.stderr


@pytest.fixture
def small(machine: Machine) -> Iterator[Path]:
    """The folder of the runs there, on a disk of 6 MB."""
    machine.folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", machine.folder]
    if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        machine.folder.rmdir()
        pytest.skip("only root can mount a small disk")
    yield machine.folder
    subprocess.run(["umount", "--lazy", machine.folder], check=True)


def test_a_full_disk_there_refuses_the_push(repo: Sandbox, machine: Machine, small: Path) -> None:
    repo.notebook("a.ipynb", "print(1)")
    assert repo.snaprun("exec", "a.ipynb", "--on", machine.address).returncode == 0
    before = refs(machine)
    repo.write("big.bin", os.urandom(8_000_000))
    with repo.untouched():
        ended = repo.snaprun("exec", "a.ipynb", "--on", machine.address)
    assert ended.returncode == WriteFault.code, ended.stderr
    error, hint = ended.stderr.splitlines()[-2:]
    assert error.startswith("snaprun: error: the disk of far is full: ")
    assert hint == "hint: ssh far df -h"
    assert refs(machine) == before
    assert livefolder.scan(machine.place) == livefolder.scan(running.place(repo)) == []


def test_a_full_disk_there_loses_no_result(repo: Sandbox, machine: Machine, small: Path, tmp_path: Path) -> None:
    """It is full when the run is to be recorded; as soon as there is room at the latest, its end is known here."""
    gate = tmp_path / "GO"
    fill = f"f = open({str(small / 'filled')!r}, 'wb', buffering=0)\n" + (
        "try:\n    while True: f.write(b'x' * 4096)\nexcept OSError as error: print(error)"
    )
    repo.notebook("a.ipynb", GATED.format(str(gate)), "import time\nprint('y' * 30_000)\ntime.sleep(2)", fill)
    run = far.started(repo, machine, "a.ipynb", "--engine", "inline")
    wait_for(lambda: repo.snaprun("logs", run.id).stdout == "on\n", "the log")
    gate.touch()
    wait_for(lambda: (small / "filled").exists() and not running.leftovers(machine.service / "home"), "its processes")
    assert repo.snaprun("history").returncode == 0
    (small / "filled").unlink()
    wait_for(lambda: repo.snaprun("fetch") and not run.alive, "the result")
    [listed] = json.loads(repo.snaprun("history", "--json").stdout)["runs"]
    assert (listed["status"], listed["exit_code"]) == ("succeeded", 0)
    assert run.log().startswith("on\n" + "y" * 30_000 + "\n")
