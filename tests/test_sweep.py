"""Grids, ranges, spans, samples, files and seeds."""

from __future__ import annotations

import math
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaprun.errors import ParameterFault, SnaprunError, UsageFault
from snaprun.sweeps import points, rowfile
from snaprun.sweeps.points import ParamAxis, Span


@pytest.mark.parametrize(
    ("said", "choices"),
    [
        ("0.1", [0.1]),
        ("0.1,0.01", [0.1, 0.01]),
        ("1, 2 ,3", [1, 2, 3]),
        ("2..6", [2, 3, 4, 5, 6]),
        ("6..2", [6, 5, 4, 3, 2]),
        ("-2..0", [-2, -1, 0]),
        ("3..3", [3]),
        ("0..10..5", [0, 5, 10]),
        ("10..0..-5", [10, 5, 0]),
        ("0..1..0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("0.1..0.5..0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("1,4..6,9", [1, 4, 5, 6, 9]),
        ("[adam,sgd]", ["adam", "sgd"]),
        ("adam,sgd", ["adam", "sgd"]),
        ("[[64,32],[128]]", [[64, 32], [128]]),
        ("[64,32],[128]", [[64, 32], [128]]),
        ("{a: 1, b: 2}", [{"a": 1, "b": 2}]),
        ("[[]]", [[]]),
        ("true,false,null", [True, False, None]),
        ('"a,b"', ["a,b"]),
        ('"a,b",c', ["a,b", "c"]),
        ("it's,fine", ["it's", "fine"]),
        ("'1','2'", ["1", "2"]),
        ("1e-3,1e-4", [0.001, 0.0001]),
        ("", [""]),
        ("../data", ["../data"]),
        ("a..b", ["a..b"]),
        ("../a,../b", ["../a", "../b"]),
        ("v1.2..v1.3", ["v1.2..v1.3"]),
        ("2026-01-01,2026-01-02", [date(2026, 1, 1), date(2026, 1, 2)]),
        ("x=1,y=2", ["x=1", "y=2"]),
    ],
)
def test_values(said: str, choices: list[object]) -> None:
    (axis,) = points.axes([f"p={said}"])
    assert list(axis.choices) == choices
    assert [type(value) for value in axis.choices] == [type(value) for value in choices]


@pytest.mark.parametrize(
    ("said", "span"),
    [
        ("0.0..1.0", Span(0, 1)),
        ("0..1.5", Span(0, 1.5)),
        ("-.5..5e-1", Span(-0.5, 0.5)),
        ("1e-4..1e-1..log", Span(0.0001, 0.1, log=True)),
        ("16..512..log", Span(16, 512, whole=True, log=True)),
    ],
)
def test_spans(said: str, span: Span) -> None:
    assert points.axes([f"p={said}"]) == (ParamAxis("p", (), span),)
    with pytest.raises(UsageFault, match="p is a span"):
        points.size(points.axes([f"p={said}"]))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("p", "no NAME=VALUES"),
        ("=3", "no NAME=VALUES"),
        ("p=1,,2", "an empty value"),
        ("p=1,", "an empty value"),
        ("p=[]", "lists no value"),
        ("p=0..1..-0.5", "is empty"),
        ("p=0..1..0", "is empty"),
        ("p=1..0..1", "is empty"),
        ("p=1.5..0.5", "is empty"),
        ("p=0..1..log", "a logarithm needs"),
        ("p=0..1..x", "the step 'x' is no number"),
        ("p=1,0.5..2.5", "mixes a span"),
        ("p=0..1..1e-9", "has 1,000,000,001 values"),
        ("p=0..1..1e-999999999", "is empty"),
        ("p=0.0..1e999", "beyond the largest number"),
        ("p=0..1e400..1e399", "beyond the largest number"),
        ("p=0..1e999999999..1", "beyond the largest number"),
        ("p=-1e308..1e308", "beyond the largest number"),
        ("p=0..1e308..1e-308", "has far too many values"),
        ("p=1..100000000000,5", "has 100,000,000,001 values"),
        ("p=1..100000000000000000000", "has 100,000,000,000,000,000,000 values"),
        ("p=1..100000000000000000000..2", "has 50,000,000,000,000,000,000 values"),
        pytest.param("p=0.." + "9" * 5000, "a number of 5,000 digits", id="too many digits"),
        ("p={a", "p={a"),
        ("p=[1,2", "p=[1,2"),
    ],
)
def test_values_that_are_refused(said: str, words: str) -> None:
    with pytest.raises(ParameterFault) as caught:
        points.axes([said])
    assert words in caught.value.message
    assert caught.value.hint


def test_a_name_is_given_once() -> None:
    with pytest.raises(ParameterFault, match="p is given twice"):
        points.axes(["p=1", "p=2"])


def test_a_grid_changes_its_last_axis_fastest() -> None:
    found = points.axes(["lr=0.1,0.01", "depth=2..3", "opt=adam"])
    assert points.size(found) == 4
    assert list(points.grid(found)) == [
        {"lr": 0.1, "depth": 2, "opt": "adam"},
        {"lr": 0.1, "depth": 3, "opt": "adam"},
        {"lr": 0.01, "depth": 2, "opt": "adam"},
        {"lr": 0.01, "depth": 3, "opt": "adam"},
    ]
    assert list(points.grid([])) == [{}]


def test_a_huge_grid_is_counted_without_being_made() -> None:
    found = points.axes([f"p{number}=1..1000000000" for number in range(5)])
    assert points.size(found) == 10**45
    assert next(points.grid(points.axes(["a=1..9999999", "b=1..9"]))) == {"a": 1, "b": 1}
    assert points.sample(found[:1], 3, seed=1) == points.sample(found[:1], 3, seed=1)


def test_a_sample_of_more_points_than_a_range_can_number() -> None:
    found = points.axes([f"p{number}=1..1000" for number in range(8)])
    drawn = points.sample(found, 50, seed=2)
    assert len({tuple(point.items()) for point in drawn}) == 50
    assert drawn == points.sample(found, 50, seed=2)


def test_a_sample_of_a_grid_has_no_point_twice() -> None:
    found = points.axes(["a=1..5", "b=x,y"])
    drawn = points.sample(found, 7, seed=3)
    assert len({tuple(point.items()) for point in drawn}) == 7
    assert drawn == points.sample(found, 7, seed=3) != points.sample(found, 7, seed=4)
    every = points.sample(found, 99, seed=3)
    assert sorted(map(str, every)) == sorted(map(str, points.grid(found)))
    assert list(every[0]) == ["a", "b"]
    with pytest.raises(UsageFault, match="no run"):
        points.sample(found, 0, seed=1)


def test_a_sample_of_spans() -> None:
    found = points.axes(["lr=1e-4..1e-1..log", "drop=0.0..0.5", "width=16..512..log", "opt=adam,sgd"])
    drawn = points.sample(found, 200, seed=0)
    assert all(1e-4 <= point["lr"] <= 1e-1 and 0 <= point["drop"] <= 0.5 for point in drawn)
    assert all(isinstance(point["width"], int) and 16 <= point["width"] <= 512 for point in drawn)
    assert {point["opt"] for point in drawn} == {"adam", "sgd"}
    assert 0.3 < sum(point["lr"] < math.sqrt(1e-5) for point in drawn) / 200 < 0.7
    assert list(drawn[0]) == ["lr", "drop", "width", "opt"]


@pytest.mark.parametrize(
    ("said", "found"),
    [("3", [0, 1, 2]), ("1,2,3", [1, 2, 3]), ("10..12", [10, 11, 12]), ("7,", [7]), ("1,1,2", [1, 2])],
)
def test_seeds(said: str, found: list[int]) -> None:
    assert points.seeds(said) == found


@pytest.mark.parametrize(
    "said",
    [
        "0",
        "-3",
        "",
        "x",
        "1,x",
        "1.5,2",
        "0.1..0.5",
        "-1,2",
        "1,,2",
        "99999999999",
        "[]",
        "true,1",
        "1..99999999999",
        "1,0..9999999999",
    ],
)
def test_seeds_that_are_refused(said: str) -> None:
    with pytest.raises(UsageFault) as caught:
        points.seeds(said)
    assert "--seeds" in caught.value.hint


def test_points_of_one_set_belong_together() -> None:
    made = points.points([{"lr": 1}, {"lr": 2}], constants={"data": "x"}, seeds=[4, 5], names=["lr", "data", "seed"])
    assert [(point.number, point.set, point.seed, dict(point.params)) for point in made] == [
        (0, 0, 4, {"data": "x", "lr": 1, "seed": 4}),
        (1, 0, 5, {"data": "x", "lr": 1, "seed": 5}),
        (2, 1, 4, {"data": "x", "lr": 2, "seed": 4}),
        (3, 1, 5, {"data": "x", "lr": 2, "seed": 5}),
    ]
    (one,) = points.points([{"seed": 3}], constants={})
    assert (one.set, one.seed) == (0, 3)


def test_seeds_need_a_parameter() -> None:
    with pytest.raises(UsageFault, match="no parameter named seed") as caught:
        points.points([{}], constants={}, seeds=[1], names=["lr"])
    assert "seed = 0" in caught.value.hint
    for fixed, sets in (({"seed": 1}, [{}]), ({}, [{"seed": 1}])):
        with pytest.raises(UsageFault, match="--seeds and as a parameter"):
            points.points(sets, constants=fixed, seeds=[1], names=["seed"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "lr,opt\n0.1,adam\n\n1e-2,\n"),
        ("a.csv", "\ufefflr;opt\r\n0.1;adam\r\n1e-2;\r\n"),
        ("a.tsv", "lr\topt\n0.1\tadam\n1e-2\t\n"),
        ("a.json", '[{"lr": 0.1, "opt": "adam"}, {"lr": 0.01}]'),
        ("a.jsonl", '{"lr": 0.1, "opt": "adam"}\n\n{"lr": 0.01}\n'),
        ("A.YAML", "- {lr: 0.1, opt: adam}\n- lr: 0.01\n"),
    ],
)
def test_rows_of_a_file(name: str, text: str) -> None:
    assert rowfile.read_rows(text, name) == [{"lr": 0.1, "opt": "adam"}, {"lr": 0.01}]


def test_a_line_of_json_ends_where_its_line_ends() -> None:
    assert rowfile.read_rows('{"name": "a\u2028b\x85c"}\r\n{"name": 2}', "x.jsonl") == [
        {"name": "a\u2028b\x85c"},
        {"name": 2},
    ]


def test_one_column_of_a_csv() -> None:
    assert rowfile.read_rows('name\n"a, b"\nc\n', "x.csv") == [{"name": "a, b"}, {"name": "c"}]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "", "is no .csv"),
        ("a.csv", "", "no list of different names"),
        ("a.csv", "lr,lr\n1,2\n", "no list of different names"),
        ("a.csv", "lr,opt\n1\n", "row 1 has 1 cells"),
        ("a.csv", "lr,opt\n", "has no rows"),
        ("a.json", "{", "is malformed"),
        ("a.json", "{}", "is no list of mappings"),
        ("a.json", "[1]", "is no list of mappings"),
        ("a.json", '[{"lr": 1, "lr": 2}]', "the key lr stands there twice"),
        ("a.jsonl", '{"lr": 1}\n{"lr": \n', "line 2: Expecting value"),
        ("a.jsonl", '{"lr": 1}\n\n{"lr": 1, "lr": 2}\n', "line 3: the key lr stands there twice"),
        ("a.json", "[" * 100_000, "is malformed"),
        ("a.yaml", "- {1: 2}\n", "names that are no text"),
        ("a.yaml", "a: [", "is malformed"),
        ("a.yaml", "", "is no list of mappings"),
    ],
)
def test_files_that_are_refused(name: str, text: str, words: str) -> None:
    with pytest.raises(ParameterFault, match=words):
        rowfile.read_rows(text, name)


@given(st.text(alphabet="0123456789.,-+e[]{}\"' logabn:#&*!", max_size=24))
def test_any_text_is_values_or_refused(said: str) -> None:
    try:
        (axis,) = points.axes([f"p={said}"])
    except SnaprunError:
        return
    assert axis.span is not None or len(axis.choices) > 0


@given(st.text(alphabet="0123456789.,-", max_size=12))
def test_any_text_is_seeds_or_refused(said: str) -> None:
    try:
        assert points.seeds(said)
    except UsageFault:
        return


@given(st.text(max_size=40), st.sampled_from(["a.csv", "a.json", "a.jsonl", "a.yaml", "a.tsv"]))
def test_any_file_is_rows_or_refused(text: str, name: str) -> None:
    try:
        assert rowfile.read_rows(text, name)
    except ParameterFault:
        return
