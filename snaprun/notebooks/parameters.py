"""Read the parameters of a run from the command line and files, check them against the notebook, and set them in it.

How a value is typed: :mod:`snaprun.notebooks.yamlvalue`; how it is written into a notebook:
:mod:`snaprun.notebooks.paramcode`; how it is kept: :mod:`snaprun.notebooks.exact`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaprun import tomlread
from snaprun.errors import ParameterFault
from snaprun.nearest import nearest
from snaprun.notebooks import cells, defaults, exact, paramcode, yamlvalue
from snaprun.notebooks.cells import Node

RAW_HINT = "give it as text: -r {}=…"


@dataclass(frozen=True)
class RunParameters:
    """The parameters of a run: ``overrides`` are the given ones, ``values`` all of them, with the notebook's plain
    defaults; ``source`` is the injected cell, ``notes`` what to tell."""

    overrides: Mapping[str, Any]
    values: Mapping[str, Any]
    source: str = ""
    notes: tuple[str, ...] = field(default=())


def parse(assignments: Sequence[str] = (), raw: Sequence[str] = (), files: Sequence[Path] = ()) -> dict[str, Any]:
    """The parameters of ``-p NAME=VALUE``, ``-r NAME=TEXT`` and ``-f FILE``.

    Files come first, in their order, then ``-p`` and ``-r`` on top; a later one of a kind wins over an earlier one.

    Raises:
        ParameterFault: no ``=``, a value that is no YAML, a file that cannot be read, a name in both ``-p`` and ``-r``.
    """
    params: dict[str, Any] = {}
    for path in files:
        params.update(read_file(path))
    values = dict(_split(item, "-p") for item in assignments)
    texts = dict(_split(item, "-r") for item in raw)
    duplicates = sorted(values.keys() & texts.keys())
    if duplicates:
        raise ParameterFault(
            f"{duplicates[0]} is given by -p and by -r", hint=f"leave one of the two out for {duplicates[0]}"
        )
    params.update({name: value(text, name) for name, text in values.items()})
    params.update(texts)
    return params


def value(text: str, name: str = "value") -> Any:
    """The value that ``text`` means, see :mod:`snaprun.notebooks.yamlvalue`.

    Raises:
        ParameterFault: it is no YAML, or YAML would silently change it.
    """
    try:
        return yamlvalue.value(text)
    except ValueError as error:
        raise ParameterFault(f"{name}={text}: {error}", hint=RAW_HINT.format(name)) from error


def read_file(path: Path) -> dict[str, Any]:
    """The parameters in a ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file.

    Raises:
        ParameterFault: it is missing or malformed, or no mapping of names to values that snaprun can keep.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ParameterFault(f"cannot read the parameters in {path}: {error}", hint=f"ls -l {path}") from error
    kinds = {".yaml": yamlvalue.document, ".yml": yamlvalue.document, ".json": json_document, ".toml": tomlread.loads}
    reader = kinds.get(path.suffix.lower())
    if reader is None:
        raise ParameterFault(f"{path} is no .yaml, .yml, .json or .toml file", hint="rename it to what it is")
    try:
        content = reader(text)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ParameterFault(f"{path} is malformed: {reason}", hint=f"mend {path}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ParameterFault(f"{path} is no mapping of names to values", hint="one `name: value` a line, for example")
    return content


def json_document(text: str) -> Any:
    """The value of one JSON document. Raises ValueError where it is none, or a key stands in a mapping twice."""
    return json.loads(text, object_pairs_hook=_build_mapping)


def resolve(node: Node, language: str, overrides: Mapping[str, Any]) -> RunParameters:
    """Check ``overrides`` against a notebook, put them on top of its own defaults, write the injected cell's source.

    Raises:
        ParameterFault: a name is no variable's name or unknown to the notebook, or a value cannot be written exactly.
    """
    notebook_defaults = _read_defaults(node, language)
    for name in overrides:
        if not paramcode.is_valid_name(name, language):
            raise ParameterFault(f"{name!r} is no name of a variable in {language}", hint="rename the parameter")
    place = cells.parameters_index(node)
    if place is not None and notebook_defaults.complete:
        _refuse_unknown(overrides, notebook_defaults.names)
    for name, item in overrides.items():
        _refuse_unkeepable(name, item)
    base = notebook_defaults if overrides else _effective_defaults(node, language, notebook_defaults)
    source = paramcode.code(overrides, language) if overrides else ""
    values = {**base.values, **overrides}
    for name, item in base.values.items():
        if name not in overrides and not _can_keep(item):
            del values[name]
    return RunParameters(dict(overrides), values, source, tuple(_notes(node, language, notebook_defaults, overrides)))


def inject(node: Node, overrides: Mapping[str, Any], language: str) -> Node:
    """The document that runs: ``overrides`` in a cell behind the ``parameters`` cell; without any, ``node`` itself."""
    return cells.inject(node, paramcode.code(overrides, language)) if overrides else node


def to_json(params: Mapping[str, Any]) -> dict[str, Any]:
    """The content of ``params.json``: exact, see :mod:`snaprun.notebooks.exact`."""
    return {name: exact.to_json(item) for name, item in params.items()}


def from_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that ``params.json`` means."""
    return {name: exact.from_json(item) for name, item in data.items()}


def are_equal(first: Any, second: Any) -> bool:
    """Whether two values are the same parameter: by type and content, so that 1, 1.0 and true differ and NaN is NaN."""
    return json.dumps(exact.to_json(first), sort_keys=True) == json.dumps(exact.to_json(second), sort_keys=True)


def _split(item: str, option: str) -> tuple[str, str]:
    name, sign, text = item.partition("=")
    if not sign or not name.strip():
        raise ParameterFault(f"{option} {item}: no NAME=VALUE", hint=f"{option} {item.strip('=') or 'lr'}=…")
    if not paramcode.is_unicode(item):
        raise ParameterFault(
            f"{option} {name}=…: the text is not valid UTF-8", hint="give it in a file: -f params.yaml"
        )
    return name.strip(), text


def _read_defaults(node: Node, language: str) -> defaults.Defaults:
    place = cells.parameters_index(node)
    return (
        defaults.Defaults(complete=False) if place is None else defaults.read(node["cells"][place]["source"], language)
    )


def _effective_defaults(node: Node, language: str, notebook_defaults: defaults.Defaults) -> defaults.Defaults:
    """The defaults of a notebook run as it is: the injected cells that papermill once left in it run too, in order."""
    effective = notebook_defaults
    for cell in cells.code_cells(node):
        if cell.is_injected:
            injection = defaults.read(cell.source, language)
            effective = defaults.Defaults(
                (*effective.names, *injection.names), {**effective.values, **injection.values}, effective.complete
            )
    return effective


def _refuse_unknown(overrides: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in overrides:
        if name in names:
            continue
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else "the notebook's parameters cell assigns no name at all"
        if names and not near:
            hint = f"it has {', '.join(names[:10])}{' …' if len(names) > 10 else ''}"
        raise ParameterFault(f"the notebook has no parameter {name}", hint=hint)


def _refuse_unkeepable(name: str, item: Any) -> None:
    try:
        json.dumps(exact.to_json(item))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterFault(f"{name} cannot be kept: {error}", hint=RAW_HINT.format(name)) from error


def _can_keep(item: Any) -> bool:
    try:
        json.dumps(exact.to_json(item))
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _notes(
    node: Node, language: str, notebook_defaults: defaults.Defaults, overrides: Mapping[str, Any]
) -> Iterator[str]:
    """What a user should hear: parameters at the top, a type that changed, a cell that sets the name again."""
    if not overrides:
        return
    if cells.parameters_index(node) is None:
        yield f"no cell is tagged `parameters`: {', '.join(overrides)} set at the top of the notebook"
    for name, item in overrides.items():
        default = notebook_defaults.values.get(name)
        if isinstance(item, str) and isinstance(default, (int, float)) and not isinstance(default, bool):
            yield f"{name} is a number in the notebook ({exact.text(default)}) and now the text {item!r}"
    if language != "python":
        return
    for cell in cells.code_cells(node):
        if not cell.is_injected and cells.PARAMETERS_TAG not in cell.tags:
            for name in sorted(overrides.keys() & defaults.python_names(cell.source)):
                yield f"cell {cell.number} ({cell.label}) sets {name} itself"


def _build_mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        duplicate = next(key for number, (key, _) in enumerate(pairs) if key in [name for name, _ in pairs[:number]])
        raise ValueError(f"the key {duplicate} stands there twice")
    return mapping
