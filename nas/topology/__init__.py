"""Topology: the structures that combine operations. One structure per file; new files are found automatically."""
