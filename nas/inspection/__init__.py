"""Inspection: what a trained network has learned and looks at. One method per file; files are discovered automatically."""
