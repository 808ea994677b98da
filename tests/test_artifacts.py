"""The artifact store: once by content, whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from snaprun.checkouts.artifacts import ArtifactStore, digest, keep


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty store."""
    (tmp_path / "aside").mkdir()
    return ArtifactStore(tmp_path / "artifacts", tmp_path / "aside", 1000)


def test_a_file_is_kept_once_by_its_content(store: ArtifactStore, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"x" * 3_000_000)
    two.write_bytes(b"x" * 3_000_000)
    sha = hashlib.sha256(one.read_bytes()).hexdigest()
    assert keep(store, one) == keep(store, two) == digest(one) == (sha, 3_000_000)
    (kept,) = store.folder.iterdir()
    assert kept.name == sha and kept.read_bytes() == one.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600 and store.folder.stat().st_mode & 0o777 == 0o700
    assert list(store.scratch_folder.iterdir()) == []


def test_what_cannot_be_read_leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        keep(store, tmp_path / "gone")
    with pytest.raises(IsADirectoryError):
        keep(store, tmp_path)
    assert list(store.folder.iterdir()) == [] and list(store.scratch_folder.iterdir()) == []


def test_an_empty_file_is_kept_as_well(store: ArtifactStore) -> None:
    sha, size = keep(store, Path(os.devnull))
    assert size == 0 and (store.folder / sha).read_bytes() == b""
