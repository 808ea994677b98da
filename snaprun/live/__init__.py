"""A run in progress on disk: its live folder, journal, lock and stop requests."""
