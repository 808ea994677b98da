"""The git hook: what is staged, and which run executed it."""
