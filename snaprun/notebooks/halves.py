"""Find and compare the two halves of a jupytext pair, and make one out of the other, from their bytes alone."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snaprun.errors import InputMissing, SettingsFault
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.half import Config, Half
from snaprun.notebooks.notebook import TEXT_EXTENSIONS, parse
from snaprun.notebooks.opcodes import find_changes
from snaprun.notebooks.slimimport import JUPYTER_EXTRAS, skip_imports

with skip_imports(*JUPYTER_EXTRAS):
    import jupytext
    import nbformat
    from jupytext.combine import combine_inputs_with_outputs
    from jupytext.config import JupytextConfigurationError, load_jupytext_configuration_file, notebook_formats
    from jupytext.formats import JupytextFormatError, read_metadata
    from jupytext.paired_paths import InconsistentPath, paired_paths

Key = tuple[str, str, tuple[str, ...]]


def members(path: str, content: bytes, config: Config | None) -> list[Half]:
    """The files that make a pair with ``path`` (itself included), by what it says or what the configuration says.

    Nothing where it stands alone.

    Raises:
        InputMissing: ``content`` is no notebook.
        SettingsFault: the configuration, or the formats that the file names, cannot be understood.
    """
    extension = os.path.splitext(path)[1]
    with _translate_faults(path):
        metadata = _metadata(path, content)
        settings = _settings(config)
        formats = notebook_formats({"metadata": metadata}, settings, path, fallback_on_current_fmt=False)
        if not formats:
            return []
        file_format: dict[str, Any] = {"extension": extension}
        name = metadata.get("jupytext", {}).get("text_representation", {}).get("format_name")
        if name and extension != ".ipynb":
            file_format["format_name"] = name
        try:
            pairs = paired_paths(path, file_format, formats)
        except InconsistentPath:
            return []
    return [Half(os.path.normpath(name), _options(fmt, settings)) for name, fmt in pairs] if len(pairs) > 1 else []


def find_differences(notebook: bytes, text: bytes, half: Half) -> tuple[str, ...]:
    """Where a notebook and its text half say different things, in the notebook's own numbers; empty: in sync.

    Outputs, cell ids, jupytext's version and other noise of the header do not count.

    Raises:
        InputMissing: one of them is no notebook.
    """
    with _translate_faults(half.path):
        fresh_text = jupytext.writes(_without_outputs(notebook), fmt=dict(half.format))
        if _body(fresh_text) == _body(_decode(half.path, text)):
            return ()
        fresh_node = _read(half, fresh_text)
        notebook_keys = _keys(fresh_node)
        text_keys = _keys(_read(half, _decode(half.path, text)))
        names = _names(_without_outputs(notebook))
        if len(names) != len(notebook_keys):  # the format joins cells, or splits them
            names = _names(fresh_node)
    return tuple(_places(names, notebook_keys, text_keys))


def text_from(notebook: bytes, text: bytes | None, half: Half) -> bytes:
    """The text half as it has to be for this notebook; line ends as in the old one."""
    with _translate_faults(half.path):
        content: str = jupytext.writes(_without_outputs(notebook), fmt=dict(half.format))
    content = content if content.endswith("\n") else content + "\n"
    if text is not None and b"\r\n" in text:
        content = content.replace("\n", "\r\n")
    return content.encode("utf-8", "surrogatepass")


def notebook_from(text: bytes, notebook: bytes | None, half: Half) -> bytes:
    """The notebook as it has to be for this text half: the outputs of unchanged cells are kept."""
    with _translate_faults(half.path):
        node = _read(half, _decode(half.path, text))
        if notebook is not None:
            node = combine_inputs_with_outputs(node, _node(notebook), fmt=dict(half.format))
            if node.nbformat_minor < 5:
                for cell in node.cells:
                    cell.pop("id", None)
        content: str = nbformat.writes(node, version=nbformat.NO_CONVERT)
    return (content + "\n").encode("utf-8", "surrogatepass")


def document(path: str, content: bytes) -> Node:
    """The plain notebook document that any notebook file means, text notebooks included.

    Raises:
        InputMissing: it is no notebook.
    """
    return parse(content, Path(path)).node


def _node(notebook: bytes) -> Any:
    """A notebook as nbformat's own object."""
    return nbformat.from_dict(cells.normalize(cells.decode(notebook, "x.ipynb"), "x.ipynb"))


def _metadata(path: str, content: bytes) -> Any:
    """What either half says of itself; a text's header alone, since reading its cells takes a hundred times longer."""
    if path.endswith(".ipynb"):
        return nbformat.from_dict(cells.normalize(cells.decode(content, path), path)["metadata"])
    extension = os.path.splitext(path)[1]
    if extension not in TEXT_EXTENSIONS:
        raise InputMissing(f"{path} is no notebook by its extension", hint="jupytext --help")
    return nbformat.from_dict(read_metadata(_decode(path, content), extension))


def _read(half: Half, text: str) -> Any:
    return jupytext.reads(text, fmt=dict(half.format))


def _decode(path: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputMissing(f"{path} is not UTF-8 text", hint=f"file {path} shows what it is") from error


def _without_outputs(notebook: bytes) -> Any:
    """A notebook without outputs as nbformat's own object: jupytext does not write them, and copies them first."""
    return nbformat.from_dict(cells.without_outputs(cells.normalize(cells.decode(notebook, "x.ipynb"), "x.ipynb")))


def _body(text: str) -> str:
    """A text notebook without its header: there jupytext notes its own version."""
    lines = text.replace("\r\n", "\n").split("\n")
    rule = next((line for line in lines if line.strip()), "")
    if rule.rstrip().endswith("---") and len(rule.rstrip()) <= 6:
        marks = [number for number, line in enumerate(lines) if line.rstrip() == rule.rstrip()]
        if len(marks) > 1:
            lines = lines[marks[1] + 1 :]
    return "\n".join(lines).strip("\n")


def _keys(node: Any) -> list[Key]:
    """What counts of each cell: kind, source, and which one holds the parameters."""
    keys = []
    for cell in node["cells"]:
        if _says_something(cell):
            kind = str(cell["cell_type"])
            keys.append((kind, cells.normalize_source(cells.read_source(cell)), _roles(cell) if kind == "code" else ()))
    return keys


def _names(node: Any) -> list[str]:
    """What messages call the cells that count."""
    return [name for name, cell in zip(cells.name_cells(node), node["cells"], strict=True) if _says_something(cell)]


def _says_something(cell: Any) -> bool:
    """Whether a cell counts: an empty one may be in one half only."""
    return bool(cells.normalize_source(cells.read_source(cell)) or _roles(cell))


def _roles(cell: Any) -> tuple[str, ...]:
    """The tags by which a cell holds parameters."""
    return tuple(sorted({cells.PARAMETERS_TAG, cells.INJECTED_TAG}.intersection(cells.read_tags(cell))))


def _places(names: list[str], notebook_keys: list[Key], text_keys: list[Key]) -> Iterator[str]:
    """Name the cells of the notebook that differ; one that only the text has is named by the one before it."""
    for tag, start, end, _, _ in find_changes(notebook_keys, text_keys):
        if tag in ("replace", "delete"):
            yield from names[start:end]
        elif tag == "insert":
            yield f"after {names[start - 1]}" if start else "at the top"


def _options(fmt: Any, settings: Any) -> Mapping[str, Any]:
    """A format with what the configuration says on how to write and read it (headings, magics, cell markers)."""
    options = dict(fmt)
    if settings is not None and options.get("extension") != ".ipynb":
        settings.set_default_format_options(options)
        settings.set_default_format_options(options, read=True)
    return options


def _settings(config: Config | None) -> Any:
    if config is None:
        return None
    try:
        return load_jupytext_configuration_file(config.path, config.content.decode("utf-8"))
    except (ValueError, KeyError, AttributeError) as error:
        raise SettingsFault(f"{config.path}: {error}", hint="mend it, and stage it again") from error


@contextmanager
def _translate_faults(path: str) -> Iterator[None]:
    """Turn jupytext's faults into ours, and keep its warnings to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (JupytextFormatError, JupytextConfigurationError) as error:
            raise SettingsFault(f"{path}: {error}", hint="jupytext --set-formats ipynb,py:percent NOTEBOOK") from error
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputMissing(f"jupytext cannot read {path}: {error}", hint=f"jupytext --test {path}") from error
