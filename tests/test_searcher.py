"""A search at work: it draws, learns, gives up, and goes on whoever is killed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snaprun.api import queue, search
from snaprun.api.search import Goal
from snaprun.api.sweep import SweepOptions
from snaprun.context import Context, open_context
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims, reindex
from snaprun.live import bell, livefolder, searches
from snaprun.machine import process
from snaprun.metrics import Series
from snaprun.model import RUN_REF
from snaprun.runplan import RunOptions
from snaprun.statuses import Status
from snaprun.sweeps import searchfile
from snaprun.sweeps.study import Study, Trial
from tests.queues import dispatchers, runs
from tests.running import context
from tests.sandbox import Sandbox, wait_for

pytestmark = pytest.mark.usefixtures("nothing_left")

COUNTED = """
import os, snaprun, time, uuid
folder = os.environ["COUNT"]
open(os.path.join(folder, uuid.uuid4().hex), "w").close()
late = len(os.listdir(folder)) > 5
snaprun.log(loss=100 if late else x, step=3)
end = time.monotonic() + 100
while late and time.monotonic() < end:
    time.sleep(0.02)
"""


@pytest.fixture
def box(repo: Sandbox) -> Sandbox:
    repo.notebook("nb.ipynb", "import snaprun\nsnaprun.log(loss=(x - 3) ** 2)", parameters="x = 0.0\nmode = 'a'")
    repo.notebook("counted.ipynb", COUNTED, parameters="x = 0.0")
    repo.notebook("odd.ipynb", "import snaprun\nassert x % 2 == 0\nsnaprun.log(loss=x)", parameters="x = 0")
    repo.commit()
    return repo


def begin(
    here: Context, notebook: str = "nb.ipynb", *axes: str, trials: int = 6, jobs: int = 2, **asked: object
) -> str:
    wanted = RunOptions(notebook=Path(notebook), engine="inline")
    given = SweepOptions(axes=axes or ("x=-10.0..10.0",), jobs=jobs, **asked)  # type: ignore[arg-type]
    planned = search.plan(here, wanted, given, Goal("optuna", "loss", False, trials))
    return search.start(here, planned).group


def until_over(here: Context, group: str) -> search.SearchProgress:
    """The end of a search, with a look at it now and then as a user would have."""
    wait_for(
        lambda: search.read_progress(here, group).over, f"the search to be over: {talk(here, group)}", patience=240
    )
    return search.read_progress(here, group)


def talk(here: Context, group: str) -> str:
    path = searches.folder(here.place, group) / searches.LOG_NAME
    return path.read_text() if path.exists() else ""


def trials(here: Context, group: str) -> list[Trial]:
    """What the study has, once nobody serves it."""
    path = searches.folder(here.place, group)
    held = wait_for(lambda: searches.take(path), "the search's lock")
    found = searchfile.read(path)
    study = Study(path, found.dimensions, highest=found.highest)
    try:
        return study.trials()
    finally:
        study.close()
        os.close(held)


def without_server(box: Sandbox, **asked: object) -> tuple[Context, str, int]:
    """A search whose first run waits and which nobody serves; the caller holds its lock."""
    here = context(box)
    queue.pause(here)
    group = begin(here, jobs=1, **asked)  # type: ignore[arg-type]
    for pid in wait_for(lambda: servers(here), "its process"):
        os.kill(pid, signal.SIGKILL)
    return here, group, wait_for(lambda: searches.take(searches.folder(here.place, group)), "its lock")


def servers(here: Context) -> list[int]:
    """The processes that serve searches of this repository."""
    mark, found = os.fsencode(str(here.place.common_dir)), []
    for pid in process.read_table():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"snaprun.sweeps.serve" in words and mark in words and not words.startswith(b"sh"):
            found.append(pid)
    return found


def whole(here: Context, group: str, count: int) -> None:
    """No trial is lost, none was made twice, all are told."""
    found = runs(here, group=group)
    assert len(found) == count
    assert len({str(run.params["x"]) for run in found}) == count
    told = [trial for trial in trials(here, group) if trial.run]
    assert sorted(str(trial.run) for trial in told) == sorted(run.id for run in found)
    assert {run.id: run.params["x"] for run in found} == {trial.run: trial.params["x"] for trial in told}
    assert not any(trial.open for trial in trials(here, group))
    assert not [folder for folder in livefolder.scan(here.place) if folder.id in {run.id for run in found}]


def test_a_search_ends_with_the_work_tree_that_it_began_in(box: Sandbox, tmp_path: Path) -> None:
    main, linked = context(box), tmp_path / "linked"
    box.git("worktree", "add", "-q", str(linked))
    here = open_context(linked, os.environ)
    queue.pause(here)
    group = begin(here, jobs=1)
    box.git("worktree", "remove", "--force", str(linked))
    queue.resume(main)
    course = until_over(main, group)
    assert (course.search.state, course.search.why) == (
        searchfile.STATE_FAILED,
        "the work tree that it began in has been removed",
    )
    assert all(run.status is Status.FAILED for run in course.runs)


def test_a_search_learns(box: Sandbox) -> None:
    here = context(box)
    with box.untouched():
        group = begin(here, "nb.ipynb", "x=-10.0..10.0", trials=8, jobs=2)
        now = until_over(here, group)
    assert now.search.state == searchfile.STATE_DONE
    assert [run.status for run in now.runs] == [Status.SUCCEEDED] * 8
    best = now.sweep.best
    assert best is not None
    assert best.metrics["loss"].last == min(run.metrics["loss"].last for run in now.runs)
    assert best.metrics["loss"].last < 25
    whole(here, group, 8)
    assert len({box.git("rev-parse", f"{run.id}:nb.ipynb") for run in now.runs}) == 1
    assert not here.place.search_marks.exists()
    wait_for(lambda: not servers(here), "the search's process to go")
    left = {path.name for path in searches.folder(here.place, group).iterdir()}
    assert left == {"gate", "journal.log", "lock", "order.json", "search.json", "search.log"}


def test_what_is_hopeless_is_stopped_early(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    here = context(box, COUNT=str(tmp_path / "count"))
    group = begin(here, "counted.ipynb", "x=0.0..1.0", trials=7, jobs=1)
    now = until_over(here, group)
    assert [run.status for run in now.runs] == [Status.SUCCEEDED] * 5 + [Status.STOPPED] * 2
    assert [(run.reason, run.exit_code) for run in now.runs[5:]] == [("pruned by optuna at step 3", 143)] * 2
    assert now.prune_count == 2
    assert [run.metrics["loss"].last for run in now.runs[5:]] == [100, 100]
    whole(here, group, 7)


def test_every_point_is_tried_once(box: Sandbox) -> None:
    here = context(box)
    group = begin(here, "nb.ipynb", "x=1,2", "mode=[a,b]", trials=50)
    now = until_over(here, group)
    assert now.search.state == searchfile.STATE_EXHAUSTED
    tried = sorted((run.params["x"], run.params["mode"]) for run in now.runs)
    assert tried == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_failed_runs_do_not_end_a_search(box: Sandbox) -> None:
    here = context(box)
    group = begin(here, "odd.ipynb", "x=1..4", trials=4)
    now = until_over(here, group)
    assert {run.params["x"]: run.status.value for run in now.runs} == {
        x: "failed" if x % 2 else "succeeded" for x in range(1, 5)
    }
    assert now.sweep.best is not None
    assert now.sweep.best.params["x"] == 2


def test_it_goes_on_after_kills(box: Sandbox) -> None:
    here = context(box)
    group = begin(here, trials=6)
    path = searches.folder(here.place, group) / "journal.log"
    sizes = [0]

    def strike() -> bool:
        """Kill whoever serves, as soon as the study has grown."""
        now = search.read_progress(here, group)
        if now.over:
            return True
        if path.stat().st_size > sizes[-1] and servers(here) and len(sizes) < 8:
            sizes.append(path.stat().st_size)
            for pid in [*servers(here), *(dispatchers(here) if len(sizes) % 2 else [])]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        return False

    wait_for(strike, f"the search to be over: {talk(here, group)}", patience=240)
    assert len(sizes) > 3
    assert search.read_progress(here, group).search.state == searchfile.STATE_DONE
    whole(here, group, 6)


def test_two_searches_at_once(box: Sandbox) -> None:
    here = context(box)
    one, two = begin(here, trials=3), begin(here, "odd.ipynb", "x=2..100..2", trials=3)
    for group in (one, two):
        assert until_over(here, group).search.state == searchfile.STATE_DONE
        whole(here, group, 3)
    assert {run.notebook for run in runs(here, group=two)} == {"odd.ipynb"}


def test_more_trials_of_the_same_code(box: Sandbox) -> None:
    here = context(box)
    group = begin(here, trials=2)
    until_over(here, group)
    box.notebook("nb.ipynb", "raise SystemExit(7)", parameters="x = 0.0")
    search.go_on(here, group, trials=2, jobs=1)
    now = until_over(here, group)
    assert (now.search.trials, now.search.state) == (4, searchfile.STATE_DONE)
    assert [run.status for run in now.runs] == [Status.SUCCEEDED] * 4
    assert len({box.git("rev-parse", f"{run.id}:nb.ipynb") for run in now.runs}) == 1
    whole(here, group, 4)


def test_a_stop_ends_it_for_good(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    here = context(box, COUNT=str(tmp_path / "count"))
    group = begin(here, "counted.ipynb", "x=0.0..1.0", trials=90, jobs=3)
    wait_for(lambda: len(runs(here, group=group)) > 3, "some runs")
    assert box.snaprun("stop", "--group", group).returncode == 0
    now = until_over(here, group)
    assert now.search.state == searchfile.STATE_STOPPED
    count = len(now.runs)
    assert count < 90
    assert all(run.status.over for run in now.runs)
    whole(here, group, count)
    again = box.snaprun("stop", "--group", group)
    assert again.returncode == 3
    search.go_on(here, group, trials=1)
    assert until_over(here, group).search.trials == count + 1


def test_a_resting_queue_holds_it(box: Sandbox) -> None:
    here = context(box)
    queue.pause(here)
    group = begin(here, trials=3, jobs=1)
    wait_for(lambda: servers(here), "its process")
    for pid in servers(here):
        os.kill(pid, signal.SIGKILL)
    assert [run.status for run in search.read_progress(here, group).runs] == [Status.QUEUED]
    queue.resume(here)
    assert until_over(here, group).search.state == searchfile.STATE_DONE
    whole(here, group, 3)


def test_a_run_that_was_frozen_only_is_queued(box: Sandbox) -> None:
    here, group, held = without_server(box, trials=2)
    (first,) = runs(here, group=group)
    index = reindex.open_index(here)
    claims.forget(index, first.id)
    index.forget([first.id])
    os.close(held)
    queue.resume(here)
    bell.wake(here.place, here.env)
    assert until_over(here, group).search.state == searchfile.STATE_DONE
    assert first.id in [run.id for run in runs(here, group=group)]
    whole(here, group, 2)


def test_a_run_that_was_never_frozen_is_none(box: Sandbox) -> None:
    here, group, held = without_server(box, trials=2)
    path = searches.folder(here.place, group)
    found = searchfile.read(path)
    study = Study(path, found.dimensions, highest=False)
    asked = study.ask()
    assert asked is not None
    study.assign(asked.number, "0" * 40)
    study.ask()
    study.close()
    os.close(held)
    queue.resume(here)
    assert until_over(here, group).search.state == searchfile.STATE_DONE
    whole(here, group, 2)


def test_a_dropped_run_counts_as_a_trial_without_a_value(box: Sandbox) -> None:
    here = context(box)
    queue.pause(here)
    group = begin(here, trials=2, jobs=1)
    queue.drop(here, [runs(here, group=group)[0].id])
    queue.resume(here)
    now = until_over(here, group)
    assert [run.status for run in now.runs] == [Status.SAVED, Status.SUCCEEDED]


def test_what_a_run_waits_for_may_fail(box: Sandbox) -> None:
    box.notebook("first.ipynb", "import os, time\nwhile not os.path.exists(x): time.sleep(0.01)\nassert 0",
                 parameters="x = ''")  # fmt: skip
    gate = box.path.parent / "gate"
    first = box.snaprun("exec", "first.ipynb", "-r", f"x={gate}", "-d", "--engine", "inline").stdout.strip()
    here = context(box)
    group = begin(here, trials=5, jobs=1, after=first)
    gate.touch()
    now = until_over(here, group)
    assert now.search.state == searchfile.STATE_FAILED
    assert "nothing can come after it" in str(now.search.why)
    assert [run.status for run in now.runs] == [Status.STOPPED]
    assert GitRepo(here.place).refs(RUN_REF).keys() == {RUN_REF + first, RUN_REF + now.runs[0].id}


def test_a_lost_run_is_told(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    for number in range(6):
        (tmp_path / "count" / str(number)).touch()
    here = context(box, COUNT=str(tmp_path / "count"))
    group = begin(here, "counted.ipynb", "x=0.0..1.0", trials=1)
    (folder,) = wait_for(lambda: livefolder.scan(here.place), "its run")
    wait_for(lambda: folder.metrics.exists() and folder.metrics.read_bytes().count(b"\n") == 1, "its metrics")
    about = json.loads((folder.path / "supervisor.json").read_bytes())
    for pid in (about["pid"], about["worker"]["pid"]):  # first: they would see how the run ends
        os.kill(pid, signal.SIGKILL)
    for who in process.find_marked(folder.id):
        process.send(who, signal.SIGKILL)
    now = until_over(here, group)
    assert [run.status for run in now.runs] == [Status.LOST]
    assert now.sweep.best is None


def test_a_search_that_cannot_go_on_says_why(box: Sandbox) -> None:
    here, group, held = without_server(box, trials=3)
    journal = searches.folder(here.place, group) / "journal.log"
    journal.write_bytes(b"{{{\n" + journal.read_bytes())
    os.close(held)
    said = wait_for(lambda: search.read_progress(here, group).trouble, "word of it")
    assert "journal.log is damaged" in said
    assert not search.read_progress(here, group).over
    assert f"{group}: " in box.snaprun("doctor").stdout
    assert box.snaprun("stop", "--group", group).returncode == 0
    now = search.read_progress(here, group)
    assert (now.over, now.search.state) == (True, searchfile.STATE_STOPPED)


def test_optuna_may_go_away_meanwhile(box: Sandbox) -> None:
    here, group, held = without_server(box, trials=2)
    where = json.dumps({name: str(path) for name, path in vars(here.place).items()})
    lines = ["import sys", "sys.modules['optuna'] = None", "from snaprun.sweeps import serve"]
    code = "\n".join([*lines, "sys.exit(serve.main(sys.argv[1:]))"])
    done = subprocess.run([sys.executable, "-c", code, where, group], cwd="/", check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == 69
    assert "pip install 'snaprun[optuna]'" in str(searches.read_trouble(searches.folder(here.place, group)))
    (searches.folder(here.place, group) / searches.TROUBLE).unlink()
    os.close(held)
    queue.resume(here)
    assert until_over(here, group).search.state == searchfile.STATE_DONE


def test_a_series_is_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    series = Series("loss", {})
    assert series.read(path) == {}

    def line(step: object, value: object, name: str = "loss") -> str:
        return json.dumps({"name": name, "value": value, "step": step, "time": 0}) + "\n"

    path.write_text(line(0, 1.0) + line(1, 2) + line(1, 9, "other") + line(None, 5) + line(1.5, 5) + line(-1, 5))
    assert series.read(path) == {0: 1.0, 1: 2.0}
    with path.open("a") as file:
        file.write(line(2.0, 0.5) + '{"name": "loss", "va')
    assert series.read(path) == {2: 0.5}
    assert series.read(path) == {}
    with path.open("a") as file:
        file.write('lue": 7, "step": 3}\nno json\n')
    assert series.read(path) == {3: 7.0}
    assert series.read_all(path.read_bytes() + line(4, 1).encode()) == {4: 1.0}
    path.write_text(line(0, 8.0))
    assert series.read(path) == {0: 8.0}
    assert (
        len(Series("loss", {}).read_all("".join(line(step, 1) for step in range(100_000)).encode())) == 1000 + 900 * 2
    )
