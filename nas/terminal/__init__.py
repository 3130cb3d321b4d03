"""Terminal: all that the commands print."""
