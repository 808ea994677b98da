"""The library as a page, a notebook or a script calls it: it hands over data, and never says anything itself."""

from __future__ import annotations

import ast
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.api import (
    attend,
    compare,
    console,
    diff,
    history,
    hook,
    keep,
    look,
    ps,
    queue,
    run,
    search,
    share,
    sweep,
    use,
)
from snaprun.api.compare import CompareOptions, PlotOptions
from snaprun.api.history import HistoryOptions
from snaprun.api.run import RunOptions
from snaprun.api.search import Goal
from snaprun.api.sweep import SweepOptions
from snaprun.context import Context, open_context
from snaprun.errors import Busy, CannotCreate, DataFault, NothingFound, UsageFault
from snaprun.model import Snapshot
from snaprun.statuses import Status
from tests.sandbox import Sandbox, wait_for

API = Path(__file__).parent.parent / "snaprun" / "api"


@pytest.fixture
def warnings() -> list[str]:
    """What the library warns of, through its context."""
    return []


@pytest.fixture
def here(repo: Sandbox, warnings: list[str]) -> Context:
    repo.notebook("nb.ipynb", "import snaprun\nsnaprun.log(loss=x * x)\nprint(x * 2)", parameters="x = 1\nseed = 0")
    repo.commit()
    return open_context(repo.path, os.environ, warnings.append)


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing is written to the standard streams, by whatever process."""
    yield
    assert capfd.readouterr() == ("", "")


def options(notebook: str = "nb.ipynb", *params: str, **others: object) -> RunOptions:
    return RunOptions(notebook=Path(notebook), params=params, engine="inline", **others)  # type: ignore[arg-type]


def gated(repo: Sandbox) -> Path:
    """The file that a run of ``slow.ipynb`` waits for."""
    gate = repo.path.parent / "gate"
    cell = f"import os, time\nprint('waiting', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    repo.notebook("slow.ipynb", cell, "print('through')")
    return gate


def test_a_run_is_started_followed_and_waited_for(here: Context) -> None:
    snapshots: list[Snapshot] = []
    snapshot = run.start(here, options("nb.ipynb", "x=3", name="base"), on_snapshot=snapshots.append)
    assert snapshots == [snapshot]
    updates = list(attend.follow(here, snapshot.id))
    assert b"".join(update.log for update in updates) == b"6\n"
    end = updates[-1].end
    assert end is not None
    assert (end.status, end.exit_code) == (Status.SUCCEEDED, 0)
    [ended] = attend.wait(here, ["base"], timeout=60)
    assert (ended.id, ended.status, ended.params["x"]) == (snapshot.id, Status.SUCCEEDED, 3)
    assert b"".join(look.logs(here, "base")) == b"6\n"
    assert b"".join(look.logs(here, "base", until_end=True, tail=0)) == b""
    assert look.details(here, "base").to_json()["params"] == {"x": 3, "seed": 0}
    assert look.find(here, "@").id == snapshot.id
    with pytest.raises(UsageFault, match="--cell goes with"):
        list(look.logs(here, "base", cell=1, with_times=True))


def test_who_stops_a_start_leaves_nothing(here: Context, repo: Sandbox) -> None:
    def refuse(snapshot: Snapshot) -> None:
        assert snapshot.spec.notebook == "nb.ipynb"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.start(here, options(), on_snapshot=refuse)
    assert repo.git("for-each-ref", "refs/snaprun/runs") == ""
    assert ps.in_progress(here, now=time.time()) == []


def test_a_run_in_progress_is_seen_and_stopped(here: Context, repo: Sandbox) -> None:
    gated(repo)
    run_id = run.start(here, options("slow.ipynb", name="slow")).id
    pieces = look.logs(here, "slow", until_end=True)
    assert b"waiting" in wait_for(lambda: next(pieces), "its first words")
    [item] = ps.in_progress(here, now=time.time())
    assert (item.run.id, item.progress.total, item.trouble) == (run_id, 2, None)
    with pytest.raises(Busy, match="1 run has not ended"):
        attend.wait(here, ["slow"], timeout=0.1)
    endings = attend.stop(here, ["slow"], grace=5)
    assert [(ended.id, ended.status) for ended in endings.runs] == [(run_id, Status.STOPPED)]
    assert (endings.dropped_ids, endings.has_ended_search) == ((), False)
    with pytest.raises(NothingFound, match="is not running: it stopped"):
        attend.stop(here, ["slow"])
    with pytest.raises(UsageFault, match="no run is named"):
        attend.stop(here, [])


def test_a_run_is_interrupted_and_told_of_it_first(here: Context, repo: Sandbox) -> None:
    gated(repo)
    run_id = run.start(here, options("slow.ipynb")).id
    next(update for update in attend.follow(here, run_id) if b"waiting" in update.log)
    requests: list[str] = []
    attend.interrupt(here, run_id, on_request=lambda: requests.append("interrupt"))
    [ended] = attend.wait(here, [run_id])
    assert (ended.status, ended.exit_code, requests) == (Status.STOPPED, 130, ["interrupt"])
    attend.interrupt(here, run_id, on_request=lambda: requests.append("again"))
    assert requests == ["interrupt"]


def test_snapshot_rerun_and_resume(here: Context, repo: Sandbox) -> None:
    repo.notebook("half.ipynb", "import os\nassert x or os.environ.get('MENDED')\nprint('ok')", parameters="x = 0")
    saved = run.snapshot(here, RunOptions(notebook=Path("half.ipynb"), engine="inline"))
    with pytest.raises(UsageFault, match="is only a snapshot"):
        attend.find_launched(here, saved.id)
    first = run.rerun(here, saved.id, RunOptions())
    [ended] = attend.wait(here, [first.id])
    assert (ended.status, ended.engine) == (Status.FAILED, "inline")
    second = run.rerun(here, first.id, RunOptions(params=("x=1",)))
    assert attend.wait(here, [second.id])[0].status is Status.SUCCEEDED
    with pytest.raises(UsageFault, match="is not held"):
        run.resume(here, first.id, source="1")
    mended = open_context(repo.path, {**os.environ, "MENDED": "1"})
    assert run.resume(mended, first.id).id == first.id
    [ended] = attend.wait(here, [first.id])
    assert (ended.status, ended.attempts) == (Status.SUCCEEDED, 2)


def test_a_held_run_is_talked_to_and_goes_on(here: Context, repo: Sandbox) -> None:
    repo.notebook("held.ipynb", "x = 0", "print(6 // x)")
    run_id = run.start(here, RunOptions(notebook=Path("held.ipynb"), hold_on_error=600.0)).id
    next(update for update in attend.follow(here, run_id) if update.progress.state == "held")
    with console.connect(here, run_id) as conversation:
        assert (conversation.run.id, conversation.is_held) == (run_id, True)
        assert [piece.text.strip() for piece in conversation.console.ask("x")] == ["0"]
    with pytest.raises(UsageFault, match="nothing was saved"):
        run.resume(here, run_id, edit=lambda _: None)
    run.resume(here, run_id, edit=lambda source: source.replace("x", "3"))
    [ended] = attend.wait(here, [run_id])
    assert (ended.status, b"".join(look.logs(here, run_id))[-2:]) == (Status.SUCCEEDED, b"2\n")


def test_history_takes_options_and_refuses_nonsense(here: Context) -> None:
    ids = [run.start(here, options("nb.ipynb", f"x={x}", tags=("t",))).id for x in (1, 2)]
    attend.wait(here, ids)
    run.snapshot(here, RunOptions())
    now = time.time()
    assert [found.id for found in history.history(here, HistoryOptions(tag="t"), now=now)] == ids[::-1]
    assert [found.id for found in history.history(here, HistoryOptions(where="loss > 1", count=1), now=now)] == [ids[1]]
    assert len(history.history(here, HistoryOptions(since="1h", sort="x"), now=now)) == 3
    assert not HistoryOptions(count=1, sort="x").is_filtered
    assert HistoryOptions(status=("failed",)).is_filtered
    with pytest.raises(UsageFault, match="no status"):
        history.history(here, HistoryOptions(status=("good",)), now=now)
    with pytest.raises(TypeError):
        HistoryOptions(stauts=("failed",))  # type: ignore[call-arg]


def test_diff_compare_and_plot(here: Context) -> None:
    now = time.time()
    ids = [run.start(here, options("nb.ipynb", f"x={x}", f"seed={seed}")).id for x in (1, 2) for seed in (0, 1)]
    attend.wait(here, ids)
    comparison = diff.diff(here, ids[0], ids[2])
    assert comparison.differs
    assert [(value.name, value.a, value.b) for value in comparison.params or () if value.state != "same"] == [
        ("x", 1, 2)
    ]
    assert len(diff.cell_log(here, "nb.ipynb:1", count=1)) == 1
    grid = compare.compare(here, CompareOptions(runs=ids, sort="-x"), now=now)
    assert [row.params["x"] for row in grid.rows] == [2, 2, 1, 1]
    means = compare.compare(here, CompareOptions(mean=True, metrics=("loss",)), now=now)
    assert [(row.params, row.metrics["loss"].mean, row.n) for row in means.rows] == [({"x": 1}, 1, 2), ({"x": 2}, 4, 2)]
    chart = compare.plot(here, "loss", PlotOptions(by=("x",)), now=now)
    assert [curve.y for curve in chart.curves] == [(1.0,), (4.0,)]
    with pytest.raises(NothingFound, match="has logged nothing"):
        compare.plot(here, "nothing", now=now)
    with pytest.raises(UsageFault, match="runs and filters"):
        compare.compare(here, CompareOptions(runs=ids), HistoryOptions(tag="t"), now=now)


def test_the_queue(here: Context) -> None:
    queue.pause(here)
    ids = [queue.add(here, options("nb.ipynb", f"x={x}")).id for x in (1, 2, 3)]
    queue.move(here, [ids[2]])
    listing, runs = queue.listing(here)
    assert [entry.run for entry in listing.runs] == [ids[2], ids[0], ids[1]]
    assert (listing.is_paused, {found.status for found in runs.values()}) == (True, {Status.QUEUED})
    assert queue.drop(here, [ids[0]]) == [ids[0]]
    endings = attend.stop(here, [ids[1]])
    assert (endings.runs, endings.dropped_ids) == ((), (ids[1],))
    queue.limit(here, 1)
    queue.resume(here)
    assert [ended.id for ended in attend.wait(here, [ids[2]])] == [ids[2]]
    with pytest.raises(NothingFound, match="does not wait"):
        queue.drop(here, [ids[2]])
    with pytest.raises(UsageFault, match="this machine only"):
        queue.add(here, options("nb.ipynb", on="ssh://nowhere/srv"))


def test_a_sweep(here: Context) -> None:
    plan = sweep.plan(here, options(), SweepOptions(axes=("x=1..3",), jobs=2))
    sweep.check(plan)
    assert [point.params["x"] for point in plan.points] == [1, 2, 3]
    snapshots = sweep.start(here, plan)
    states = list(sweep.follow(here, plan.group, metric="loss"))
    assert [found.id for found in states[-1].runs] == [snapshot.id for snapshot in snapshots]
    assert (states[-1].over, states[-1].good) == (True, True)
    assert states[-1].best is not None
    assert states[-1].best.params["x"] == 1
    with pytest.raises(UsageFault, match="nothing varies"):
        sweep.plan(here, options(), SweepOptions())


def test_a_search(here: Context) -> None:
    pytest.importorskip("optuna")
    goal = Goal("optuna", "loss", highest=False, trials=2)
    plan = search.plan(here, options(), SweepOptions(axes=("x=-5..5",), jobs=1), goal)
    assert search.start(here, plan).trials == 2
    states = list(search.follow(here, plan.group))
    assert (len(states[-1].runs), states[-1].good, states[-1].trouble) == (2, True, None)
    assert search.go_on(here, plan.group, trials=1).trials == 3
    assert len(list(search.follow(here, plan.group))[-1].runs) == 3
    assert not search.end(here, plan.group)


def test_what_a_run_made_is_taken_out(here: Context, repo: Sandbox, tmp_path: Path) -> None:
    run_id = run.start(here, options()).id
    attend.wait(here, [run_id])
    assert b"".join(use.file_of(here, "@", "README")) == b"a project\n"
    path = use.write_notebook(here, "@", tmp_path / "out.ipynb")
    assert json.loads(path.read_bytes())["cells"][1]["outputs"]
    with pytest.raises(CannotCreate, match="is there already"):
        use.write_notebook(here, "@", path)
    assert len(use.restore(here, "@", ["README"], target=tmp_path / "tree")) == 1
    target, restoration = use.restore_outputs(here, "@")
    assert (target, list(restoration.unknown)) == (repo.path / "nb.ipynb", [])
    with pytest.raises(DataFault, match="has no file"):
        list(use.file_of(here, "@", "nowhere"))


def test_keeping_and_sharing(here: Context, repo: Sandbox, warnings: list[str]) -> None:
    attend.wait(here, [run.start(here, options()).id])
    assert all(finding.fine for finding in keep.examine(here))
    assert keep.rebuild_index(here).count == 1
    assert keep.collect(here, keep_slots=0, now=time.time()).slots >= 0
    assert [path.name for path, _ in keep.pair(here, Path("nb.ipynb")).scripts] == ["nb.py"]
    with pytest.raises(NothingFound, match="no run is in progress on another machine"):
        share.fetch(here)
    with pytest.raises(UsageFault, match="which runs"):
        share.give_up(here, [])
    (repo.path / ".git" / "snaprun" / "index.sqlite3").write_bytes(b"no database" * 1000)
    assert len(history.history(here, HistoryOptions(), now=time.time())) == 1
    assert ["the index was damaged" in text for text in warnings] == [True]


def test_the_hook(repo: Sandbox, tmp_path: Path) -> None:
    env = os.environ
    [step, *_] = hook.install(repo.path, env, ("pre-commit",))
    assert (step.hook, Path(step.path).exists()) == ("pre-commit", True)
    assert hook.read_status(repo.path, env).exit_code == 0
    repo.notebook("nb.ipynb", "1")
    repo.git("add", "nb.ipynb")
    report = hook.check_staged(repo.path, env, hook.CheckOptions(), now=time.time())
    assert (report.notebooks, report.refused) == (1, 0)
    message = tmp_path / "message"
    message.write_text("work\n")
    hook.write_trailers(repo.path, env, message)
    assert message.read_text() == "work\n"
    assert list(hook.find_links(repo.path, env)) == []
    assert [step.hook for step in hook.uninstall(repo.path, env)] == ["pre-commit"]


@pytest.mark.parametrize("path", sorted(API.glob("*.py")), ids=lambda path: path.name)
def test_the_library_knows_no_terminal(path: Path) -> None:
    """It prints nothing, and what it knows of its caller comes with the context."""
    tree = ast.parse(path.read_text())
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not modules & {"click", "rich", "tabulate", "sys", "getpass"}
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"print", "input", "exit"}
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert not attributes & {"os.environ", "os.getenv", "os.getcwd", "Path.cwd", "os._exit"}


@pytest.mark.parametrize("path", sorted(API.glob("*.py")), ids=lambda path: path.name)
def test_what_the_library_offers_is_explained_and_typed(path: Path) -> None:
    tree = ast.parse(path.read_text())
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for node in definitions:
        if node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            texts = [ast.unparse(argument.annotation) for argument in arguments if argument.annotation]
            assert not any("Any" in text for text in texts), f"{node.name} takes anything"
            assert node.args.kwarg is None, f"{node.name} takes options of any name"
