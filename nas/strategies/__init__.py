"""Strategies: the choice of the next architecture to evaluate. One per file; new files are found automatically."""
