"""Runs: what a file declares, the run folder, and how a run is resumed."""
