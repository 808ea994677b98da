"""The live folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.errors import CannotCreate, DataFault, WriteFault
from snaprun.live import livefolder
from snaprun.model import RunSpec
from tests.engineroom import make_live, place


def test_appears_whole_and_private(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    assert made.id == "a" * 40
    assert made.spec() == RunSpec("x.ipynb", "2026-01-01T00:00:00Z")
    assert made.params() == {"lr": 0.1}
    assert made.order() == {}
    for path in [made.path.parent.parent, made.path.parent, made.path, *made.path.iterdir()]:
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) in (0o700, 0o600), path
    assert [entry.name for entry in made.path.parent.iterdir()] == [made.id]


def test_is_made_once(tmp_path: Path) -> None:
    make_live(tmp_path)
    with pytest.raises(CannotCreate):
        make_live(tmp_path)
    assert len(list((tmp_path / "snaprun" / "live").iterdir())) == 1


def test_says_when_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "snaprun").write_text("in the way")
    with pytest.raises(WriteFault):
        make_live(tmp_path)


def test_scan_lists_runs_only(tmp_path: Path) -> None:
    assert livefolder.scan(place(tmp_path)) == []
    first, second = make_live(tmp_path), make_live(tmp_path, "c" * 64)
    os.utime(first.path, (1, 1))
    (first.path.parent / ".half").mkdir()
    (first.path.parent / "notes.txt").write_text("")
    assert livefolder.scan(place(tmp_path)) == [first, second]
    assert livefolder.find(place(tmp_path), first.id) == first
    assert livefolder.find(place(tmp_path), "d" * 40) is None
    assert livefolder.find(place(tmp_path), "../live/" + first.id) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"null", b'{"transport": "tcp"}'])
def test_a_damaged_connection_file_keeps_no_folder_there(tmp_path: Path, content: bytes) -> None:
    made = make_live(tmp_path)
    made.kernel.write_bytes(content)
    livefolder.remove(made)
    assert list(made.path.parent.iterdir()) == []


def test_damage_is_said(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    (made.path / "spec.json").write_bytes(b"\0" * 20)
    with pytest.raises(DataFault):
        made.spec()


def test_remove_takes_the_sockets_along(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    sockets = tmp_path / f"{livefolder.SOCKET_PREFIX}abc"
    sockets.mkdir()
    (sockets / "k-1").write_text("")
    made.kernel.write_text(json.dumps({"transport": "ipc", "ip": str(sockets / "k")}))
    livefolder.remove(made)
    assert not sockets.exists()
    assert list(made.path.parent.iterdir()) == []
    livefolder.remove(made)


def test_remove_touches_no_folder_of_others(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    other = tmp_path / "precious"
    other.mkdir()
    made.kernel.write_text(json.dumps({"transport": "ipc", "ip": str(other / "k")}))
    livefolder.remove(made)
    assert other.exists()


def test_tidy_removes_old_halves(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    old, new = made.path.with_name(".old"), made.path.with_name(".new")
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    livefolder.tidy(place(tmp_path), age=60, now=new.stat().st_mtime)
    assert not old.exists()
    assert new.exists()
    assert made.path.exists()


def test_import_path_serves_the_light_part(tmp_path: Path) -> None:
    made = make_live(tmp_path)
    code = "import snaprun; snaprun.log(loss=1); print(snaprun.__file__)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(made.import_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(made.import_path))
