"""Predictors of a value from an architecture, and the codes they read. One per file; new files are found automatically."""
