"""The queue of this machine: its verbs, the dispatcher that serves it, and its table."""
