"""Take things out of a run: its files, its executed notebook, its outputs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from snaprun import files
from snaprun.context import Context
from snaprun.errors import CannotCreate, DataFault, InputMissing, Unavailable, os_fault
from snaprun.git import export
from snaprun.git.gitrepo import GitRepo
from snaprun.hooks import strip
from snaprun.lifecycle import logs, rundocument
from snaprun.live import livefolder, replay
from snaprun.model import SNAP_DIR, Run
from snaprun.reader import find


def file_of(context: Context, selector: str, path: str) -> Iterator[bytes]:
    """A file of a run's tree, of its result where it has one, in pieces; ``path`` is from the top of the repository.

    Raises:
        DataFault: there is no such run, or it has no such file.
    """
    run = find(context, selector)
    repo = GitRepo(context.place)
    if path == f"{SNAP_DIR}/log.txt":
        yield from logs.Log(repo, run).pieces()
        return
    content = repo.blob(run.commit, path)
    if content is None:
        raise _no_file(run, path)
    yield content


def executed_notebook(context: Context, run: Run) -> bytes:
    """The executed notebook of a run, as bytes of an ``.ipynb``: of one in progress with every output so far.

    Raises:
        DataFault: the run has none.
    """
    repo = GitRepo(context.place)
    folder = livefolder.find(context.place, run.id)
    if folder is not None:
        return replay.render(
            replay.replay_live(folder, rundocument.load_document(repo, folder, folder.spec())).notebook
        )
    content = repo.blob(run.commit, f"{SNAP_DIR}/executed.ipynb")
    if content is None:
        raise DataFault(f"run {run.id[:8]} has no executed notebook: it is {run.status}", hint="snaprun history")
    return content


def write_notebook(context: Context, selector: str, output: Path | None = None, *, force: bool = False) -> Path:
    """Write the executed notebook of a run to a file, by default in a temporary folder; its path.

    Raises:
        DataFault: there is no such run, or it has no executed notebook.
        CannotCreate: there is such a file already, and ``force`` is not set.
    """
    run = find(context, selector)
    content = executed_notebook(context, run)
    if output is None:
        output = Path(tempfile.mkdtemp(prefix="snaprun-"), f"{Path(run.notebook).stem}-{run.id[:8]}.ipynb")
    output = Path(os.path.abspath(context.cwd / output))
    _write(output, content, force=force)
    return output


def restore(
    context: Context, selector: str, paths: Sequence[str] = (), *, target: Path | None = None, force: bool = False
) -> list[Path]:
    """Write files of a run to disk, into ``target`` or over the work tree; the paths written.

    Raises:
        CannotCreate: a file is there already, and ``force`` is not set (then nothing is written at all).
        DataFault: the run has no such file.
    """
    run = find(context, selector)
    repo = GitRepo(context.place)
    if target is None and not paths:
        raise Unavailable("the whole tree would go over your work tree", hint=f"snaprun restore {selector} --to FOLDER")
    root = Path(os.path.abspath(context.cwd / target)) if target else context.place.top
    selection = [os.path.normpath(path) for path in paths]
    entries = [
        entry for entry in repo.tree(run.commit) if not selection or any(_below(entry.path, path) for path in selection)
    ]
    for path in selection:
        if not any(_below(entry.path, path) for entry in entries):
            raise _no_file(run, path)
    conflicts = [entry.path for entry in entries if os.path.lexists(root / entry.path)]
    if conflicts and not force:
        suffix = f" and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
        raise CannotCreate(f"{conflicts[0]}{suffix} would be overwritten", hint="--to FOLDER, or --force")
    return export.write(repo, run.commit, entries, root)


def restore_outputs(context: Context, selector: str, path: str | None = None) -> tuple[Path, strip.Restoration]:
    """Put the outputs of a run into its notebook (or the one at ``path``) as it is in the work tree now.

    Raises:
        InputMissing: there is no such notebook, or it is a text notebook. DataFault: it has no code of that run.
    """
    run = find(context, selector)
    target = Path(os.path.abspath(context.cwd / path)) if path else context.place.top / run.notebook
    if target.suffix != ".ipynb":
        raise InputMissing(f"{target.name} is a text notebook: it stores no outputs", hint=f"snaprun open {selector}")
    try:
        content = target.read_bytes()
    except OSError as error:
        raise InputMissing(f"{target} cannot be read: {error.strerror}", hint=f"snaprun open {selector}") from error
    restoration = strip.restore_outputs(content, executed_notebook(context, run))
    try:
        files.overwrite(target, restoration.content)
    except OSError as error:
        raise os_fault(error, f"cannot write {target}", target.parent, otherwise=CannotCreate) from error
    return target, restoration


def _write(path: Path, content: bytes, *, force: bool) -> None:
    if path.exists() and not force:
        raise CannotCreate(f"{path} is there already", hint="--force overwrites it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise os_fault(error, f"cannot write {path}", path.parent, otherwise=CannotCreate) from error
    is_special = path.exists() and not path.is_file()
    files.export(path if is_special else path.resolve(), content)  # a link stays one, and its target is written


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _no_file(run: Run, path: str) -> DataFault:
    command = f"git ls-tree -r --name-only {run.commit[:12]}"
    return DataFault(f"run {run.id[:8]} has no file {path}", hint=command)
