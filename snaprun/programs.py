"""The modules that are started as processes of their own, ``python -m NAME``: who starts one takes its name here."""

from __future__ import annotations

SUPERVISOR = "snaprun.lifecycle.supervisor"
"""Looks after one run, and outlives whoever started it."""

FORK_SERVER = "snaprun.lifecycle.forkserver"
"""Forks supervisor and worker for runs that come one after another."""

WORKER = "snaprun.lifecycle.worker"
"""Executes one run for its supervisor, or finalises one whose supervisor is gone."""

DISPATCHER = "snaprun.queue.dispatcher"
"""Starts what waits in the queue of this machine."""

SEARCH = "snaprun.sweeps.serve"
"""Draws the points of one search."""

SLURM_JOB = "snaprun.remote.slurmjob"
"""What a Slurm job does where the nodes share the repository's file system."""

SLURM_BATCH = "snaprun.remote.batch"
"""What a Slurm job does where the nodes have nothing but a git URL."""

FAR = "snaprun.remote.far"
"""Answers what another machine asks over ssh: a name that machines of several versions agree on."""
