"""A run from its start to its record: supervisor and worker, what they leave, and how others follow and settle it."""
