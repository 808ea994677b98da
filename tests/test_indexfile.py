"""An index is called ordinary only when git would look at every file in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from snaprun.git.indexfile import MAX_ENTRIES, holds, is_ordinary
from tests.sandbox import Sandbox


def filled(box: Sandbox) -> bytes:
    for number in range(60):
        box.write(f"pack/{'n' * number}{number}.py", f"{number}\n")
    box.write("x" * 200 + "/" + "y" * 200, "long\n")
    box.commit()
    return index(box)


def index(box: Sandbox) -> bytes:
    return (box.path / ".git/index").read_bytes()


def test_an_index_as_git_writes_it_is_ordinary_and_knows_its_paths(repo: Sandbox) -> None:
    data = filled(repo)
    assert is_ordinary(data)
    tracked = repo.git("ls-files", "-z").split("\0")[:-1]
    assert all(holds(data, path.encode()) for path in tracked)
    assert not any(holds(data, path.encode()) for path in ("0.py", "pack", "pack/0.p", "README2", "ack/0.py"))


@pytest.mark.parametrize(
    "change",
    [
        ("update-index", "--assume-unchanged", "README"),
        ("update-index", "--skip-worktree", "README"),
        ("update-index", "--split-index"),
        ("update-index", "--index-version", "4"),
        ("sparse-checkout", "set", "--cone", "--sparse-index", "pack"),
    ],
)
def test_an_index_with_hidden_entries_or_of_another_make_is_not(repo: Sandbox, change: tuple[str, ...]) -> None:
    filled(repo)
    repo.git(*change)
    assert not is_ordinary(index(repo))


def test_damaged_large_and_foreign_ones_are_not(repo: Sandbox, tmp_path: Path) -> None:
    data = filled(repo)
    assert not is_ordinary(b"")
    assert not is_ordinary(data[:100])
    assert not is_ordinary(data[:40] + b"x" + data[41:])
    head = data[:8] + (MAX_ENTRIES + 1).to_bytes(4, "big") + data[12:-20]
    assert not is_ordinary(head + hashlib.sha1(head).digest())
    other = Sandbox(tmp_path / "sha256", "--object-format=sha256")
    filled(other)
    assert not is_ordinary(index(other))
