"""Freeze the work tree into a snapshot."""
