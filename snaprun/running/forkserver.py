"""The former name of :data:`snaprun.programs.FORK_SERVER`."""

import runpy

from snaprun import programs

if __name__ == "__main__":
    runpy.run_module(programs.FORK_SERVER, run_name="__main__", alter_sys=True)
