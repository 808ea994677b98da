"""The hot reads: what each filter lets through, and that nothing heavy is ever imported for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.errors import DataFault, SettingsFault
from snaprun.index import runlist, store, where
from snaprun.index.runlist import Filter, IndexGap, SqliteReader
from snaprun.model import Run
from snaprun.statuses import Status
from tests.indexed import many, oid, run

HEAVY = {
    "sqlalchemy",
    "alembic",
    "git",
    "jupytext",
    "nbformat",
    "nbclient",
    "IPython",
    "yaml",
    "rich",
    "psutil",
    "click",
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("state")
    store.open_store(folder).rebuild(many(1000))
    return folder


@pytest.fixture
def reader(state: Path) -> Iterator[SqliteReader]:
    with runlist.connect(state) as opened:
        yield opened


MADE = list(many(1000))


def expected(keep: object) -> list[str]:
    return [each.id for each in reversed(MADE) if keep(each)]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wanted", "keep"),
    [
        (Filter(), lambda r: True),
        (Filter(limit=20), lambda r: r.created >= MADE[980].created),
        (Filter(limit=0), lambda r: False),
        (Filter(limit=3, offset=995), lambda r: MADE[2].created <= r.created <= MADE[4].created),
        (Filter(status=frozenset({Status.FAILED, Status.STOPPED})), lambda r: r.status in ("failed", "stopped")),
        (Filter(status=frozenset({Status.LOST})), lambda r: False),
        (Filter(notebook="work/train.ipynb", limit=1000), lambda r: True),
        (Filter(notebook="train.ipynb"), lambda r: True),
        (Filter(notebook="rain.ipynb"), lambda r: False),
        (Filter(notebook="*.ipynb"), lambda r: True),
        (Filter(notebook="work/tr?in.*"), lambda r: True),
        (Filter(notebook="wor_/train.ipynb"), lambda r: False),
        (Filter(since=MADE[990].created), lambda r: r.created >= MADE[990].created),
        (Filter(name="trial 10"), lambda r: r.name == "trial 10"),
        (Filter(name="trial 1*"), lambda r: (r.name or "").startswith("trial 1")),
        (Filter(exact_name="trial 1*"), lambda r: False),
        (Filter(tags=("even",)), lambda r: "even" in r.tags),
        (Filter(tags=("even", "odd")), lambda r: False),
        (Filter(group="g3"), lambda r: r.group == "g3"),
        (Filter(code_hash="c0de", group="g3"), lambda r: r.group == "g3"),
        (Filter(id=oid(3)), lambda r: r.id == oid(3)),
        (Filter(commit=oid(3)), lambda r: r.id == oid(3)),
        (Filter(commit=oid(3, "result")[:12]), lambda r: r.id == oid(3)),
        (Filter(commit=oid(0, "head")[:7]), lambda r: True),
        (Filter(commit="0" * 40), lambda r: False),
    ],
)
def test_filters(reader: SqliteReader, wanted: Filter, keep: object) -> None:
    found = runlist.query(reader, wanted)
    assert [each.id for each in found] == expected(keep)
    if wanted.limit is None:
        assert runlist.count(reader, wanted) == len(found)


def test_a_listing_has_everything_of_a_run(reader: SqliteReader) -> None:
    found = runlist.query(reader, Filter(limit=3))
    assert [each.to_json() for each in found] == [each.to_json() for each in MADE[:-4:-1]]
    assert found[0].cells == ()
    assert runlist.query(reader, Filter(limit=3), cells=True) == MADE[:-4:-1]


def test_ascending_turns_the_list_around(reader: SqliteReader) -> None:
    assert [each.id for each in runlist.query(reader, Filter(ascending=True))] == [each.id for each in MADE]


@pytest.mark.parametrize("sort", ["loss", "accuracy", "metrics.accuracy.max"])
def test_sorts_by_a_metric(reader: SqliteReader, sort: str) -> None:
    up = runlist.query(reader, Filter(sort=where.order(sort), ascending=True, limit=1000))
    name = sort.split(".")[1] if "." in sort else sort
    values = [each.metrics[name].last for each in up]
    assert values == sorted(values)
    assert [each.id for each in runlist.query(reader, Filter(sort=where.order(sort)))] == [
        each.id for each in reversed(up)
    ]


def test_names(reader: SqliteReader) -> None:
    assert runlist.names(reader, "params") == ["epochs", "lr", "opt"]
    assert runlist.names(reader, "metrics") == ["accuracy", "loss"]
    assert runlist.names(reader, "tags") == ["even"]


def test_same_moment_still_has_one_order(tmp_path: Path) -> None:
    made = [run(number, created=run().created) for number in range(50)]
    store.open_store(tmp_path).rebuild(made)
    with runlist.connect(tmp_path) as opened:
        whole = [each.id for each in runlist.query(opened, Filter())]
        pages = [each.id for page in range(10) for each in runlist.query(opened, Filter(limit=5, offset=page * 5))]
    assert whole == pages == sorted(whole, reverse=True)


def test_a_listing_never_mixes_two_states(tmp_path: Path) -> None:
    index = store.open_store(tmp_path)
    index.rebuild(many(10))
    with runlist.connect(tmp_path) as opened:
        with opened.steady():
            before = opened.rows("SELECT key FROM runs", {})
            assert len(before) == 10
        index.rebuild(many(3))
        assert len(runlist.query(opened, Filter())) == 3


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(IndexGap) as caught:
        runlist.connect(tmp_path)
    assert (caught.value.reason, caught.value.hint, caught.value.code) == ("missing", "snaprun reindex", DataFault.code)
    assert list(tmp_path.iterdir()) == []  # looking makes nothing
    store.open_store(tmp_path)
    with pytest.raises(IndexGap) as caught:
        runlist.connect(tmp_path)
    assert caught.value.reason == "unbuilt"
    with pytest.raises(SettingsFault, match="not an SQLite file"):
        runlist.connect(tmp_path, "postgresql://host/db")


def test_an_index_in_the_making_is_older(tmp_path: Path) -> None:
    store.ensure_repo(tmp_path)
    (tmp_path / "index.sqlite3").touch()
    with pytest.raises(IndexGap) as caught:
        runlist.connect(tmp_path)
    assert caught.value.reason == "older"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "/s/index.sqlite3"),
        ("", "/s/index.sqlite3"),
        ("sqlite:////tmp/a b.db", "/tmp/a b.db"),
        ("sqlite:///near.db", "/s/near.db"),
        ("sqlite+pysqlite:////tmp/x.db?timeout=3", "/tmp/x.db"),
        ("postgresql://h/d", None),
    ],
)
def test_where_the_file_is(url: str | None, path: str | None) -> None:
    found = runlist.sqlite_path(Path("/s"), url)
    assert found == (Path(path) if path else None)


def test_a_path_with_odd_letters(tmp_path: Path) -> None:
    state = tmp_path / "a #?%20 'ü"
    store.open_store(state).rebuild([run()])
    with runlist.connect(state) as opened:
        assert len(runlist.query(opened, Filter())) == 1


def test_nothing_heavy_is_imported(state: Path) -> None:
    script = """
import sys
from pathlib import Path
from snaprun.index import moments, runlist, selectors, where
with runlist.connect(Path(sys.argv[1])) as reader:
    condition = where.compile("lr < 0.1 and loss < 2", now=0)
    runlist.query(reader, runlist.Filter(where=condition, sort=where.order("loss"), limit=5))
    selectors.find(reader, "@~1")
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script, state], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_runs_are_runs(reader: SqliteReader) -> None:
    assert all(
        isinstance(each, Run) and isinstance(each.status, Status) for each in runlist.query(reader, Filter(limit=9))
    )
