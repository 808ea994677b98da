"""The former name of :data:`snaprun.programs.WORKER`."""

import runpy

from snaprun import programs

if __name__ == "__main__":
    runpy.run_module(programs.WORKER, run_name="__main__", alter_sys=True)
