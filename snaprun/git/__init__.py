"""Git: the gate to the binary, objects in memory, refs, and finding the repository."""
