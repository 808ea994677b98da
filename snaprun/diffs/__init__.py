"""Compare two runs: parameters, metrics, cells, outputs and files, in the terminal, as Markdown and as a page."""
