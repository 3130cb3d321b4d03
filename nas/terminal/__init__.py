"""Terminal: everything that the commands print."""
