"""Figures: plots of a search history, a training or a transfer, as SVG or PNG files."""
