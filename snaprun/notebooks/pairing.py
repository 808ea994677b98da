"""Pair a notebook with a script by jupytext: set its formats, write the script, overwrite nothing."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from snaprun import files
from snaprun.errors import Busy, CannotCreate, InputMissing, SnaprunError, UsageFault, os_fault
from snaprun.notebooks import halves, jsonedit, notebook
from snaprun.notebooks.half import CONFIG_NAMES, Config, Half, find_config


@dataclass(frozen=True)
class PairResult:
    """What was done: the scripts and whether each was written now; ``source``: the notebook, or a jupytext file."""

    notebook: Path
    scripts: tuple[tuple[Path, bool], ...]
    source: str
    formats_set: bool


def pair(path: Path, formats: str | None = None) -> PairResult:
    """Pair the notebook at ``path`` with a percent script beside it, or as jupytext's configuration says.

    Every byte of the notebook stays as it is but for ``metadata.jupytext.formats``. A pair that is set up and in sync
    is left alone; a script that is missing is written.

    Raises:
        InputMissing: no such notebook. CannotCreate: a file is in the way that is not its pair, or says other things.
        UsageFault: it is no ``.ipynb``, or ``formats`` makes no sense. Denied, WriteFault: it cannot be written.
    """
    if path.suffix != ".ipynb":
        raise UsageFault(f"{path.name} is no .ipynb notebook", hint="jupytext --to ipynb makes one of a text notebook")
    path = path.resolve()
    book = notebook.read(path)
    if book.notes:
        raise InputMissing(book.notes[0], hint=f"jupyter nbconvert --to notebook --inplace {path.name}")
    config = _config(path)
    members = halves.members(str(path), book.raw, config)
    raw = book.raw
    new_formats = formats or (None if members else f"ipynb,{notebook.script_extension(book.language)[1:]}:percent")
    if new_formats is not None:
        raw = _with_formats(book.raw, path, new_formats)
        members = halves.members(str(path), raw, config)
    text_halves = [half for half in members if not half.is_notebook]
    if not text_halves:
        raise UsageFault(f"the formats {new_formats} give {path.name} no script", hint="--formats ipynb,py:percent")
    new_halves = [half for half in text_halves if not _in_sync(raw, half, path.name)]
    texts = {Path(half.path): halves.text_from(raw, None, half) for half in new_halves}
    _write(path, book.raw, raw, texts)
    return PairResult(
        notebook=path,
        scripts=tuple((Path(half.path), Path(half.path) in texts) for half in text_halves),
        source=path.name if new_formats is not None or config is None or _has_formats(book) else config.path,
        formats_set=raw != book.raw,
    )


def _config(path: Path) -> Config | None:
    """jupytext's own search: from the notebook's folder upward, up to a ceiling that the environment may set."""
    ceilings = [Path(item) for item in os.environ.get("JUPYTEXT_CEILING_DIRECTORIES", "").split(os.pathsep) if item]
    folders = itertools.takewhile(lambda folder: folder not in ceilings, path.parents)
    return find_config((str(folder / name), _read(folder / name)) for folder in folders for name in CONFIG_NAMES)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _has_formats(book: notebook.Notebook) -> bool:
    options = book.node["metadata"].get("jupytext")
    return isinstance(options, dict) and bool(options.get("formats"))


def _with_formats(raw: bytes, path: Path, formats: str) -> bytes:
    bom = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    try:
        text = jsonedit.put(raw.decode("utf-8-sig"), ("metadata", "jupytext", "formats"), formats)
    except ValueError as error:
        raise InputMissing(f"{path.name} has odd metadata: {error}", hint="open it in Jupyter and save it") from error
    return bom + text.encode("utf-8", "surrogatepass")


def _in_sync(raw: bytes, half: Half, name: str) -> bool:
    """Whether the script is there and says what the notebook says.

    Raises:
        CannotCreate: it is there and says something else: it may hold somebody's only copy.
    """
    script = Path(half.path)
    try:
        text = script.read_bytes()
    except FileNotFoundError:
        if script.is_symlink():
            raise CannotCreate(f"{script.name} is a link to nowhere", hint=f"rm {script}") from None
        return False
    except OSError as error:
        raise CannotCreate(f"{script} is in the way: {error.strerror}", hint=f"ls -ld {script}") from error
    try:
        places = halves.find_differences(raw, text, half)
    except SnaprunError as error:
        raise CannotCreate(f"{script.name} is there and is no pair of {name}", hint=f"mv {script} elsewhere") from error
    if places:
        raise CannotCreate(
            f"{script.name} is there and differs from {name} ({', '.join(places[:3])})",
            hint=f"rename {script.name}; or, if it is the pair, jupytext --sync {name}",
        )
    return True


def _write(path: Path, before: bytes, after: bytes, scripts: dict[Path, bytes]) -> None:
    """Put all files in place or none: the scripts by exclusive links, then the notebook by a rename."""
    new_paths: list[Path] = []
    try:
        for script, text in scripts.items():
            script.parent.mkdir(parents=True, exist_ok=True)
            files.write_new(script, text, mode=None)
            new_paths.append(script)
        if after != before:
            _replace(path, before, after)
        for script in new_paths:
            os.utime(script)  # jupytext takes the half that is newer for the one to read
    except OSError as error:
        _undo(new_paths)
        raise _fault(path, error) from error
    except SnaprunError:
        _undo(new_paths)
        raise


def _replace(path: Path, before: bytes, after: bytes) -> None:
    with files.draft(path.parent, mode=files.mode_of(path)) as file:
        file.write(after)
        file.flush()
        os.fsync(file.fileno())  # it takes its time, and somebody may save the notebook meanwhile
        if path.read_bytes() != before:
            raise Busy(f"{path.name} was saved by somebody else just now", hint=f"snaprun pair {path.name}, once more")
        files.publish(file, path, durable=False)


def _undo(paths: list[Path]) -> None:
    for script in paths:
        script.unlink(missing_ok=True)


def _fault(path: Path, error: OSError) -> SnaprunError:
    if isinstance(error, FileExistsError):
        return CannotCreate(
            f"{error.filename2 or error.filename} has just been made by somebody else", hint="look at it"
        )
    return os_fault(error, f"cannot write beside {path.name}", path.parent)
