"""A snapshot holds what is on disk, has the form of the contract, and leaves everything of the user's alone."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from snaprun import locate
from snaprun.errors import InputMissing
from snaprun.gitrepo import GitRepo
from snaprun.model import RunSpec
from snaprun.snapshot import Request, commit_run, freeze, summary, take
from tests.sandbox import Sandbox

CREATED = "2026-01-02T03:04:05.000000Z"


def opened(box: Sandbox) -> GitRepo:
    return GitRepo(locate.find(box.path, os.environ))


def request(notebook: str = "nb.ipynb", **options: Any) -> Request:
    spec = options.pop("spec", {})
    return Request(spec=RunSpec(notebook=notebook, created=CREATED, **spec), **options)


def test_a_snapshot_is_a_commit_with_the_tree_the_message_and_the_ref_of_the_contract(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", "1 + 1")
    repo.write("src/new.py", "x = 1\n")
    with repo.untouched():
        made = take(
            opened(repo),
            request(
                spec={"given": ("lr",), "message": "try it"},
                params={"lr": 0.1, "epochs": 5},
                files={"notebook.py": b"# %%\n1 + 1\n"},
            ),
        )
    assert repo.git("rev-parse", f"refs/snaprun/runs/{made.id}").strip() == made.id
    assert repo.git("rev-parse", f"{made.id}^").strip() == repo.git("rev-parse", "HEAD").strip()
    text = repo.git("log", "-1", "--format=%an|%ae|%cn|%ce|%B", made.id).splitlines()
    assert text[0] == "Ada|ada@example.org|snaprun|snaprun@localhost|snaprun: nb.ipynb lr=0.1"
    assert text[2] == "try it"
    assert repo.git("log", "-1", "--format=%(trailers:key=Snaprun-Schema,valueonly)", made.id).strip() == "1"
    assert len(repo.git("log", "-1", "--format=%(trailers:key=Snaprun-Nonce,valueonly)", made.id).strip()) == 32
    names = repo.git("ls-tree", "-r", "--name-only", made.id).split()
    assert names == [
        ".snaprun/notebook.py",
        ".snaprun/params.json",
        ".snaprun/run.json",
        "README",
        "nb.ipynb",
        "src/new.py",
    ]
    run = json.loads(repo.git("show", f"{made.id}:.snaprun/run.json"))
    assert (run["schema"], run["notebook"], run["parent"], run["branch"], run["dirty"]) == (
        1,
        "nb.ipynb",
        repo.git("rev-parse", "HEAD").strip(),
        "main",
        True,
    )
    assert json.loads(repo.git("show", f"{made.id}:.snaprun/params.json")) == {"lr": 0.1, "epochs": 5}
    assert summary(made) == "nb.ipynb + 1 changed file (1 untracked)"


def test_two_snapshots_of_one_tree_are_two_runs(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb")
    git = opened(repo)
    frozen = freeze(git, request())
    made = [commit_run(git, frozen, request(params={"seed": seed})) for seed in range(3)]
    assert len({one.id for one in made}) == 3
    assert [repo.git("show", f"{one.id}:.snaprun/params.json") for one in made] == [
        f'{{\n "seed": {seed}\n}}\n' for seed in range(3)
    ]


def test_a_missing_notebook_is_told(repo: Sandbox) -> None:
    with pytest.raises(InputMissing):
        take(opened(repo), request("nope.ipynb"))


def test_the_users_own_snaprun_folder_is_replaced(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb")
    repo.write(".snaprun/mine", "x")
    repo.commit()
    made = take(opened(repo), request())
    assert repo.git("ls-tree", "-r", "--name-only", made.id, ".snaprun/").split() == [
        ".snaprun/params.json",
        ".snaprun/run.json",
    ]
