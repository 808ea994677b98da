"""One file a command: decorators, one call into the library, one call to show."""
