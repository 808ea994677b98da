"""The repository is found by the folder, in every kind of repository, and every refusal says what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from snaprun.errors import Unavailable
from snaprun.git import locate
from tests.sandbox import Sandbox


def test_a_repository_is_found_from_any_folder_inside(repo: Sandbox) -> None:
    repo.write("a/b/c.py")
    for start in (repo.path, repo.path / "a", repo.path / "a/b"):
        place = locate.find(start, os.environ)
        assert place.top == repo.path
        assert place.git_dir == place.common_dir == repo.path / ".git"
        assert place.index == repo.path / ".git/index"
        assert place.state == repo.path / ".git/snaprun"
        assert place == locate.find_enclosing(start, os.environ)


def test_a_linked_worktree_shares_the_state(repo: Sandbox, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    place = locate.find(tmp_path / "linked", os.environ)
    assert place.top == tmp_path / "linked"
    assert place.common_dir == repo.path / ".git"
    assert place.index == place.git_dir / "index" != repo.path / ".git/index"
    assert place.live == repo.path / ".git/snaprun/live"


def test_what_is_left_of_a_linked_worktree_that_is_removed(repo: Sandbox, tmp_path: Path) -> None:
    repo.commit()
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    main, linked = (locate.find(path, os.environ) for path in (repo.path, tmp_path / "linked"))
    assert [locate.read_place(json.loads(json.dumps(place.to_json()))) for place in (main, linked)] == [main, linked]
    assert not main.is_removed and not linked.is_removed
    repo.git("worktree", "remove", str(linked.top))
    left = locate.read_place(linked.to_json())
    assert (left.git_dir, left.state, left.is_removed) == (main.git_dir, main.state, True)
    assert locate.recover_place(left) == left


def test_a_newline_in_a_folder_is_no_trouble(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "two\nlines ünï")
    place = locate.find(box.path, os.environ)
    assert place.top == box.path
    assert place.index == box.path / ".git/index"


def test_what_a_hook_handed_over_counts_for_find_alone(repo: Sandbox, tmp_path: Path) -> None:
    other = Sandbox(tmp_path / "other")
    env = {**os.environ, "GIT_DIR": str(other.path / ".git"), "GIT_INDEX_FILE": "/elsewhere/index"}
    assert locate.find_enclosing(repo.path, env).git_dir == repo.path / ".git"
    assert locate.find_enclosing(repo.path, env).index == repo.path / ".git/index"
    assert locate.find(repo.path, env).git_dir == other.path / ".git"
    assert locate.find(repo.path, {**os.environ, "GIT_INDEX_FILE": "/elsewhere/index"}).index == Path(
        "/elsewhere/index"
    )


def test_outside_any_repository_the_callers_variables_count(repo: Sandbox, tmp_path: Path) -> None:
    env = {**os.environ, "GIT_DIR": str(repo.path / ".git"), "GIT_WORK_TREE": str(tmp_path)}
    assert locate.find_enclosing(tmp_path, env).git_dir == repo.path / ".git"


@pytest.mark.parametrize(
    ("where", "words", "hint"),
    [("plain", "not in a git repository", "git init"), ("bare.git", "bare", "clone"), ("gone", "no folder", "exists")],
)
def test_refusals_say_what_to_do(tmp_path: Path, where: str, words: str, hint: str) -> None:
    (tmp_path / "plain").mkdir()
    Sandbox(tmp_path / "bare.git", "--bare")
    for find in (locate.find, locate.find_enclosing):
        with pytest.raises(Unavailable, match=words) as told:
            find(tmp_path / where, os.environ)
        assert hint in told.value.hint


def test_no_git_and_an_old_git_are_told_apart(repo: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="not on the PATH"):
        locate.find(repo.path, os.environ)
    old = tmp_path / "git"  # what git 2.30 does with an option of rev-parse that it does not know: it repeats it
    old.write_text('#!/bin/sh\necho "--path-format=absolute"\necho /top\necho /top/.git\necho .git\necho .git/index\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Unavailable, match="too old"):
        locate.find(repo.path, os.environ)


def test_everything_of_a_run_is_the_owners_alone(repo: Sandbox) -> None:
    before = os.umask(0)
    try:
        assert repo.snaprun("exec", repo.notebook("a.ipynb", "1").name, "--engine", "inline", "-q").returncode == 0
    finally:
        os.umask(before)
    state = locate.find(repo.path, os.environ).state
    folders = [state, *(path for path in state.iterdir() if path.is_dir())]
    assert {path.name: path.stat().st_mode & 0o777 for path in folders} == {path.name: 0o700 for path in folders}


def test_a_clean_environment_keeps_what_is_the_users() -> None:
    env = {"GIT_DIR": "x", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a", "GIT_AUTHOR_NAME": "Ada", "PATH": "p"}
    assert locate.clean_env(env) == {"GIT_AUTHOR_NAME": "Ada", "PATH": "p"}
