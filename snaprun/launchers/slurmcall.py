"""Call Slurm's commands: with the user's options for sbatch, and an environment that does not turn their meaning."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence

from snaprun.errors import Unavailable, UsageFault
from snaprun.launchers import Site
from snaprun.live.supervision import supervisor_env

OWN_OPTIONS = (
    *("array", "chdir", "clusters", "error", "export", "gid", "help", "input", "open-mode", "output", "parsable"),
    *("signal", "test-only", "uid", "usage", "version", "wait", "wrap"),
)
"""Options of sbatch that a run needs as snaprun sets them, or that submit nothing that it could find again. sbatch
takes the beginning of a name for the name."""

JOBS = "jobs"
"""The option that is not sbatch's: how many runs of an array may work at a time."""

DEPENDENCY = "dependency"
NO_REQUEUE = "no-requeue"

PATIENCE = 30
"""Seconds that a command of Slurm may take; a busy controller lets it wait."""

OVERRIDES = re.compile(r"(SQUEUE|SCANCEL|SACCT|SCONTROL)_|SLURM_TIME_FORMAT$|SBATCH_(ARRAY_INX|SIGNAL|WAIT|CLUSTERS)$")
"""Variables by which a user makes Slurm's commands hide jobs, ask back, write times in another way, or submit
something else: good for a person, not for us."""

CLUSTER_VARIABLES = ("SLURM_CLUSTERS", "SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")
"""What of the environment of a job holds for another one too. The rest says which job it is, and what it may use."""

PIECE = re.compile(r"""(?:[^,\[\]"']|\[[^\]]*\]|"[^"]*"|'[^']*')+""")
QUOTE = re.compile(r'"([^"]*)"|\'([^\']*)\'')


def parse_options(text: str) -> dict[str, str]:
    """Options as typed: ``name=value`` or ``name``, between commas. What is in quotes or brackets is one piece.

    Raises:
        UsageFault: a quote or a bracket is left open.
    """
    if re.sub(r"[,\s]", "", PIECE.sub("", text)):
        hint = "--slurm 'nodelist=n[1-3,5],partition=\"a,b\"'"
        raise UsageFault(f"--slurm {text}: a quote or a bracket is left open", hint=hint)
    parts = [piece.strip().lstrip("-").partition("=") for piece in PIECE.findall(text)]
    return {name.strip(): _unquote(value.strip()) for name, _, value in parts if name.strip()}


def sbatch(site: Site, options: Sequence[str], script: str) -> str:
    """Call sbatch with the user's options and these; its answer.

    Raises:
        Unavailable: there is no Slurm, or its controller does not answer. UsageFault: it refuses an option.
    """
    process = call(site, "sbatch", "--parsable", *_sbatch_options(site.options), *options, script=script)
    if process.returncode == 0:
        return process.stdout
    reason = first_error(process.stderr)
    if is_unreachable(process.stderr):
        raise Unavailable(f"Slurm does not answer: {reason}", hint="scontrol ping; sinfo")
    raise UsageFault(f"Slurm refuses the job: {reason}", hint="sinfo; --slurm partition=NAME,time=4:00:00,gres=gpu:1")


def call(site: Site, *command: str, script: str | None = None) -> subprocess.CompletedProcess[str]:
    """Call one of Slurm's commands. Raises Unavailable where there is none, or no answer comes."""
    try:
        return subprocess.run(
            command, input=script, env=env_of(site.env), capture_output=True, text=True, timeout=PATIENCE,
            check=False, stdin=None if script is not None else subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unavailable(f"there is no {command[0]} here", hint="call snaprun on a login node") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} gave no answer within {PATIENCE} s", hint="scontrol ping") from error


def env_of(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of Slurm's commands, and so of a job that they submit: in a job, without what that job is."""
    in_job = "SLURM_JOB_ID" in env
    variables = plain_env(supervisor_env(env)).items()
    return {
        name: value
        for name, value in variables
        if not (in_job and name.startswith("SLURM_") and name not in CLUSTER_VARIABLES)
    }


def plain_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without what turns the meaning of Slurm's commands."""
    return {name: value for name, value in env.items() if not OVERRIDES.match(name)}


def is_unreachable(text: str) -> bool:
    """Whether Slurm's words mean that its controller cannot be reached, which says nothing about a job."""
    return any(phrase in text for phrase in ("Unable to contact", "Connection refused", "timed out", "authentication"))


def first_error(text: str) -> str:
    """The first of Slurm's complaints."""
    lines = [re.sub(r"^s\w+: (?:error|fatal): ", "", line.strip()) for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "it gave no reason"


def _unquote(value: str) -> str:
    return QUOTE.sub(lambda match: match[1] or match[2] or "", value)


def _sbatch_options(options: Mapping[str, str]) -> list[str]:
    """The user's options for sbatch.

    Raises:
        UsageFault: one of them is snaprun's own, or no option at all.
    """
    arguments = []
    for name, value in options.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]+", name):
            hint = (
                "long names only: --slurm 'partition=gpu,time=4:00:00'; commas in quotes: --slurm 'partition=\"a,b\"'"
            )
            raise UsageFault(f"--slurm {name}: that is no option of sbatch", hint=hint)
        if any(option.startswith(name) for option in OWN_OPTIONS):
            raise UsageFault(f"--slurm {name}: that is not yours to set", hint="--slurm partition=gpu,time=4:00:00")
        if name == DEPENDENCY:  # it goes together with our own
            continue
        if name != JOBS:
            arguments.append(f"--{name}={value}" if value else f"--{name}")
        elif not re.fullmatch(r"[1-9]\d*", value):
            raise UsageFault(f"--slurm jobs={value}: want a whole number", hint="--slurm jobs=4")
    return arguments
