"""Comparing runs: cells, outputs, metrics, tables and plots."""
