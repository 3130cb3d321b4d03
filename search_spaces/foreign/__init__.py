"""Notations of other libraries for architectures of the families here; one per file, found automatically."""
