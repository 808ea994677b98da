"""Parameters: what is given is what the notebook gets, exactly, or it is refused."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snaprun.errors import ParameterFault
from snaprun.notebooks import cells, defaults, exact, notebook, paramcode, parameters, yamlvalue
from tests.sandbox import notebook as document

NOTEBOOKS = Path(__file__).parent / "notebooks"

TYPED = [
    ("1e-3", 0.001),
    ("1", 1),
    ("+5", 5),
    ("-0.5", -0.5),
    ("1.", 1.0),
    ("007", "007"),
    ("08.5", "08.5"),
    ("1_000", "1_000"),
    ("0x1f", 31),
    ("0o17", 15),
    ("12345678901234567890123", 12345678901234567890123),
    ("true", True),
    ("False", False),
    ("yes", "yes"),
    ("null", None),
    ("~", None),
    ("", ""),
    (" ", " "),
    ("nan", "nan"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("[1,2]", [1, 2]),
    ("{a: 1, 2: [b, null]}", {"a": 1, 2: ["b", None]}),
    ("2026-01-02", date(2026, 1, 2)),
    ("2026-01-02T03:04:05.5", datetime(2026, 1, 2, 3, 4, 5, 500000)),
    ("2026-01-02 03:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))),
    ("2026-1-2", "2026-1-2"),
    ("1:30", "1:30"),
    ("http://x/y", "http://x/y"),
    ("'007'", "007"),
    ('"a # b"', "a # b"),
    ("é✓ 🚀", "é✓ 🚀"),
    ("a=b", "a=b"),
]


@pytest.mark.parametrize(("said", "meant"), TYPED)
def test_values_are_typed_as_yaml(said: str, meant: Any) -> None:
    found = parameters.parse([f"x={said}"])["x"]
    assert parameters.are_equal(found, meant), found


def test_not_a_number_is_written_as_in_yaml() -> None:
    assert math.isnan(parameters.parse(["x=.nan"])["x"])


@pytest.mark.parametrize(
    "said",
    [
        "*.csv",
        "a #b",
        "# b",
        "[1",
        "{a: 1, a: 2}",
        "{[1]: 2}",
        "&a [*a]",
        "!!python/object:x y",
        "2026-02-30",
        "1e999",
        "@x",
        "- a\n b: -",
    ],
)
def test_what_yaml_would_change_or_cannot_read_is_refused_with_the_raw_option(said: str) -> None:
    with pytest.raises(ParameterFault) as caught:
        parameters.parse([f"x={said}"])
    assert caught.value.hint == "give it as text: -r x=…"
    assert parameters.parse(raw=[f"x={said}"]) == {"x": said}


@pytest.mark.parametrize("item", ["lr", "=1", " =1", ""])
def test_no_name_or_no_sign(item: str) -> None:
    with pytest.raises(ParameterFault, match="no NAME=VALUE"):
        parameters.parse([item])


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ParameterFault, match="UTF-8"):
        parameters.parse(raw=["x=\udcff"])


def test_order_of_files_and_options(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("lr: 1\nn: 2\nwhen: 2026-01-02\n")
    (tmp_path / "b.json").write_text('{"n": 3, "m": NaN}')
    (tmp_path / "c.toml").write_text('n = 4\nwhen = 2026-01-03T00:00:00Z\n[nested]\nx = [1, "a"]\n')
    files = [tmp_path / name for name in ("a.yaml", "b.json", "c.toml")]
    found = parameters.parse(["lr=5", "lr=6"], ["s=007"], files)
    assert found.pop("m") != found["n"]
    assert found == {
        "lr": 6,
        "n": 4,
        "when": datetime(2026, 1, 3, tzinfo=timezone.utc),
        "nested": {"x": [1, "a"]},
        "s": "007",
    }
    with pytest.raises(ParameterFault, match="by -p and by -r"):
        parameters.parse(["lr=1"], ["lr=1"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", "- 1\n- 2\n"),
        ("a.yaml", "{1: 2}"),
        ("a.yaml", "a: [1"),
        ("a.yaml", "a: 1\na: 2"),
        ("a.json", '{"a": 1, "a": 2}'),
        ("a.json", "[1]"),
        ("a.toml", "a = "),
        ("a.txt", "a: 1"),
        ("a.yaml", b"\xff\xfe"),
        ("gone.yaml", None),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str | bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ParameterFault) as caught:
        parameters.read_file(tmp_path / name)
    assert caught.value.hint


def test_an_empty_file_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing yet\n")
    assert parameters.read_file(tmp_path / "a.yaml") == {}


def resolved(name: str, **given: Any) -> parameters.RunParameters:
    book = notebook.read(NOTEBOOKS / name)
    return parameters.resolve(book.node, book.language, given)


def test_defaults_of_the_notebook_with_the_given_ones_on_top() -> None:
    found = resolved("digits.ipynb", lr=0.5)
    assert found.values == {"lr": 0.5, "epochs": 5, "seed": 0, "hidden": [64, 32], "data": "digits"}
    assert found.source == "# Parameters\nlr = 0.5"
    assert found.notes == ()
    assert resolved("digits.ipynb").source == ""


@pytest.mark.parametrize(
    ("name", "unknown", "hint"),
    [
        ("digits.ipynb", "epoch", "did you mean epochs?"),
        ("digits.ipynb", "LR", "did you mean lr?"),
        ("digits.ipynb", "zzz", "it has lr, epochs, seed, hidden, data"),
        ("cars_r.ipynb", "spam", "did you mean span?"),
        ("count_bash.ipynb", "patern", "did you mean pattern?"),
        ("decay.py", "halflife", "did you mean half_life?"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_one(name: str, unknown: str, hint: str) -> None:
    with pytest.raises(ParameterFault) as caught:
        resolved(name, **{unknown: 1})
    assert caught.value.code == 64
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["a-b", "1x", "class", "None", "a.b", "", "x y", "lambda"])
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(ParameterFault, match="no name of a variable"):
        resolved("plain.py", **{name: 1})


def test_names_of_other_languages() -> None:
    assert resolved("cars_r.ipynb", span=1).source == "# Parameters\nspan = 1L"
    assert paramcode.is_valid_name("learning.rate", "r")
    assert not paramcode.is_valid_name("_x", "r")
    assert not paramcode.is_valid_name("end", "julia")
    assert not paramcode.is_valid_name("é", "bash")


def test_without_a_parameters_cell_they_go_to_the_top_with_a_note() -> None:
    found = resolved("plain.py", TIMES=5)
    assert (
        found.notes
        == (
            "no cell is tagged `parameters`: TIMES set at the top of the notebook",
            "cell 1 (A script as people write them: no cells at) sets TIMES itself",
        )
        or "sets TIMES itself" in found.notes[1]
    )


def test_a_number_that_became_a_text_is_noted() -> None:
    assert resolved("digits.ipynb", lr="nan").notes == ("lr is a number in the notebook (0.1) and now the text 'nan'",)


def test_a_cell_that_assigns_anything_takes_any_name() -> None:
    for source in ("from config import *", "x = = 1"):
        node = cells.normalize(document(parameters=source), "a.ipynb")
        assert parameters.resolve(node, "python", {"other": 1}).values == {"other": 1}


def test_other_languages_are_refused() -> None:
    node = cells.normalize(document("x", language="scala", kernel=None), "a.ipynb")
    with pytest.raises(ParameterFault, match="cannot be written in scala"):
        parameters.resolve(node, "scala", {"x": 1})
    assert parameters.resolve(node, "scala", {}).values == {}


def test_what_papermill_left_runs_and_is_shown_unless_something_is_given() -> None:
    node = cells.inject(cells.normalize(document("x", parameters="lr = 1\nn = 2"), "a.ipynb"), "lr = 7")
    assert parameters.resolve(node, "python", {}).values == {"lr": 7, "n": 2}
    assert parameters.resolve(node, "python", {"n": 3}).values == {"lr": 1, "n": 3}
    second = {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "lr = 8", "outputs": []}
    twice = {**node, "cells": [*node["cells"], second]}
    assert parameters.resolve(twice, "python", {}).values == {"lr": 8, "n": 2}, "both run, the second one last"
    assert parameters.resolve(twice, "python", {"lr": 3}).notes == (), "given parameters replace both"


@pytest.mark.parametrize(
    ("language", "source", "names", "values"),
    [
        (
            "python",
            "lr: float = 1e-3 * 2\nseed, n = 1, 2**10\nfrom x import y\n%matplotlib inline\nz = float('nan')\n"
            "for i in range(3):\n    q = i\nw = [j for j in z]\ndef f():\n    hidden = 1\n"
            "big = 9**9**9\nd = {'a': (1,)}\n",
            ["lr", "seed", "n", "y", "z", "i", "q", "w", "f", "big", "d"],
            {"lr": 0.002, "seed": 1, "n": 1024, "d": {"a": [1]}},
        ),
        (
            "r",
            "lr <- 0.1 # x\nn = 5L\ns = 'a b'\nv <- c(1, 2)\nok=TRUE\nif (ok) x == 1",
            ["lr", "n", "s", "v", "ok"],
            {"lr": 0.1, "n": 5, "s": "a b", "ok": True},
        ),
        (
            "julia",
            'lr = 0.1 # x\nconst n::Int = 5\ns = "a"\nok = true',
            ["lr", "n", "s", "ok"],
            {"lr": 0.1, "n": 5, "s": "a", "ok": True},
        ),
        (
            "bash",
            "lr=0.1 # x\nexport n=5\ns='a b'\nf=data/x.csv\ng=$y",
            ["lr", "n", "s", "f", "g"],
            {"lr": 0.1, "n": 5, "s": "a b", "f": "data/x.csv"},
        ),
    ],
)
def test_defaults_are_read_without_running_anything(
    language: str, source: str, names: list[str], values: dict[str, Any]
) -> None:
    found = defaults.read(source, language)
    assert list(found.names) == names
    assert {name: item for name, item in found.values.items() if item == item} == values


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc)).map(lambda moment: moment.replace(fold=0))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@given(values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_gets_exactly_the_value(value: Any) -> None:
    scope: dict[str, Any] = {}
    exec(paramcode.code({"x": value}, "python"), scope)
    assert parameters.are_equal(scope["x"], value)


@given(values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_keeps_exactly_the_value(value: Any) -> None:
    text = json.dumps(exact.to_json(value), allow_nan=False)
    back = exact.from_json(json.loads(text))
    assert parameters.are_equal(back, value)
    assert repr(back) == repr(value)


def test_json_keeps_what_looks_like_its_own_marks() -> None:
    for value in ({"$yaml": ".nan"}, {"$pairs": []}, {"$yaml": 1, "x": 2}):
        assert exact.from_json(exact.to_json(value)) == value


def test_types_count() -> None:
    assert not parameters.are_equal(1, True)
    assert not parameters.are_equal(1, 1.0)
    assert parameters.are_equal({"a": math.nan, "b": 1}, {"b": 1, "a": math.nan})


@pytest.mark.parametrize("value", [{1}, b"x", 1j, object(), (1, 2)])
def test_what_no_file_can_say_is_refused(value: Any) -> None:
    with pytest.raises(ParameterFault):
        parameters.resolve(cells.normalize(document("x"), "a.ipynb"), "python", {"x": value})


BASH = ["plain", 'it\'s $HOME `ls` \\ "x"', "two\nlines\t*", "", "🚀 é", 5, -0.001, True, date(2026, 1, 2)]


@pytest.mark.parametrize("value", BASH)
def test_bash_gets_exactly_the_text(value: Any) -> None:
    source = paramcode.code({"x": value}, "bash")
    done = subprocess.run(["bash", "-c", f'{source}\nprintf %s "$x"'], capture_output=True, check=True)
    assert done.stdout.decode() == exact.text(value)


def test_bash_lists() -> None:
    source = paramcode.code({"x": ["a b", "*", 3]}, "bash")
    done = subprocess.run(["bash", "-c", f"{source}\nprintf '%s|' \"${{x[@]}}\""], capture_output=True, check=True)
    assert done.stdout == b"a b|*|3|"


@pytest.mark.parametrize("value", [None, math.nan, {"a": 1}, [[1]], "a\0b"])
def test_what_bash_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ParameterFault, match="exactly in bash"):
        paramcode.code({"x": value}, "bash")


@pytest.mark.parametrize(
    ("value", "r", "julia"),
    [
        (None, "NULL", "nothing"),
        (True, "TRUE", "true"),
        (3, "3L", "3"),
        (2**40, str(2**40), str(2**40)),
        (0.1, "0.1", "0.1"),
        (0.1 + 0.2, "0x1.3333333333334p-2", "0.30000000000000004"),
        (math.nan, "NaN", "NaN"),
        (-math.inf, "-Inf", "-Inf"),
        ('a"\\$\n\x01', '"a\\"\\\\$\\n\\U{1}"', '"a\\"\\\\\\$\\n\\U00000001"'),
        ([1, 2], "list(1L, 2L)", "[1, 2]"),
        ([1, 2.5], "list(1L, 2.5)", "Any[1, 2.5]"),
        ({"a b": 1}, 'list("a b" = 1L)', 'Dict("a b" => 1)'),
        (date(2026, 1, 2), 'as.Date("2026-01-02")', "Dates.Date(2026, 1, 2)"),
    ],
)
def test_r_and_julia(value: Any, r: str, julia: str) -> None:
    assert paramcode.code({"x": value}, "r").endswith(f"\nx = {r}")
    assert paramcode.code({"x": value}, "julia").endswith(f"\nx = {julia}")


@pytest.mark.parametrize(
    ("language", "value"),
    [
        ("r", {1: 2}),
        ("r", 2**60),
        ("r", datetime(2026, 1, 2)),
        ("julia", datetime(2026, 1, 2, tzinfo=timezone.utc)),
        ("julia", "a\0"),
        ("r", {"": 1}),
    ],
)
def test_what_r_and_julia_cannot_say_is_refused(language: str, value: Any) -> None:
    with pytest.raises(ParameterFault, match=f"exactly in {language}"):
        paramcode.code({"x": value}, language)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="no R here")
def test_r_itself_agrees() -> None:
    source = paramcode.code({"x": 0.1 + 0.2, "s": 'q"\n'}, "r")
    done = subprocess.run(["Rscript", "-e", f"{source}\nstopifnot(x == 0.1 + 0.2, nchar(s) == 3)"], check=False)
    assert done.returncode == 0


def test_one_line_for_people() -> None:
    shown = [exact.text(value) for value in (None, True, 0.1, math.inf, [1, "a"], {"a": None}, date(2026, 1, 2), "x")]
    assert shown == ["null", "true", "0.1", ".inf", "[1, a]", "{a: null}", "2026-01-02", "x"]


def test_a_deep_value_is_refused() -> None:
    with pytest.raises(ValueError, match="too deep"):
        yamlvalue.value("[" * 1500 + "]" * 1500)
