"""Sweeps: many runs of one snapshot, and the queue as people see it."""
