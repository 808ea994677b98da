"""The gate to git: fixed arguments, a scrubbed environment, exact bytes, errors of the right kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snaprun.errors import CannotCreate, DataFault, Denied, SnaprunError, Unavailable, WriteFault
from snaprun.git import locate
from snaprun.git.gitchild import Answer, failure
from snaprun.git.gitrepo import GitRepo, join_paths, parse_author, split_paths
from snaprun.git.objects import make
from tests.sandbox import Sandbox


@pytest.fixture
def git(repo: Sandbox) -> GitRepo:
    return GitRepo(locate.find(repo.path, os.environ))


def test_output_is_exact_to_the_last_newline(repo: Sandbox, git: GitRepo) -> None:
    repo.write("bytes", b"\0\xff\n\n")
    repo.write("empty", b"")
    repo.commit()
    assert git.blob("HEAD", "bytes") == b"\0\xff\n\n"
    assert git.blob("HEAD", "empty") == b""
    assert git.blob("HEAD", "none") is None
    oid = repo.git("rev-parse", "HEAD:bytes").strip()
    assert list(git.blobs([oid, "HEAD:none", "HEAD:empty", "HEAD:bytes"])) == [b"\0\xff\n\n", None, b"", b"\0\xff\n\n"]


def test_many_contents_are_asked_for_at_once_whatever_their_names(repo: Sandbox, git: GitRepo) -> None:
    repo.write("two\nlines", b"odd")
    repo.write("a", b"plain")
    repo.commit()
    assert list(git.blobs(["HEAD:a", "HEAD:two\nlines", "HEAD:no\nsuch", "HEAD:a"])) == [
        b"plain",
        b"odd",
        None,
        b"plain",
    ]


def test_variables_of_the_caller_do_not_reach_git(repo: Sandbox, git: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    head = repo.git("rev-parse", "HEAD").strip()
    for name, value in {
        "GIT_DIR": "/no",
        "GIT_INDEX_FILE": "/no",
        "GIT_OBJECT_DIRECTORY": "/no",
        "GIT_TRACE": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.abbrev")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "nonsense")
    assert git.head() == head
    assert git.run("ls-files").out == b"README\n"


def test_revisions_that_look_like_options_are_not(git: GitRepo) -> None:
    assert git.resolve("--help") is None
    assert git.resolve("-h") is None
    assert git.resolve("HEAD") == git.head()


def test_a_tree_is_listed_with_any_name(repo: Sandbox, git: GitRepo) -> None:
    repo.write("new\nline/é.py", "1")
    repo.write("-dash", "2").chmod(0o755)
    repo.commit()
    assert {(entry.mode, entry.path) for entry in git.tree("HEAD")} == {
        ("100644", "README"),
        ("100644", "new\nline/é.py"),
        ("100755", "-dash"),
    }
    assert [entry.path for entry in git.tree("HEAD", under="new\nline")] == ["new\nline/é.py"]


def test_a_ref_moves_from_its_expected_place_only(repo: Sandbox, git: GitRepo) -> None:
    first = repo.git("rev-parse", "HEAD").strip()
    second = repo.commit()
    git.move_ref("refs/snaprun/x", first, None)
    with pytest.raises(SnaprunError):
        git.move_ref("refs/snaprun/x", second, None)
    with pytest.raises(SnaprunError):
        git.move_ref("refs/snaprun/x", second, second)
    git.move_ref("refs/snaprun/x", second, first)
    assert git.refs("refs/snaprun") == {"refs/snaprun/x": second}
    with pytest.raises(SnaprunError):
        git.delete_ref("refs/snaprun/x", first)
    git.delete_ref("refs/snaprun/x", second)
    assert git.refs("refs/snaprun") == {}


def test_objects_from_memory_are_stored_flushed_and_missed_when_gone(repo: Sandbox, git: GitRepo) -> None:
    made = [make("blob", text, git.hash_name()) for text in (b"one", b"two")]
    oids = [item.oid for item in made]
    assert git.find_missing(oids) == oids
    git.ingest(made)
    git.flush([*oids, "0" * 40])
    assert git.find_missing(oids) == []
    with git.object_reader() as ask:
        found = ask(oids[1])
        assert found is not None
        assert (found.kind, found.data) == ("blob", b"two")
        assert ask("0" * 40) is None
    head = str(git.head())
    repo.git("repack", "-adq")
    assert git.find_missing([head]) == []


def test_a_child_that_is_not_wanted_any_more_is_gone(git: GitRepo) -> None:
    with git.start("cat-file", "--batch", stdin_pipe=True) as child:
        process = child._process.proc
    assert process.poll() is not None


def test_the_author_is_the_users_or_a_stand_in(repo: Sandbox, git: GitRepo, sealed: Path) -> None:
    with git.author_lookup() as name:
        assert name() == "Ada <ada@example.org>"
    with git.author_lookup() as name:
        assert name() == "Ada <ada@example.org>"
    (sealed / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    with GitRepo(git.place).author_lookup() as name:
        assert name() == "snaprun user <user@localhost>"
    assert parse_author(Answer(0, b"", "")) == "snaprun user <user@localhost>"


def test_the_repository_of_a_submodule_is_another(repo: Sandbox, git: GitRepo) -> None:
    Sandbox(repo.path / "inner")
    inner = git.open_submodule("inner")
    assert inner is not None
    assert inner.place.top == repo.path / "inner"
    repo.write("folder/file")
    assert git.open_submodule("folder") is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("fatal: unable to write file: No space left on device", WriteFault),
        ("error: Disk quota exceeded", WriteFault),
        ("fatal: Unable to create '/x/index.lock': Read-only file system", CannotCreate),
        ("error: insufficient permission for adding an object to repository database .git/objects", Denied),
        ("fatal: detected dubious ownership in repository at '/x'", Denied),
        ("fatal: cannot lock ref 'refs/x': is at 1 but expected 2", CannotCreate),
        ("fatal: bad object HEAD", DataFault),
        ("fatal: something else", Unavailable),
        ("", Unavailable),
    ],
)
def test_what_git_says_decides_the_kind_of_error(said: str, kind: type[SnaprunError]) -> None:
    error = failure(("update-ref",), Answer(128, b"", said))
    assert type(error) is kind
    assert error.hint
    assert "git update-ref failed" in error.message


PATHS = ["a b", "new\nline", "tab\there", '"quoted"', "ünï", os.fsdecode(b"latin-\xe4"), "-n", ":(top)x"]


def test_lists_of_paths_go_to_git_and_come_back_whatever_the_names(repo: Sandbox) -> None:
    paths = [f"folder/{path}" for path in PATHS]
    for path in paths:
        repo.write(path, "x")
    repo.git("update-index", "--add", "-z", "--stdin", stdin=join_paths(paths))
    listing = os.fsencode(repo.git("ls-files", "-z", "folder"))
    assert sorted(split_paths(listing)) == sorted(paths)
    assert split_paths(join_paths(paths)) == paths
    assert split_paths(join_paths([])) == []
