"""The kinds of git hooks that snaprun knows how to be."""

KINDS = ("pre-commit", "commit-msg", "post-commit", "post-rewrite", "pre-merge-commit")

DEFAULT_KINDS = ("pre-commit", "commit-msg")
"""The ones that are installed where the user names none."""
