"""The moments that people type."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaprun.errors import UsageFault
from snaprun.index import moments

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2023-11-14T20:13:20.000000Z"),
        ("1w", "2023-11-07T22:13:20.000000Z"),
        ("2026-11-22T10:30Z", "2026-11-22T10:30:00.000000Z"),
        ("2026-11-22 10:30:05+01:00", "2026-11-22T09:30:05.000000Z"),
        ("2026-11-22T10:30:05.25-0130", "2026-11-22T12:00:05.250000Z"),
        ("2026-11-22T10:30:05.1234567Z", "2026-11-22T10:30:05.123456Z"),
        ("2026-11-22Z", "2026-11-22T00:00:00.000000Z"),
    ],
)
def test_moments(text: str, meant: str) -> None:
    assert moments.moment(text, now=NOW) == meant


def test_without_a_zone_it_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moments.span("2026-11-22", now=NOW) == ("2026-11-21T15:00:00.000000Z", "2026-11-22T15:00:00.000000Z")
        assert moments.moment("2026-11-22T09:00", now=NOW) == "2026-11-22T00:00:00.000000Z"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "2026-02-30", "2026-11-22T24:00", "99999999w", "1" * 400]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageFault) as caught:
        moments.moment(text, now=NOW)
    assert "2h" in caught.value.hint


@pytest.mark.parametrize("text", ["90", "1.5", " 7 "])
def test_a_number_without_a_unit_is_told_so(text: str) -> None:
    with pytest.raises(UsageFault, match="is no time without a unit") as caught:
        moments.moment(text, now=NOW)
    assert "2h" in caught.value.hint


@given(st.text(alphabet="0123456789-T:+Zsmhdw. ", max_size=32))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        found = moments.moment(text, now=NOW)
    except UsageFault:
        return
    assert len(found) == len("2026-11-22T10:30:00.000000Z")
