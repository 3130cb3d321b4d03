"""Summaries: the content of a report on a run folder, as plain data."""
