"""The hook under the pre-commit framework: it reports, and stages nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snaprun.hooks import install
from snaprun.hooks.managers import MANAGERS
from tests.hooking import call_hook, pair
from tests.sandbox import Sandbox

pytestmark = pytest.mark.slow

MANIFEST = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A repository with the framework's hook, and ours in its configuration, as the manifest has it."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    box = Sandbox(tmp_path / "repo")
    (ours,) = (dict(entry) for entry in yaml.safe_load(MANIFEST.read_text()) if entry["id"] == "snaprun")
    ours.update(language="system", entry=ours["entry"].replace("snaprun", f"{sys.executable} -m snaprun", 1))
    del ours["minimum_pre_commit_version"]
    box.write(".pre-commit-config.yaml", yaml.safe_dump({"repos": [{"repo": "local", "hooks": [ours]}]}))
    pair(box, "train", "x = 1")
    box.commit("start")
    pre_commit(box, "install")
    return box


def pre_commit(repo: Sandbox, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pre_commit", *args]
    return subprocess.run(command, cwd=repo.path, env=dict(os.environ), capture_output=True, text=True, check=False)


def commit(repo: Sandbox) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "commit", "-m", "x"], cwd=repo.path, capture_output=True, text=True, check=False)


def test_a_partly_staged_pair_is_judged_as_staged(repo: Sandbox) -> None:
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    repo.write("train.py", (repo.path / "train.py").read_text() + "\nwip = 1\n")
    done = commit(repo)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (repo.path / "train.py").read_text().endswith("wip = 1\n")
    pair(repo, "train", "x = 3")
    repo.git("add", "train.ipynb")
    before = repo.git("ls-files", "-s")
    done = commit(repo)
    assert done.returncode == 1
    assert "train.py is stale: cell 1" in done.stdout + done.stderr
    assert repo.git("ls-files", "-s") == before


def test_all_files_of_a_clone_without_runs(repo: Sandbox) -> None:
    done = pre_commit(repo, "run", "--all-files", "--verbose")
    assert done.returncode == 0, done.stdout
    assert "train.ipynb: in sync with train.py" in done.stdout
    assert "no run executed" not in done.stdout


def test_the_framework_and_ours_side_by_side(repo: Sandbox) -> None:
    assert "by pre-commit" in call_hook(repo, "status")
    with pytest.raises(install.ManagerConflict):
        call_hook(repo, "install")
    call_hook(repo, "install", "--force", "--type", "pre-commit")
    pair(repo, "train", "x = 3")
    repo.git("add", "train.ipynb")
    assert commit(repo).returncode == 1
    call_hook(repo, "uninstall")
    assert "by pre-commit" in call_hook(repo, "status")


def test_the_framework_installed_over_ours(repo: Sandbox) -> None:
    pre_commit(repo, "uninstall")
    call_hook(repo, "install", "--type", "pre-commit")
    pre_commit(repo, "install")
    assert "via pre-commit's legacy" in call_hook(repo, "status")
    pair(repo, "train", "x = 3")
    repo.git("add", "train.ipynb")
    assert "train.py is stale" in commit(repo).stderr
    call_hook(repo, "uninstall")
    assert "by pre-commit" in call_hook(repo, "status")


def test_what_is_to_be_pasted_is_a_configuration(repo: Sandbox) -> None:
    repo.write(".pre-commit-config.yaml", MANAGERS["pre-commit"].paste)
    assert pre_commit(repo, "validate-config").returncode == 0
    assert pre_commit(repo, "validate-manifest", str(MANIFEST)).returncode == 0
