"""The hook inside real git: every way to make a commit, and what git does with the hook in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.hooks import script
from snaprun.hooks.kinds import KINDS
from snaprun.statuses import Status
from tests.hooking import call_hook, pair, ran, stream, with_outputs
from tests.sandbox import Sandbox, notebook

ALL = (*KINDS, "prepare-commit-msg", "post-merge", "post-checkout", "pre-rebase")


@pytest.fixture
def repo(tmp_path: Path) -> Sandbox:
    """A repository with our hook, and hooks of every kind that were there before and note their calls."""
    box = Sandbox(tmp_path / "repo")
    box.write("README", "a project\n")
    pair(box, "train", "x = 1")
    box.commit("start")
    for name in ALL:
        path = box.write(f".git/hooks/{name}", f'#!/bin/sh\necho "{name}" >> "{tmp_path}/calls"\n')
        path.chmod(0o755)
    call_hook(box, "install", "--type", "pre-commit")
    return box


def git(repo: Sandbox, *args: str, at: str = ".", **env: str) -> subprocess.CompletedProcess[str]:
    """Call git as a user does, who sees everything and may be refused."""
    return subprocess.run(
        ["git", *args],
        cwd=repo.path / at,
        env={**os.environ, "GIT_EDITOR": "true", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(repo: Sandbox) -> list[str]:
    """The hooks that were there before, in the order in which they were called since the last time."""
    path = repo.path.parent / "calls"
    made = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return made


def out_of_sync(repo: Sandbox, source: str = "x = 2") -> None:
    """Change the notebook, and leave its script behind."""
    script = (repo.path / "train.py").read_bytes()
    pair(repo, "train", source)
    repo.write("train.py", script)


def head(repo: Sandbox) -> str:
    return repo.git("log", "-1", "--format=%B").strip()


def test_commit(repo: Sandbox) -> None:
    out_of_sync(repo)
    repo.git("add", ".")
    done = git(repo, "commit", "-m", "work")
    assert done.returncode == 1
    assert "train.py is stale: cell 1" in done.stderr
    assert calls(repo) == ["pre-commit"], "the hook that was there before ran, and first"
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    assert git(repo, "commit", "-m", "work").returncode == 0
    assert calls(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"]


def test_the_first_commit_of_all(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "new")
    call_hook(box, "install")
    pair(box, "train", "x = 1")
    box.git("add", "train.ipynb")
    assert "its other half train.py is not staged" in git(box, "commit", "-m", "start").stderr
    box.git("add", ".")
    assert git(box, "commit", "-m", "start").returncode == 0


@pytest.mark.parametrize("algorithm", ["sha256"])
def test_another_hash(tmp_path: Path, algorithm: str) -> None:
    box = Sandbox(tmp_path / "new", f"--object-format={algorithm}")
    call_hook(box, "install")
    pair(box, "train", "x = 1")
    box.commit("start")
    out_of_sync(box)
    box.git("add", ".")
    assert "train.py is stale" in git(box, "commit", "-m", "work").stderr


def test_commit_all(repo: Sandbox) -> None:
    """Git hands over ``index.lock``; the ordinary index knows nothing of the change."""
    out_of_sync(repo)
    done = git(repo, "commit", "-am", "work")
    assert done.returncode == 1
    assert "train.py is stale" in done.stderr
    pair(repo, "train", "x = 2")
    assert git(repo, "commit", "-am", "work").returncode == 0


def test_commit_all_with_fix(repo: Sandbox) -> None:
    call_hook(repo, "install", "--type", "pre-commit", "--mode", "fix")
    out_of_sync(repo)
    assert git(repo, "commit", "-am", "work").returncode == 0
    assert "x = 2" in repo.git("show", "HEAD:train.py")
    assert repo.git("status", "--porcelain") == ""


def test_commit_with_fix(repo: Sandbox) -> None:
    call_hook(repo, "install", "--type", "pre-commit", "--mode", "fix")
    out_of_sync(repo)
    repo.git("add", "train.ipynb")
    assert git(repo, "commit", "-m", "work").returncode == 0
    assert "x = 2" in repo.git("show", "HEAD:train.py")
    assert repo.git("status", "--porcelain") == ""


@pytest.mark.parametrize("mode", ["check", "fix"])
def test_commit_of_a_path(repo: Sandbox, mode: str) -> None:
    """Git hands over ``next-index-*.lock``: HEAD and the named paths only. It is thrown away, so nothing is fixed."""
    call_hook(repo, "install", "--type", "pre-commit", "--mode", mode)
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    before = repo.git("ls-files", "-s")
    done = git(repo, "commit", "-m", "work", "--", "train.ipynb")
    assert done.returncode == 1
    assert "train.py is stale" in done.stderr, "though the ordinary index has both halves"
    assert repo.git("ls-files", "-s") == before
    assert git(repo, "commit", "-m", "work", "--", "train.ipynb", "train.py").returncode == 0


def test_commit_from_a_folder(repo: Sandbox) -> None:
    repo.write("deep/folder/x", "")
    out_of_sync(repo)
    repo.git("add", ".")
    assert "train.py is stale" in git(repo, "commit", "-m", "work", at="deep/folder").stderr


def test_commit_in_a_linked_worktree(repo: Sandbox) -> None:
    repo.git("worktree", "add", "-q", "../second")
    calls(repo)
    second = Sandbox.__new__(Sandbox)
    second.path = repo.path.parent / "second"
    out_of_sync(second)
    second.git("add", ".")
    done = git(second, "commit", "-m", "work")
    assert "train.py is stale" in done.stderr
    assert calls(repo) == ["pre-commit"]
    assert git(repo, "commit", "--allow-empty", "-m", "nothing of that here").returncode == 0


def test_commit_with_the_git_folder_elsewhere(repo: Sandbox) -> None:
    out_of_sync(repo)
    repo.git("add", ".")
    where = [f"--git-dir={repo.path / '.git'}", f"--work-tree={repo.path}"]
    done = git(repo, *where, "commit", "-m", "work", at="..")
    assert "train.py is stale" in done.stderr


def test_amend(repo: Sandbox) -> None:
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    git(repo, "commit", "-m", "work")
    calls(repo)
    out_of_sync(repo, "x = 3")
    repo.git("add", ".")
    assert "train.py is stale" in git(repo, "commit", "--amend", "--no-edit").stderr
    pair(repo, "train", "x = 3")
    repo.git("add", ".")
    calls(repo)
    assert git(repo, "commit", "--amend", "--no-edit").returncode == 0
    assert calls(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-rewrite"]


def test_every_hook_of_ours_where_git_calls_it(repo: Sandbox) -> None:
    """With all of them installed, an ordinary life: none refuses, and those that were there before are still called."""
    call_hook(repo, "install", "--type", ",".join(KINDS))
    branches(repo, "x = 1", "x = 9")
    repo.write("new", "")
    repo.git("add", ".")
    assert git(repo, "commit", "-m", "new").returncode == 0
    assert calls(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"]
    assert git(repo, "merge", "--no-edit", "theirs").returncode == 0
    assert calls(repo) == ["pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-merge"]
    assert git(repo, "commit", "--amend", "-m", "words").returncode == 0
    assert calls(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-rewrite"]


def test_no_verify(repo: Sandbox) -> None:
    out_of_sync(repo)
    repo.git("add", ".")
    assert git(repo, "commit", "--no-verify", "-m", "work").returncode == 0
    assert calls(repo) == ["prepare-commit-msg", "post-commit"]


def branches(repo: Sandbox, ours: str, theirs: str) -> None:
    """Two branches from here, each with its state of the pair."""
    for branch, source in (("theirs", theirs), ("ours", ours)):
        repo.git("checkout", "-q", "-B", branch, "main")
        pair(repo, "train", *source.split(";"))
        repo.git("add", ".")
        assert git(repo, "commit", "--allow-empty", "-m", branch).returncode == 0
    calls(repo)


def test_a_clean_merge(repo: Sandbox) -> None:
    branches(repo, "x = 1", "x = 9")
    repo.write("new", "")
    repo.git("add", ".")
    git(repo, "commit", "-m", "new")
    calls(repo)
    assert git(repo, "merge", "--no-edit", "theirs").returncode == 0
    assert calls(repo) == ["pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-merge"]


def test_a_clean_merge_that_brings_a_secret(repo: Sandbox) -> None:
    call_hook(repo, "install", "--type", "pre-merge-commit")
    branches(repo, "x = 1", "x = 2")
    repo.git("checkout", "-q", "theirs")
    pair(repo, "train", f"key = 'ghp_{'a1B2' * 9}'")
    repo.git("add", ".")
    git(repo, "commit", "--no-verify", "-m", "secret")
    repo.git("checkout", "-q", "ours")
    repo.write("new", "")
    repo.git("add", ".")
    git(repo, "commit", "-m", "new")
    done = git(repo, "merge", "--no-edit", "theirs")
    assert done.returncode != 0
    assert "GitHub token" in done.stderr
    assert "no run executed" not in done.stderr


def test_a_merge_with_a_conflict(repo: Sandbox) -> None:
    branches(repo, "x = 2", "x = 3")
    assert git(repo, "merge", "theirs").returncode == 1
    assert "<<<<<<<" in (repo.path / "train.ipynb").read_text()
    repo.git("add", ".")
    done = git(repo, "commit", "--no-edit")
    assert done.returncode == 1
    assert "train.ipynb: has unresolved merge markers" in done.stderr
    calls(repo)
    pair(repo, "train", "x = 23")
    repo.git("add", ".")
    done = git(repo, "commit", "--no-edit")
    assert done.returncode == 0
    assert calls(repo) == ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"]


def test_in_a_merge_only_damage_and_secrets_count(repo: Sandbox) -> None:
    branches(repo, "x = 2", "x = 3")
    git(repo, "merge", "theirs")
    repo.git("checkout", "-q", "--theirs", "train.ipynb")
    repo.git("checkout", "-q", "--ours", "train.py")
    repo.git("add", ".")
    done = git(repo, "commit", "--no-edit")
    assert (done.returncode, "no run executed" in done.stderr) == (0, False)
    branches(repo, "x = 2", "x = 3")
    git(repo, "merge", "theirs")
    pair(repo, "train", f"key = 'ghp_{'a1B2' * 9}'")
    repo.git("add", ".")
    assert "GitHub token" in git(repo, "commit", "--no-edit").stderr


def test_rebase(repo: Sandbox) -> None:
    branches(repo, "x = 2", "x = 3")
    done = git(repo, "rebase", "theirs")
    assert done.returncode == 1
    assert set(calls(repo)) <= {"pre-rebase", "post-checkout"}
    pair(repo, "train", "x = 23")
    repo.git("add", ".")
    assert git(repo, "rebase", "--continue").returncode == 0
    assert calls(repo) == ["prepare-commit-msg", "post-commit", "post-rewrite"]


def test_cherry_pick_and_revert(repo: Sandbox) -> None:
    branches(repo, "x = 1", "x = 3")
    assert git(repo, "cherry-pick", "theirs").returncode == 0
    assert calls(repo) == ["prepare-commit-msg", "post-commit"]
    assert git(repo, "revert", "--no-edit", "HEAD").returncode == 0
    assert calls(repo) == ["prepare-commit-msg", "post-commit"]


def test_am(repo: Sandbox) -> None:
    branches(repo, "x = 1", "x = 3")
    repo.git("format-patch", "-q", "-1", "theirs", "-o", "..")
    (patch,) = repo.path.parent.glob("*.patch")
    assert git(repo, "am", str(patch)).returncode == 0
    assert calls(repo) == []


def test_stash(repo: Sandbox) -> None:
    out_of_sync(repo)
    assert git(repo, "stash").returncode == 0
    assert git(repo, "stash", "pop").returncode == 0
    assert calls(repo) == []


def test_an_empty_commit(repo: Sandbox) -> None:
    assert git(repo, "commit", "--allow-empty", "-m", "nothing").returncode == 0


def test_a_submodule(repo: Sandbox, tmp_path: Path) -> None:
    outer = Sandbox(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repo.path), "inner")
    inner = Sandbox.__new__(Sandbox)
    inner.path = outer.path / "inner"
    call_hook(inner, "install")
    out_of_sync(inner)
    inner.git("add", ".")
    assert "train.py is stale" in git(inner, "commit", "-m", "work").stderr
    assert git(outer, "commit", "-m", "work").returncode == 0, "the outer repository has no hook"


def test_partial_staging_commits_what_is_staged(repo: Sandbox) -> None:
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    out_of_sync(repo, "x = 'wip'")
    assert git(repo, "commit", "-m", "work").returncode == 0
    assert repo.git("status", "--porcelain") == " M train.ipynb\n"


def test_what_is_staged_while_nothing_changes_on_disk(repo: Sandbox) -> None:
    pair(repo, "train", "x = 2")
    repo.git("add", ".")
    before = {path.name: path.stat().st_mtime_ns for path in repo.path.iterdir() if path.is_file()}
    assert git(repo, "commit", "-m", "work").returncode == 0
    assert {path.name: path.stat().st_mtime_ns for path in repo.path.iterdir() if path.is_file()} == before


@pytest.fixture
def trailing(repo: Sandbox) -> Sandbox:
    """The repository with trailers asked for."""
    call_hook(repo, "install")
    repo.write("snaprun.toml", "[hook]\ntrailer = true\n")
    repo.git("add", ".")
    repo.git("commit", "-q", "--no-verify", "-m", "ask for trailers")
    return repo


def stage(repo: Sandbox, source: str) -> None:
    pair(repo, "train", source)
    repo.git("add", ".")


def test_no_trailer_unless_asked_for(repo: Sandbox) -> None:
    stage(repo, "x = 2")
    ran(repo, "train.ipynb")
    git(repo, "commit", "-m", "work")
    assert head(repo) == "work"


def test_a_trailer_names_the_run(trailing: Sandbox) -> None:
    stage(trailing, "x = 2")
    run_id = ran(trailing, "train.ipynb")
    git(trailing, "commit", "-m", "work", "-m", "Signed-off-by: Ada <ada@example.org>")
    assert head(trailing) == f"work\n\nSigned-off-by: Ada <ada@example.org>\nSnaprun-Run: {run_id} train.ipynb"


def test_amending_keeps_a_trailer_that_is_true_and_drops_one_that_is_not(trailing: Sandbox) -> None:
    stage(trailing, "x = 2")
    run_id = ran(trailing, "train.ipynb")
    git(trailing, "commit", "-m", "work")
    git(trailing, "commit", "--amend", "-m", head(trailing).replace("work", "better words"))
    assert head(trailing) == f"better words\n\nSnaprun-Run: {run_id} train.ipynb"
    trailing.write("README", "more")
    trailing.git("add", ".")
    git(trailing, "commit", "--amend", "--no-edit")
    assert head(trailing) == f"better words\n\nSnaprun-Run: {run_id} train.ipynb"
    stage(trailing, "x = 3")
    git(trailing, "commit", "--amend", "--no-edit")
    assert head(trailing) == "better words"
    again = ran(trailing, "train.ipynb")
    git(trailing, "commit", "--amend", "--no-edit")
    assert head(trailing) == "better words", "the message alone was amended: nothing is staged"
    assert again


def test_a_failed_run_gets_no_trailer(trailing: Sandbox) -> None:
    stage(trailing, "x = 2")
    ran(trailing, "train.ipynb", status=Status.FAILED)
    git(trailing, "commit", "-m", "work")
    assert head(trailing) == "work"


def test_an_aborted_message_stays_an_abort(trailing: Sandbox) -> None:
    trailing.write(".git/template", "why:\n\n# fill it in\n")
    stage(trailing, "x = 2")
    ran(trailing, "train.ipynb")
    before = trailing.git("rev-parse", "HEAD")
    for options in ([], ["--verbose"], ["--signoff"], ["--cleanup=scissors"]):
        assert git(trailing, "commit", *options).returncode == 1, options
    assert git(trailing, "-c", f"commit.template={trailing.path}/.git/template", "commit").returncode == 1
    assert trailing.git("rev-parse", "HEAD") == before


def test_a_trailer_below_the_scissors_of_a_verbose_message(trailing: Sandbox, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(
        '#!/bin/sh\nprintf "subject\\n\\nwhy --- so\\n---\\nmore\\n" | cat - "$1" > "$1.new" && mv "$1.new" "$1"\n'
    )
    editor.chmod(0o755)
    stage(trailing, "x = 2")
    run_id = ran(trailing, "train.ipynb")
    assert git(trailing, "commit", "-v", GIT_EDITOR=str(editor)).returncode == 0
    assert head(trailing) == f"subject\n\nwhy --- so\n---\nmore\n\nSnaprun-Run: {run_id} train.ipynb"


def test_a_cherry_pick_keeps_the_trailer_as_it_is(trailing: Sandbox) -> None:
    stage(trailing, "x = 2")
    run_id = ran(trailing, "train.ipynb")
    git(trailing, "commit", "-m", "work")
    trailing.git("checkout", "-q", "-b", "side", "HEAD~1")
    git(trailing, "cherry-pick", "main")
    assert head(trailing).endswith(f"Snaprun-Run: {run_id} train.ipynb")


def test_the_trailer_names_the_run_whose_outputs_are_committed(trailing: Sandbox) -> None:
    node = notebook("print(seed)")
    trailing.write("plain.ipynb", json.dumps(node))
    first = ran(trailing, "plain.ipynb", {1: [stream("1\n")]})
    ran(trailing, "plain.ipynb", {1: [stream("2\n")]})
    trailing.write("plain.ipynb", json.dumps(with_outputs(node, {1: [stream("1\n")]})))
    trailing.git("add", ".")
    git(trailing, "commit", "-m", "work")
    assert head(trailing).endswith(f"Snaprun-Run: {first} plain.ipynb")


def test_after_the_commit_the_run_is_told(repo: Sandbox) -> None:
    call_hook(repo, "install", "--type", "post-commit,post-rewrite")
    stage(repo, "x = 2")
    run_id = ran(repo, "train.ipynb", params={"lr": 1})
    done = git(repo, "commit", "-m", "work")
    assert f"train.ipynb is from run {run_id[:8]} (succeeded, exit 0) (lr=1)" in done.stderr


def without_python(repo: Sandbox) -> dict[str, str]:
    """Install with an interpreter that goes away; the environment of a graphical client, with git alone on its PATH."""
    gone = repo.path.parent / "gone" / "python"
    path = repo.path / ".git/hooks/pre-commit"
    path.unlink()
    path.write_bytes(script.text("pre-commit", python=str(gone)))
    path.chmod(0o755)
    return {"PATH": "/usr/bin:/bin"}


def test_an_interpreter_that_is_gone_is_named(repo: Sandbox) -> None:
    env = without_python(repo)
    stage(repo, "x = 2")
    done = git(repo, "commit", "-m", "work", **env)
    assert done.returncode == 1
    assert "snaprun: error: the pre-commit hook cannot run: no snaprun in" in done.stderr
    assert "hint: snaprun hook install" in done.stderr
    repo.git("config", "snaprun.hookRequired", "false")
    done = git(repo, "commit", "-m", "work", **env)
    assert done.returncode == 0
    assert "snaprun: warning: the pre-commit hook did nothing" in done.stderr


def test_an_interpreter_without_snaprun(repo: Sandbox, tmp_path: Path) -> None:
    path = repo.path / ".git/hooks/pre-commit"
    path.write_bytes(script.text("pre-commit", python="/usr/bin/python3"))
    stage(repo, "x = 2")
    done = git(repo, "commit", "-m", "work", PATH="/usr/bin:/bin")
    assert done.returncode == 1
    assert "no snaprun in /usr/bin/python3" in done.stderr


def test_a_graphical_client_without_a_path(repo: Sandbox) -> None:
    out_of_sync(repo)
    repo.git("add", ".")
    done = git(repo, "commit", "-m", "work", PATH="/usr/bin:/bin", LANG="C", LC_ALL="C")
    assert "train.py is stale" in done.stderr


def test_the_users_files_are_not_imported_in_our_place(repo: Sandbox) -> None:
    for name in ("json", "subprocess", "snaprun", "click", "os"):
        repo.write(f"{name}.py", "raise SystemExit(0)\n")
    repo.write("snaprun/__init__.py", "raise SystemExit(0)\n")
    out_of_sync(repo)
    repo.git("add", ".")
    assert "train.py is stale" in git(repo, "commit", "-m", "work").stderr


def test_the_hook_that_was_there_before_can_refuse(repo: Sandbox) -> None:
    repo.write(".git/hooks/pre-commit.snaprun-orig", "#!/bin/sh\nexit 7\n")
    stage(repo, "x = 2")
    assert git(repo, "commit", "-m", "work").returncode != 0


def test_another_interpreter_by_the_environment(repo: Sandbox) -> None:
    env = without_python(repo)
    out_of_sync(repo)
    repo.git("add", ".")
    assert "train.py is stale" in git(repo, "commit", "-m", "work", SNAPRUN_PYTHON=sys.executable, **env).stderr
