"""Read a notebook's cells: numbers, labels, tags, the parameters cell, and the fingerprint of the code.

Works on plain nbformat 4 documents (dicts out of ``json``), so that the hook and the diff need no Jupyter package.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.errors import InputMissing
from snaprun.printable import clean

PARAMETERS_TAG = "parameters"
"""The tag of the cell with the default parameters: papermill's convention."""

INJECTED_TAG = "injected-parameters"
"""The tag of the cell that sets the parameters of one run."""

SKIP_TAG, ERROR_TAG = "skip-execution", "raises-exception"
"""Tags that nbclient honours: the cell does not run, even with the other tag; what it raises does not end the run."""

LABEL_WIDTH = 50

Node = dict[str, Any]
"""A notebook document of nbformat 4 with joined sources."""

KERNEL_LANGUAGES = {"ir": "r", "python2": "python", "python3": "python", "bash": "bash", "deno": "typescript"}
LANGUAGE_NAMES = {
    "ipython": "python",
    "python3": "python",
    "python2": "python",
    "sh": "bash",
    "shell": "bash",
    "c++11": "c++",
    "c++14": "c++",
    "c++17": "c++",
    "c++20": "c++",
    "c#": "csharp",
    "f#": "fsharp",
}
"""What kernels call a language, and what jupytext calls it."""


@dataclass(frozen=True)
class CodeCell:
    """A code cell with its number (see :func:`number_cells`); ``index`` is its place among all cells."""

    number: int
    index: int
    label: str
    source: str
    tags: tuple[str, ...] = ()
    id: str | None = None

    @property
    def is_injected(self) -> bool:
        """Whether a run put it there to set its parameters, however it is numbered."""
        return INJECTED_TAG in self.tags


def decode(raw: bytes, name: str) -> Node:
    """Read the JSON of an ``.ipynb`` file, of any nbformat, without looking into its cells.

    Raises:
        InputMissing: it is empty, cut off, not JSON, not text, full of merge markers, or no notebook at all.
    """
    if not raw.strip():
        raise InputMissing(f"{name} is empty", hint="open it in Jupyter and save it, or give another notebook")
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputMissing(
            f"{name} is not UTF-8 text (byte {error.start})", hint="save it again in Jupyter, which writes UTF-8"
        ) from error
    except json.JSONDecodeError as error:
        raise _not_json(raw, name, error) from error
    except (RecursionError, ValueError) as error:
        raise InputMissing(f"{name} is no readable JSON: {error}", hint=f"jupytext --test {name}") from error
    if not isinstance(document, dict):
        raise InputMissing(
            f"{name} is JSON, but no notebook (a {_kind(document)})", hint="give an .ipynb file that Jupyter wrote"
        )
    return document


def version(document: Mapping[str, Any]) -> int:
    """The major nbformat version of a document; 0 where it says none."""
    number = document.get("nbformat")
    return number if isinstance(number, int) and not isinstance(number, bool) else 0


def normalize(document: Mapping[str, Any], name: str) -> Node:
    """A document of nbformat 4 in the one shape that snaprun works with: a new one, ``document`` is left alone.

    Sources are joined, every cell has metadata, code cells have a list of outputs; outputs stay as they are.

    Raises:
        InputMissing: it has no cells where they belong, or a later nbformat.
    """
    if version(document) != 4:
        nbformat = document.get("nbformat", "none")
        raise InputMissing(
            f"{name} has notebook format {nbformat}, snaprun reads 2, 3 and 4", hint="open and save it in Jupyter"
        )
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise InputMissing(f"{name} has no list of cells", hint="give an .ipynb file that Jupyter wrote")
    metadata = document.get("metadata")
    return {
        **document,
        "metadata": metadata if isinstance(metadata, dict) else {},
        "nbformat_minor": document.get("nbformat_minor", 4),
        "cells": [_normalize_cell(cell, number, name) for number, cell in enumerate(cells, 1)],
    }


def find_language(document: Mapping[str, Any]) -> str:
    """The language of a notebook in lower case; ``python`` where nothing says otherwise."""
    metadata = _mapping(document.get("metadata"))
    kernelspec = _mapping(metadata.get("kernelspec"))
    candidates = (
        kernelspec.get("language"),
        _mapping(metadata.get("language_info")).get("name"),
        _mapping(metadata.get("jupytext")).get("main_language"),
    )
    for name in candidates:
        if isinstance(name, str) and name.strip():
            lower = name.strip().lower()
            return LANGUAGE_NAMES.get(lower, lower)
    kernel = str(kernelspec.get("name", "")).lower()
    if kernel.startswith("julia"):
        return "julia"
    return KERNEL_LANGUAGES.get(kernel, "python")


def find_kernel(node: Node) -> str | None:
    """The name of the kernelspec that the notebook asks for."""
    name = _mapping(node["metadata"].get("kernelspec")).get("name")
    return name if isinstance(name, str) and name else None


def read_tags(cell: Mapping[str, Any]) -> tuple[str, ...]:
    """The tags of a cell; a damaged list counts as none."""
    values = _mapping(cell.get("metadata")).get("tags")
    return tuple(tag for tag in values if isinstance(tag, str)) if isinstance(values, list) else ()


def is_skipped(cell: Mapping[str, Any]) -> bool:
    """Whether the cell is tagged not to run."""
    return SKIP_TAG in read_tags(cell)


def allows_error(cell: Mapping[str, Any]) -> bool:
    """Whether the cell is tagged to raise."""
    return ERROR_TAG in read_tags(cell)


def read_source(cell: Mapping[str, Any]) -> str:
    """The text of a cell, of a document that was not normalized too."""
    return join_lines(cell.get("source"))


def number_cells(document: Mapping[str, Any]) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    """Every code cell of a document, normalized or not, as (number, index among all cells, cell).

    These are the numbers that runs, logs, diffs and messages use. Code cells count from 1; the first injected cell is
    number 0 and does not count, so that a run with parameters has the numbers of its notebook. A second injected cell
    counts as any other: papermill's ``parameterize_notebook`` replaces the first one only, and engines execute both.
    """
    number = 0
    has_injected = False
    for index, cell in enumerate(document.get("cells", ())):
        if cell.get("cell_type") != "code":
            continue
        if not has_injected and INJECTED_TAG in read_tags(cell):
            has_injected = True
            yield 0, index, cell
        else:
            number += 1
            yield number, index, cell


def name_cells(document: Mapping[str, Any]) -> list[str]:
    """What messages call each cell: ``cell 3``, ``injected parameters``; text apart from code: ``markdown cell 1``."""
    numbers = {index: number for number, index, _ in number_cells(document)}
    names = []
    text_count = 0
    for index, cell in enumerate(document["cells"]):
        if index in numbers:
            names.append(f"cell {numbers[index]}" if numbers[index] else "injected parameters")
        else:
            text_count += 1
            names.append(f"{cell['cell_type']} cell {text_count}")
    return names


def code_cells(node: Node) -> list[CodeCell]:
    """The code cells in order, numbered and labelled."""
    cells = []
    for number, index, cell in number_cells(node):
        tags = read_tags(cell)
        previous = node["cells"][index - 1] if index else {}
        label = PARAMETERS_TAG if INJECTED_TAG in tags else _label(cell["source"], previous, tags)
        cells.append(CodeCell(number, index, label, cell["source"], tags, cell.get("id")))
    return cells


def parameters_index(node: Node) -> int | None:
    """Where the first code cell tagged ``parameters`` stands among all cells."""
    return _find_tagged(node, PARAMETERS_TAG)


def inject(node: Node, source: str) -> Node:
    """A new document with ``source`` as its injected cell: behind the ``parameters`` cell, else at the top.

    It replaces the injected cells of earlier runs, all of them, or one would set back what is given. At the top, a
    front-matter cell and a cell with ``from __future__`` stay first: a script would not work otherwise.
    """
    cells = without_injected(node)["cells"]
    place = _find_tagged({"cells": cells}, PARAMETERS_TAG)
    position = _top(cells) if place is None else place + 1
    injection: Node = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED_TAG]},
        "outputs": [],
        "source": source,
    }
    if node["nbformat_minor"] >= 5:
        injection["id"] = INJECTED_TAG
    return {**node, "cells": [*cells[:position], injection, *cells[position:]]}


def without_injected(node: Node) -> Node:
    """A new document without the cells that earlier runs injected."""
    return {**node, "cells": [cell for cell in node["cells"] if INJECTED_TAG not in read_tags(cell)]}


def normalize_source(source: str) -> str:
    """A cell's source without what editors and jupytext's round trip change: line ends, blank space at its ends."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def code_hash(node: Node) -> str:
    """The fingerprint of what would run: sha256 over the code cells and which of them holds the parameters.

    Prose, outputs, ids, empty cells, injected cells and white space at line ends do not count, so that a notebook, its
    paired script and its runs agree.
    """
    digest = hashlib.sha256()
    for cell in node["cells"]:
        source = normalize_source(cell["source"])
        tags = read_tags(cell)
        if cell["cell_type"] != "code" or INJECTED_TAG in tags or not source:
            continue
        kind = PARAMETERS_TAG if PARAMETERS_TAG in tags else "code"
        digest.update(f"{kind}\0{len(source)}\0{source}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def with_ids(node: Node) -> Node:
    """A new document whose cells have unique ids, made of their content where they have none."""
    ids: set[str] = set()
    cells = []
    for cell in node["cells"]:
        current_id = cell.get("id")
        name = (
            current_id
            if isinstance(current_id, str) and current_id and current_id not in ids
            else _content_id(cell, ids)
        )
        ids.add(name)
        cells.append({**cell, "id": name})
    return {**node, "cells": cells, "nbformat_minor": max(5, node["nbformat_minor"])}


def without_outputs(node: Node) -> Node:
    """A new document as before its first run."""
    return {
        **node,
        "cells": [
            {**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
            for cell in node["cells"]
        ],
    }


def join_lines(text: Any) -> str:
    """A multi-line text of a notebook, which may be a string or a list of lines."""
    if isinstance(text, list):
        return "".join(part for part in text if isinstance(part, str))
    return text if isinstance(text, str) else ""


def dump(node: Node) -> bytes:
    """The file that Jupyter would write of a document."""
    return (json.dumps(node, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8", "surrogatepass")


def _not_json(raw: bytes, name: str, error: json.JSONDecodeError) -> InputMissing:
    if raw.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in raw:
        return InputMissing(f"{name} has unresolved merge markers", hint=f"git mergetool -- {name}")
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
        return InputMissing(
            f"{name} is cut off (line {error.lineno}): the JSON does not end",
            hint="take it from an earlier commit (git log -- FILE) or from .ipynb_checkpoints",
        )
    return InputMissing(
        f"{name} is not a notebook: {error.msg} (line {error.lineno}, column {error.colno})",
        hint="give an .ipynb file that Jupyter wrote, or a text notebook with its own extension",
    )


def _normalize_cell(cell: Any, number: int, name: str) -> Node:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise InputMissing(f"{name}: cell {number} is damaged", hint="open it in Jupyter, mend it, and save it")
    metadata = cell.get("metadata")
    node = {
        **cell,
        "source": join_lines(cell.get("source")),
        "metadata": metadata if isinstance(metadata, dict) else {},
    }
    if cell["cell_type"] == "code":
        outputs = cell.get("outputs")
        output_nodes = [out for out in outputs if isinstance(out, dict)] if isinstance(outputs, list) else []
        node = {**node, "outputs": output_nodes, "execution_count": cell.get("execution_count")}
    return node


def _find_tagged(node: Mapping[str, Any], tag: str) -> int | None:
    for index, cell in enumerate(node["cells"]):
        if cell["cell_type"] == "code" and tag in read_tags(cell):
            return index
    return None


def _top(cells: list[Node]) -> int:
    """The first place where a cell of parameters can stand."""
    place = 0
    while place < len(cells) and cells[place]["cell_type"] == "raw":
        place += 1
    future = [
        index
        for index, cell in enumerate(cells)
        if cell["cell_type"] == "code" and re.search(r"^from\s+__future__\s+import\b", cell["source"], re.MULTILINE)
    ]
    return max([place, *(index + 1 for index in future)])


def _label(source: str, previous: Mapping[str, Any], tags: tuple[str, ...]) -> str:
    if PARAMETERS_TAG in tags:
        return PARAMETERS_TAG
    if previous.get("cell_type") == "markdown":
        for line in previous["source"].splitlines():
            heading = re.match(r"\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$", line)
            if heading and heading[1]:
                return _short(re.sub(r"[*_`]{1,3}|\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "", heading[1]))
    return _short(next(_candidates(source), ""))


def _candidates(source: str) -> Iterator[str]:
    """The first comment if the cell opens with one that says something, then the first line of code."""
    for line in source.splitlines():
        text = line.strip().removeprefix('"""').removesuffix('"""').strip()  # a docstring opens with what it is about
        comment = re.match(r"(?:#|//|--|;;|%(?![\w%]))+\s*(.*)", text)
        if comment is None and text:
            yield text
            return
        if comment and re.search(r"\w", comment[1]) and not re.match(r"!|%%|noqa|type:|pylint|fmt:", comment[1]):
            yield comment[1].strip(" -=#*")
            return


def _short(text: str) -> str:
    label = clean(text, " ", keep="").strip()
    return label if len(label) <= LABEL_WIDTH else label[: LABEL_WIDTH - 1].rstrip() + "…"


def _content_id(cell: Node, ids: set[str]) -> str:
    name = hashlib.sha256(
        f"{cell['cell_type']}\0{normalize_source(cell['source'])}".encode("utf-8", "surrogatepass")
    ).hexdigest()[:8]
    number = 2
    unique = name
    while unique in ids:
        unique = f"{name}-{number}"
        number += 1
    return unique


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    return {list: "list", str: "text", int: "number", float: "number", bool: "truth value", type(None): "null"}.get(
        type(value), type(value).__name__
    )
