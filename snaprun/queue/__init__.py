"""The queue of this machine: who starts what waits in it, and how it looks."""
