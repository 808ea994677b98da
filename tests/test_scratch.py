"""Scratch folders are private, locked while in use, and swept once their maker is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.errors import CannotCreate
from snaprun.git import locate
from snaprun.git.scratch import announce, scratch, unlock
from tests.sandbox import Sandbox

DYING = """
import os, signal, sys
from pathlib import Path
from snaprun.git import locate
from snaprun.git.scratch import announce, scratch
with scratch(locate.find(Path(sys.argv[1]), os.environ)) as folder:
    (folder / "half").write_text("done")
    announce(folder, "refs/snaprun/runs/abc", shared=bool(int(sys.argv[2])))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def died(repo: Sandbox, *, shared: bool) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", DYING, str(repo.path), str(int(shared))], env=env, check=False)


def test_a_scratch_folder_is_private_and_goes_away(repo: Sandbox) -> None:
    place = locate.find(repo.path, os.environ)
    with scratch(place) as one, scratch(place) as two:
        assert one != two
        assert one.parent == place.state / "tmp"
        assert one.stat().st_mode & 0o777 == 0o700
        assert one.exists()
        assert two.exists()
    assert list((place.state / "tmp").iterdir()) == []


def test_what_a_dead_maker_left_is_swept_with_the_lock_of_its_ref(repo: Sandbox) -> None:
    place = locate.find(repo.path, os.environ)
    died(repo, shared=False)
    lock = repo.write(".git/refs/snaprun/runs/abc.lock")
    assert len(list((place.state / "tmp").iterdir())) == 1
    with scratch(place) as folder:
        assert list((place.state / "tmp").iterdir()) == [folder]
    assert not lock.exists()


def test_the_lock_of_a_ref_that_others_move_too_must_be_old(repo: Sandbox) -> None:
    place = locate.find(repo.path, os.environ)
    lock = repo.write(".git/refs/snaprun/runs/abc.lock")
    unlock(place, "refs/snaprun/runs/abc", shared=True)
    assert lock.exists()
    os.utime(lock, (1, 1))
    died(repo, shared=True)
    with scratch(place):
        assert not lock.exists()


def test_the_folder_of_a_living_maker_stays(repo: Sandbox) -> None:
    place = locate.find(repo.path, os.environ)
    with scratch(place) as mine:
        announce(mine, "refs/snaprun/runs/abc")
        with scratch(place):
            assert (mine / "ref").exists()


def test_trouble_inside_is_told_as_ours(repo: Sandbox) -> None:
    place = locate.find(repo.path, os.environ)
    with pytest.raises(CannotCreate), scratch(place) as folder:
        (folder / "no" / "such" / "folder").write_text("x")
    assert list((place.state / "tmp").iterdir()) == []
