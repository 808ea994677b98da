"""Files written whole: what readers, a full disk, a kill and a second writer see of them."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snaprun import files
from snaprun.errors import CannotCreate, WriteFault

from .sandbox import wait_for

OLD, NEW = b"old" * 100_000, b"new" * 100_000


def test_the_content_the_mode_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, b"1")
    assert (path.read_bytes(), files.mode_of(path)) == (b"1", 0o600)
    files.write(path, b"2", mode=0o755, durable=False)
    assert (path.read_bytes(), files.mode_of(path)) == (b"2", 0o755)
    files.overwrite(path, b"3")
    assert (path.read_bytes(), files.mode_of(path)) == (b"3", 0o755)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_only_where_no_mode_is_given(tmp_path: Path, umask: int, mode: int) -> None:
    old_umask = os.umask(umask)
    try:
        files.write(tmp_path / "users", b"", mode=None)
        files.write(tmp_path / "hook", b"", mode=0o755)
        files.export(tmp_path / "page.html", b"")
    finally:
        os.umask(old_umask)
    assert files.mode_of(tmp_path / "users") == files.mode_of(tmp_path / "page.html") == mode
    assert files.mode_of(tmp_path / "hook") == 0o755


def test_a_link_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"target")
    link.symlink_to(target)
    files.write(link, b"new")
    assert not link.is_symlink()
    assert (link.read_bytes(), target.read_bytes()) == (b"new", b"target")


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("in_the_way", ["file", "folder", "dead link"])
def test_a_new_file_takes_nobodys_place(tmp_path: Path, in_the_way: str) -> None:
    path = tmp_path / "a"
    if in_the_way == "file":
        path.write_bytes(b"precious")
    elif in_the_way == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(FileExistsError) as caught:
        files.write_new(path, b"x")
    assert caught.value.filename2 == os.fspath(path)
    assert list(tmp_path.iterdir()) == [path]
    assert in_the_way != "file" or path.read_bytes() == b"precious"


def test_of_many_that_make_a_file_at_once_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "a"
    winners = []
    barrier = threading.Barrier(16)

    def race(number: int) -> None:
        barrier.wait()
        try:
            files.write_new(path, b"%d" % number)
        except FileExistsError:
            return
        winners.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert path.read_bytes() == b"%d" % winners[0]
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_all_of_the_one_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, OLD)
    end = threading.Event()

    def swap() -> None:
        for number in range(200):
            files.write(path, NEW if number % 2 else OLD, durable=False)
        end.set()

    threads = [threading.Thread(target=swap) for _ in range(2)]  # of one process: their drafts must not meet
    for thread in threads:
        thread.start()
    while not end.is_set():
        assert path.read_bytes() in (OLD, NEW)
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [path]


ENDLESS_WRITER = """
import sys
from pathlib import Path
from snaprun import files
path = Path(sys.argv[1])
print("ready", flush=True)
while True:
    for content in (b"old" * 100_000, b"new" * 100_000):
        files.write(path, content, durable=False)
"""


def test_a_writer_that_is_killed_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, OLD)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", ENDLESS_WRITER, path], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            inode = path.stat().st_ino
            wait_for(lambda inode=inode: path.stat().st_ino != inode, "a first write")
            writer.send_signal(signal.SIGKILL)
        assert path.read_bytes() in (OLD, NEW)
    files.remove_drafts(tmp_path, age=60, now=time.time() + 120)
    assert list(tmp_path.iterdir()) == [path]


def test_the_draft_of_a_writer_that_may_live_stays(tmp_path: Path) -> None:
    with files.draft(tmp_path) as file:
        files.remove_drafts(tmp_path, age=60, now=time.time() + 30)
        files.publish(file, tmp_path / "a")
    files.remove_drafts(tmp_path / "gone", age=60, now=time.time())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interrupt_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.draft(tmp_path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_draft_gets_its_name_from_its_content_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    (tmp_path / "store").mkdir()
    with files.draft(tmp_path / "aside") as file:
        assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "aside").iterdir()] == [0o600]
        file.write(b"content")
        files.publish(file, tmp_path / "store" / "its-hash")
    files.sync_folder(tmp_path / "store")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["its-hash"]


FULL_DISK = """
import os, resource, signal, sys
from pathlib import Path
from snaprun import files
from snaprun.errors import SnaprunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
path = Path(sys.argv[1])
for action in (files.write, files.overwrite, files.export):
    try:
        action(path, b"new" * 100_000)
    except OSError as error:
        print(error.strerror)
    except SnaprunError as error:
        print(type(error).__name__, error.hint)
"""


@pytest.fixture(params=["limit", "disk"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], subprocess.CompletedProcess[str]]]:
    """Write 300 kB over ``a`` in ``tmp_path / "disk"``, where so much does not fit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    code = FULL_DISK
    mounted = False
    if request.param == "disk":
        command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder]
        mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
        if not mounted:
            pytest.skip("only root can mount a small disk")
        code = FULL_DISK.replace("resource.setrlimit", "(lambda *_: None)")
    (folder / "a").write_bytes(b"old")
    yield lambda: subprocess.run([sys.executable, "-c", code, folder / "a"], check=True, capture_output=True, text=True)
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_what_was_there(
    full: Callable[[], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    lines = full().stdout.splitlines()
    assert lines[0] == lines[1]
    assert lines[0] in ("No space left on device", "File too large")
    assert lines[2].startswith(WriteFault.__name__)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "disk").iterdir()] == [("a", b"old")]


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "no" / "such" / "page.html", tmp_path / "file" / "page.html"):
        with pytest.raises(CannotCreate, match=f"cannot write {path}") as caught:
            files.export(path, b"x")
        assert caught.value.hint


def test_an_export_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    files.export(pipe, b"page")
    assert reader.communicate()[0] == b"page"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_export_keeps_the_mode_of_what_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"old")
    path.chmod(0o640)
    files.export(path, b"new")
    assert (path.read_bytes(), files.mode_of(path)) == (b"new", 0o640)


def test_json_there_and_back(tmp_path: Path) -> None:
    data = {"name": "ünï \udce4", "values": [1, None]}
    files.write_json(tmp_path / "a.json", data)
    assert files.read_json(tmp_path / "a.json") == data
    assert json.loads((tmp_path / "a.json").read_text("ascii")) == data
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match="holds no JSON object"):
        files.read_json(tmp_path / "a.json")


def test_json_that_is_not_there_or_damaged_is_empty_where_that_is_asked_for(tmp_path: Path) -> None:
    for content in (b"", b"{", b"[1]", b"\xff", b"\0" * 20):
        (tmp_path / "a.json").write_bytes(content)
        assert files.read_json_or_empty(tmp_path / "a.json") == {}
    assert files.read_json_or_empty(tmp_path / "gone" / "a.json") == {}
    files.write_json(tmp_path / "a.json", {"a": 1})
    assert files.read_json_or_empty(tmp_path / "a.json") == {"a": 1}
