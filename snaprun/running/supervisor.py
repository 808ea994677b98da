"""The former name of :data:`snaprun.programs.SUPERVISOR`."""

import runpy

from snaprun import programs

if __name__ == "__main__":
    runpy.run_module(programs.SUPERVISOR, run_name="__main__", alter_sys=True)
