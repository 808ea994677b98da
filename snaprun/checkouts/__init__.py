"""Checkouts of snapshots, the data linked into them, and what is taken from them into a result."""
