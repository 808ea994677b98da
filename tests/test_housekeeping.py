"""What ``gc`` takes away."""

from __future__ import annotations

import os
import time

from snaprun.api.keep import STRANDED_AGE, collect
from snaprun.context import open_context
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
