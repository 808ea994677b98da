"""The staged index is read as git hands it over, whatever lies in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.hooks import gate, gitindex
from snaprun.hooks.gitindex import Index
from tests.sandbox import Sandbox, notebook

HEADER = "# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n"


def index(repo: Sandbox, **env: str) -> Index:
    return gitindex.open_staged_index(repo.path, {**os.environ, **env})


def test_every_kind_of_change(repo: Sandbox) -> None:
    for name in ("changed", "deleted", "moved", "mode"):
        repo.write(name, f"{name}\n" * 20)
    repo.commit()
    repo.write("changed", "new")
    repo.write("added", "")
    repo.git("rm", "-q", "deleted")
    repo.git("mv", "moved", "away")
    (repo.path / "mode").unlink()
    (repo.path / "mode").symlink_to("README")
    repo.git("add", "-A")
    repo.write("later", "not staged")
    repo.write("intended", "x")
    repo.git("add", "-N", "intended")
    found = {change.path: (change.status, change.is_file) for change in gitindex.changes(index(repo))}
    assert found == {
        "added": ("A", True),
        "away": ("A", True),
        "changed": ("M", True),
        "deleted": ("D", False),
        "mode": ("T", False),
        "moved": ("D", False),
    }


def test_an_unborn_branch(tmp_path: Path) -> None:
    box = Sandbox(tmp_path / "new")
    assert gitindex.changes(index(box)) == []
    box.write("a", "1")
    box.git("add", ".")
    assert [change.status for change in gitindex.changes(index(box))] == ["A"]


def test_names_and_contents_of_every_kind(repo: Sandbox) -> None:
    names = ["a b", "-dash", 'q"uote', "tab\there", "new\nline", "ä🎉", os.fsdecode(b"\xff\xfe"), "[x]*?"]
    for name in names:
        repo.write(name, name.encode("utf-8", "surrogateescape") + b"\0\n\r\n")
    repo.git("add", "-A")
    here = index(repo)
    changes = gitindex.changes(here)
    assert {change.path for change in changes} == set(names)
    blobs = gitindex.contents(here, [change.oid for change in changes])
    for change in changes:
        assert blobs[change.oid] == os.fsencode(change.path) + b"\0\n\r\n"
        assert gitindex.entries(here, [change.path]) == {change.path: (change.mode, change.oid)}


def test_what_is_missing_is_left_out(repo: Sandbox) -> None:
    here = index(repo)
    assert gitindex.contents(here, []) == {}
    assert gitindex.contents(here, ["1" * 40, "HEAD:README", "HEAD:no such", "HEAD"]) == {"HEAD:README": b"a project\n"}


def test_an_unmerged_path_is_no_file(repo: Sandbox) -> None:
    for branch, text in (("a", "1"), ("b", "2")):
        repo.git("checkout", "-q", "-b", branch, "main")
        repo.write("README", text)
        repo.commit()
    repo.git("merge", "a", ok=False)
    here = index(repo)
    assert gitindex.special(here.place) == "MERGE_HEAD"
    assert [change.is_file for change in gitindex.changes(here)] == [False] * len(gitindex.changes(here))
    assert "README" not in gitindex.entries(here)


def test_the_index_that_git_hands_over(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name is relative to the folder that the hook was started in, wherever git is then called."""
    repo.write("new", "1")
    repo.git("add", "new", env={"GIT_INDEX_FILE": str(repo.path / ".git/other")})
    assert gitindex.changes(index(repo)) == []
    here = index(repo, GIT_INDEX_FILE=".git/other", GIT_DIR=".git")
    assert here.file == repo.path / ".git/other"
    monkeypatch.chdir("/")
    assert "new" in {change.path for change in gitindex.changes(here)}
    assert not here.partial
    (repo.path / ".git/other").rename(repo.path / ".git/next-index-7.lock")
    assert index(repo, GIT_INDEX_FILE=".git/next-index-7.lock").partial


def test_what_would_change_gits_answers_is_not_inherited(repo: Sandbox) -> None:
    repo.write("ä", "1")
    repo.git("add", ".")
    repo.git("config", "diff.relative", "true")
    repo.git("config", "diff.noprefix", "true")
    repo.git("config", "diff.external", "false")
    here = index(repo, GIT_EXTERNAL_DIFF="false", GIT_PREFIX="deep/", GIT_LITERAL_PATHSPECS="1", GIT_TRACE="1")
    assert [change.path for change in gitindex.changes(here)] == ["ä"]


def test_reading_writes_nothing(repo: Sandbox) -> None:
    repo.write("a.py", "1")
    repo.git("add", ".")
    with repo.untouched():
        here = index(repo)
        gitindex.contents(here, [change.oid for change in gitindex.changes(here)])
        gitindex.entries(here)
        gitindex.is_ignored(here, "a.py")


def test_a_commits_own_changes(repo: Sandbox) -> None:
    repo.write("a", "1")
    first = repo.commit()
    assert [change.path for change in gitindex.commit_changes(index(repo), first)] == ["a"]
    repo.git("checkout", "-q", "-b", "side", "HEAD~1")
    repo.write("b", "1")
    repo.commit()
    repo.git("merge", "-q", "--no-edit", "main")
    assert [change.path for change in gitindex.commit_changes(index(repo))] == ["a"], "against the first parent"
    root = repo.git("rev-list", "--max-parents=0", "HEAD").strip()
    assert [change.path for change in gitindex.commit_changes(index(repo), root)] == ["README"]
    assert {change.path for change in gitindex.tree(index(repo), "HEAD")} == {"README", "a", "b"}


def idle(repo: Sandbox, monkeypatch: pytest.MonkeyPatch, *argv: str) -> bool:
    monkeypatch.chdir(repo.path)
    return gate.idle(["hook", "run", *(argv or ("pre-commit",))])


def test_commits_without_notebooks_are_idle(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert idle(repo, monkeypatch)
    repo.write("README", "more")
    repo.write("tool.py", "x = 1\n")
    repo.write("notes.md", "# Notes\n")
    repo.write("pyproject.toml", "[project]\n")
    repo.git("add", ".")
    assert idle(repo, monkeypatch)
    assert idle(repo, monkeypatch, "--fix", "pre-commit")
    repo.write("message", "work\n")
    assert idle(repo, monkeypatch, "commit-msg", "message")


@pytest.mark.parametrize("name", ["a.ipynb", "deep/a.ipynb", 'q"\n.ipynb'])
def test_notebooks_are_not(repo: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    repo.write(name, "{}")
    repo.git("add", ".")
    assert not idle(repo, monkeypatch)
    repo.commit()
    assert idle(repo, monkeypatch)
    repo.git("rm", "-q", "--", name)
    assert not idle(repo, monkeypatch)


def test_halves_of_pairs_are_not(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.notebook("train.ipynb", "x")
    repo.commit()
    repo.write("other.py", "x = 1\n")
    repo.git("add", ".")
    assert idle(repo, monkeypatch)
    for name in ("train.py", "scripts/train.py", "nb_train.py", "train.pct.py"):
        repo.write(name, "x = 1\n")
        repo.git("add", ".")
        assert not idle(repo, monkeypatch), name
        repo.git("rm", "-q", "--cached", name)
    repo.write("alone.py", HEADER + "x = 1\n")
    repo.git("add", ".")
    assert not idle(repo, monkeypatch)
    repo.commit()
    repo.git("rm", "-q", "alone.py")
    assert not idle(repo, monkeypatch)


@pytest.mark.parametrize(
    ("name", "text"), [("jupytext.toml", ""), (".jupytext", ""), ("deep/pyproject.toml", "[tool.jupytext]\n")]
)
def test_a_configuration_of_pairs_makes_every_script_a_candidate(
    repo: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    repo.write(name, text)
    repo.commit()
    repo.write("tool.py", "x = 1\n")
    repo.git("add", ".")
    assert not idle(repo, monkeypatch)


def test_from_a_folder_and_with_hundreds_of_scripts(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.notebook("train.ipynb", "x")
    repo.commit()
    (repo.path / "deep").mkdir()
    repo.write("train.py", "x = 1\n")
    repo.git("add", ".")
    monkeypatch.chdir(repo.path / "deep")
    assert not gate.idle(["hook", "run", "pre-commit"])
    repo.git("rm", "-qf", "train.py")
    for number in range(300):
        repo.write(f"m{number}.py", f"x = {number}\n" * 400)
    repo.git("add", ".")
    assert not gate.idle(["hook", "run", "pre-commit"]), "too much to be sure: the command itself decides"


def test_what_is_not_a_plain_call_is_not_idle(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for argv in (("pre-commit", "a.py"), ("post-commit",), ("--json", "pre-commit"), ("commit-msg",), ("--help",), ()):
        monkeypatch.chdir(repo.path)
        assert not gate.idle(["hook", "run", *argv])
    assert not gate.idle(["history"])
    repo.write("message", "work\n\nSnaprun-Run: 1234567 a.ipynb\n")
    assert not idle(repo, monkeypatch, "commit-msg", "message")
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    assert not idle(repo, monkeypatch)
    monkeypatch.chdir("/")
    assert not gate.idle(["hook", "run", "pre-commit"])


def test_what_is_imported(repo: Sandbox) -> None:
    """Without notebooks next to nothing; with one that is not paired no jupytext, never git's or SQL's packages."""
    heavy = {
        "git",
        "sqlalchemy",
        "alembic",
        "jupytext",
        "nbformat",
        "IPython",
        "jsonschema",
        "rich",
        "tabulate",
        "psutil",
    }
    assert imported(repo) & (heavy | {"subprocess", "json", "re", "typing", "click"}) == set()
    repo.write("train.ipynb", __import__("json").dumps(notebook("x = 1")))
    repo.git("add", ".")
    assert imported(repo) & heavy == set()


def imported(repo: Sandbox) -> set[str]:
    code = (
        "import sys\ntry:\n from snaprun.__main__ import main\n main()\nexcept SystemExit: pass\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", "hook", "run", "pre-commit"],
        cwd=repo.path,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())
