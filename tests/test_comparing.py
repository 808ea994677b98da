"""diff, compare, plot and log as commands, on real runs in git."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snaprun import cli, model, statuses
from tests.runs import copied, edited, logged, made, stream
from tests.sandbox import Sandbox


@pytest.fixture
def box(repo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.chdir(repo.path)
    copied(repo, "digits.ipynb")
    repo.commit()
    return repo


def call(*args: str) -> Result:
    return CliRunner().invoke(cli.group, list(args), prog_name="snaprun", catch_exceptions=False, standalone_mode=False)


def failed(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """The exit code and what stands on stderr, through the one place that turns errors into words."""
    code = cli.call(list(args))
    return code, capsys.readouterr().err


def moment(number: int) -> str:
    return f"2026-01-02T03:04:{number:02d}.000000Z"


def sweep(box: Sandbox, **spec: str) -> list[str]:
    found = []
    for number, (lr, seed, loss) in enumerate([(0.1, 0, 0.3), (0.1, 1, 0.4), (0.2, 0, 0.2), (0.2, 1, 0.05)]):
        found.append(
            made(
                box,
                "digits.ipynb",
                given={"lr": lr, "seed": seed},
                metrics=logged(loss=[2.0, 1.0, loss], acc=1 - loss),
                name=f"r{number}",
                created=moment(number),
                **spec,
            )
        )
    return found


def test_two_runs(box: Sandbox) -> None:
    a = made(box, "digits.ipynb", metrics=logged(loss=0.3), name="base", created=moment(1))
    b = made(box, "digits.ipynb", given={"lr": 0.2}, metrics=logged(loss=0.2), created=moment(2))
    said = call("diff", "@~1", "@").output
    assert said.startswith(f"Run        {a[:8]} base (succeeded, 12.5 s)  ->  {b[:8]} (succeeded, 12.5 s)\n")
    assert "Params     lr  0.1 -> 0.2" in said
    assert "loss  0.3 -> 0.2  (-33.3%) better" in said
    assert call("diff", "base", b[:8]).output == said
    assert call("diff").output == said, "alone: the run before the latest against the latest"


def test_runs_with_names_that_are_not_utf8(box: Sandbox) -> None:
    odd = os.fsdecode(b"\xff.bin")
    for number in (1, 2):
        left_out = (model.LeftOut(odd, "larger than max-file-size", size=number),)
        made(box, "digits.ipynb", left_out=left_out, created=moment(number))
    said = call("diff", "@~1", "@")
    assert (said.exit_code, "\ufffd.bin" in said.output) == (0, True), said.output


def test_forms_of_a_diff(box: Sandbox, tmp_path: Path) -> None:
    made(box, "digits.ipynb", created=moment(1))
    made(box, "digits.ipynb", given={"lr": 0.2}, created=moment(2), outputs={2: [stream("x\n")]})
    document = json.loads(call("diff", "@~1", "@", "--json").stdout)
    assert document["schema"] == "snaprun.diff/1"
    assert call("diff", "--md").output.startswith("### ")
    assert call("diff", "--stat").output.split("\n")[2] == "Params     1 of 5 differ"
    assert call("diff", "--only", "params").output == "Params     lr  0.1 -> 0.2\n           (4 the same)\n"
    page = tmp_path / "diff.html"
    assert call("diff", "--html", str(page)).stdout == ""
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert cli.call(["diff", "--exit-code"]) == 1
    assert cli.call(["diff", "@", "@", "--exit-code"]) == 0


def test_the_work_tree_and_commits_as_sides(box: Sandbox) -> None:
    made(box, "digits.ipynb", created=moment(1))
    edited(box.path / "digits.ipynb", 1, "lr = 0.7\nepochs = 5\nseed = 0\nhidden = (64, 32)\ndata = 'digits'\n")
    with box.untouched():
        assert "lr  0.1 -> 0.7" in call("diff", "@", ".").output
        assert "lr  0.7 -> 0.1" in call("diff", ".", "@").output
        assert "no difference in params, code" in call("diff", "@", "main").output


def test_diffs_that_make_no_sense(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, "diff")[0] == 65
    made(box, "digits.ipynb", created=moment(1))
    for args, code, said in (
        (["@"], 65, "no run of digits.ipynb before"),
        (["@", "nonsense"], 65, "nonsense"),
        (["main", "."], 2, "one side has to be a run"),
        (["main"], 2, "main is no run"),
        (["@", "@", "--only", "param"], 2, "there is no section param"),
        (["@", "@", "--html", "/nowhere/x.html"], 73, "cannot write"),
    ):
        found = failed(capsys, "diff", *args)
        assert found[0] == code, (args, found)
        assert said in found[1]
        assert "hint: " in found[1]
        assert len(found[1].strip().split("\n")) == 2


def test_many_runs_as_a_table(box: Sandbox, tmp_path: Path) -> None:
    ids = sweep(box)
    lines = call("compare", "r0", "r2").output.split("\n")
    assert lines[0].split() == ["run", "name", "status", "lr", "loss", "acc"]
    assert lines[3].split() == [ids[2][:8], "r2", "succeeded", "0.2", "0.2", "*", "0.8", "*"]
    rows = list(csv.DictReader(io.StringIO(call("compare", "--notebook", "digits.ipynb", "--csv").stdout)))
    assert [row["run"] for row in rows] == ids
    grouped = json.loads(call("compare", "--mean", "--json").stdout)
    assert [(row["params"], row["metrics"]["loss"]["n"]) for row in grouped["rows"]] == [
        ({"lr": 0.1}, 2),
        ({"lr": 0.2}, 2),
    ]
    assert grouped["rows"][1]["best"] == ["acc", "loss"]
    by_seed = json.loads(
        call("compare", "--by", "seed", "-m", "acc", "--pick", "max", "--sort", "-acc", "--json").stdout
    )
    assert by_seed["grouped_by"] == ["seed"]
    assert by_seed["metrics"] == ["acc"]
    assert [row["params"]["seed"] for row in by_seed["rows"]] == [1, 0]
    assert call("compare", "--where", "lr > 0.15", "--json").stdout.count('"names"') == 2
    page = tmp_path / "table.html"
    call("compare", "r0", "r1", "--html", str(page))
    assert "<table" in page.read_text()
    assert "± " in call("compare", "--mean").output


def test_the_seeds_of_a_sweep(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    ids = sweep(box, group="feed0001")
    lost = made(
        box,
        "digits.ipynb",
        given={"lr": 0.2, "seed": 2},
        metrics=logged(loss=99.0),
        result=model.Result(status=statuses.Status.FAILED, exit_code=1),
        group="feed0001",
        created=moment(9),
    )
    call("reindex")
    text = call("compare", "--group", "feed0001").output.split("\n")
    assert text[0].split() == ["n", "status", "lr", "loss", "acc"]
    assert text[2].startswith("2    succeeded ")
    assert text[3].startswith("2    2 succeeded, 1 failed  0.2 ")
    assert "(n=2)" in text[3]
    assert call("history", "--group", "feed0001", "--mean").output.split("\n") == text
    below = call("history", "--group", "feed0001", "-n", "2").output.split("\n")
    assert below[3] == ""
    assert below[4:] == text
    found = json.loads(call("history", "--group", "feed0001", "--mean", "--json").stdout)
    assert [(row["n"], len(row["runs"]), row["metrics"]["loss"]["n"]) for row in found["rows"]] == [
        (2, 2, 2),
        (2, 3, 2),
    ]
    assert found["rows"][1]["metrics"]["loss"]["sd"] == pytest.approx(0.106066, rel=1e-5)
    assert lost in found["rows"][1]["runs"]
    singles = json.loads(call("compare", "--group", "feed0001", "--no-mean", "--json").stdout)
    assert [row["runs"] for row in singles["rows"]] == [[run] for run in (*ids, lost)]
    lines = call("history", "--group", "feed0001", "--mean", "--csv", "-m", "loss").stdout.split("\n")
    assert lines[0] == "n,status,lr,loss,loss_sd,loss_n"
    assert failed(capsys, "history", "--mean", "-q")[0] == 2
    assert failed(capsys, "history", "--mean", "--group", "nope")[0] == 3


def test_a_sweep_is_taken_whole(box: Sandbox) -> None:
    for seed in range(25):
        made(
            box, "digits.ipynb", given={"seed": seed}, metrics=logged(loss=seed), group="feed0002", created=moment(seed)
        )
    call("reindex")
    (row,) = json.loads(call("compare", "--group", "feed0002", "--json").stdout)["rows"]
    assert (row["n"], row["metrics"]["loss"]["mean"]) == (25, 12.0)
    (row,) = json.loads(call("compare", "--group", "feed0002", "-n", "5", "--json").stdout)["rows"]
    assert row["n"] == 5


def test_tables_that_make_no_sense(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert failed(capsys, "compare")[0] == 3
    sweep(box)
    for args, code, said in (
        (["r0", "--since", "2d"], 2, "runs and filters"),
        (["r0", "-m", "nope"], 2, "no run has the metric nope"),
        (["--by", "nope"], 2, "no run has the parameter nope"),
        (["--sort", "nope"], 2, "no run has the column nope"),
        (["--status", "failed"], 3, "no run matches"),
        (["nope"], 65, "nope"),
    ):
        found = failed(capsys, "compare", *args)
        assert found[0] == code, (args, found)
        assert said in found[1]


def test_plots(box: Sandbox, tmp_path: Path) -> None:
    sweep(box)
    said = call("plot", "loss", "r0", "r2").output
    assert said.startswith("loss\n")
    assert "━━ r0 lr=0.1  last 0.3" in said
    assert "━━ lr=0.1 (n=2)" in call("plot", "loss", "--mean", "--smooth", "0.5").output
    document = json.loads(call("plot", "loss", "r0", "--x", "time", "--json").stdout)
    assert document["x"] == "seconds"
    assert document["curves"][0]["x"] == [0.0, 1.0, 2.0]
    files = [tmp_path / name for name in ("a.svg", "a.png", "a.html")]
    call("plot", "loss", "--log", *(part for path in files for part in (f"--{path.suffix[1:]}", str(path))))
    assert files[0].read_text().startswith("<svg")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert files[2].read_text().startswith("<!DOCTYPE html>")


def test_plots_that_make_no_sense(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(box)
    for args, code, said in (
        (["los"], 3, "none of these runs has logged los"),
        (["loss", "--smooth", "1"], 2, "smoothing by 1"),
        (["loss", "--by", "nope"], 2, "no run has the parameter"),
        (["loss", "nope"], 65, "nope"),
    ):
        found = failed(capsys, "plot", *args)
        assert found[0] == code, (args, found)
        assert said in found[1]


def test_the_log_of_a_cell(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    a = made(box, "digits.ipynb", metrics=logged(loss=0.3), created=moment(1))
    edited(box.path / "digits.ipynb", 8, "accuracy = model.score(X_test, y_test)\nprint(accuracy)\n")
    b = made(box, "digits.ipynb", metrics=logged(loss=0.2), created=moment(2))
    said = call("log", "digits.ipynb:5").output
    assert said.startswith(f"~ {b[:8]}")
    assert "    +print(accuracy)" in said
    assert f"· {a[:8]}" in said
    assert call("log", "digits.ipynb:evaluate").output == said
    assert json.loads(call("log", "digits.ipynb:5", "-n", "1", "--json").stdout)["versions"][0]["runs"] == [b]
    (box.path / "deep").mkdir()
    os.chdir(box.path / "deep")
    assert call("log", "../digits.ipynb:5").output == said
    os.chdir(box.path)
    for place, code in (
        ("digits.ipynb", 2),
        ("digits.ipynb:", 2),
        ("gone.ipynb:1", 3),
        ("digits.ipynb:99", 3),
        ("x:1", 2),
    ):
        assert failed(capsys, "log", place)[0] == code, place


def test_the_hint_of_a_pair_elsewhere(box: Sandbox) -> None:
    box.write("jupytext.toml", 'formats = "notebooks///ipynb,scripts///py:percent"\n')
    copied(box, "digits.ipynb", "notebooks/digits.ipynb")
    assert "wrote scripts/digits.py" in call("pair", "notebooks/digits.ipynb").output
