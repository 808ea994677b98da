"""Freezing the work tree into a snapshot."""
