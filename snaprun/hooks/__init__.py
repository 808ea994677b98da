"""Check at git commit what is staged, against the runs."""
