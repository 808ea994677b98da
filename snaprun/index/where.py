"""Parse the language of ``--where``, and compile it to SQL whose every value is bound, never evaluated.

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
from snaprun.printable import clean

MAX_LENGTH = 10_000
"""Characters of a condition."""

MAX_DEPTH = 20
"""Parentheses and ``not`` inside each other: SQLite's own parser gives up at a stack of 100."""

MAX_COMPARISONS = 200
"""Comparisons of a condition, lists counted out: SQLite allows 1,000 levels and, before 3.32, 999 values."""

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<op>==|!=|<>|<=|>=|!~|[=<>~()\[\],])
    | (?P<term>(?:[^\s=<>!~()\[\],"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(r"""[^"']+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_BRACKETS = {"(": ")", "[": "]"}
_OPERATOR_ALIASES = {"=": "==", "<>": "!="}


@dataclass(frozen=True)
class Condition:
    """A condition as SQL over ``runs r``, the values that its marks stand for, and the params and metrics it names."""

    sql: str
    values: dict[str, Any]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SortKey:
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
        is_bare = len(self.pieces) == 1 and not self.pieces[0][1]
        return self.text.lower() if is_bare else ""


def compile(text: str, *, now: float) -> Condition:
    """Parse ``text`` and compile it. ``now`` (seconds since the epoch) is what ``created > 2h`` counts back from.

    Raises:
        UsageFault: it is no condition; the message says where.
    """
    if len(text) > MAX_LENGTH:
        raise UsageFault(f"the condition is longer than {MAX_LENGTH} characters", hint="snaprun history --json, and jq")
    parser = _Parser(text, Marks("w", now))
    sql = parser.parse()
    return Condition(sql, parser.marks.bound, tuple(dict.fromkeys(parser.names)))


def order(name: str) -> SortKey:
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
    return SortKey(keys, parser.marks.bound, tuple(parser.names))


@dataclass
class _Parser:
    """One pass over the text."""

    text: str
    marks: Marks
    option: str = "--where"
    position: int = 0
    depth: int = 0
    count: int = 0
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = self._tokens()

    def parse(self) -> str:
        """The SQL of everything."""
        sql = self._disjunction()
        self.end()
        return sql

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self.position < len(self.tokens):
            raise self._fault(f"{self.tokens[self.position].text!r} is not expected", self.position)

    def name(self) -> Operand:
        """What stands left of an operator."""
        token = self._next("a name is missing")
        if not token.pieces or token.word in ("and", "or", "not", "in"):
            raise self._fault(f"a name is expected, not {token.text!r}", self.position - 1)
        operand = operands.make_operand(token.pieces, self.marks)
        if operand is None:
            raise self._fault(f"{token.text!r} is no name", self.position - 1)
        self.names += operand.names
        return operand

    def _disjunction(self) -> str:
        parts = [self._conjunction()]
        while self._word() == "or":
            self.position += 1
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _conjunction(self) -> str:
        parts = [self._negation()]
        while self._word() == "and":
            self.position += 1
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _negation(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._fault(f"more than {MAX_DEPTH} levels", self.position)
        if self._word() == "not":
            self.position += 1
            sql = f"NOT {self._negation()}"
        elif self._op() == "(":
            self.position += 1
            sql = self._disjunction()
            self._expect(")")
        else:
            sql = self._comparison()
        self.depth -= 1
        return sql

    def _comparison(self) -> str:
        operand = self.name()
        position = self.position
        op = self._next("an operator is missing, such as == or <")
        if op.word == "in" or (op.word == "not" and self._word() == "in"):
            self.position += op.word == "not"
            comparisons = [self._compare(operand, "==", literal, position) for literal in self._list()]
            sql = f"({' OR '.join(comparisons)})"
            return sql if op.word == "in" else f"({operand.has()} AND NOT {sql})"
        if op.pieces or op.text in "()[],":
            raise self._fault(f"an operator is expected, not {op.text!r}", position)
        literal = self._literal()
        sign = _OPERATOR_ALIASES.get(op.text, op.text)
        if sign == "!~":
            return f"({operand.has()} AND NOT {self._compare(operand, '~', literal, position)})"
        if sign == "!=":
            equal = self._compare(operand, "==", literal, position)
            return f"NOT {equal}" if literal.absent else f"({operand.has()} AND NOT {equal})"
        return self._compare(operand, sign, literal, position)

    def _compare(self, operand: Operand, op: str, literal: Literal, position: int) -> str:
        self.count += 1
        if self.count > MAX_COMPARISONS:
            raise self._fault(f"more than {MAX_COMPARISONS} comparisons", position)
        try:
            return operand.compare(op, literal)
        except operands.ComparisonError as error:
            raise self._fault(str(error), self.position - 1) from error

    def _list(self) -> list[Literal]:
        position = self.position
        bracket = self._next("a list is missing, such as (1, 2)").text
        if bracket not in _BRACKETS:
            raise self._fault("a list is expected, such as (1, 2)", position)
        literals = [self._literal()]
        while self._op() == ",":
            self.position += 1
            literals.append(self._literal())
        self._expect(_BRACKETS[bracket])
        return literals

    def _literal(self) -> Literal:
        token = self._next("a value is missing")
        if not token.pieces or token.word in ("and", "or", "not", "in"):
            raise self._fault(f"a value is expected, not {token.text!r}", self.position - 1)
        return operands.literal(token.pieces)

    def _expect(self, text: str) -> None:
        if self._op() != text:
            raise self._fault(f"{text!r} is missing", self.position)
        self.position += 1

    def _next(self, message: str) -> Token:
        if self.position >= len(self.tokens):
            raise self._fault(message, self.position)
        self.position += 1
        return self.tokens[self.position - 1]

    def _word(self) -> str:
        return self.tokens[self.position].word if self.position < len(self.tokens) else ""

    def _op(self) -> str:
        return (
            self.tokens[self.position].text
            if self.position < len(self.tokens) and not self.tokens[self.position].pieces
            else ""
        )

    def _tokens(self) -> list[Token]:
        tokens = []
        position = 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if match is None:
                position += len(self.text[position:]) - len(self.text[position:].lstrip())
                message = (
                    "a quote is not closed"
                    if self.text[position] in "\"'"
                    else f"{self.text[position]!r} means nothing here"
                )
                raise self._fault_at(message, position)
            kind = match.lastgroup or "op"
            pieces = _PIECE.findall(match[kind]) if kind == "term" else []
            tokens.append(Token(match[kind], match.start(kind), tuple(_unquote(piece) for piece in pieces)))
            position = match.end()
        return tokens

    def _fault(self, message: str, token: int) -> UsageFault:
        return self._fault_at(message, self.tokens[token].start if token < len(self.tokens) else len(self.text))

    def _fault_at(self, message: str, position: int) -> UsageFault:
        """The refusal: the place as a number, and as a mark in the text around it."""
        excerpt = f"{self.text[max(0, position - 40) : position]}▸{self.text[position : position + 40]}"
        printable = clean(excerpt, "?", keep="")
        example = "lr" if self.option == "--sort" else 'lr < 0.1 and status == "failed"'
        return UsageFault(
            f"{self.option}: {message}, at character {position + 1}: {printable}", hint=f"for example: {example}"
        )


def _unquote(piece: str) -> tuple[str, bool]:
    """The text of a piece, and whether it stood in quotes."""
    if piece[0] not in "\"'":
        return piece, False
    return re.sub(r"\\(.)", r"\1", piece[1:-1], flags=re.DOTALL), True
