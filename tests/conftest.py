"""Every test is sealed: its own home, its own git configuration, no inherited GIT_* or SNAPRUN_* variable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sandbox import Sandbox


@pytest.fixture(autouse=True)
def sealed(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private home with a fixed identity; the machine's own configuration is out of sight."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("GIT_", "SNAPRUN_", "JUPYTER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("TERM", "dumb")
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n[gc]\n\tauto = 0\n")
    return home


@pytest.fixture
def repo(tmp_path: Path) -> Sandbox:
    """A repository with one commit."""
    box = Sandbox(tmp_path / "repo")
    box.write("README", "a project\n")
    box.commit("start")
    return box
