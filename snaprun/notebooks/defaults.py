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
POWER_LIMIT = 512


@dataclass(frozen=True)
class Defaults:
    """The names that a cell assigns, and the values of the plain ones. ``complete``: no other name can come in."""

    names: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    complete: bool = True


def read(source: str, language: str) -> Defaults:
    """What a cell of ``language`` assigns. A language that snaprun does not know is never closed."""
    if language == "python":
        return _read_python(source)
    pattern = ASSIGNMENTS.get(language)
    if pattern is None:
        return Defaults(complete=False)
    names: dict[str, None] = {}
    values: dict[str, Any] = {}
    for match in pattern.finditer(source):
        names[match["name"]] = None
        values.pop(match["name"], None)
        literal = _literal(match["value"].strip().rstrip(";").strip(), language)
        if literal is not _NO_LITERAL:
            values[match["name"]] = literal
    return Defaults(tuple(names), values)


def python_names(source: str) -> set[str]:
    """The names that Python source assigns at its top level, loops and ``with`` included; none if it does not parse."""
    try:
        body = ast.parse(_without_magics(source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name for statement in body for name in _targets(statement)}


def _read_python(source: str) -> Defaults:
    try:
        tree = ast.parse(_without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Defaults(complete=False)
    names: dict[str, None] = {}
    values: dict[str, Any] = {}
    complete = True
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names):
            complete = False
        for name in _targets(statement):
            names[name] = None
            values.pop(name, None)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                values.update(_bindings(target, statement.value, values))
    return Defaults(tuple(names), values, complete)


def _bindings(target: ast.expr, value: ast.expr, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names of ``target`` with their values, as far as these are plain."""
    if isinstance(target, ast.Name):
        literal = _value(value, values)
        if literal is not _NO_LITERAL:
            yield target.id, literal
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        pairs = zip(target.elts, value.elts, strict=True) if len(target.elts) == len(value.elts) else ()
        for element, expression in pairs:
            yield from _bindings(element, expression, values)


def _value(node: ast.expr, values: dict[str, Any]) -> Any:
    """The value of an expression of literals, arithmetic of numbers and names bound before; else ``_NO_LITERAL``."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left_operand, right_operand = _value(node.left, values), _value(node.right, values)
        plain = all(isinstance(side, (int, float)) for side in (left_operand, right_operand))
        if not plain or (
            isinstance(node.op, ast.Pow) and (abs(right_operand) > POWER_LIMIT or abs(left_operand) > POWER_LIMIT)
        ):
            return _NO_LITERAL
        try:
            return ARITHMETIC[type(node.op)](left_operand, right_operand)
        except (ArithmeticError, ValueError):
            return _NO_LITERAL
    if isinstance(node, ast.Name):
        return values.get(node.id, _NO_LITERAL)
    if isinstance(node, ast.Call):
        return _float_call(node)
    try:
        return _convert_tuples(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return _NO_LITERAL


def _float_call(node: ast.Call) -> Any:
    """``float("nan")`` and its like: the one call that is as plain as a literal."""
    if isinstance(node.func, ast.Name) and node.func.id == "float" and len(node.args) == 1 and not node.keywords:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, (str, int, float)):
            try:
                return float(argument.value)
            except ValueError:
                return _NO_LITERAL
    return _NO_LITERAL


def _convert_tuples(value: Any) -> Any:
    """Tuples become lists, as JSON has it; what JSON and YAML cannot say is no plain value."""
    if isinstance(value, (list, tuple)):
        items = [_convert_tuples(item) for item in value]
        return _NO_LITERAL if any(item is _NO_LITERAL for item in items) else items
    if isinstance(value, dict):
        mapping = {key: _convert_tuples(item) for key, item in value.items()}
        odd = any(item is _NO_LITERAL for item in mapping.values()) or any(isinstance(key, tuple) for key in mapping)
        return _NO_LITERAL if odd else mapping
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
    quotation = re.fullmatch(r"""(?:"([^"\\$]*)"|'([^'\\]*)')\s*(?:#.*)?""", text)
    if quotation:
        return quotation[1] if quotation[1] is not None else quotation[2]
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
