"""Write parameters as source code, in each language that can say them exactly."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from snaprun.errors import ParameterFault

HEADING = "# Parameters"
"""First line of an injected cell; ``#`` opens a comment in every language below."""

INT32 = 2**31 - 1
EXACT_FLOAT = 2**53
"""Whole numbers up to here have a double of their own."""


class _InexactValue(ValueError):
    """The value cannot be said exactly in the language; the text says what and why."""


@dataclass(frozen=True)
class Language:
    """How a language writes an assignment: which names it takes, how a value looks, what must stand before it."""

    name: re.Pattern[str]
    keywords: frozenset[str]
    assign: str
    value: Callable[[Any], str]
    prelude: Callable[[Any], str] = lambda _: ""


def is_valid_name(name: str, language: str) -> bool:
    """Whether ``name`` can be assigned to in ``language``; languages that snaprun does not know take Python's rule."""
    rule = LANGUAGES.get(language, LANGUAGES["python"])
    return rule.name.fullmatch(name) is not None and name not in rule.keywords and is_unicode(name)


def code(params: Mapping[str, Any], language: str) -> str:
    """The source of a cell that gives each name exactly its value.

    Raises:
        ParameterFault: the language is unknown, or cannot say one of the values.
    """
    rule = LANGUAGES.get(language)
    if rule is None:
        raise ParameterFault(
            f"parameters cannot be written in {language}",
            hint=f"snaprun writes them in {', '.join(LANGUAGES)}: run it without -p, or read a file in the notebook",
        )
    lines = [HEADING]
    for name, value in params.items():
        if not is_valid_name(name, language):
            raise ParameterFault(f"{name!r} is no name of a variable in {language}", hint="rename the parameter")
        try:
            literal = rule.value(value)
        except (_InexactValue, ValueError, RecursionError) as error:  # an int too long to print, a value inside itself
            raise ParameterFault(
                f"{name} cannot be written exactly in {language}: {error}", hint=f"give it as text: -r {name}=…"
            ) from error
        statement = rule.prelude(value)
        if statement and statement not in lines:
            lines.append(statement)
        lines.append(rule.assign.format(name, literal))
    return "\n".join(lines)


def _write_python(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, (datetime, date)):
        return re.sub(r"\bdatetime\.(?=date|time)", "__import__('datetime').", repr(value))
    if isinstance(value, list):
        return f"[{', '.join(map(_write_python, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_write_python(key)}: {_write_python(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        return repr(_require_unicode(value))
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    raise _InexactValue(f"a {type(value).__name__}")


def _write_r(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, int):
        if abs(value) <= INT32:
            return f"{value}L"
        if abs(value) > EXACT_FLOAT:
            raise _InexactValue(f"{value} is beyond R's exact whole numbers")
        return str(value)
    if isinstance(value, float):
        return _r_float(value)
    if isinstance(value, str):
        return _quote(value, "\\U{{{:x}}}")
    if isinstance(value, datetime):
        return _r_moment(value)
    if isinstance(value, date):
        return f'as.Date("{value.isoformat()}")'
    if isinstance(value, list):
        return f"list({', '.join(map(_write_r, value))})"
    if isinstance(value, dict):
        _require_string_keys(value)
        if "" in value:
            raise _InexactValue("a key without a letter")
        return f"list({', '.join(f'{_write_r(key)} = {_write_r(item)}' for key, item in value.items())})"
    raise _InexactValue(f"a {type(value).__name__}")


def _r_float(value: float) -> str:
    """R reads long decimals with a rounding error of its own, and hexadecimal floats exactly."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    decimal = repr(value)
    digits = re.sub(r"e.*|\D", "", decimal).strip("0")
    plain = len(digits) <= 15 and (value == 0 or 1e-6 <= abs(value) <= 1e15)
    return decimal if plain else value.hex()


def _r_moment(value: datetime) -> str:
    if value.tzinfo is None or value.microsecond:
        raise _InexactValue(f"{value.isoformat()}: R keeps times as seconds in a zone, so give a zone and no fraction")
    return f'as.POSIXct("{value.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}", tz = "UTC")'


def _write_julia(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ("NaN" if math.isnan(value) else "Inf" if value > 0 else "-Inf")
    if isinstance(value, str):
        return _quote(value, "\\U{:08x}", escape="$")
    if isinstance(value, datetime):
        if value.tzinfo is not None or value.microsecond % 1000:
            raise _InexactValue(f"{value.isoformat()}: Julia's DateTime has no zone and milliseconds only")
        parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond // 1000)
        return f"Dates.DateTime({', '.join(map(str, parts))})"
    if isinstance(value, date):
        return f"Dates.Date({value.year}, {value.month}, {value.day})"
    if isinstance(value, list):
        kinds = {type(item) for item in value}  # Julia promotes what is not alike: [1, 2.5] would be [1.0, 2.5]
        alike = len(kinds) == 1 and not kinds & {list, dict}
        return f"{'' if alike else 'Any'}[{', '.join(map(_write_julia, value))}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_write_julia(key)} => {_write_julia(item)}" for key, item in value.items())
        return f"Dict({pairs})" if len({type(key) for key in value}) == 1 else f"Dict{{Any, Any}}({pairs})"
    raise _InexactValue(f"a {type(value).__name__}")


def _julia_prelude(value: Any) -> str:
    return "import Dates" if _has_date(value) else ""


def _write_bash(value: Any) -> str:
    """Bash knows texts and flat lists of texts: numbers and truth values are written as YAML writes them."""
    if isinstance(value, list):
        if any(isinstance(item, (list, dict)) for item in value):
            raise _InexactValue("a list within a list")
        return f"({' '.join(map(_write_bash, value))})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, str):
        if "\0" in value:
            raise _InexactValue("a text with a NUL")
        if re.fullmatch(r"[\w./:@%+,-]+", value, re.ASCII):
            return value
        return "'" + _require_unicode(value).replace("'", "'\\''") + "'"
    raise _InexactValue("null" if value is None else f"a {type(value).__name__}")


def _quote(value: str, code_point: str, *, escape: str = "") -> str:
    """A text in double quotes; control characters by their code point."""
    if "\0" in value:
        raise _InexactValue("a text with a NUL")
    parts = []
    for char in _require_unicode(value):
        if char in '"\\' + escape:
            parts.append("\\" + char)
        elif char in "\n\t\r":
            parts.append({"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char])
        elif char.isprintable():
            parts.append(char)
        else:
            parts.append(code_point.format(ord(char)))
    return '"' + "".join(parts) + '"'


def is_unicode(value: str) -> bool:
    """Whether a text has no lone surrogate, as a command line that is not UTF-8 gives one."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _require_unicode(value: str) -> str:
    if not is_unicode(value):
        raise _InexactValue("a text that is not Unicode")
    return value


def _require_string_keys(value: dict[Any, Any]) -> None:
    for key in value:
        if not isinstance(key, str):
            raise _InexactValue(f"the key {key!r} is no text")


def _has_date(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_date, (*value, *value.values())))
    return any(map(_has_date, value)) if isinstance(value, list) else isinstance(value, date)


_PYTHON_NAME = re.compile(r"[^\W\d]\w*")
_R_WORDS = (
    "if else repeat while function for in next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ NA_character_"
)
_JULIA_WORDS = (
    "baremodule begin break catch const continue do else elseif end export false finally for function global if import"
    " let local macro module quote return struct true try using while"
)
_BASH_WORDS = "BASHPID BASH_VERSINFO EUID PPID SHELLOPTS BASHOPTS UID"  # read-only variables

LANGUAGES: dict[str, Language] = {
    "python": Language(_PYTHON_NAME, frozenset(keyword.kwlist), "{} = {}", _write_python),
    "r": Language(re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*"), frozenset(_R_WORDS.split()), "{} = {}", _write_r),
    "julia": Language(
        re.compile(r"[^\W\d][\w!]*"), frozenset(_JULIA_WORDS.split()), "{} = {}", _write_julia, _julia_prelude
    ),
    "bash": Language(re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), frozenset(_BASH_WORDS.split()), "{}={}", _write_bash),
}
"""Languages that snaprun writes parameters in, by the name that :func:`snaprun.notebooks.cells.find_language` gives."""
