"""Read the default parameters out of the source of a ``parameters`` cell, without running it."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
MOST_POWER = 512


@dataclass(frozen=True)
class Defaults:
    """The names that a cell assigns, and the values of those that are plain. ``closed``: no other name can come in."""

    names: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    closed: bool = True


def read(source: str, language: str) -> Defaults:
    """What a cell of ``language`` assigns. A language that snaprun does not know is never closed."""
    if language == "python":
        return _python(source)
    pattern = ASSIGNMENTS.get(language)
    if pattern is None:
        return Defaults(closed=False)
    names: dict[str, None] = {}
    values: dict[str, Any] = {}
    for found in pattern.finditer(source):
        names[found["name"]] = None
        values.pop(found["name"], None)
        literal = _literal(found["value"].strip().rstrip(";").strip(), language)
        if literal is not _NO_LITERAL:
            values[found["name"]] = literal
    return Defaults(tuple(names), values)


def python_names(source: str) -> set[str]:
    """The names that Python source assigns at its top level, loops and ``with`` included; none if it does not parse."""
    try:
        body = ast.parse(_without_magics(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name for statement in body for name in _targets(statement)}


def _python(source: str) -> Defaults:
    try:
        tree = ast.parse(_without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Defaults(closed=False)
    names: dict[str, None] = {}
    values: dict[str, Any] = {}
    closed = True
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names):
            closed = False
        for name in _targets(statement):
            names[name] = None
            values.pop(name, None)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                values.update(_bound(target, statement.value, values))
    return Defaults(tuple(names), values, closed)


def _bound(target: ast.expr, value: ast.expr, known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names of ``target`` with their values, as far as these are plain."""
    if isinstance(target, ast.Name):
        found = _value(value, known)
        if found is not _NO_LITERAL:
            yield target.id, found
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        pairs = zip(target.elts, value.elts, strict=True) if len(target.elts) == len(value.elts) else ()
        for one, its in pairs:
            yield from _bound(one, its, known)


def _value(node: ast.expr, known: dict[str, Any]) -> Any:
    """The value of an expression of literals, arithmetic of numbers and names bound before; else ``_NO_LITERAL``."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _value(node.left, known), _value(node.right, known)
        plain = all(isinstance(side, (int, float)) for side in (left, right))
        if not plain or (isinstance(node.op, ast.Pow) and (abs(right) > MOST_POWER or abs(left) > MOST_POWER)):
            return _NO_LITERAL
        try:
            return ARITHMETIC[type(node.op)](left, right)
        except (ArithmeticError, ValueError):
            return _NO_LITERAL
    if isinstance(node, ast.Name):
        return known.get(node.id, _NO_LITERAL)
    if isinstance(node, ast.Call):
        return _float_call(node)
    try:
        return _listed(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _NO_LITERAL


def _float_call(node: ast.Call) -> Any:
    """``float("nan")`` and its like: the one call that is as plain as a literal."""
    if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1 and not node.keywords:
        given = node.args[0]
        if isinstance(given, ast.Constant) and isinstance(given.value, (str, int, float)):
            try:
                return float(given.value)
            except ValueError:
                return _NO_LITERAL
    return _NO_LITERAL


def _listed(value: Any) -> Any:
    """Tuples become lists, as JSON has it; what JSON and YAML cannot say is no plain value."""
    if isinstance(value, (list, tuple)):
        items = [_listed(item) for item in value]
        return _NO_LITERAL if any(item is _NO_LITERAL for item in items) else items
    if isinstance(value, dict):
        made = {key: _listed(item) for key, item in value.items()}
        odd = any(item is _NO_LITERAL for item in made.values()) or any(isinstance(key, tuple) for key in made)
        return _NO_LITERAL if odd else made
    return value if value is None or isinstance(value, (bool, int, float, str)) else _NO_LITERAL


def _targets(statement: ast.AST) -> Iterator[str]:
    """Every name that a statement binds in the cell's own scope."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
        return
    if isinstance(statement, ast.Lambda):
        return
    if isinstance(statement, ast.Name) and isinstance(statement.ctx, ast.Store):
        yield statement.id
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        for alias in statement.names:
            if alias.name != "*":
                yield (alias.asname or alias.name).split(".")[0]
    if isinstance(statement, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    for child in ast.iter_child_nodes(statement):
        yield from _targets(child)


def _without_magics(source: str) -> str:
    """Python source with IPython's magics and shell lines blanked, so that it parses."""
    lines = source.splitlines()
    if lines and lines[0].lstrip().startswith("%%"):
        lines[0] = ""
    return "\n".join(re.sub(r"^(\s*)[%!?].*", r"\1pass", line) for line in lines)


class _NoLiteral:
    """Marks a value that cannot be read without running code."""


_NO_LITERAL = _NoLiteral()

ASSIGNMENTS = {
    "r": re.compile(
        r"^[ \t]*(?P<name>(?:[^\W\d_]|\.)[\w.]*)[ \t]*(?:<-|<<-|=(?!=))[ \t]*(?P<value>[^\n]*)", re.MULTILINE
    ),
    "julia": re.compile(
        r"^[ \t]*(?:const[ \t]+|global[ \t]+)?(?P<name>[^\W\d][\w!]*)[ \t]*(?:::[^=\n]+)?=(?!=)[ \t]*(?P<value>[^\n]*)",
        re.MULTILINE,
    ),
    "bash": re.compile(
        r"^[ \t]*(?:export[ \t]+|declare[ \t]+(?:-\w+[ \t]+)*|readonly[ \t]+|local[ \t]+)?(?:: \"?\$\{)?"
        r"(?P<name>[A-Za-z_]\w*):?=(?P<value>[^\n]*)",
        re.MULTILINE,
    ),
}
_WORDS: dict[str, dict[str, Any]] = {
    "r": {"TRUE": True, "T": True, "FALSE": False, "F": False, "NULL": None, "NaN": float("nan"), "Inf": float("inf")},
    "julia": {"true": True, "false": False, "nothing": None, "NaN": float("nan"), "Inf": float("inf")},
    "bash": {"true": True, "false": False},
}


def _literal(text: str, language: str) -> Any:
    """A number, truth value or quoted text on one line of R, Julia or bash; a comment behind it is passed over."""
    quoted = re.fullmatch(r"""(?:"([^"\\$]*)"|'([^'\\]*)')\s*(?:#.*)?""", text)
    if quoted:
        return quoted[1] if quoted[1] is not None else quoted[2]
    bare = re.sub(r"\s+#.*$", "", text).strip()
    if bare in _WORDS[language]:
        return _WORDS[language][bare]
    number = bare.removesuffix("L") if language == "r" else bare
    if re.fullmatch(r"[-+]?\d+", number):
        return int(number)
    if re.fullmatch(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", number):
        return float(number)
    if language == "bash" and re.fullmatch(r"[\w./:@%+,-]+", bare, re.ASCII):
        return bare
    return _NO_LITERAL
