"""Compile what a condition compares to SQL over ``runs r``: a run's fields, its tags, its parameters and metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

from snaprun.index import moments
from snaprun.index.rows import like, plain
from snaprun.model import RUN_FIELDS
from snaprun.quantities import parse_duration
from snaprun.statuses import Status

KINDS = {item.name: item.kind for item in RUN_FIELDS if item.is_column}
"""The fields of a run that a condition may name, and how each compares."""

STATS = ("last", "min", "max", "steps")
"""What the index keeps of a metric."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{4,64}")
_STAT = re.compile(rf"(.+)\.({'|'.join(STATS)})", re.DOTALL)


class ComparisonError(Exception):
    """This comparison makes no sense; the text says why."""


class Marks:
    """The values of a condition, each behind one mark that starts with ``stem``, and the moment it counts from."""

    def __init__(self, stem: str, now: float) -> None:
        self.stem = stem
        self.now = now
        self.bound: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def value(self, value: Any) -> str:
        """Bind ``value``, and return the mark that stands for it."""
        mark = f"{self.stem}{len(self.bound)}"
        self.bound[mark] = plain(value) if isinstance(value, str) else value
        return f":{mark}"

    def name(self, name: str) -> str:
        """The mark of a parameter's or metric's name: one for all its uses."""
        if name not in self._names:
            self._names[name] = self.value(name)
        return self._names[name]


@dataclass(frozen=True)
class Literal:
    """A value as it was written; ``number`` and ``flag`` where it can be read as one, ``absent`` for ``none``."""

    text: str
    number: float | None = None
    flag: bool | None = None
    absent: bool = False


def literal(pieces: Sequence[tuple[str, bool]]) -> Literal:
    """Read a value: quoted it is text, bare it may be a number, ``true``, ``false``, ``none``, or else text too."""
    text = "".join(piece for piece, _ in pieces)
    if any(is_quoted for _, is_quoted in pieces):
        return Literal(text)
    lowercase = text.lower()
    if lowercase in ("none", "null"):
        return Literal(text, absent=True)
    if lowercase in ("true", "false"):
        return Literal(text, flag=lowercase == "true")
    if _NUMBER.fullmatch(text) or lowercase in ("inf", "+inf", "-inf"):
        return Literal(text, number=float(text))
    return Literal(text)


class Operand(Protocol):
    """What stands left of an operator."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter or metric that it names, if any."""

    def compare(self, op: str, value: Literal) -> str:
        """The comparison as SQL that is true or false, never NULL.

        ``op`` is one of ``== < <= > >= ~``; raises :class:`ComparisonError`.
        """

    def has(self) -> str:
        """SQL that says whether the run has it."""

    def keys(self) -> list[str]:
        """SQL to sort by."""


def make_operand(pieces: Sequence[tuple[str, bool]], marks: Marks) -> Operand | None:
    """The operand of a name, None where it is empty; quoted as a whole it is a parameter or metric of that name."""
    text = "".join(piece for piece, _ in pieces)
    first, is_quoted = pieces[0]
    stat = None if pieces[-1][1] else _STAT.fullmatch(text)
    if not is_quoted and first.lower().startswith("params."):
        return ParamOrMetric(marks, text[7:], metric=False) if text[7:] else None
    if not is_quoted and first.lower().startswith("metrics."):
        stat = None if pieces[-1][1] else _STAT.fullmatch(text[8:])
        return ParamOrMetric(marks, text[8:], param=False, stat=stat) if text[8:] else None
    if not is_quoted and text.lower() in KINDS:
        return Field(marks, text.lower())
    if not is_quoted and text.lower() in ("tag", "tags"):
        return Tag(marks)
    return ParamOrMetric(marks, text, stat=stat) if text else None


@dataclass(frozen=True)
class Field:
    """A column of ``runs``."""

    marks: Marks
    name: str
    names: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The column."""
        return f'r."{self.name}"'

    def has(self) -> str:
        """SQL that says whether the run has it."""
        return f"({self.sql} IS NOT NULL)"

    def keys(self) -> list[str]:
        """SQL to sort by."""
        return [self.sql]

    def compare(self, op: str, value: Literal) -> str:
        """The comparison as SQL; see :class:`Operand`."""
        if value.absent:
            return _compare_none(op, f"({self.sql} IS NULL)")
        kind = KINDS[self.name]
        if op == "~":
            if kind not in ("text", "status", "oid"):
                raise ComparisonError(f"~ compares text, and {self.name} is none")
            return _contains(self.sql, value, self.marks)
        return _COMPARISONS[kind](self, op, value)


def _text(field: Field, op: str, value: Literal) -> str:
    return _coalesce(f"{field.sql} {_sign(op)} {field.marks.value(value.text)}")


def _oid(field: Field, op: str, value: Literal) -> str:
    prefix = value.text.lower()
    if op != "==" or not _HEX.fullmatch(prefix):
        return _text(field, op, value)
    return _coalesce(
        f"({field.sql} >= {field.marks.value(prefix)} AND {field.sql} < {field.marks.value(prefix + 'g')})"
    )


def _status(field: Field, op: str, value: Literal) -> str:
    values = [status.value for status in Status]
    if value.text not in values:
        suggestions = get_close_matches(value.text, values, n=1)
        raise ComparisonError(
            f"there is no status {value.text!r}" + (f" (did you mean {suggestions[0]}?)" if suggestions else "")
        )
    return _text(field, op, value)


def _numeric(field: Field, op: str, value: Literal) -> str:
    if value.number is None:
        raise ComparisonError(f"{field.name} is a number, and {value.text!r} is none")
    return _coalesce(f"{field.sql} {_sign(op)} {field.marks.value(value.number)}")


def _duration(field: Field, op: str, value: Literal) -> str:
    seconds = value.number if value.number is not None else parse_duration(value.text)
    if seconds is None or math.isinf(seconds):
        raise ComparisonError(f"{field.name} is a duration such as 90s or 1h30m, and {value.text!r} is none")
    return _coalesce(f"{field.sql} {_sign(op)} {field.marks.value(seconds)}")


def _time(field: Field, op: str, value: Literal) -> str:
    span = moments.span(value.text, now=field.marks.now)
    if span is None:
        raise ComparisonError(f"{field.name} is a time such as 2026-11-22 or 2h (ago), and {value.text!r} is none")
    start, end = span
    if op == "==" and start != end:
        return _coalesce(f"({field.sql} >= {field.marks.value(start)} AND {field.sql} < {field.marks.value(end)})")
    if op in (">", "<=") and start != end:  # after a day is after its end
        return _coalesce(f"{field.sql} {'>=' if op == '>' else '<'} {field.marks.value(end)}")
    return _coalesce(f"{field.sql} {_sign(op)} {field.marks.value(start)}")


def _bool(field: Field, op: str, value: Literal) -> str:
    if value.flag is None or op != "==":
        raise ComparisonError(f"{field.name} is true or false")
    return field.sql if value.flag else f"(NOT {field.sql})"


_COMPARISONS: Mapping[str, Callable[[Field, str, Literal], str]] = {
    "text": _text,
    "oid": _oid,
    "status": _status,
    "time": _time,
    "duration": _duration,
    "integer": _numeric,
    "big integer": _numeric,
    "flag": _bool,
}
"""How each kind of field of a run compares."""


@dataclass(frozen=True)
class Tag:
    """Any of a run's tags."""

    marks: Marks
    names: tuple[str, ...] = ()

    def has(self) -> str:
        """True: a run without tags differs from every tag."""
        return "(1 = 1)"

    def keys(self) -> list[str]:
        """Nothing: tags have no order."""
        return []

    def compare(self, op: str, value: Literal) -> str:
        """The comparison as SQL; see :class:`Operand`."""
        any_tag = "EXISTS (SELECT 1 FROM tags t WHERE t.run = r.key"
        if value.absent:
            return _compare_none(op, f"(NOT {any_tag}))")
        if op == "==":
            return f"{any_tag} AND t.tag = {self.marks.value(value.text)})"
        if op == "~":
            return f"{any_tag} AND {_contains('t.tag', value, self.marks)})"
        raise ComparisonError("tags compare with ==, !=, ~ and in")


@dataclass(frozen=True)
class ParamOrMetric:
    """A parameter, else a metric's last value; ``stat`` is the match of a name that ends in ``.min`` and the like."""

    marks: Marks
    name: str
    param: bool = True
    metric: bool = True
    stat: re.Match[str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter or metric that it names."""
        return (self.stat[1] if self.stat else self.name,)

    def has(self) -> str:
        """SQL that says whether the run has it."""
        parts = []
        if self.param:
            parts.append(self._param("1"))
        if self.metric:
            parts += [self._metric(name, "steps") for name, _ in self._series()]
        return f"(COALESCE({', '.join([*parts, 'NULL'])}) IS NOT NULL)"

    def keys(self) -> list[str]:
        """SQL to sort by: numbers first, then text."""
        return [self._number(), *([self._param("text")] if self.param else [])]

    def compare(self, op: str, value: Literal) -> str:
        """The comparison as SQL; see :class:`Operand`."""
        if value.absent:
            null = f" OR {_coalesce(self._param('value') + ' = ' + self.marks.value('null'))}" if self.param else ""
            return _compare_none(op, f"(NOT {self.has()}{null})")
        if op == "~":
            return _contains(self._text(), value, self.marks)
        if value.number is not None:
            return _coalesce(f"{self._number()} {_sign(op)} {self.marks.value(value.number)}")
        if value.flag is not None:
            if op != "==":
                raise ComparisonError("true and false compare with == and !=")
            return _coalesce(f"{self._text()} = {self.marks.value(value.text.lower())}")
        return _coalesce(f"{self._text()} {_sign(op)} {self.marks.value(value.text)}")

    def _series(self) -> list[tuple[str, str]]:
        """The metrics and their figures that the name may mean, in order."""
        series = [(self.name, "last")]
        return series if self.stat is None else [*series, (self.stat[1], self.stat[2])]

    def _number(self) -> str:
        parts = [self._param("number")] if self.param else []
        if self.metric:
            parts += [self._metric(name, stat) for name, stat in self._series()]
        return f"COALESCE({', '.join([*parts, 'NULL'])})"

    def _text(self) -> str:
        return self._param("text") if self.param else "NULL"

    def _param(self, column: str) -> str:
        column = column if column == "1" else f"p.{column}"
        return f"(SELECT {column} FROM params p WHERE p.run = r.key AND p.name = {self.marks.name(self.name)})"

    def _metric(self, name: str, stat: str) -> str:
        return f'(SELECT m."{stat}" FROM metrics m WHERE m.run = r.key AND m.name = {self.marks.name(name)})'


def _contains(sql: str, value: Literal, marks: Marks) -> str:
    return _coalesce(f"lower({sql}) LIKE lower({marks.value('%' + like(value.text) + '%')}) ESCAPE '!'")


def _compare_none(op: str, sql: str) -> str:
    if op != "==":
        raise ComparisonError("none compares with == and !=")
    return sql


def _coalesce(sql: str) -> str:
    """A comparison that is false where a side is missing."""
    return f"COALESCE({sql}, 1 = 0)"


def _sign(op: str) -> str:
    return "=" if op == "==" else op
