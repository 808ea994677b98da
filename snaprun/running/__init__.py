"""Names that the first layout started processes by: runs that began before an upgrade end after it. For one release."""
