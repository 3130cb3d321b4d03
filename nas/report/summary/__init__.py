"""Summaries: what a report says of a run folder, as plain data."""
