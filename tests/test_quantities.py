"""Lengths of time and sizes: one table, at every door where they are typed."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaprun import settings
from snaprun.cli import group
from snaprun.errors import SettingsFault, UsageFault
from snaprun.git import locate
from snaprun.git.locate import Place
from snaprun.hooks import policy
from snaprun.index import moments, where
from snaprun.model import utc
from snaprun.quantities import (
    format_clock,
    format_duration,
    format_size,
    is_finite,
    is_number,
    parse_duration,
    parse_size,
    round_size,
)
from tests.sandbox import Sandbox

NOW = 1_700_000_000.0

WITH_UNIT = [
    ("90s", 90),
    ("250ms", 0.25),
    ("30m", 1800),
    ("1M", 60),  # no unit is a month
    ("2h", 7200),
    ("1.5h", 5400),
    (".5m", 30),
    ("1.h", 3600),
    ("1h30m", 5400),
    ("1 h", 3600),
    (" 1h 30 m ", 5400),
    ("2d", 172800),
    ("2 D", 172800),
    ("1w", 604800),
    ("0s", 0),
]
BARE = [("90", 90), ("1.5", 1.5), (" 7 ", 7), ("0", 0)]
NO_DURATION = ["", " ", "h", "-2h", "-90", "2y", "1h-", "1h30", "1 h x", "soon", "1e3", "inf", "nan", "٣h", "٣"]

SIZES = [
    ("5", 5),
    ("7B", 7),
    ("500M", 500_000_000),
    ("50MB", 50_000_000),
    ("50 mb", 50_000_000),
    (".5k", 500),
    ("1 kib", 1024),
    ("1.5GiB", 1_610_612_736),
    ("0.29GB", 290_000_000),
    ("2G", 2_000_000_000),
    ("1Ti", 1024**4),
]
NO_SIZE = ["", "big", "-1", "4X", "1ib", "1 2", "1e3", "inf", "٣M", "9" * 400]


@pytest.fixture
def place(repo: Sandbox) -> Place:
    return locate.find(repo.path, {"PATH": "/usr/local/bin:/usr/bin:/bin"})


def options(*kinds: str) -> dict[str, click.Parameter]:
    """Every option of every command whose values are read by a function of such a name."""
    context = click.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {
        f"{name} {parameter.opts[-1]}": parameter
        for name, command in commands.items()
        for parameter in (command.params if command else ())
        if parameter.type.name in kinds
    }


@pytest.mark.parametrize(("text", "seconds"), [*WITH_UNIT, *BARE])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", NO_DURATION)
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(("text", "count"), SIZES)
def test_sizes(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", NO_SIZE)
def test_no_sizes(text: str) -> None:
    assert parse_size(text) is None


@given(st.text(alphabet="0123456789.-+ msMhdwkKgGiB٣", max_size=24))
def test_any_text_is_a_quantity_or_none(text: str) -> None:
    assert (parse_duration(text) or 0) >= 0
    assert (parse_size(text) or 0) >= 0
    bare = parse_duration(text, bare=None)
    assert bare is None or bare == parse_duration(text)


def test_every_option_takes_every_duration() -> None:
    context = click.Context(group)
    parameters = options("duration", "hold")
    assert {"exec --timeout", "sweep --cell-timeout", "exec --hold-on-error", "stop --grace"} <= set(parameters)
    for name, parameter in parameters.items():
        for text, seconds in [*WITH_UNIT, *BARE]:
            assert parameter.type_cast_value(context, text) == seconds, name
        for text in NO_DURATION:
            with pytest.raises(click.BadParameter, match="no length of time: write 90, 30m, 1h30m or 2d"):
                parameter.type_cast_value(context, text)


def test_every_option_takes_every_size() -> None:
    context = click.Context(group)
    parameters = options("size")
    assert {"exec --max-memory", "sweep --max-memory"} <= set(parameters)
    for name, parameter in parameters.items():
        for text, count in SIZES:
            assert parameter.type_cast_value(context, text) == count, name
        for text in NO_SIZE:
            with pytest.raises(click.BadParameter, match="is no size"):
                parameter.type_cast_value(context, text)


@pytest.mark.parametrize("name", ["timeout", "cell_timeout", "grace"])
def test_settings_and_variables_take_every_duration(place: Place, name: str) -> None:
    for text, seconds in [*WITH_UNIT, *BARE]:
        (place.top / "snaprun.toml").write_text(f'{name.replace("_", "-")} = "{text}"\n')
        assert getattr(settings.load(place, {}), name) == seconds
        assert getattr(settings.load(place, {f"SNAPRUN_{name.upper()}": text}), name) == seconds
    for text in NO_DURATION:
        (place.top / "snaprun.toml").write_text(f'{name.replace("_", "-")} = "{text}"\n')
        with pytest.raises(SettingsFault, match="want a duration"):
            settings.load(place, {})


def test_settings_and_variables_take_every_size(place: Place) -> None:
    for text, count in SIZES:
        (place.top / "snaprun.toml").write_text(f'max-file-size = "{text}"\n')
        assert settings.load(place, {}).max_file_size == count
        assert settings.load(place, {"SNAPRUN_MAX_FILE_SIZE": text}).max_file_size == count
        assert policy.read({"max-output": text}).of("a.ipynb").max_output == count
    for text in NO_SIZE:
        (place.top / "snaprun.toml").write_text(f'max-file-size = "{text}"\n')
        with pytest.raises(SettingsFault, match="want a size"):
            settings.load(place, {})


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "1.5"])
def test_a_number_in_a_file_that_is_no_size_is_refused(place: Place, value: str) -> None:
    (place.top / "snaprun.toml").write_text(f"max-file-size = {value}\n")
    with pytest.raises(SettingsFault, match="want a size"):
        settings.load(place, {})


@pytest.mark.parametrize(("text", "seconds"), WITH_UNIT)
def test_since_takes_every_duration_with_a_unit(text: str, seconds: float) -> None:
    assert moments.moment(text, now=NOW) == utc(NOW - seconds)


@pytest.mark.parametrize(("text", "seconds"), [*WITH_UNIT, *BARE])
def test_where_takes_every_duration(text: str, seconds: float) -> None:
    assert list(where.compile(f"seconds > '{text}'", now=NOW).values.values()) == [seconds]
    if " " not in text:
        assert list(where.compile(f"seconds > {text}", now=NOW).values.values()) == [seconds]


@pytest.mark.parametrize(("text", "seconds"), WITH_UNIT)
def test_where_takes_every_duration_ago(text: str, seconds: float) -> None:
    assert list(where.compile(f"created > '{text}'", now=NOW).values.values()) == [utc(NOW - seconds)]


@pytest.mark.parametrize("text", [text for text in NO_DURATION if text.strip() and text not in ("1e3", "-90")])
def test_where_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageFault, match="seconds is a duration"):
        where.compile(f"seconds > '{text}'", now=NOW)


@pytest.mark.parametrize("text", ["90", "'90'", "1.5"])
def test_where_asks_for_a_unit_of_time_ago(text: str) -> None:
    with pytest.raises(UsageFault, match=r"created is a time such as 2026-11-22 or 2h \(ago\)"):
        where.compile(f"created > {text}", now=NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.083, "0.08 s"),
        (12.34, "12.3 s"),
        (59.97, "1 m 00 s"),
        (192.4, "3 m 12 s"),
        (7500, "2 h 05 m"),
        (273600, "3 d 04 h"),
    ],
)
def test_format_duration(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(134, "02:14"), (3734, "1:02:14"), (0.2, "00:00")])
def test_format_clock(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 B"), (1500, "1.5 kB"), (50_000_000, "50.0 MB"), (2 * 10**15, "2000.0 TB"), (None, "")],
)
def test_format_size(count: int | None, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (999, "999 B"),
        (36_100, "36.1 kB"),
        (999_900, "1 MB"),
        (5_000_000, "5 MB"),
        (999_900_000, "1 GB"),
        (4_000_000_000, "4 GB"),
        (4_210_000_000, "4.21 GB"),
        (1_500_000_000_000, "1.5 TB"),
    ],
)
def test_round_size(count: int, text: str) -> None:
    assert round_size(count) == text


@pytest.mark.parametrize(
    ("value", "number", "finite"),
    [
        (1, True, True),
        (-0.5, True, True),
        (10**400, True, False),
        (float("inf"), True, False),
        (float("nan"), False, False),
        (True, False, False),
        ("1", False, False),
        (None, False, False),
    ],
)
def test_numbers(value: object, number: bool, finite: bool) -> None:
    assert (is_number(value), is_finite(value)) == (number, finite)
