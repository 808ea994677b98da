"""The life of a run after its snapshot: hand-over, supervisor, worker, record at the end, and who settles it."""
