"""Reports: a run as one page for a reader who did not follow it."""
