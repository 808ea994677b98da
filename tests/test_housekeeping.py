"""What ``gc`` takes away."""

from __future__ import annotations

import os
import time

from snaprun.api.keep import STRANDED_AGE, collect
from snaprun.context import open_context
from snaprun.files import DRAFT_PREFIX, HALF_MADE_AGE
from tests.sandbox import Sandbox


def test_a_snapshot_that_nobody_started_is_forgotten_after_a_day(repo: Sandbox) -> None:
    head = repo.git("rev-parse", "HEAD").strip()
    repo.git("update-ref", f"refs/snaprun/incoming/{head}", head)
    here, now = open_context(repo.path, os.environ), time.time()
    with repo.untouched():
        collect(here, keep_slots=0, now=now + STRANDED_AGE - 60)
        assert repo.git("for-each-ref", "refs/snaprun") != ""
        collect(here, keep_slots=0, now=now + STRANDED_AGE + 60)
        assert repo.git("for-each-ref", "refs/snaprun") == ""


def test_what_killed_writers_left_goes_after_an_hour_and_nothing_of_a_run(repo: Sandbox) -> None:
    repo.notebook("nb.ipynb", f"open({DRAFT_PREFIX + 'users'!r}, 'w').close()")
    assert repo.snaprun("exec", "nb.ipynb", "-q").returncode == 0
    here, now = open_context(repo.path, os.environ), time.time()
    state = here.place.state
    folders = [state, here.place.queue, here.place.search_marks, here.place.searches / "1f", state / "slots"]
    drafts = [folder / f"{DRAFT_PREFIX}{number}" for number, folder in enumerate(folders)]
    for draft in drafts:
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text("half")
    kept = [*state.glob(f"slots/*/{DRAFT_PREFIX}users"), state / "repo"]
    assert len(kept) == 2
    collect(here, keep_slots=1, now=now)
    assert all(path.exists() for path in (*drafts, *kept))
    collect(here, keep_slots=1, now=now + HALF_MADE_AGE + 60)
    assert not any(draft.exists() for draft in drafts)
    assert all(path.exists() for path in kept)
