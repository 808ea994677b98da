"""Notebooks and their parameters: reading, writing, pairing, and what may run them."""
