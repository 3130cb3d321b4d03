"""Runs: what a file declares, the folder it runs in, and how it goes on."""
