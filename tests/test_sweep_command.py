"""``sweep``, ``queue`` and ``stop --group`` as real processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox import Sandbox, wait_for

GATED = "import os, time\nprint(x, flush=True)\nwhile not os.path.exists(r'{}'): time.sleep(0.02)"


@pytest.fixture
def box(repo: Sandbox, tmp_path: Path) -> Sandbox:
    log = "import snaprun\nsnaprun.log(loss=(lr - 0.03) ** 2 + seed)\nassert lr != 5"
    repo.notebook("nb.ipynb", log, parameters="lr = 0.1\nseed = 0\nmode = 'a'")
    repo.notebook("held.ipynb", GATED.format(tmp_path / "gate"), parameters="x = 0")
    repo.notebook("plain.ipynb", "print(1)")
    repo.notebook("seedless.ipynb", "print(lr)", parameters="lr = 0.1")
    repo.commit()
    return repo


def test_a_sweep_from_start_to_end(box: Sandbox) -> None:
    with box.untouched():
        done = box.snaprun(
            *("sweep", "nb.ipynb", "-p", "lr=0.1,0.01,5", "--seeds", "0,1", "-r", "mode=007", "-j", "2"),
            *("--minimize", "loss", "--engine", "inline", "--json", "--name", "try", "-t", "first"),
        )
    assert done.returncode == 1, done.stderr
    runs = json.loads(done.stdout)["runs"]
    assert [(run["params"], run["seed"], run["status"]) for run in runs] == [
        ({"lr": lr, "seed": seed, "mode": "007"}, seed, "failed" if lr == 5 else "succeeded")
        for lr in (0.1, 0.01, 5)
        for seed in (0, 1)
    ]
    (group,) = {run["group"] for run in runs}
    assert {run["name"] for run in runs} == {"try"}
    assert done.stderr.startswith("queued  6 runs of nb.ipynb  sweep " + group)
    listed = box.snaprun("history", "--group", group, "--sort", "loss", "-q").stdout.split()
    assert len(listed) == 6
    trees = {box.git("rev-parse", f"{run['id']}:nb.ipynb") for run in runs}
    assert len(trees) == 1
    script = box.git("show", f"{runs[0]['id']}:.snaprun/notebook.py")
    assert "lr = 0.1\nmode = " in script or "lr = 0.1\n" in script
    assert "snaprun_parameters" not in script


def test_the_summary_names_the_best(box: Sandbox) -> None:
    done = box.snaprun("sweep", "nb.ipynb", "-p", "lr=0.1,0.01", "--minimize", "loss", "--engine", "inline")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "2 of 2 done: 2 succeeded" in done.stderr
    assert "best loss 0.0004" in done.stderr
    assert "lr=0.01" in done.stderr


def test_the_best_has_succeeded(box: Sandbox) -> None:
    args = ("sweep", "nb.ipynb", "-p", "lr=5,0.1", "--engine", "inline")
    done = box.snaprun(*args, "--maximize", "loss")
    assert done.stderr.splitlines()[1] == "2 of 2 done: 1 succeeded, 1 failed"
    assert done.stderr.splitlines()[2].endswith("lr=0.1")
    done = box.snaprun(*args, "--maximize", "los")
    assert done.stderr.splitlines()[2:] == ["no run that succeeded has logged los; they log loss"]


def test_a_dry_run_starts_nothing(box: Sandbox) -> None:
    box.write("trials.csv", "lr,mode\n0.5,b\n0.25,\n")
    done = box.snaprun("sweep", "nb.ipynb", "--from", "trials.csv", "--seeds", "2", "--dry-run", "--json")
    assert [run["params"] for run in json.loads(done.stdout)["runs"]] == [
        {"lr": 0.5, "mode": "b", "seed": 0},
        {"lr": 0.5, "mode": "b", "seed": 1},
        {"lr": 0.25, "seed": 0},
        {"lr": 0.25, "seed": 1},
    ]
    table = box.snaprun("sweep", "nb.ipynb", "--from", "trials.csv", "-p", "seed=1..2", "--dry-run").stdout
    assert [line.split() for line in table.splitlines()] == [
        ["lr", "mode", "seed"],
        ["1", "0.5", "b", "1"],
        ["2", "0.5", "b", "2"],
        ["3", "0.25", "1"],
        ["4", "0.25", "2"],
    ]
    assert box.snaprun("history", "-q").stdout == ""


def test_nobody_is_asked_where_standard_input_is_closed(box: Sandbox) -> None:
    command = [sys.executable, "-m", "snaprun", "sweep", "nb.ipynb", "-p", "lr=1..1001"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], cwd=box.path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "that is 1,001 runs" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words", "hint"),
    [
        (["nb.ipynb"], 2, "nothing varies", "--seeds 3"),
        (["nb.ipynb", "-p", "lr=0.1"], 2, "nothing varies", "snaprun exec"),
        (["nb.ipynb", "-p", "lr=1..1001"], 2, "that is 1,001 runs", "--yes"),
        (["nb.ipynb", "-p", "lr=1..9000000", "--yes"], 2, "that is 9,000,000 runs", "--random"),
        (["nb.ipynb", "-p", "lr=0.1..0.5"], 2, "lr is a span", "--random"),
        (["nb.ipynb", "-p", "lrr=1,2"], 64, "no parameter lrr", "did you mean lr?"),
        (["nb.ipynb", "-p", "lrr=1,2", "--dry-run"], 64, "no parameter lrr", "did you mean lr?"),
        (["nb.ipynb", "--from", "lrr.json", "--dry-run"], 64, "no parameter lrr", "did you mean lr?"),
        (["nb.ipynb", "--from", "half.json", "--dry-run"], 64, "lr cannot be written exactly", "-r lr"),
        (["nb.ipynb", "-p", "lr=1,2", "-p", "lr=3"], 64, "given twice", "lr=1,2,3"),
        (["nb.ipynb", "-p", "lr=1,2", "-r", "lr=3"], 64, "lr is given by -p and by -r", "leave one"),
        (["nb.ipynb", "-p", "lr=1,2", "--from", "lr.csv"], 64, "lr is given by -p and in the file", "leave one"),
        (["nb.ipynb", "-r", "lr=1", "--from", "lr.csv"], 64, "lr is given by -r and in the file", "leave one"),
        (["nb.ipynb", "-p", "lr=1,2", "--seeds", "0"], 2, "a number of seeds", "--seeds 5"),
        (["nb.ipynb", "-p", "seed=1,2", "--seeds", "2"], 2, "--seeds and as a parameter", "leave one"),
        (["nb.ipynb", "-p", "lr=1,2", "-j", "9" * 20], 2, "not in the range", "--help"),
        (["nb.ipynb", "-p", "lr=1,2", "--retries", "9" * 20], 2, "not in the range", "--help"),
        (["seedless.ipynb", "--seeds", "2"], 2, "no parameter named seed", "seed = 0"),
        (["plain.ipynb", "-p", "lr=1,2"], 64, "no cell tagged `parameters`", "tags"),
        (["missing.ipynb", "-p", "lr=1,2"], 66, "missing.ipynb", ""),
        (["nb.ipynb", "--from", "missing.csv"], 66, "missing.csv", "ls"),
        (["nb.ipynb", "-p", "lr=1,2", "--after", "abcd1234"], 65, "no run 'abcd1234'", "history"),
        (["nb.ipynb", "-p", "lr=1,2", "-j", "2", "--launcher", "tmux"], 2, "tmux knows no --jobs", "leave --jobs"),
        (["nb.ipynb", "-p", "lr=1,2", "--minimize", "a", "--maximize", "b"], 2, "exclude each other", "--minimize a"),
    ],
)
def test_what_is_refused(box: Sandbox, args: list[str], code: int, words: str, hint: str) -> None:
    box.write("lr.csv", "lr\n1\n2\n")
    box.write("lrr.json", '[{"lr": 1}, {"lrr": 2}]')
    box.write("half.json", '[{"lr": 1}, {"lr": "\\ud800"}]')
    with box.untouched():
        done = box.snaprun("sweep", *args)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert words in lines[0]
    assert hint in lines[1]
    assert done.stdout == ""
    assert box.git("for-each-ref", "refs/snaprun") == ""


LR = ("nb.ipynb", "-p", "lr=0.001..0.1")
SEARCH = ("--search", "optuna")
WHOLE = (*SEARCH, "--trials", "4", "--minimize", "loss")


@pytest.mark.parametrize(
    ("args", "code", "words", "hint"),
    [
        ([*LR, *SEARCH, "--trials", "5"], 2, "what is best", "--minimize loss"),
        ([*LR, *SEARCH, "--minimize", "loss"], 2, "where to end", "--trials 50"),
        ([*LR, "--search", "optunna", *WHOLE[2:]], 2, "no search 'optunna'", "--search optuna"),
        ([*LR, "--trials", "5"], 2, "--trials belongs to a search", "--random 5"),
        ([*LR, "--random", "5", "--no-prune"], 2, "--no-prune belongs to a search", "--search"),
        (["nb.ipynb", "-p", "lr=0.1", *WHOLE], 2, "nothing varies", "lr=1e-4"),
        ([*LR, *WHOLE, "--seeds", "3"], 2, "--seeds and --search", "sweep the best point"),
        ([*LR, *WHOLE, "--random", "3"], 2, "--random and --search", "leave one"),
        ([*LR, *WHOLE, "--from", "missing.csv"], 2, "--from and --search", "leave one"),
        ([*LR, *WHOLE, "--launcher", "tmux"], 2, "on this machine, not by tmux", "--launcher local"),
        ([*LR, *WHOLE, "--on", "ssh://host/path"], 2, "on this machine, not by ssh", "--launcher local"),
        ([*LR, *WHOLE, "--slurm", ""], 2, "on this machine, not by slurm", "--launcher local"),
        ([*LR, *WHOLE, "-r", "lr=7"], 64, "lr is given twice", "leave one"),
        ([*LR, *WHOLE, "-p", "lrr=1,2"], 64, "no parameter lrr", "did you mean lr?"),
        ([*LR, *WHOLE, "--engine", "inlin"], 2, "no engine 'inlin'", "inline"),
        ([*LR, *WHOLE, "--after", "abcd1234"], 65, "no run 'abcd1234'", "history"),
        (["plain.ipynb", "-p", "lr=1,2", *WHOLE], 64, "no cell tagged `parameters`", "tags"),
        ([*WHOLE], 2, "no notebook is named", "NOTEBOOK"),
        (["--continue", "12345678", "--trials", "3"], 65, "there is no search 12345678", "history"),
        (["--continue", "../../x", "--trials", "3"], 65, "there is no search ../../x", "history"),
        (["--continue", "12345678"], 2, "how many trials more?", "--trials 20"),
        (["--continue", "12345678", "--trials", "3", "--minimize", "b"], 2, "--minimize cannot be changed", "--trials"),
        ([*LR, "--continue", "12345678", "--trials", "3"], 2, "-p cannot be changed", "--trials 20"),
    ],
)
def test_what_no_search_can_do(box: Sandbox, args: list[str], code: int, words: str, hint: str) -> None:
    box.write("lr.csv", "lr\n1\n2\n")
    box.write("lrr.json", '[{"lr": 1}, {"lrr": 2}]')
    box.write("half.json", '[{"lr": 1}, {"lr": "\\ud800"}]')
    with box.untouched():
        done = box.snaprun("sweep", *args)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert words in lines[0]
    assert hint in lines[1]
    assert done.stdout == ""
    assert box.git("for-each-ref", "refs/snaprun") == ""
    assert not list((box.path / ".git").glob("snaprun/searches/*"))


def test_a_search_without_optuna_says_how_to_get_it(box: Sandbox) -> None:
    lines = ["import sys", "sys.modules['optuna'] = None", "from snaprun.__main__ import main", "sys.exit(main())"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), "sweep", *LR, *WHOLE],
        cwd=box.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    assert "Optuna is not installed" in done.stderr
    assert "pip install 'snaprun[optuna]'" in done.stderr


def test_what_a_search_draws_from(box: Sandbox) -> None:
    args = ("sweep", "nb.ipynb", "-p", "lr=1e-4..1e-1..log", "-p", "seed=0..50..10", "-p", "mode=[a,b]", "--dry-run")
    table = box.snaprun(*args, *WHOLE).stdout
    assert [line.split() for line in table.splitlines()] == [
        ["parameter", "values"],
        ["lr", "0.0001", "..", "0.1", "by", "order", "of", "magnitude"],
        ["seed", "0,", "10,", "20,", "30,", "40,", "50", "in", "order"],
        ["mode", "a,", "b", "one", "of", "them"],
        ["4", "trials", "of", "no", "end", "of", "points,", "for", "the", "lowest", "loss"],
    ]
    document = json.loads(box.snaprun("sweep", "nb.ipynb", "-p", "lr=1,2", *WHOLE, "--dry-run", "--json").stdout)
    assert document == {
        "schema": 1,
        "search": "optuna",
        "metric": "loss",
        "direction": "minimize",
        "trials": 4,
        "points": 2,
        "axes": [{"name": "lr", "values": [1, 2]}],
        "params": {},
    }
    assert box.snaprun("history", "-q").stdout == ""


def test_a_search_in_the_hands_of_a_user(box: Sandbox) -> None:
    with box.untouched():
        done = box.snaprun("sweep", *LR, "-p", "mode=[a,b]", *WHOLE, "-j", "2", "--engine", "inline", "--name", "try")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 3, done.stderr
    assert re.fullmatch(r"queued  4 trials of nb.ipynb  search [0-9a-f]{8}  [0-9.]+ s", lines[0])
    assert lines[1] == "4 of 4 trials done: 4 succeeded"
    assert re.fullmatch(r"best loss [0-9.e-]+: [0-9a-f]{8}  lr=0.0[0-9]+ mode=[ab]", lines[2])
    group = lines[0].split()[6]
    more = box.snaprun("sweep", "--continue", group, "--trials", "2", "--json", "-q")
    assert more.returncode == 0, more.stderr
    runs = json.loads(more.stdout)["runs"]
    assert len(runs) == 6
    assert {(run["group"], run["name"], run["status"]) for run in runs} == {(group, "try", "succeeded")}
    listed = box.snaprun("history", "--group", group, "--sort", "loss", "-q").stdout.split()
    assert listed[-1].startswith(lines[2].split()[3]) or len(listed) == 6


def test_a_search_for_what_nobody_logs_fails(box: Sandbox) -> None:
    done = box.snaprun(
        "sweep", *LR, *SEARCH, "--trials", "1", "--maximize", "los", "--engine", "inline", "--timeout", "60"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "1 of 1 trials done: 1 succeeded",
        "no run that succeeded has logged los; they log loss",
    ]
    quiet = box.snaprun("sweep", "nb.ipynb", "-p", "lr=5,6,6", *WHOLE, "--engine", "inline", "--retries", "1")
    assert quiet.returncode == 0
    assert quiet.stderr.splitlines()[1:3] == ["2 of 4 trials done: 1 succeeded, 1 failed", "every point has been tried"]
    group = quiet.stderr.split()[6]
    attempts = json.loads(box.snaprun("history", "--group", group, "--json").stdout)["runs"]
    assert {run["params"]["lr"]: run["attempts"] for run in attempts} == {5: 2, 6: 1}
    again = box.snaprun("sweep", "--continue", group, "--trials", "3")
    assert again.returncode == 2
    assert "has tried every point" in again.stderr


def test_the_queue_in_the_hands_of_a_user(box: Sandbox, tmp_path: Path) -> None:
    add = ("queue", "add", "held.ipynb", "--engine", "inline", "-q", "-p")
    box.snaprun("queue", "--jobs", "1")
    first, second, third, last = (box.snaprun(*add, f"x={number}").stdout.strip() for number in (1, 2, 3, 4))
    wait_for(lambda: box.snaprun("logs", first).stdout == "1\n", "the first run")
    assert box.snaprun("queue", "-q").stdout.split() == [first, second, third, last]
    assert box.snaprun("queue", "move", third, "--first").returncode == 0
    assert box.snaprun("queue", "move", second, "--last").returncode == 0
    assert box.snaprun("queue", "-q").stdout.split() == [first, third, last, second]
    document = json.loads(box.snaprun("queue", "--json").stdout)
    assert (document["schema"], document["jobs"], document["paused"]) == (1, 1, False)
    assert [run["state"] for run in document["runs"]] == ["started", "waiting", "waiting", "waiting"]
    assert document["runs"][1]["params"] == {"x": 3}
    waiting = subprocess.Popen(
        [sys.executable, "-m", "snaprun", "wait", last], cwd=box.path, stderr=subprocess.PIPE, text=True
    )
    assert box.snaprun("queue", "drop", last).returncode == 0
    assert f"run {last[:8]} is only a snapshot: nothing runs" in waiting.communicate()[1]
    assert waiting.returncode == 2
    dropped = box.snaprun("queue", "drop", last)
    assert (dropped.returncode, dropped.stderr.splitlines()[0]) == (
        3,
        f"snaprun: error: run {last[:8]} does not wait in the queue",
    )
    table = box.snaprun("queue").stdout
    assert "started" in table and "at most 1 at a time" in table
    assert box.snaprun("queue", "pause").returncode == 0
    (tmp_path / "gate").touch()
    box.snaprun("wait", first)
    wait_for(lambda: len(box.snaprun("queue", "-q").stdout.split()) == 2, "the first to leave the queue")
    assert "paused" in box.snaprun("queue").stdout
    assert box.snaprun("queue", "resume").returncode == 0
    assert box.snaprun("wait", third, second).returncode == 0
    statuses = {run["id"]: run["status"] for run in json.loads(box.snaprun("history", "--json").stdout)["runs"]}
    assert statuses == {first: "succeeded", second: "succeeded", third: "succeeded", last: "saved"}
    assert "the queue is empty" in box.snaprun("queue").stderr


def test_very_many_more_trials_are_asked_about_too(box: Sandbox) -> None:
    done = box.snaprun("sweep", "--continue", "abcd1234", "--trials", "1001")
    assert (done.returncode, "that is 1,001 runs" in done.stderr) == (2, True), done.stderr
    assert (
        "there is no search abcd1234" in box.snaprun("sweep", "--continue", "abcd1234", "--trials", "1001", "-y").stderr
    )


@pytest.mark.parametrize("jobs", ["-1", "x", "1.5", "", "9" * 20, "9" * 5000])
def test_a_limit_that_makes_no_sense(box: Sandbox, jobs: str) -> None:
    done = box.snaprun("queue", "--jobs", jobs)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2), done.stderr
    assert "--jobs" in done.stderr


def test_ps_tells_why_a_run_of_the_queue_waits(box: Sandbox) -> None:
    group = box.snaprun("sweep", "held.ipynb", "-p", "x=1..3", "-j", "1", "--engine", "inline", "-d").stdout.strip()
    third, second, first = box.snaprun("history", "--group", group, "-q").stdout.split()
    wait_for(lambda: box.snaprun("logs", first).stdout == "1\n", "the first run")

    def states() -> dict[str, str]:
        return {run["id"]: run["progress"]["state"] for run in json.loads(box.snaprun("ps", "--json").stdout)["runs"]}

    assert states() == {first: "running", second: "queued: next", third: "queued: 1 before it"}
    assert "queued: 1 before it" in box.snaprun("ps").stdout
    box.snaprun("queue", "pause")
    assert states()[third] == "queued: the queue is paused"
    box.snaprun("stop", "--group", group)


def test_stopping_a_sweep(box: Sandbox) -> None:
    group = box.snaprun("sweep", "held.ipynb", "-p", "x=1..5", "-j", "1", "--engine", "inline", "-d").stdout.strip()
    first = wait_for(
        lambda: box.snaprun("history", "--group", group, "--status", "running", "-q").stdout, "a run"
    ).strip()
    wait_for(lambda: box.snaprun("logs", first).stdout == "1\n", "its cell")
    stopped = box.snaprun("stop", first, first, "--group", group)
    assert stopped.returncode == 0, stopped.stderr
    assert [line.split()[0] for line in stopped.stderr.splitlines()] == ["stopped", "4"]
    assert stopped.stderr.endswith("4 taken out of the queue\n")
    runs = json.loads(box.snaprun("history", "--group", group, "--json").stdout)["runs"]
    assert sorted(run["status"] for run in runs) == ["saved"] * 4 + ["stopped"]
    nothing = box.snaprun("stop", "--group", "feedbeef")
    assert (nothing.returncode, nothing.stderr.splitlines()[0]) == (3, "snaprun: error: there is no sweep feedbeef")
    assert box.snaprun("stop").returncode == 2
