"""The hook's verdicts on what is staged: pairs, runs, outputs, guards, and what the settings demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from snaprun.hooks import gate, guards, policy
from snaprun.hooks.complaint import Complaint
from snaprun.hooks.policy import Policy
from snaprun.notebooks import cells, notebook
from snaprun.notebooks.cells import Node
from snaprun.statuses import Status
from tests import sandbox
from tests.hooking import call_hook, checked, findings, pair, ran, stream, text_of, with_outputs
from tests.sandbox import Sandbox

PAIR = ("train.ipynb", "pair")
RUN = ("train.ipynb", "run")
OUTPUTS = ("train.ipynb", "outputs")
SECRET = "ghp_" + "a1B2" * 9


def settings(repo: Sandbox, text: str) -> None:
    repo.write("snaprun.toml", f"[hook]\n{text}\n")


def write(repo: Sandbox, *sources: str, name: str = "train.ipynb", **options: Any) -> dict[str, Any]:
    """Write and stage a notebook that is not paired."""
    node = sandbox.notebook(*sources, **options)
    put(repo, node, name)
    return node


def put(repo: Sandbox, node: dict[str, Any], name: str = "train.ipynb") -> None:
    repo.write(name, json.dumps(node, indent=1) + "\n")
    repo.git("add", "--", name)


def said(repo: Sandbox, check: str, *args: str) -> dict[str, str]:
    """The one finding of this check."""
    (found,) = (found for found in findings(repo, *args) if found["check"] == check)
    return found


def test_nothing_staged_is_nothing_said(repo: Sandbox) -> None:
    assert call_hook(repo, "run", "pre-commit") == ""


def test_both_halves_staged_in_sync(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1", "%matplotlib inline\nprint(x)", "# %% md\n# A title")
    repo.git("add", ".")
    assert checked(repo, code=0)[PAIR] == "note"


def test_the_work_tree_is_not_asked(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.git("add", ".")
    pair(repo, "train", "x = 'work in progress'")
    with repo.untouched():
        assert checked(repo, code=0)[PAIR] == "note"


def test_a_stale_script_is_named_with_its_cells(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1", "y = 2", "z = 3")
    repo.commit()
    pair(repo, "train", "x = 1", "y = 20", "z = 3", "w = 4")
    repo.git("add", "train.ipynb")
    found = said(repo, "pair")
    assert (found["level"], found["text"]) == ("fail", "train.py is stale: cells 2, 4")
    assert found["mend"] == "git add train.py", "the file on disk is in sync already"
    repo.git("restore", "--worktree", "train.py")
    assert said(repo, "pair")["mend"] == "snaprun hook run --fix pre-commit"


def test_a_stale_notebook(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    pair(repo, "train", "x = 2")
    repo.git("add", "train.py")
    assert said(repo, "pair")["text"] == "train.ipynb is stale: cell 1"


def test_both_halves_changed_differently(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    pair(repo, "train", "x = 2")
    repo.write("train.py", (repo.path / "train.py").read_text().replace("x = 2", "x = 3"))
    repo.git("add", ".")
    found = said(repo, "pair")
    assert found["text"] == "differs from train.py: cell 1"
    assert "jupytext --sync" in found["mend"]


def test_partial_staging_is_judged_as_staged(repo: Sandbox) -> None:
    pair(repo, "train", "lr = 0.1")
    repo.commit()
    pair(repo, "train", "lr = 0.9")
    repo.git("add", ".")
    repo.write("train.py", (repo.path / "train.py").read_text().replace("lr = 0.9", "lr = 0.9  # wip"))
    with repo.untouched():
        assert checked(repo, code=0)[PAIR] == "note"


def test_the_other_half_is_not_staged(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.git("add", "train.ipynb")
    found = said(repo, "pair")
    assert (found["level"], found["mend"]) == ("fail", "git add train.py")
    repo.git("reset", "-q")
    repo.git("add", "train.py")
    assert said(repo, "pair")["mend"] == "git add train.ipynb"
    (repo.path / "train.ipynb").unlink()
    assert said(repo, "pair")["text"] == "its other half train.ipynb does not exist"


@pytest.mark.parametrize("ignored", ["train.ipynb", "train.py"])
def test_an_ignored_half_is_no_half(repo: Sandbox, ignored: str) -> None:
    repo.write(".gitignore", ignored + "\n")
    pair(repo, "train", "x = 1")
    repo.git("add", ".")
    assert PAIR not in checked(repo, code=0)


@pytest.mark.parametrize("half", ["train.ipynb", "train.py"])
def test_a_deleted_half(repo: Sandbox, half: str) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    repo.git("rm", "-q", half)
    found = said(repo, "pair")
    assert found["text"].startswith(f"the commit deletes {half}")
    assert f"git restore --staged --worktree {half}" in found["mend"]
    repo.git("rm", "-q", ({"train.ipynb", "train.py"} - {half}).pop())
    assert checked(repo, code=0) == {}


def test_a_pair_that_is_given_up(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    repo.git("rm", "-q", "train.py")
    write(repo, "x = 1")
    assert PAIR not in checked(repo, code=0)


def test_a_renamed_pair(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    repo.git("mv", "train.ipynb", "fit.ipynb")
    assert {found["path"]: found["text"] for found in findings(repo) if found["check"] == "pair"} == {
        "fit.ipynb": "its other half fit.py does not exist",
        "train.ipynb": "the commit deletes train.ipynb, and keeps its other half train.py",
    }
    repo.git("mv", "train.py", "fit.py")
    assert checked(repo)[("fit.ipynb", "pair")] == "note"


def test_pairs_in_other_folders(repo: Sandbox) -> None:
    node = sandbox.notebook("x = 1")
    node["metadata"]["jupytext"] = {"formats": "notebooks///ipynb,scripts///py:percent"}
    repo.write("notebooks/deep/a.ipynb", json.dumps(node))
    repo.write("scripts/deep/a.py", text_of(node).replace("x = 1", "x = 2"))
    repo.git("add", ".")
    assert said(repo, "pair")["text"] == "differs from scripts/deep/a.py: cell 1"


@pytest.mark.parametrize("name", ["jupytext.toml", "pyproject.toml"])
def test_pairs_by_the_staged_configuration(repo: Sandbox, name: str) -> None:
    table = "[tool.jupytext]\n" if name == "pyproject.toml" else ""
    repo.write(name, f'{table}formats = "ipynb,py:percent"\n')
    repo.write("train.ipynb", json.dumps(sandbox.notebook("x = 1")))
    repo.write("train.py", "# %%\nx = 2\n")
    repo.git("add", ".")
    repo.write(name, "")
    assert said(repo, "pair")["text"] == "differs from train.py: cell 1"


def test_a_header_without_a_header(repo: Sandbox) -> None:
    node = sandbox.notebook("x = 1")
    node["metadata"]["jupytext"] = {"formats": "ipynb,py:percent", "notebook_metadata_filter": "-all"}
    repo.write("train.ipynb", json.dumps(node))
    repo.write("train.py", "# %%\nx = 1\n")
    repo.commit()
    repo.write("train.py", "# %%\nx = 2\n")
    repo.git("add", ".")
    assert said(repo, "pair")["text"] == "train.ipynb is stale: cell 1"


def test_a_line_of_the_configuration_that_is_wrong_is_said(repo: Sandbox) -> None:
    repo.write("jupytext.toml", "formats = 3\n")
    pair(repo, "train", "x = 1")
    repo.git("add", ".")
    assert said(repo, "pair")["level"] == "fail"


def test_fix_stages_the_stale_script_and_the_file(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    node = json.loads((repo.path / "train.ipynb").read_text())
    node["cells"][0]["source"] = "x = 2"
    repo.write("train.ipynb", json.dumps(node))
    repo.git("add", "train.ipynb")
    assert "staged anew" in call_hook(repo, "run", "--fix", "pre-commit")
    assert "x = 2" in repo.git("show", ":train.py")
    assert "x = 2" in (repo.path / "train.py").read_text()
    assert repo.git("status", "--porcelain") == "M  train.ipynb\nM  train.py\n"
    assert checked(repo, code=0)[PAIR] == "note"


def test_fix_leaves_a_file_with_further_edits_alone(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    pair(repo, "train", "x = 2")
    repo.git("add", "train.ipynb")
    repo.write("train.py", "precious = 'work'\n")
    assert "further edits" in call_hook(repo, "run", "--fix", "pre-commit")
    assert "x = 2" in repo.git("show", ":train.py")
    assert (repo.path / "train.py").read_text() == "precious = 'work'\n"


def test_fix_keeps_the_outputs_of_a_stale_notebook(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1", "print(x)")
    node = json.loads((repo.path / "train.ipynb").read_text())
    repo.write("train.ipynb", json.dumps(with_outputs(node, {2: [stream("1\n")]})))
    repo.commit()
    repo.write("train.py", (repo.path / "train.py").read_text().replace("x = 1", "x = 5"))
    repo.git("add", "train.py")
    call_hook(repo, "run", "--fix", "pre-commit", code=None)
    made = json.loads(repo.git("show", ":train.ipynb"))
    assert made["cells"][0]["source"] in ("x = 5", ["x = 5"])
    assert made["cells"][1]["outputs"][0]["text"] in ("1\n", ["1\n"])


def test_fix_never_in_a_framework(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pair(repo, "train", "x = 1")
    repo.commit()
    pair(repo, "train", "x = 2")
    repo.git("add", "train.ipynb")
    with repo.untouched():
        assert checked(repo, "--fix", "--framework", code=1)[PAIR] == "fail"
        monkeypatch.setenv("PRE_COMMIT", "1")
        assert checked(repo, "--fix", code=1)[PAIR] == "fail"


def test_files_restrict_the_check_and_add_what_is_not_changed(repo: Sandbox) -> None:
    for name in ("train", "other"):
        pair(repo, name, "x = 1")
    repo.commit()
    pair(repo, "train", "x = 2")
    repo.git("add", "train.ipynb")
    assert {path for path, _ in checked(repo)} == {"train.ipynb"}
    said_of = call_hook(repo, "run", "pre-commit", "other.ipynb")
    assert "other.ipynb: in sync" in said_of
    assert "train.ipynb" not in said_of


def test_the_endings_of_text_notebooks_are_jupytexts() -> None:
    assert sorted(gate.TEXT) == sorted(notebook.TEXT_EXTENSIONS)


def test_a_source_that_never_ran(repo: Sandbox) -> None:
    write(repo, "x = 1")
    found = said(repo, "run")
    assert (found["level"], found["text"]) == ("warn", "no run executed this source")
    assert found["mend"] == "snaprun exec train.ipynb"


@pytest.mark.parametrize("indexed", [True, False], ids=["index", "refs"])
def test_a_source_that_ran(repo: Sandbox, indexed: bool) -> None:
    write(repo, "x = 1", "print(x)")
    run_id = ran(repo, "train.ipynb", params={"lr": 0.5}, indexed=indexed)
    found = said(repo, "run")
    assert found["level"] == "note"
    assert found["text"] == f"run {run_id[:8]} (succeeded, exit 0) (lr=0.5) executed this very source"


def test_prose_and_outputs_do_not_change_a_source(repo: Sandbox) -> None:
    node = write(repo, "x = 1")
    ran(repo, "train.ipynb")
    node["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "id": "prose", "source": "why"})
    put(repo, node)
    assert checked(repo)[RUN] == "note"


def test_only_failed_runs(repo: Sandbox) -> None:
    write(repo, "1 / 0")
    run_id = ran(repo, "train.ipynb", status=Status.FAILED)
    found = said(repo, "run")
    assert found["level"] == "warn"
    assert found["text"] == f"this source never succeeded: run {run_id[:8]} (failed, exit 1)"


def test_a_success_counts_more_than_a_later_failure(repo: Sandbox) -> None:
    write(repo, "x = 1")
    good = ran(repo, "train.ipynb")
    ran(repo, "train.ipynb", status=Status.FAILED)
    assert good[:8] in said(repo, "run")["text"]


@pytest.mark.parametrize("indexed", [True, False], ids=["index", "refs"])
def test_cells_changed_since_the_last_run(repo: Sandbox, indexed: bool) -> None:
    write(repo, "x = 1", "y = 2", "z = 3")
    run_id = ran(repo, "train.ipynb", indexed=indexed)
    write(repo, "x = 1", "y = 22", "z = 3", "w = 4")
    found = said(repo, "run")
    assert found["text"] == f"changed since run {run_id[:8]} (succeeded, exit 0): cells 2, 4"
    write(repo, "x = 1", "z = 3")
    assert said(repo, "run")["text"].endswith(": one removed after 1")


def test_a_text_notebook_is_asked_for_its_runs(repo: Sandbox) -> None:
    node = sandbox.notebook("x = 1")
    repo.write("train.py", text_of(node))
    repo.git("add", ".")
    assert said(repo, "run")["text"] == "no run executed this source"
    run_id = ran(repo, "train.py")
    assert run_id[:8] in said(repo, "run")["text"]


def test_a_plain_script_is_no_notebook(repo: Sandbox) -> None:
    repo.write("tool.py", "x = 1\n")
    repo.git("add", ".")
    assert checked(repo) == {}


def test_a_fresh_clone_says_nothing_of_runs_to_a_framework(repo: Sandbox) -> None:
    write(repo, "x = 1")
    assert checked(repo, "--framework") == {}
    assert checked(repo, "--framework", "--require")[RUN] == "warn"


PRINTS = {1: [stream("one\n")], 2: [stream("two\n")], 3: [stream("three\n")]}


def executed(repo: Sandbox, stored: dict[int, Any]) -> str:
    """A run that printed PRINTS, and a staged notebook that stores ``stored``; the run's id."""
    node = write(repo, "print('one')", "print('two')", "print('three')")
    run_id = ran(repo, "train.ipynb", PRINTS)
    put(repo, with_outputs(node, stored))
    return run_id[:8]


def test_the_stored_outputs_are_a_runs(repo: Sandbox) -> None:
    run = executed(repo, {**PRINTS, 2: [stream("t"), stream("wo\n")]})
    assert said(repo, "outputs") == {
        "path": "train.ipynb",
        "check": "outputs",
        "level": "note",
        "text": f"its outputs are run {run}'s",
        "mend": "",
    }


def test_an_output_edited_by_hand(repo: Sandbox) -> None:
    run = executed(repo, {**PRINTS, 3: [stream("33.3\n")]})
    found = said(repo, "outputs")
    assert found["level"] == "warn"
    assert found["text"] == f"outputs of cell 3 are not run {run}'s: edited by hand, or executed since"
    assert found["mend"] == f"snaprun restore {run} --outputs train.ipynb"


def test_part_of_the_outputs(repo: Sandbox) -> None:
    run = executed(repo, {1: PRINTS[1]})
    assert said(repo, "outputs")["text"] == f"its outputs are part of run {run}'s, those of cells 2, 3 are missing"


def test_outputs_of_no_run(repo: Sandbox) -> None:
    run = executed(repo, {1: [stream("uno\n")], 2: [stream("due\n")], 3: [stream("tre\n")]})
    assert said(repo, "outputs")["text"] == f"its outputs are not those of run {run}"


def test_of_several_runs_the_one_whose_outputs_they_are(repo: Sandbox) -> None:
    node = write(repo, "print(seed)")
    first = ran(repo, "train.ipynb", {1: [stream("1\n")]})
    ran(repo, "train.ipynb", {1: [stream("2\n")]})
    put(repo, with_outputs(node, {1: [stream("1\n")]}))
    assert said(repo, "outputs")["text"] == f"its outputs are run {first[:8]}'s"


def test_outputs_from_before_the_change(repo: Sandbox) -> None:
    run = executed(repo, PRINTS)
    node = with_outputs(sandbox.notebook("print('one')", "print('zwei')", "print('three')"), PRINTS)
    put(repo, node)
    assert said(repo, "outputs")["text"] == f"its outputs are run {run}'s, from before the change"
    settings(repo, 'outputs = "strip"')
    assert said(repo, "outputs")["level"] == "fail"


def test_outputs_out_of_order(repo: Sandbox) -> None:
    node = with_outputs(sandbox.notebook("a = 1", "b = 2", "c = 3"), {1: [stream("x")]})
    for cell, count in zip(node["cells"], (7, 3, 9), strict=True):
        cell["execution_count"] = count
    put(repo, node)
    assert said(repo, "outputs")["text"] == "outputs are out of order: cell 2 ran before a cell above"


def test_strip_commits_without_outputs_that_a_run_keeps(repo: Sandbox) -> None:
    settings(repo, 'outputs = "strip"')
    run = executed(repo, PRINTS)
    assert f"snaprun restore {run} --outputs train.ipynb" in said(repo, "outputs")["text"]
    for stored in (repo.git("show", ":train.ipynb"), (repo.path / "train.ipynb").read_text()):
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in json.loads(stored)["cells"])
    assert repo.git("status", "--porcelain", "train.ipynb") == "A  train.ipynb\n"


def test_strip_never_loses_an_output(repo: Sandbox) -> None:
    settings(repo, 'outputs = "strip"')
    executed(repo, {**PRINTS, 3: [stream("precious\n")]})
    with repo.untouched():
        found = said(repo, "outputs")
    assert found["level"] == "fail"
    assert found["text"] == "outputs of cell 3 are kept by no run, so they are not stripped"


def test_strip_leaves_a_file_with_further_edits_alone(repo: Sandbox) -> None:
    settings(repo, 'outputs = "strip"')
    executed(repo, PRINTS)
    repo.write("train.ipynb", "edited since")
    assert "further edits" in said(repo, "outputs")["text"]
    assert (repo.path / "train.ipynb").read_text() == "edited since"


def test_strip_stages_nothing_in_a_framework(repo: Sandbox) -> None:
    settings(repo, 'outputs = "strip"')
    executed(repo, PRINTS)
    with repo.untouched():
        assert said(repo, "outputs", "--framework")["level"] == "fail"


def test_a_secret_refuses_the_commit(repo: Sandbox) -> None:
    write(repo, f"token = '{SECRET}'")
    found = said(repo, "secrets")
    assert (found["level"], found["text"]) == ("fail", "cell 1: holds a GitHub token (ghp_…)")


def test_the_value_of_a_secret_variable_in_an_output(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PASSWORD", "correct-Horse7")
    put(repo, with_outputs(sandbox.notebook("print(1)"), {1: [stream("using correct-Horse7\n")]}))
    assert said(repo, "secrets")["text"] == "cell 1: its output shows the value of $LAB_PASSWORD (corr…)"


def test_a_secret_of_a_pair_is_told_once(repo: Sandbox) -> None:
    pair(repo, "train", f"token = '{SECRET}'")
    repo.git("add", ".")
    assert [found["path"] for found in findings(repo) if found["check"] == "secrets"] == ["train.ipynb"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"cells": [\n<<<<<<< HEAD\n1,\n=======\n2,\n>>>>>>> b\n]}', "unresolved merge markers"),
        ('{"cells": [', "cut off"),
        ("", "empty"),
        ("[]", "no notebook"),
        ('{"nbformat": 4, "cells": 3}', "no list of cells"),
    ],
)
def test_a_damaged_notebook_refuses_the_commit(repo: Sandbox, content: str, text: str) -> None:
    repo.write("train.ipynb", content)
    repo.git("add", ".")
    found = said(repo, "damaged")
    assert found["level"] == "fail"
    assert text in found["text"]


def test_merge_markers_in_a_text_notebook(repo: Sandbox) -> None:
    text = text_of(sandbox.notebook("x = 1")) + "\n<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> other\n"
    repo.write("train.py", text)
    repo.git("add", ".")
    assert said(repo, "damaged")["text"] == "has unresolved merge markers"


def test_an_old_notebook_is_no_fault(repo: Sandbox) -> None:
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": []}]}
    repo.write("train.ipynb", json.dumps(old))
    repo.git("add", ".")
    assert checked(repo, code=0) == {}


def test_outputs_that_are_too_large(repo: Sandbox) -> None:
    settings(repo, 'max-output = "20 kB"\nmax-image = "5 kB"\nsize = "require"')
    image = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 6000}}
    put(repo, with_outputs(sandbox.notebook("a", "b"), {1: [image], 2: [stream("x" * 30_000)]}))
    texts = [found["text"] for found in findings(repo, code=1) if found["check"] == "size"]
    assert texts == [
        "cell 1: stores an image of 6 kB (limit 5 kB)",
        "cell 2: outputs weigh 36.1 kB (limit 20 kB), 30 kB of it in this cell",
    ]


def test_leftovers_only_where_they_are_asked_for(repo: Sandbox) -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["File /home/ada/lab/x.py"]}
    node = with_outputs(sandbox.notebook("open('/Users/ada/x.csv')", "1 / 0", "'/home/jovyan/x'"), {2: [error]})
    node["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    put(repo, node)
    assert ("train.ipynb", "leftovers") not in checked(repo)
    settings(repo, 'leftovers = "require"')
    assert [found["text"] for found in findings(repo, code=1) if found["check"] == "leftovers"] == [
        "metadata: stores the state of widgets",
        "cell 1: names a folder of one computer: /Users/ada",
        "cell 2: stores a traceback",
        "cell 2: names a folder of one computer: /home/ada",
    ]


def test_a_guard_is_a_line_in_a_table(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def shouts(node: Node, demands: Policy) -> Iterator[Complaint]:
        names = cells.name_cells(node)
        for name, cell in zip(names, node["cells"], strict=True):
            if "!!" in cell["source"] and demands.max_output:
                yield Complaint("leftovers", name, "shouts")

    monkeypatch.setattr(guards, "GUARDS", (*guards.GUARDS, guards.HookGuard("leftovers", shouts, "calm {path}")))
    write(repo, "1", "'a!!'")
    assert ("train.ipynb", "leftovers") not in checked(repo, code=0)
    settings(repo, 'leftovers = "require"')
    finding = {"path": "train.ipynb", "check": "leftovers", "level": "fail", "text": "cell 2: shouts"}
    assert {**finding, "mend": "calm train.ipynb"} in findings(repo, code=1)
    assert {guard.check for guard in guards.GUARDS} <= policy.CHECKS.keys()


def test_a_file_of_git_lfs_is_passed_over(repo: Sandbox) -> None:
    repo.write("train.ipynb", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    repo.git("add", ".")
    assert checked(repo, code=0) == {}


def test_require_refuses_what_did_not_run(repo: Sandbox) -> None:
    settings(repo, 'run = "require"')
    write(repo, "x = 1")
    assert checked(repo, code=1)[RUN] == "fail"
    ran(repo, "train.ipynb")
    assert checked(repo, code=0)[RUN] == "note"


def test_policies_by_glob(repo: Sandbox) -> None:
    settings(repo, 'run = "require"\n[hook.globs]\n"drafts/**" = "off"\n"*.tmp.ipynb" = {run = "warn"}')
    write(repo, f"'{SECRET}'", name="drafts/deep/a.ipynb")
    write(repo, "x = 2", name="b.tmp.ipynb")
    write(repo, "x = 3", name="c.ipynb")
    assert checked(repo) == {("b.tmp.ipynb", "run"): "warn", ("c.ipynb", "run"): "fail"}


def test_checks_left_out_for_once(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repo, f"'{SECRET}'")
    monkeypatch.setenv("SNAPRUN_SKIP", "secrets, run")
    assert checked(repo, code=0) == {}
    monkeypatch.setenv("SNAPRUN_SKIP", "all")
    assert checked(repo, code=0) == {}


@pytest.mark.parametrize(
    "line",
    ['run = "never"', "pairs = 1", "globs = 3", 'max-output = "much"', "trailer = 1", 'globs = {"a" = {x = "off"}}'],
)
def test_settings_that_make_no_sense(repo: Sandbox, line: str) -> None:
    settings(repo, line)
    write(repo, "x = 1")
    done = repo.snaprun("hook", "run", "pre-commit")
    assert done.returncode == 78
    assert done.stderr.startswith("snaprun: error: hook.")
    assert "\nhint: " in done.stderr


def test_lines_for_a_person(repo: Sandbox) -> None:
    pair(repo, "train", "x = 1")
    repo.git("add", ".")
    done = repo.snaprun("hook", "run", "pre-commit")
    assert done.stdout.splitlines() == [
        "warn  train.ipynb: no run executed this source",
        "      mend: snaprun exec train.ipynb",
        "ok    train.ipynb: in sync with train.py",
    ]
    assert (done.returncode, done.stderr) == (0, "")
    repo.write("train.py", "# %%\ny = 1\n")
    repo.git("add", ".")
    done = repo.snaprun("hook", "run", "pre-commit", "-q")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "snaprun: error: 1 problem in the notebooks that are staged",
        "hint: mend them, or leave checks out: SNAPRUN_SKIP=pair,run,outputs,secrets,size git commit",
    ]


@pytest.mark.parametrize(
    "name", ["a b.ipynb", "-x.ipynb", "q\"uote'.ipynb", "nö🎉.ipynb", "new\nline.ipynb", "[x]*.ipynb"]
)
def test_names_of_every_kind(repo: Sandbox, name: str) -> None:
    pair(repo, name.removesuffix(".ipynb"), "x = 1")
    repo.git("add", ".")
    assert checked(repo, code=0) == {(name, "pair"): "note", (name, "run"): "warn"}
    assert len(call_hook(repo, "run", "pre-commit").splitlines()) == 3


def test_a_thousand_cells(repo: Sandbox) -> None:
    pair(repo, "train", *(f"x{number} = {number}" for number in range(1000)))
    repo.git("add", ".")
    assert checked(repo, code=0)[PAIR] == "note"
