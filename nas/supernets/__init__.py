"""Supernets: all architectures of a space in one network. One method of search a file, found by itself."""
