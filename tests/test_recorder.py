"""Runs recorded without SQLAlchemy: the same rows as with it, or left to it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snaprun.errors import DataFault
from snaprun.index import recorder, rows, runlist, store
from snaprun.index.runlist import Filter
from snaprun.model import Run
from snaprun.statuses import Status
from tests.indexed import many, run


def ready(state: Path, *found: Run) -> Path:
    store.open_store(state).rebuild(found)
    return state


def everything(state: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table about runs, without the repository's own key."""
    with runlist.connect(state) as reader:
        found = {table: reader.rows(f"SELECT * FROM {table} ORDER BY 1, 2", {}) for table in rows.CHILDREN}
        return {**found, "runs": [(row[0], *row[2:]) for row in reader.rows("SELECT * FROM runs ORDER BY key", {})]}


RUNNING = run(status=Status.RUNNING, exit_code=None, metrics={}, cells=(), ended=None, seconds=None)
STORIES = {
    "a start and an end": [RUNNING, run()],
    "a latecomer": [run(), RUNNING],
    "a further attempt": [run(status=Status.FAILED), run(status=Status.RUNNING, attempts=2)],
    "other params and no tags": [run(), run(params={"other": 1}, tags=())],
    "odd text": [run(notebook="caf\udce9.ipynb", message="a\0b", params={"x": float("nan"), "y": 2**70})],
    "several": many(5),
}


@pytest.mark.parametrize("story", STORIES)
def test_the_same_rows_as_by_sqlalchemy(story: str, tmp_path: Path) -> None:
    long, short = (ready(tmp_path / way) for way in ("long", "short"))
    for made in STORIES[story]:
        store.open_store(long).record(made)
        assert recorder.record(short, None, [made])
    assert everything(short) == everything(long)


def test_all_or_none(tmp_path: Path) -> None:
    state = ready(tmp_path)
    with sqlite3.connect(state / runlist.INDEX_NAME) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'not this'); END")
    with pytest.raises(DataFault, match="not this"):
        recorder.record(state, None, [run(id="a" * 40, tags=()), run()])
    assert everything(state)["runs"] == []


def test_what_is_not_ready_is_left_alone(tmp_path: Path) -> None:
    assert not recorder.record(tmp_path / "missing", None, [run()])
    assert not (tmp_path / "missing").exists()
    unbuilt = tmp_path / "unbuilt"
    store.open_store(unbuilt)
    assert not recorder.record(unbuilt, None, [run()])
    damaged = ready(tmp_path / "damaged")
    (damaged / runlist.INDEX_NAME).write_bytes(b"no database" * 1000)
    assert not recorder.record(damaged, None, [run()])
    assert not recorder.record(tmp_path, "postgresql://localhost/nowhere", [run()])


def test_many_at_once(tmp_path: Path) -> None:
    state = ready(tmp_path)
    with ThreadPoolExecutor(8) as together:
        assert all(together.map(lambda made: recorder.record(state, None, [made]), many(40)))
    with runlist.connect(state) as reader:
        assert runlist.query(reader, Filter(), cells=True)[::-1] == list(many(40))


def test_a_worker_records_without_sqlalchemy(tmp_path: Path) -> None:
    ready(tmp_path)
    code = (
        "import sys, json, pathlib\n"
        "from types import SimpleNamespace as Some\n"
        "from snaprun.index import reindex\n"
        "from snaprun.lifecycle import finish, worker\n"
        "from tests.indexed import run\n"
        "reindex.record(Some(place=Some(state=pathlib.Path(sys.argv[1]))), None, run())\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "alembic", "jupytext", "nbformat", "IPython"} & set(json.loads(done.stdout))
    assert len(everything(tmp_path)["runs"]) == 1
