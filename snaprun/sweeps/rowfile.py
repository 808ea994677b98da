"""Read the sets of parameters in a file: a row each. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from snaprun.errors import ParameterFault
from snaprun.notebooks import parameters, yamlvalue


def read_rows(text: str, name: str) -> list[dict[str, Any]]:
    """The sets of parameters in a file: a CSV with a head, a JSON or YAML list of mappings, or JSON lines.

    ``name`` tells which by its ending. CSV cells are typed as ``-p`` types them; an empty one sets nothing.

    Raises:
        ParameterFault: it is malformed, empty, or no list of mappings.
    """
    readers: Mapping[str, Callable[[str], Any]] = {
        ".csv": _csv,
        ".tsv": _csv,
        ".json": parameters.json_document,
        ".jsonl": _lines,
        ".yaml": yamlvalue.document,
        ".yml": yamlvalue.document,
    }
    reader = readers.get(PurePath(name).suffix.lower())
    if reader is None:
        raise ParameterFault(f"{name} is no .csv, .tsv, .json, .jsonl or .yaml file", hint="rename it to what it is")
    try:
        data = reader(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError, csv.Error) as error:
        message = " ".join(str(error).split())
        raise ParameterFault(f"{name} is malformed: {message}", hint=f"mend {name}") from error
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise ParameterFault(f"{name} is no list of mappings", hint="- {lr: 0.1, depth: 3}  # a line a run")
    if not data:
        raise ParameterFault(f"{name} has no rows", hint="a row a run")
    if not all(isinstance(key, str) for row in data for key in row):
        raise ParameterFault(f"{name} has names that are no text", hint=f"mend {name}")
    return data


def _csv(text: str) -> list[dict[str, Any]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # the comma where none is there
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    head = [name.strip() for name in next(reader, [])]
    if not head or not all(head) or len(set(head)) != len(head):
        raise ValueError("its first line is no list of different names")
    records = []
    for number, row in enumerate((row for row in reader if any(cell.strip() for cell in row)), start=1):
        if len(row) != len(head):
            raise ValueError(f"row {number} has {len(row)} cells, the head has {len(head)}")
        records.append({name: yamlvalue.value(cell) for name, cell in zip(head, row, strict=True) if cell.strip()})
    return records


def _lines(text: str) -> list[Any]:
    records = []
    for number, line in enumerate(text.split("\n"), start=1):  # a text in JSON may hold what else ends a line
        if line.strip():
            try:
                records.append(parameters.json_document(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {getattr(error, 'msg', error)}") from error
    return records
