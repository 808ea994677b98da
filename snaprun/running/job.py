"""The former name of :data:`snaprun.programs.SLURM_JOB`."""

import runpy

from snaprun import programs

if __name__ == "__main__":
    runpy.run_module(programs.SLURM_JOB, run_name="__main__", alter_sys=True)
