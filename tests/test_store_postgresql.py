"""The index in PostgreSQL: the same answers as from the file, for many repositories and many writers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from snaprun.errors import DataFault, Denied, SettingsFault, Unavailable
from snaprun.index import runlist, selectors, store, tables, where
from snaprun.index.runlist import Filter, IndexGap
from snaprun.model import Run
from snaprun.statuses import Status
from tests.crowd import WRITER, at_once
from tests.filters import FOUND, NOW, RUNS
from tests.indexed import START, many, oid, run

pytestmark = pytest.mark.service


def history(state: Path, url: str) -> list[Run]:
    return runlist.query(store.open_store(state, url).reader(), Filter(), cells=True)


def test_a_recorded_run_is_read_back_whole(tmp_path: Path, postgresql: str) -> None:
    index = store.open_store(tmp_path, postgresql)
    with pytest.raises(IndexGap):
        index.reader()
    index.rebuild([])
    made = run(
        message="why\nnot", name="größe 🎉", group="g", seed=2**62, dirty=True, params={"a\0b": "c\0d", "n": 10**400}
    )
    index.record(made)
    index.record(made)
    (found,) = history(tmp_path, postgresql)
    assert found.to_json() == {**made.to_json(), "params": {"a\ufffdb": "c\0d", "n": 10**400}}
    assert found.cells == made.cells
    index.record(run(status=Status.RUNNING))
    assert history(tmp_path, postgresql)[0].status is Status.SUCCEEDED
    index.forget([made.id])
    assert history(tmp_path, postgresql) == []


def test_it_lists_as_the_file_does(tmp_path: Path, postgresql: str) -> None:
    index = store.open_store(tmp_path / "p", postgresql)
    index.rebuild(many(300))
    store.open_store(tmp_path / "s").rebuild(many(300))
    asked = [
        Filter(limit=7),
        Filter(sort=where.order("loss"), ascending=True, limit=20, offset=5),
        Filter(sort=where.order("opt"), limit=30),
        Filter(sort=where.order("name")),
        Filter(status=frozenset({Status.FAILED, Status.STOPPED})),
        Filter(notebook="train.ipynb", name="trial 1*", tags=("even",)),
        Filter(commit=oid(7)[:5]),
        Filter(group="g1", since=run(150).created),
    ]
    with runlist.connect(tmp_path / "s") as reader:
        for wanted in asked:
            assert runlist.query(index.reader(), wanted) == runlist.query(reader, wanted)
            assert runlist.count(index.reader(), wanted) == runlist.count(reader, wanted)
        for table in ("params", "metrics", "tags"):
            assert runlist.names(index.reader(), table) == runlist.names(reader, table)
        for selector in ("@", "@~3", "@failed", oid(5), oid(5)[:6], oid(5, "result")[:9], "trial 20"):
            assert selectors.find(index.reader(), selector) == selectors.find(reader, selector)
    with pytest.raises(DataFault, match="no run"):
        selectors.find(index.reader(), "nobody")


def test_every_condition_finds_the_same(tmp_path: Path, postgresql: str) -> None:
    index = store.open_store(tmp_path, postgresql)
    index.rebuild(RUNS.values())
    for condition, names in FOUND:
        found = runlist.query(index.reader(), Filter(where=where.compile(condition, now=NOW)))
        assert "".join(sorted(each.name or "" for each in found)) == names, condition


def test_the_view(tmp_path: Path, postgresql: str) -> None:
    made = run(name="one", group="g", seed=3)
    store.open_store(tmp_path, postgresql).rebuild([made])
    engine = create_engine(postgresql.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.connect() as connection:
        row = dict(connection.execute(text("SELECT * FROM run_list")).mappings().one())
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    assert row.pop("repo")
    assert json.loads(json.dumps(row)) == json.loads(json.dumps(made.to_json()))


def test_sixteen_processes_start_on_a_fresh_database(tmp_path: Path, postgresql: str) -> None:
    state = tmp_path / "state"
    assert at_once(16, WRITER, str(state), postgresql) == [""] * 16
    store.open_store(state, postgresql).rebuild(many(3))
    assert len(history(state, postgresql)) == 3


def test_repositories_share_it(tmp_path: Path, postgresql: str) -> None:
    for name in ("one", "two"):
        store.open_store(tmp_path / name, postgresql).rebuild([run()])
    store.open_store(tmp_path / "one", postgresql).rebuild([])
    assert (len(history(tmp_path / "one", postgresql)), len(history(tmp_path / "two", postgresql))) == (0, 1)


def test_writers_of_the_same_run_do_not_fail(tmp_path: Path, postgresql: str) -> None:
    same = WRITER.replace("run(number * 100 + step)", "run(step)")
    assert at_once(8, same, str(tmp_path), postgresql) == [""] * 8


def test_a_newer_database_is_left_alone(tmp_path: Path, postgresql: str) -> None:
    store.open_store(tmp_path, postgresql)
    engine = create_engine(postgresql.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
    with pytest.raises(SettingsFault, match="newer snaprun"):
        store.open_store(tmp_path, postgresql)


def test_a_missing_database_and_a_missing_right(tmp_path: Path, postgresql: str) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        store.open_store(tmp_path, f"{postgresql}_not_there")
    engine = create_engine(postgresql.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE guest LOGIN"))
    with pytest.raises(Denied):
        store.open_store(tmp_path, postgresql.replace("snaprun@", "guest@"))


def test_since_needs_no_clock_in_the_database(tmp_path: Path, postgresql: str) -> None:
    index = store.open_store(tmp_path, postgresql)
    index.rebuild(many(20))
    condition = where.compile("created > 5s", now=START + 15)
    assert len(runlist.query(index.reader(), Filter(where=condition))) == 9
