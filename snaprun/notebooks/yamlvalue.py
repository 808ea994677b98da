"""Read one value, or a file of values, typed as YAML.

The types are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), with dates as in YAML 1.1
and four rules more, each against a silent surprise: ``007`` is a text (no number is written so), nothing at all is the
empty text, a value of which YAML would read only a part (a comment behind it) is refused, and so are aliases and tags.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml


def value(raw: str) -> Any:
    """The value that ``raw`` means.

    Raises:
        ValueError: it is no YAML, or YAML would silently change it; the text says why.
    """
    text = raw.strip()
    if not text:
        return raw
    content, node = _load(text)
    if node is None:
        raise ValueError("it is only a comment to YAML")
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.value != text:
        raise ValueError(f"YAML reads only {node.value!r} of it, the rest is a comment")
    return content


def document(text: str) -> Any:
    """The content of a YAML file; an empty one is an empty mapping. Raises as :func:`value` does."""
    content, _ = _load(text)
    return {} if content is None else content


def _load(text: str) -> tuple[Any, yaml.Node | None]:
    """The value of one YAML document, and the node that it was made of."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # a control character
        raise ValueError(str(error).splitlines()[0]) from error
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f" (line {mark.line + 1})" if mark is not None and "\n" in text else ""
        raise ValueError(f"it is no YAML: {getattr(error, 'problem', None) or error}{position}") from error
    except (RecursionError, OverflowError) as error:
        raise ValueError(f"too deep or too large: {error}") from error
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema (true/false only, no sexagesimals, ``1e-3`` a float), with dates; no aliases, no tags."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own attribute

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*) is not taken")
        if getattr(event, "tag", None) not in (None, "!"):
            raise yaml.YAMLError(f"the tag {event.tag} is not taken")
        return super().compose_node(parent, index)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    base = {"0x": 16, "0o": 8}.get(text[:2], 10)
    return int(text, base)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    if number in (float("inf"), float("-inf")) and "inf" not in text:
        raise yaml.YAMLError("too large for a float")
    return number


def _construct_map(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    mapping: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.YAMLError("a list or a mapping cannot be a key")
        if key in mapping:
            raise yaml.YAMLError(f"the key {key} stands there twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_RULES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL", "~nN"),
    ("null", r"", ""),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    (
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
        r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::?[0-9]{2})?))?)?",
        "0123456789",
    ),
)
for _tag, _pattern, _first in _RULES:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first) or [""])
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
