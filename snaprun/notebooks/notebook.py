"""Read any notebook, and write its paired script: the one gate to jupytext and nbformat."""

from __future__ import annotations

import tokenize
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from snaprun.errors import Denied, InputMissing, Unavailable
from snaprun.notebooks import cells
from snaprun.notebooks.cells import CodeCell, Node
from snaprun.notebooks.slimimport import JUPYTER_EXTRAS, skip_imports

with skip_imports(*JUPYTER_EXTRAS):
    import jupytext
    import nbformat
    from jupytext.formats import guess_format
    from jupytext.languages import _SCRIPT_EXTENSIONS
    from nbformat.validator import NotebookValidationError

TEXT_EXTENSIONS = tuple(ext for ext in jupytext.NOTEBOOK_EXTENSIONS if ext != ".ipynb")
"""Extensions of the text notebooks that jupytext reads."""

SCRIPTS: dict[str, str] = {
    str(entry["language"]).lower(): extension for extension, entry in reversed(_SCRIPT_EXTENSIONS.items())
}
SCRIPTS.update(r=".r", octave=".m")
"""The extension of a script in each language, by its lower-case name."""

NAMES = {str(properties["language"]).lower(): str(properties["language"]) for properties in _SCRIPT_EXTENSIONS.values()}
"""jupytext's own spelling of each language."""

METADATA_FILTER = "tags,title,id,region_name,-all"
"""What the paired script keeps of a cell's metadata: without ``tags`` the parameters cell would be lost."""


@dataclass(frozen=True)
class Notebook:
    """A notebook as it was read: the exact bytes, and the nbformat 4 document that they mean."""

    path: Path
    raw: bytes
    node: Node
    language: str
    kernel: str | None
    is_text: bool = False
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> list[CodeCell]:
        """The code cells with their numbers and labels, all but number 0."""
        return [cell for cell in cells.code_cells(self.node) if cell.number]

    @property
    def parameters(self) -> int | None:
        """The index of the cell tagged ``parameters`` among all cells."""
        return cells.parameters_index(self.node)

    @property
    def code_hash(self) -> str:
        """The fingerprint of the code, see :func:`snaprun.notebooks.cells.code_hash`."""
        return cells.code_hash(self.node)


def read(path: Path) -> Notebook:
    """Read a notebook from a file: ``.ipynb`` of nbformat 2 to 4, or any text notebook that jupytext knows.

    Raises:
        InputMissing: there is no such file, or it is no notebook.
        Denied: it may not be read.
        Unavailable: its format needs a program (quarto, pandoc, marimo) that is not installed.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # reading a pipe or a device may never end
            raise InputMissing(f"{path} is no regular file", hint=f"ls -l {path}")
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputMissing(f"there is no notebook {path}", hint=_list_siblings(path)) from error
    except IsADirectoryError as error:
        raise InputMissing(f"{path} is a folder", hint="name a notebook in it") from error
    except PermissionError as error:
        raise Denied(f"{path} may not be read", hint=f"ls -l {path}") from error
    except (OSError, ValueError) as error:  # a name too long, a NUL in it
        raise InputMissing(f"{path} cannot be read: {error}", hint="ls -l") from error
    return parse(raw, path)


def parse(raw: bytes, path: Path) -> Notebook:
    """The notebook that ``raw`` means under the name ``path``; no file is read. Raises as :func:`read` does."""
    name = path.name
    notes: tuple[str, ...] = ()
    extension = path.suffix
    if extension == ".ipynb":
        document = cells.decode(raw, name)
        if cells.version(document) in (2, 3):
            notes = (f"{name} has the old notebook format {document['nbformat']}; the run uses format 4",)
            document = _upgrade(document, name)
        node = cells.normalize(document, name)
        node = cells.with_ids(node) if node["nbformat_minor"] >= 5 else node  # a damaged one may lack some
    elif extension in TEXT_EXTENSIONS:
        node = cells.normalize(_from_text(_decode(raw, name), extension, name), name)
        notes = ()
    else:
        extensions = " ".join((".ipynb", *TEXT_EXTENSIONS[:8]))
        raise InputMissing(
            f"{name} is no notebook by its extension", hint=f"known are {extensions} and what jupytext reads"
        )
    return Notebook(
        path=path,
        raw=raw,
        node=node,
        language=cells.find_language(node),
        kernel=cells.find_kernel(node),
        is_text=extension != ".ipynb",
        notes=notes,
    )


def script(node: Node, language: str) -> tuple[str, str]:
    """The paired script of a notebook in jupytext's percent format: its extension and its text.

    The header keeps the kernel and leaves jupytext's own version out, so that an upgrade of jupytext changes no script.
    """
    extension = script_extension(language)
    metadata: dict[str, Any] = {
        "jupytext": {
            "notebook_metadata_filter": "kernelspec,-all",
            "cell_metadata_filter": METADATA_FILTER,
            "main_language": NAMES.get(language, language),
        }
    }
    kernelspec = node["metadata"].get("kernelspec")
    if isinstance(kernelspec, dict):
        metadata["kernelspec"] = kernelspec
    document = nbformat.from_dict({**cells.without_outputs(node), "metadata": metadata})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jupytext warns of minor formats that it does not know yet
        text = jupytext.writes(document, fmt={"extension": extension, "format_name": "percent"})
    return extension, text if text.endswith("\n") else text + "\n"


def script_extension(language: str) -> str:
    """The extension of a script in ``language``; of one that jupytext does not know, that of Python."""
    return SCRIPTS.get(language, ".py")


def is_notebook(path: Path) -> bool:
    """Whether the extension is one that :func:`read` takes."""
    return path.suffix == ".ipynb" or path.suffix in TEXT_EXTENSIONS


def _upgrade(document: Node, name: str) -> Node:
    try:
        return _without_random_ids(dict(nbformat.convert(nbformat.reader.reads(_dump(document)), 4)))
    except (KeyError, TypeError, ValueError, AttributeError, NotebookValidationError) as error:
        raise InputMissing(
            f"{name} is a damaged notebook of format {document.get('nbformat')}: {error}",
            hint=f"jupyter nbconvert --to notebook --inplace {name}",
        ) from error


def _dump(document: Node) -> str:
    return cells.dump(document).decode("utf-8", "surrogatepass")


def _decode(raw: bytes, name: str) -> str:
    """Decode a text notebook; a coding line as Python's own is heeded."""
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(raw).readline)
        return raw.decode(encoding).replace("\r\n", "\n")
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise InputMissing(f"{name} is not UTF-8 text: {error}", hint=f"file {name} shows what it is") from error


def _from_text(text: str, extension: str, name: str) -> Node:
    if extension in _SCRIPT_EXTENSIONS and _is_plain(text, extension):
        return cells.with_ids(_wrap_cell(text, str(_SCRIPT_EXTENSIONS[extension]["language"])))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = jupytext.reads(text, fmt={"extension": extension})
    except (OSError, ImportError, RuntimeError) as error:
        hint = "install that program, or make an .ipynb of it where you have it"
        raise Unavailable(f"{name} cannot be read here: {error}", hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotebookValidationError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise InputMissing(f"jupytext cannot read {name}: {reason}", hint=f"jupytext --to ipynb {name}") from error
    return _without_random_ids(dict(document))


def _without_random_ids(node: Node) -> Node:
    """Ids of the content in place of nbformat's random ones: the same bytes must mean the same notebook."""
    for cell in node["cells"]:
        cell.pop("id", None)
    return cells.with_ids(node)


def _is_plain(text: str, extension: str) -> bool:
    """Whether a script has no sign of cells; jupytext would cut it at its blank lines."""
    comment = str(_SCRIPT_EXTENSIONS[extension]["comment"])
    lines = [line.strip() for line in text.splitlines()]
    if lines[:1] == [f"{comment} ---"] or any(line.startswith(f"{comment} +") for line in lines):
        return False
    return bool(guess_format(text, extension)[0] == "light")


def _wrap_cell(text: str, language: str) -> Node:
    source = text.strip("\n")
    cell: Node = {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    return {
        "cells": [cell] if source.strip() else [],
        "metadata": {"jupytext": {"main_language": language}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _list_siblings(path: Path) -> str:
    """The notebooks in the folder where one was looked for."""
    try:
        names = sorted(item.name for item in path.parent.iterdir() if item.suffix == ".ipynb")
    except OSError:
        return f"there is no folder {path.parent}"
    if not names:
        return f"there is no notebook in {path.parent}"
    ellipsis = " …" if len(names) > 5 else ""
    return f"notebooks there: {' '.join(names[:5])}{ellipsis}"
