"""Call git, make its objects in memory, move refs, and find the repository."""
