"""The index: a database of runs that can be thrown away."""
