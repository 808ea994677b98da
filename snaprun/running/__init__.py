"""Running: supervisor, worker, the record at the end, and what watches or settles a run."""
