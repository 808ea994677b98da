"""The index: made, upgraded, written by many, rebuilt; and what is said when it cannot be."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from snaprun.errors import Busy, CannotCreate, Denied, SettingsFault, Unavailable, WriteFault
from snaprun.index import migrate, rows, runlist, selectors, store, tables, where
from snaprun.index.runlist import Filter, IndexGap
from snaprun.model import INDEX_VERSION, Metric, Run
from snaprun.statuses import Status
from tests.crowd import WRITER, at_once
from tests.indexed import many, oid, run


def history(state: Path) -> list[Run]:
    with runlist.connect(state) as reader:
        return runlist.query(reader, Filter(), cells=True)


def test_a_recorded_run_is_read_back_whole(tmp_path: Path) -> None:
    index = store.open_store(tmp_path / "state")
    made = run(message="why\nnot", name="größe 🎉", group="g", seed=2**62, reason="fine", dirty=True, attempts=2)
    index.record(made)
    index.rebuild([made])
    assert history(tmp_path / "state") == [made]
    assert history(tmp_path / "state")[0].to_json() == made.to_json()


def test_recording_again_replaces_everything(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild([])
    index.record(run(status=Status.RUNNING, exit_code=None, metrics={}, cells=(), ended=None, seconds=None))
    ended = run(params={"other": 1}, tags=("b", "a"), cells=run().cells[:1])
    index.record(ended)
    assert history(tmp_path) == [ended]


def test_a_latecomer_does_not_bring_an_ended_run_back(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild([])
    index.record(run())
    index.record(run(status=Status.RUNNING))
    assert history(tmp_path) == [run()]
    again = run(status=Status.RUNNING, attempts=2)
    index.record(again)
    assert history(tmp_path) == [again]
    index.record(run(status=Status.LOST, attempts=2))
    assert history(tmp_path)[0].status is Status.LOST


def test_values_that_databases_cannot_hold(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    odd = run(
        notebook="caf\udce9.ipynb",
        message="a\0b",
        params={"nan": math.nan, "inf": -math.inf, "huge": 10**400, "a\0b": "\ud800", "big": 2**70, "list": [math.inf]},
        metrics={"loss": Metric(math.nan, -math.inf, math.inf, 2**40)},
        seed=2**64,
        seconds=math.nan,
        tags=("x", "x", "\udcff"),
    )
    index.rebuild([odd])
    index.record(odd)
    (found,) = history(tmp_path)
    assert found.notebook == "caf\\udce9.ipynb"
    assert found.params == {
        "nan": {"$yaml": ".nan"},
        "inf": {"$yaml": "-.inf"},
        "huge": 10**400,
        "a\ufffdb": "\ud800",
        "big": 2**70,
        "list": [{"$yaml": ".inf"}],
    }
    loss = found.metrics["loss"]
    assert (math.isnan(loss.last), loss.min, loss.max, loss.steps) == (True, -math.inf, math.inf, 2**40)
    assert (found.seed, found.seconds, found.tags) == (None, None, ("x", "\\udcff"))
    with runlist.connect(tmp_path) as reader:
        assert len(runlist.query(reader, Filter(notebook="caf\udce9.ipynb"))) == 1
        row = reader.rows("SELECT params, metrics, tags FROM run_list", {})[0]
    assert json.loads(row[1]) == {"loss": {"last": None, "min": "-Infinity", "max": "Infinity", "steps": 2**40}}
    assert json.loads(row[0])["big"] == 2**70


def test_forget(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild(many(5))
    index.forget([oid(1), oid(3), oid(99)])
    assert [found.id for found in history(tmp_path)] == [oid(4), oid(2), oid(0)]
    with runlist.connect(tmp_path) as reader:
        left = [reader.rows(f"SELECT count(DISTINCT run) FROM {table}", {})[0][0] for table in rows.CHILDREN]
    assert left == [3, 3, 3, 3]


def test_rebuild_is_all_or_nothing(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild(many(3))

    def broken() -> object:
        yield from many(2)
        raise RuntimeError("a ref is damaged")

    with pytest.raises(RuntimeError):
        index.rebuild(broken())  # type: ignore[arg-type]
    assert len(history(tmp_path)) == 3
    assert index.rebuild(many(2500)) == 2500
    assert history(tmp_path)[::-1] == [replace(made, tags=made.tags) for made in many(2500)]


def test_rebuild_takes_the_last_of_a_run_given_twice(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    assert index.rebuild([run(status=Status.LOST), run()]) == 1
    assert history(tmp_path) == [run()]


def test_the_view_says_what_history_says(tmp_path: Path) -> None:
    made = run(name="one", group="g", seed=3)
    store.open_store(tmp_path).rebuild([made])
    connection = sqlite3.connect(tmp_path / "index.sqlite3")
    connection.row_factory = sqlite3.Row
    row = dict(connection.execute("SELECT * FROM run_list").fetchone())
    connection.close()
    row.pop("repo")
    for name in ("params", "metrics", "tags"):
        row[name] = json.loads(row[name])
    row["dirty"] = bool(row["dirty"])
    assert row == json.loads(json.dumps(made.to_json()))
    assert list(row) == list(made.to_json())


def test_migrations_make_the_tables(tmp_path: Path) -> None:
    store.open_store(tmp_path)
    engine = create_engine(f"sqlite:///{tmp_path}/index.sqlite3", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        assert connection.exec_driver_sql("PRAGMA user_version").scalar() == INDEX_VERSION
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0003"
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert set(runlist.FIELDS) | {"key", "repo"} == set(tables.runs.c.keys())


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store.open_store(tmp_path / "state").record(run())
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {"repo": 0o600, "index.sqlite3": 0o600, "index.sqlite3.lock": 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_sixteen_processes_start_on_a_fresh_index(tmp_path: Path) -> None:
    state = tmp_path / "not there yet" / "state"
    assert at_once(16, WRITER, str(state)) == [""] * 16
    store.open_store(state)
    connection = sqlite3.connect(state / "index.sqlite3")
    assert connection.execute("SELECT count(*), count(DISTINCT id), count(DISTINCT repo) FROM runs").fetchone() == (
        160,
        160,
        1,
    )
    connection.close()
    assert sorted(path.name for path in state.iterdir()) == ["index.sqlite3", "index.sqlite3.lock", "repo"]


def test_an_index_of_a_newer_snaprun_is_left_alone(tmp_path: Path) -> None:
    store.open_store(tmp_path).rebuild([run()])
    connection = sqlite3.connect(tmp_path / "index.sqlite3")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / "index.sqlite3").read_bytes()
    for attempt in (store.open_store, runlist.connect):
        with pytest.raises(SettingsFault, match="newer snaprun"):
            attempt(tmp_path)
    assert (tmp_path / "index.sqlite3").read_bytes() == before


@pytest.mark.parametrize("damage", ["garbage", "header", "middle"])
def test_a_damaged_index_is_moved_aside_and_built_again(tmp_path: Path, damage: str) -> None:
    store.open_store(tmp_path).rebuild(many(300))
    before = history(tmp_path)
    path = tmp_path / "index.sqlite3"
    data = path.read_bytes()
    broken = {
        "garbage": b"not a database " * 1000,
        "header": b"\0" * 100 + data[100:],
        "middle": data[:4096] + os.urandom(len(data) - 4096),
    }[damage]
    path.write_bytes(broken)
    with pytest.raises(IndexGap) as caught:
        history(tmp_path)
    assert caught.value.reason == "damaged"
    index = store.mend(tmp_path)
    assert index.set_aside is not None and index.set_aside.read_bytes() == broken
    assert not index.is_built
    index.rebuild(many(300))
    assert history(tmp_path) == before


def test_a_sound_index_is_not_moved_aside(tmp_path: Path) -> None:
    store.open_store(tmp_path).rebuild(many(3))
    assert store.mend(tmp_path).set_aside is None
    assert len(history(tmp_path)) == 3


def test_an_empty_index_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite3").touch()
    assert not store.open_store(tmp_path).is_built


@pytest.mark.parametrize("lost", ["index.sqlite3", "repo", "both"])
def test_a_deleted_index_asks_to_be_rebuilt(tmp_path: Path, lost: str) -> None:
    store.open_store(tmp_path).rebuild(many(3))
    before = history(tmp_path)
    for name in ("index.sqlite3", "repo") if lost == "both" else (lost,):
        (tmp_path / name).unlink()
    with pytest.raises(IndexGap) as caught:
        history(tmp_path)
    assert caught.value.reason == "missing"
    index = store.open_store(tmp_path)
    index.record(run(99))  # a run in between does not make the index look complete
    with pytest.raises(IndexGap) as caught:
        history(tmp_path)
    assert caught.value.reason == "unbuilt"
    index.rebuild(many(3))
    assert history(tmp_path) == before


def test_repositories_share_an_index(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared #?.db"
    states = [tmp_path / "one", tmp_path / "two"]
    for number, state in enumerate(states):
        store.open_store(state, url).rebuild([run(number), run(7)])
    store.open_store(states[0], url).forget([oid(7)])
    for number, state in enumerate(states):
        with runlist.connect(state, url) as reader:
            assert {found.id for found in runlist.query(reader, Filter())} == {oid(number), oid(7)} - (
                {oid(7)} if number == 0 else set()
            )


def test_a_busy_index_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.open_store(tmp_path).rebuild([run()])
    holder = sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(runlist, "BUSY_SECONDS", 0.05)
    with pytest.raises(Busy, match="another process"):
        store.open_store(tmp_path).record(run(1))
    with pytest.raises(Busy, match="another process"):
        history(tmp_path)
    holder.execute("ROLLBACK")
    holder.close()
    assert len(history(tmp_path)) == 1


READER = """
import sys
from pathlib import Path
from snaprun.index import runlist, store, where
from snaprun.errors import Denied
state = Path(sys.argv[1])
with runlist.connect(state) as reader:
    print(len(runlist.query(reader, runlist.Filter())))
for attempt in (lambda: store.open_store(state).forget(["x"]), lambda: store.open_store(state / "new")):
    try:
        attempt()
    except Denied as error:
        print("denied", error.hint)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_index_that_may_only_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        store.open_store(state).rebuild(many(3))
        for path in [state, *state.iterdir()]:
            path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else 0o444)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", READER, folder],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stdout.splitlines()[0] == "3", done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["denied", "denied"]


def test_a_state_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(CannotCreate, match="cannot write"):
        store.open_store(tmp_path / "state")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("mysql://x/y", SettingsFault, "cannot live in mysql"),
        ("nonsense", SettingsFault, "not a database URL"),
        ("sqlite://", SettingsFault, "the index cannot be"),
        ("sqlite:///:memory:", SettingsFault, "the index cannot be"),
        ("postgresql://ada:secret@127.0.0.1:1/x", Unavailable, "does not answer"),
        ("postgresql+nodriver://127.0.0.1/x", SettingsFault, "not a database URL"),
    ],
)
def test_urls_that_do_not_work(tmp_path: Path, url: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        store.open_store(tmp_path, url)
    assert "secret" not in str(caught.value)


def test_what_sqlite_says_about_a_full_disk() -> None:
    assert isinstance(runlist.fault("database or disk is full", "x"), WriteFault)
    assert isinstance(runlist.fault("disk I/O error", "x"), WriteFault)
    assert isinstance(runlist.fault("attempt to write a readonly database", "x"), Denied)
    assert isinstance(runlist.fault("unable to open database file", "x"), Denied)


def test_the_engine_reader_answers_as_the_file_reader(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild(many(50))
    wanted = Filter(limit=7, sort=where.order("loss"), ascending=True, status=frozenset({Status.SUCCEEDED}))
    with runlist.connect(tmp_path) as reader:
        assert runlist.query(index.reader(), wanted) == runlist.query(reader, wanted)
        assert selectors.find(index.reader(), "@~3") == selectors.find(reader, "@~3")


def test_an_index_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    repo = store.ensure_repo(tmp_path)
    path = tmp_path / "index.sqlite3"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        migrate.upgrade(connection, str(path), revision="0001")
        connection.exec_driver_sql("PRAGMA user_version = 1")
        connection.exec_driver_sql("INSERT INTO repos VALUES (?, '/', 'now')", (repo,))
    with pytest.raises(IndexGap) as caught:
        runlist.connect(tmp_path)
    assert caught.value.reason == "older"
    index = store.open_store(tmp_path)
    assert index.is_built
    index.record(run())
    assert history(tmp_path) == [run()]
