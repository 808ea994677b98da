"""The language of ``--where``: parsed by hand, compiled to SQL whose every value is bound, never evaluated.

``lr < 0.1 and status == "failed"``; ``==`` (or ``=``), ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``~`` (contains, in any
case), ``in (…)``, ``not in (…)``, ``and``, ``or``, ``not``, parentheses. A comparison with what a run does not have is
false; ``== none`` asks for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from snaprun.errors import UsageFault
from snaprun.index import operands
from snaprun.index.operands import Literal, Marks, Operand

LONGEST = 10_000
"""Characters of a condition."""

DEEPEST = 20
"""Parentheses and ``not`` inside each other: SQLite's own parser gives up at a stack of 100."""

MOST = 200
"""Comparisons of a condition, lists counted out: SQLite allows 1,000 levels and, before 3.32, 999 values."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<op>==|!=|<>|<=|>=|!~|[=<>~()\[\],])
    | (?P<term>(?:[^\s=<>!~()\[\],"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(r"""[^"']+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_OPENS = {"(": ")", "[": "]"}
_SAME = {"=": "==", "<>": "!="}


@dataclass(frozen=True)
class Condition:
    """A condition as SQL over ``runs r``, the values that its marks stand for, and the params and metrics it names."""

    sql: str
    values: dict[str, Any]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What to sort by: SQL keys over ``runs r``, their values, and the parameter or metric they name."""

    keys: tuple[str, ...]
    values: dict[str, Any]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    """A piece of the text: an operator, or a term with its quoted and unquoted pieces."""

    text: str
    start: int
    pieces: tuple[tuple[str, bool], ...] = ()

    @property
    def word(self) -> str:
        """A bare word in lower case, by which keywords are known; empty for anything else."""
        bare = len(self.pieces) == 1 and not self.pieces[0][1]
        return self.text.lower() if bare else ""


def compile(text: str, *, now: float) -> Condition:
    """Parse ``text`` and compile it. ``now`` (seconds since the epoch) is what ``created > 2h`` counts back from.

    Raises:
        UsageFault: it is no condition; the message says where.
    """
    if len(text) > LONGEST:
        raise UsageFault(f"the condition is longer than {LONGEST} characters", hint="snaprun history --json, and jq")
    parser = _Parser(text, Marks("w", now))
    sql = parser.whole()
    return Condition(sql, parser.marks.bound, tuple(dict.fromkeys(parser.names)))


def order(name: str) -> Order:
    """What to sort by for a field, a parameter or a metric.

    Raises:
        UsageFault: ``name`` is no name.
    """
    parser = _Parser(name, Marks("s", 0.0), option="--sort")
    operand = parser.name()
    parser.end()
    keys = tuple(operand.keys())
    if not keys:
        raise UsageFault("--sort: tags have no order", hint="--sort takes a field, a parameter or a metric")
    return Order(keys, parser.marks.bound, tuple(parser.names))


@dataclass
class _Parser:
    """One pass over the text."""

    text: str
    marks: Marks
    option: str = "--where"
    at: int = 0
    depth: int = 0
    count: int = 0
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = self._tokens()

    def whole(self) -> str:
        """The SQL of everything."""
        sql = self._either()
        self.end()
        return sql

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self.at < len(self.tokens):
            raise self._fault(f"{self.tokens[self.at].text!r} is not expected", self.at)

    def name(self) -> Operand:
        """What stands left of an operator."""
        token = self._next("a name is missing")
        if not token.pieces or token.word in ("and", "or", "not", "in"):
            raise self._fault(f"a name is expected, not {token.text!r}", self.at - 1)
        operand = operands.named(token.pieces, self.marks)
        if operand is None:
            raise self._fault(f"{token.text!r} is no name", self.at - 1)
        self.names += operand.names
        return operand

    def _either(self) -> str:
        parts = [self._both()]
        while self._word() == "or":
            self.at += 1
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _both(self) -> str:
        parts = [self._not()]
        while self._word() == "and":
            self.at += 1
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _not(self) -> str:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._fault(f"more than {DEEPEST} levels", self.at)
        if self._word() == "not":
            self.at += 1
            sql = f"NOT {self._not()}"
        elif self._op() == "(":
            self.at += 1
            sql = self._either()
            self._expect(")")
        else:
            sql = self._comparison()
        self.depth -= 1
        return sql

    def _comparison(self) -> str:
        operand = self.name()
        at = self.at
        op = self._next("an operator is missing, such as == or <")
        if op.word == "in" or (op.word == "not" and self._word() == "in"):
            self.at += op.word == "not"
            found = [self._compare(operand, "==", literal, at) for literal in self._list()]
            sql = f"({' OR '.join(found)})"
            return sql if op.word == "in" else f"({operand.has()} AND NOT {sql})"
        if op.pieces or op.text in "()[],":
            raise self._fault(f"an operator is expected, not {op.text!r}", at)
        literal = self._literal()
        sign = _SAME.get(op.text, op.text)
        if sign == "!~":
            return f"({operand.has()} AND NOT {self._compare(operand, '~', literal, at)})"
        if sign == "!=":
            equal = self._compare(operand, "==", literal, at)
            return f"NOT {equal}" if literal.absent else f"({operand.has()} AND NOT {equal})"
        return self._compare(operand, sign, literal, at)

    def _compare(self, operand: Operand, op: str, literal: Literal, at: int) -> str:
        self.count += 1
        if self.count > MOST:
            raise self._fault(f"more than {MOST} comparisons", at)
        try:
            return operand.compare(op, literal)
        except operands.Unfit as unfit:
            raise self._fault(str(unfit), self.at - 1) from unfit

    def _list(self) -> list[Literal]:
        at = self.at
        opening = self._next("a list is missing, such as (1, 2)").text
        if opening not in _OPENS:
            raise self._fault("a list is expected, such as (1, 2)", at)
        found = [self._literal()]
        while self._op() == ",":
            self.at += 1
            found.append(self._literal())
        self._expect(_OPENS[opening])
        return found

    def _literal(self) -> Literal:
        token = self._next("a value is missing")
        if not token.pieces or token.word in ("and", "or", "not", "in"):
            raise self._fault(f"a value is expected, not {token.text!r}", self.at - 1)
        return operands.literal(token.pieces)

    def _expect(self, text: str) -> None:
        if self._op() != text:
            raise self._fault(f"{text!r} is missing", self.at)
        self.at += 1

    def _next(self, missing: str) -> Token:
        if self.at >= len(self.tokens):
            raise self._fault(missing, self.at)
        self.at += 1
        return self.tokens[self.at - 1]

    def _word(self) -> str:
        return self.tokens[self.at].word if self.at < len(self.tokens) else ""

    def _op(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) and not self.tokens[self.at].pieces else ""

    def _tokens(self) -> list[Token]:
        found = []
        at = 0
        end = len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                what = "a quote is not closed" if self.text[at] in "\"'" else f"{self.text[at]!r} means nothing here"
                raise self._fault_at(what, at)
            kind = match.lastgroup or "op"
            pieces = _PIECE.findall(match[kind]) if kind == "term" else []
            found.append(Token(match[kind], match.start(kind), tuple(_unquoted(piece) for piece in pieces)))
            at = match.end()
        return found

    def _fault(self, what: str, token: int) -> UsageFault:
        return self._fault_at(what, self.tokens[token].start if token < len(self.tokens) else len(self.text))

    def _fault_at(self, what: str, at: int) -> UsageFault:
        """The refusal: the place as a number, and as a mark in the text around it."""
        around = f"{self.text[max(0, at - 40) : at]}▸{self.text[at : at + 40]}"
        shown = "".join(letter if letter.isprintable() else "?" for letter in around)
        example = "lr" if self.option == "--sort" else 'lr < 0.1 and status == "failed"'
        return UsageFault(f"{self.option}: {what}, at character {at + 1}: {shown}", hint=f"for example: {example}")


def _unquoted(piece: str) -> tuple[str, bool]:
    """The text of a piece, and whether it stood in quotes."""
    if piece[0] not in "\"'":
        return piece, False
    return re.sub(r"\\(.)", r"\1", piece[1:-1], flags=re.DOTALL), True
