"""Evaluation: how an architecture gets its scores. One evaluator per file; files are discovered automatically."""
