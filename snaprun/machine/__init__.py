"""The machine: its processes, their memory, and its GPUs."""
