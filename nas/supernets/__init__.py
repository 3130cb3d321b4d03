"""Supernets: all architectures of a space in one network. One search method per file; files are discovered automatically."""
