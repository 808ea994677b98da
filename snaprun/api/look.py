"""Everything of one run, as ``show`` tells it."""

from __future__ import annotations

from typing import Any

from snaprun import records
from snaprun.context import Context
from snaprun.git.gitrepo import GitRepo
from snaprun.model import SNAP_DIR, Details, Run, parse_document
from snaprun.reader import find


def details(context: Context, selector: str) -> Details:
    """Everything of one run. Raises DataFault as :func:`find` does, and where what is stored is damaged."""
    run = find(context, selector)
    repo = GitRepo(context.place)
    return Details(
        run=run,
        spec=records.read_spec(repo, run.id),
        result=records.read_result(repo, run.id),
        environment=_environment(repo, run),
    )


def _environment(repo: GitRepo, run: Run) -> dict[str, Any]:
    raw = repo.blob(run.commit, f"{SNAP_DIR}/environment.json")
    return dict(parse_document(raw)) if raw else {}
