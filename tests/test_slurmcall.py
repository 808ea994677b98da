"""What is typed for Slurm, and what its commands find in their environment; no Slurm is needed."""

from __future__ import annotations

import pytest

from snaprun.errors import UsageFault
from snaprun.launchers.slurmcall import env_of, parse_options


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", {}),
        ("hold", {"hold": ""}),
        ("gres=gpu:1,mem=4G", {"gres": "gpu:1", "mem": "4G"}),
        ("--partition=gpu , mem = 4G,", {"partition": "gpu", "mem": "4G"}),
        ("nodelist=a[1-3,5],time=5", {"nodelist": "a[1-3,5]", "time": "5"}),
        ('partition="a,b",time=5', {"partition": "a,b", "time": "5"}),
        ("comment='it said \"a, b\"'", {"comment": 'it said "a, b"'}),
        ("constraint=[r1|r2]&ib,time=1-12:00", {"constraint": "[r1|r2]&ib", "time": "1-12:00"}),
        ("dependency='afterok:1,afterok:2'", {"dependency": "afterok:1,afterok:2"}),
        ("git-url=ssh://me@[::1]/p?a=b,dir=/far", {"git-url": "ssh://me@[::1]/p?a=b", "dir": "/far"}),
    ],
)
def test_options_as_typed(typed: str, meant: dict[str, str]) -> None:
    assert parse_options(typed) == meant


@pytest.mark.parametrize("typed", ["partition='a,b", 'comment="a', "nodelist=a[1-3", "nodelist=a]"])
def test_what_is_left_open_is_refused(typed: str) -> None:
    with pytest.raises(UsageFault, match="left open"):
        parse_options(typed)


def test_a_job_of_a_job_is_another_one() -> None:
    outer = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_MEM_PER_NODE": "1", "SLURM_CONF": "/s", "SLURM_JOB_ID": "7", "X": "1"}
    assert set(env_of(outer)) & set(outer) == {"SLURM_CONF", "X"}
    assert env_of({"SLURM_MPI_TYPE": "pmix"})["SLURM_MPI_TYPE"] == "pmix"


def test_what_hides_jobs_from_a_user_hides_none_from_us() -> None:
    turned = ("SQUEUE_PARTITION", "SCANCEL_STATE", "SLURM_TIME_FORMAT", "SBATCH_WAIT", "SBATCH_ARRAY_INX")
    assert set(env_of(dict.fromkeys((*turned, "SBATCH_ACCOUNT"), "x"))) & {*turned, "SBATCH_ACCOUNT"} == {
        "SBATCH_ACCOUNT"
    }
