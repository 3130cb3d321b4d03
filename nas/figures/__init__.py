"""Figures: plots of a history or of a training, as files."""
