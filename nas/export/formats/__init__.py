"""The formats that architectures and networks are exported to, each in a file of its own."""
