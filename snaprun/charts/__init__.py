"""Many runs at a glance: tables, and charts for the terminal, as SVG and as PNG."""
