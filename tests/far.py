"""A second machine for tests: a real sshd on loopback, whose user has a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snaprun.git import locate
from snaprun.git.locate import Place
from snaprun.launchers import ssh
from snaprun.launchers.placement import read_placement
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from tests.running import Started, found
from tests.sandbox import Sandbox

SERVICES = Path(__file__).parent / "services"


@dataclass(frozen=True)
class Machine:
    """The machine: its service's folder, and the folder of runs that this test uses there."""

    service: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where the runs are, as this side sees it."""
        return self.service / "home" / self.name

    @property
    def address(self) -> str:
        """What ``--on`` takes."""
        return f"ssh://far/~/{self.name}?python={sys.executable}"

    @property
    def place(self) -> Place:
        """The repository there."""
        return locate.find_enclosing(self.folder, os.environ)

    def live(self, run: str) -> Live | None:
        """The live folder there."""
        return livefolder.find(self.place, run)

    def call(self, verb: str) -> None:
        """Do something to the server: cut, down, up."""
        subprocess.run([SERVICES / "sshd", verb, self.service], check=True)

    def command(self) -> str:
        """How ssh is called."""
        return f"ssh -F {self.service}/ssh_config"


@pytest.fixture(scope="session")
def server() -> Iterator[Path]:
    """The sshd, in a folder with a short name: sockets have short paths."""
    with tempfile.TemporaryDirectory(prefix="sr") as folder:
        service = Path(folder, "ssh")
        done = subprocess.run([SERVICES / "sshd", "start", service], capture_output=True, text=True, check=False)
        if done.returncode == 69:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        yield service
        subprocess.run([SERVICES / "sshd", "stop", service], check=True)


@pytest.fixture
def machine(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """The machine, with a folder of the test's own; it is up again afterwards, also where the test failed."""
    there = Machine(server, tmp_path.name)
    monkeypatch.setenv("GIT_SSH_COMMAND", there.command())
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(server.parent))
    yield there
    if not (server / "pid").exists():
        there.call("up")


def started(box: Sandbox, machine: Machine, *args: str) -> Started:
    """Start a run there, detached."""
    done = box.snaprun("exec", "--detach", "--on", machine.address, *args)
    assert done.returncode == 0, done.stderr
    return found(box, done.stdout.strip())


def handle(run: Started) -> str:
    """The handle of a run in progress."""
    told = read_placement(run.live.path)
    assert told is not None
    assert ssh.parse_handle(told.handle)[1] == run.id
    return told.handle
