"""What Slurm says of a job, asked from where it runs."""

from __future__ import annotations

import os
import re
import subprocess

from snaprun.launchers.slurmcall import plain
from snaprun.launchers.slurmstates import ENDINGS


def scontrol(*words: str, patience: float = 10.0) -> subprocess.CompletedProcess[str]:
    """Call scontrol; what it cannot answer in time is no answer."""
    call, env = ["scontrol", *words], plain(os.environ)
    try:
        return subprocess.run(call, capture_output=True, text=True, timeout=patience, check=False, env=env)
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(words, 1, "", "")


def why_ended(job: str, restarts: int) -> str | None:
    """Why Slurm ends a job that it had started again so often; None where it does not end it. One that is being ended
    reads COMPLETING, whatever it will read afterwards."""
    said = scontrol("show", "job", "-o", job, patience=2.0).stdout
    about = dict(re.findall(r" (JobState|PreemptTime|Restarts)=(\S+)", said))
    if int(about.get("Restarts", 0)) > restarts:
        return "the job is to be started again"
    if about.get("PreemptTime", "None") != "None":
        return ENDINGS["PREEMPTED"][2]
    state = about.get("JobState", "")
    return ENDINGS[state][2] if state in ENDINGS else "the job was ended" if state == "COMPLETING" else None
