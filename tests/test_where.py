"""``--where`` and ``--sort``: what they find, what they refuse, and that no value ever becomes SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snaprun.errors import UsageFault
from snaprun.index import runlist, store, where
from snaprun.index.runlist import Filter, SqliteReader
from snaprun.model import Metric, Status, utc
from tests.indexed import START, oid, run

NOW = START + 3600

RUNS = {
    "a": run(0, name="a", params={"lr": 0.1, "opt": "adam", "none": None}, metrics={"loss": Metric(0.5, 0.2, 3, 9)}),
    "b": run(
        1, name="b", status=Status.FAILED, exit_code=1, params={"lr": 0.01, "opt": "SGD", "deep": True}, tags=("x", "y")
    ),
    "c": run(2, name="c", params={"lr": "auto", "status": "mine", "odd name": 3}, metrics={}, tags=(), dirty=True),
    "d": run(3, name="d", params={"n": 7, "loss.min": 100}, metrics={"val loss": Metric(float("nan"), 1, 2, 3)}),
    "e": run(3600, name="e", seconds=5400.0, params={"50%_!": "50%_!", "big": 10**400}, message='it\'s "it"'),
}

FOUND = [
    ("lr < 0.1", "b"),
    ("lr <= 0.1", "ab"),
    ("lr == 0.1", "a"),
    ("lr = 1e-1", "a"),
    ("lr != 0.1", "bc"),
    ("lr <> 0.1", "bc"),
    ("not lr == 0.1", "bcde"),
    ('lr == "auto"', "c"),
    ("lr == auto", "c"),
    ("lr<0.1 and status=='failed'", "b"),
    ("lr > 0.05 or status == failed", "ab"),
    ("lr > 0.05 OR status == failed AND exit_code == 1", "ab"),
    ("(lr > 0.05 or status == failed) and exit_code == 1", "b"),
    ("opt ~ SG", "b"),
    ("opt ~ sg", "b"),
    ("opt !~ sg", "a"),
    ("opt in (adam, 'SGD')", "ab"),
    ("opt in [adam]", "a"),
    ("opt not in (adam)", "b"),
    ("exit_code not in (0)", "b"),
    ("deep == true", "b"),
    ("deep != true", ""),
    ("dirty == true", "c"),
    ("dirty == false", "abde"),
    ("dirty != true", "abde"),
    ("none == none", "abcde"),
    ("lr == none", "de"),
    ("lr != none", "abc"),
    ("loss < 1", "abe"),
    ("loss.min < 0.21", "a"),
    ("metrics.loss.max == 3", "a"),
    ("metrics.loss.steps == 9", "a"),
    ("metrics.loss > 0", "abe"),
    ("loss.min == 100", "d"),
    ("params.loss.min == 100", "d"),
    ('metrics."val loss".min == 1', "d"),
    ('"val loss" < 1', ""),
    ('metrics."val loss" != none', "d"),
    ("params.status == mine", "c"),
    ('"status" == "mine"', "c"),
    ('"odd name" == 3', "c"),
    ("params.'odd name' == 3", "c"),
    ('"50%_!" ~ "%_!"', "e"),
    ('"50%_!" ~ "0_"', ""),
    ("big > 1e300", "e"),
    ("lr < inf", "ab"),
    ("tag == x", "b"),
    ("tag != base", "bc"),
    ("tags ~ BA", "ade"),
    ("tag in (x, base)", "abde"),
    ("tag == none", "c"),
    ("seconds > 1h", "e"),
    ("seconds > 1h29m and seconds < 1h31m", "e"),
    ("seconds <= 90s", "abcd"),
    ("created > 30m", "e"),
    ("created < 30m", "abcd"),
    (f"created == '{utc(START)}'", "a"),
    (f"created > {utc(START)[:19]}Z", "bcde"),
    ("created >= 2023-11-14T22:13Z and created < 2023-11-14T22:14Z", "abcd"),
    ("created == 2023-11-14T22:13Z", "abcd"),
    ("created > 2023-11-14T22:13Z", "e"),
    ("created <= 2023-11-14T22:13Z", "abcd"),
    (f"id == {oid(1)[:6]}", "b"),
    (f"id == {oid(1)}", "b"),
    (f"commit != {oid(1, 'result')}", "acde"),
    ('message ~ "it\'s"', "e"),
    (r'message == "it\'s \"it\""', "e"),
    ("name in (a, b) and not (name == b)", "a"),
    ("not not name == a", "a"),
    ("reason == none and name == a", "a"),
    ("seed == none", "abcde"),
]

REFUSED = [
    ("", "a name is missing, at character 1"),
    ("lr", "an operator is missing"),
    ("lr <", "a value is missing"),
    ("lr < 0.1 and", "a name is missing"),
    ("lr 0.1", "an operator is expected, not '0.1', at character 4"),
    ("(lr < 1", "')' is missing"),
    ("lr < 1)", "')' is not expected"),
    ("lr in 3", "a list is expected"),
    ("lr in (1, 2]", "')' is missing"),
    ("lr in ()", "a value is expected, not ')'"),
    ("lr in", "a list is missing"),
    ("lr not 3", "an operator is expected, not 'not'"),
    ("and == 3", "a name is expected, not 'and'"),
    ("x == or", "a value is expected, not 'or'"),
    ('name == "a', "a quote is not closed, at character 9"),
    ("a == 1 !", "'!' means nothing here, at character 8"),
    ("exit_code == zero", "exit_code is a number"),
    ("seconds == soon", "seconds is a duration"),
    ("created == soon", "created is a time"),
    ("created > 2023-13-40", "created is a time"),
    ("status == faild", "did you mean failed?"),
    ("dirty == 1", "dirty is true or false"),
    ("dirty < true", "dirty is true or false"),
    ("deep < true", "true and false compare with == and !="),
    ("lr < none", "none compares with == and !="),
    ("seconds ~ 1", "~ compares text"),
    ("tag < x", "tags compare with"),
    ("params. == 1", "'params.' is no name"),
    ('"" == 1', "is no name"),
    ("(" * 30 + "a == 1" + ")" * 30, "more than 20 levels"),
    ("not " * 30 + "a == 1", "more than 20 levels"),
    (" or ".join(["a == 1"] * 201), "more than 200 comparisons"),
    ("a in (" + ",".join("1" * 201) + ")", "more than 200 comparisons"),
    ("a" * 10_001, "longer than"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReader]:
    state = tmp_path_factory.mktemp("state")
    store.open_store(state).rebuild(RUNS.values())
    with runlist.connect(state) as opened:
        yield opened


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_finds(reader: SqliteReader, text: str, names: str) -> None:
    condition = where.compile(text, now=NOW)
    found = runlist.query(reader, Filter(where=condition))
    assert "".join(sorted(run.name or "" for run in found)) == names


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(UsageFault) as caught:
        where.compile(text, now=NOW)
    assert message in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_largest_condition_still_runs(reader: SqliteReader) -> None:
    text = " and ".join(["loss.min < 0.5"] * 100 + ["lr not in (1, 2)"] * 50)
    assert runlist.query(reader, Filter(where=where.compile(text, now=NOW), sort=where.order("loss.min"))) is not None
    deep = "(" * 18 + "loss.min < 0.5 or lr in (1, 2) and not tag == x" + ")" * 18
    assert runlist.query(reader, Filter(where=where.compile(deep, now=NOW))) is not None


def test_names_what_it_compares() -> None:
    assert where.compile("lr < 1 and metrics.loss.min > 2 and status == failed or lr > 3", now=NOW).names == (
        "lr",
        "loss",
    )


WORDS = """lr loss.min metrics. params.x status created tag dirty seconds id == < ~ !~ in not and or ( ) [ ] , 0.1 2h
none failed true " ' a'b "x" 2026-11-22 2026-11-22T25:00 9999-12-31 0001-01-01 1e999 999999999w \\ \0 é \ud800"""
PIECES = st.sampled_from(WORDS.split())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES).map("".join)))
def test_any_text_is_a_condition_or_a_usage_fault(reader: SqliteReader, text: str) -> None:
    try:
        condition = where.compile(text, now=NOW)
    except UsageFault:
        return
    runlist.query(reader, Filter(where=condition))


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30), st.floats(allow_nan=False))
def test_values_stay_out_of_the_sql(name: str, text: str, number: float) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    one = where.compile(f"{quoted(name)} == {quoted(text)} or {quoted(name)} < {number!r}", now=NOW)
    other = where.compile('"n" == "v" or "n" < 1', now=NOW)
    assert one.sql == other.sql
    assert sqlite3.complete_statement(f"SELECT {one.sql};")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_any_sort_name_sorts_or_is_refused(reader: SqliteReader, name: str) -> None:
    try:
        found = runlist.query(reader, Filter(sort=where.order(name)))
    except UsageFault:
        return
    assert len(found) == len(RUNS)


@pytest.mark.parametrize(
    ("sort", "ascending", "names"),
    [
        ("lr", False, "abced"),  # numbers, then text, then those without, newest first
        ("lr", True, "baced"),
        ("loss", True, "ebadc"),
        ("metrics.loss.min", True, "a"),
        ("seconds", False, "e"),
        ("name", True, "abcde"),
        ("created", True, "abcde"),
        ("status", True, "b"),
    ],
)
def test_sorts(reader: SqliteReader, sort: str, ascending: bool, names: str) -> None:
    found = runlist.query(reader, Filter(sort=where.order(sort), ascending=ascending))
    order = "".join(run.name or "" for run in found)
    assert len(order) == 5
    assert order.startswith(names)


def test_tags_have_no_order() -> None:
    with pytest.raises(UsageFault, match="tags have no order"):
        where.order("tags")
    with pytest.raises(UsageFault, match="--sort"):
        where.order("lr desc")


def test_state_folder_is_not_needed(tmp_path: Path) -> None:
    assert where.compile("lr < 1", now=0).values == {"w0": "lr", "w1": 1.0}
