"""Another machine's answers are believed only as far as they make sense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snaprun.errors import Busy, Unavailable
from snaprun.launchers import News, State, answers

RUN = "ab" * 20
SOUND: dict[str, Any] = {
    "state": "running",
    "attempt": 2,
    "more": True,
    "files": [["log.txt", 2], ["metrics.jsonl", 1]],
}


def test_what_makes_sense_is_taken_apart() -> None:
    found, rest = answers.news({"runs": {RUN: SOUND}}, RUN, b"abcd", "far")
    assert found == News(State("running"), {"log.txt": b"ab", "metrics.jsonl": b"c"}, None, "", 2, True)
    assert rest == b"d"


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "RUNNING"},
        {"state": None},
        {"files": [["log.txt", "2"]]},
        {"files": [["log.txt", -1]]},
        {"files": [["log.txt", 99]]},
        {"files": [[["log.txt"], 1]]},
        {"files": 7},
        {"tip": "--upload-pack=x"},
        {"tip": 7},
        {"attempt": "2"},
    ],
    ids=str,
)
def test_news_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="far gives an answer that makes no sense"):
        answers.news({"runs": {RUN: {**SOUND, **wrong}}}, RUN, b"abcd", "far")


@pytest.mark.parametrize("about", [{}, {"runs": {}}, {"runs": []}, {"runs": {RUN: 7}}], ids=str)
def test_an_answer_without_the_run_is_none(about: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        answers.news(about, RUN, b"", "far")


@pytest.mark.parametrize("line", [b"", b'{"runs": ', b"[1]", b"\xff"])
def test_a_line_that_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(Unavailable, match="makes no sense"):
        answers.read(line, "far")


def test_an_error_there_is_one_here_and_cannot_talk_to_the_terminal() -> None:
    with pytest.raises(Busy, match=r"far: taken \[31m") as told:
        answers.read(json.dumps({"error": "taken\x1b[31m", "hint": "wait", "code": 75}).encode(), "far")
    assert told.value.hint == "wait"
    for odd in ({"error": "x"}, {"error": ["x"], "hint": 7, "code": [75]}):
        with pytest.raises(Unavailable, match="far: "):
            answers.read(json.dumps(odd).encode(), "far")


def test_texts_are_texts() -> None:
    assert answers.texts({"absent": ["data"]}, "absent", "far") == ["data"]
    for odd in ({}, {"absent": "data"}, {"absent": [7]}):
        with pytest.raises(Unavailable):
            answers.texts(odd, "absent", "far")
    with pytest.raises(Unavailable):
        answers.text({"repository": 7}, "repository", "far")
