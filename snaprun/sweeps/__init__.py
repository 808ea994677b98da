"""Sweeps and searches: many runs of one snapshot."""
