"""Check snapshots out, link data into the checkouts, and take from them what goes into a result."""
