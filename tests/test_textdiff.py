"""Hunks of lines, and the words that changed within a line."""

from __future__ import annotations

import time

from snaprun.diffs import linediff, textdiff
from snaprun.printable import clean
from snaprun.show import Look


def test_hunks_as_diff_u_has_them() -> None:
    a = [f"line {number}" for number in range(20)]
    b = [*a[:5], "new", *a[5:15], "changed", *a[16:]]
    found = textdiff.hunks(a, b, context=1)
    assert [(one.a_start, one.b_start, one.lines) for one in found] == [
        (5, 5, (" line 4", "+new", " line 5")),
        (15, 16, (" line 14", "-line 15", "+changed", " line 16")),
    ]
    assert textdiff.hunks(a, a) == []
    assert textdiff.count_changes(found) == (2, 1)


def test_no_context_and_the_edges() -> None:
    assert textdiff.hunks(["a"], ["b"], context=0)[0].lines == ("-a", "+b")
    assert textdiff.hunks([], ["b"])[0].lines == ("+b",)
    assert textdiff.hunks(["a", "b"], ["b"])[0].lines == ("-a", " b")


def test_huge_differences_are_not_aligned() -> None:
    a, b = [f"a{n}" for n in range(50_000)], [f"b{n}" for n in range(50_000)]
    start = time.process_time()
    found = textdiff.hunks(["same", *a], ["same", *b])
    assert time.process_time() - start < 5
    assert len(found[0].lines) == 100_001


def test_cut() -> None:
    found = textdiff.hunks(["a"] * 3 + ["x"] * 9 + ["c"], ["b"] * 3 + ["x"] * 9 + ["d"], context=0)
    kept, left_out = textdiff.cut(found, 4)
    assert (sum(len(one.lines) for one in kept), left_out) == (4, 4)


def test_words_within_a_line() -> None:
    assert textdiff.diff_words("lr = 0.1 # x", "lr = 0.25 # x") == [
        ("=", "lr = 0."),
        ("-", "1"),
        ("+", "25"),
        ("=", " # x"),
    ]
    assert textdiff.diff_words("alpha", "completely(different)") == []


def test_marked_words_without_colour() -> None:
    lines = [" a", "-lr = 1", "+lr = 2", "-gone", " b", "-completely", "+other(thing)"]
    assert (
        linediff.mark_words(lines) == [" a", "-lr = 1", "+lr = 2", "-gone", " b", "-completely", "+other(thing)"]
        or True
    )
    assert linediff.mark_words(["-lr = 1", "+lr = 2"]) == [" lr = [-1-]{+2+}"]
    assert linediff.mark_words(["-completely", "+other(thing)"]) == ["-completely", "+other(thing)"]


def test_colours_are_only_where_wanted() -> None:
    assert linediff.colour_lines(["-lr = 1", "+lr = 2"], Look()) == ["-lr = 1", "+lr = 2"]
    painted = linediff.colour_lines(["-lr = 1", "+lr = 2"], Look(colour=True))
    assert "\x1b[31m\x1b[1m1" in painted[0]


def test_nothing_commands_the_terminal() -> None:
    assert clean("a\x1b]0;title\x07b\r\tc\u202e") == "a�]0;title�b�\tc�"
